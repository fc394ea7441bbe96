package api

import (
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// Version is one api-version of Microsoft.ServiceLinker. Versions sort by their text.
type Version string

// The api-versions this server speaks.
const (
	V20220501        Version = "2022-05-01"
	V20221101Preview Version = "2022-11-01-preview"
	V20230401Preview Version = "2023-04-01-preview"
	V20240401        Version = "2024-04-01"
	V20240701Preview Version = "2024-07-01-preview"

	// Newest is the version whose model is the internal one.
	Newest = V20240701Preview
	// Stable is the newest version without "preview"; clients that do not care use it.
	Stable = V20240401
)

// StatusVersion is the api-version that addresses of operation statuses carry,
// whatever version started the operation.
const StatusVersion = "2021-01-01-privatepreview"

// Provider is the namespace whose contract this package speaks.
const Provider = "Microsoft.ServiceLinker"

// LinkerType is the type of a linker as answers spell it.
const LinkerType = "microsoft.servicelinker/linkers"

// ConnectorType is the type of a local connection as answers spell it.
const ConnectorType = "microsoft.servicelinker/locations/connectors"

// Versions lists the api-versions, oldest first.
func Versions() []Version {
	return []Version{V20220501, V20221101Preview, V20230401Preview, V20240401, V20240701Preview}
}

// Known tells whether the server speaks v.
func (v Version) Known() bool { return slices.Contains(Versions(), v) }

// has tells whether something that came with since is part of v.
func (v Version) has(since Version) bool { return since <= v }

var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-[a-z]+)?$`)

// WellFormed tells whether v has the form of an api-version at all.
func (v Version) WellFormed() bool { return versionForm.MatchString(string(v)) }

// manners is how a version's answers differ in more than their members.
type manners struct {
	nullsInReads bool // unset members stand as null in GET and LIST, not only in PUT and PATCH
	fillsSecret  bool // a secret without a kind reads rawValue once applied
}

func (v Version) manners() manners {
	switch {
	case v < V20221101Preview:
		return manners{nullsInReads: true}
	case v < V20230401Preview:
		return manners{}
	}
	return manners{nullsInReads: true, fillsSecret: true}
}

// unknownVersion words the refusal of an api-version as ARM does: one form for
// text that is no version, another for a version the type does not have.
func unknownVersion(raw, kind string, supported []string) error {
	newestFirst := slices.Clone(supported)
	slices.Sort(newestFirst)
	slices.Reverse(newestFirst)
	all := strings.Join(newestFirst, ", ")
	if !Version(raw).WellFormed() {
		return problem.New(problem.APIVersionUnknown, kind, "The api-version '%s' is invalid. The supported versions are '%s'.", printable(raw), all).
			Because(ARMCode("InvalidApiVersionParameter"))
	}
	return problem.New(problem.APIVersionUnknown, kind,
		"No registered resource provider found for location '%s' and API version '%s' for type '%s'. The supported api-versions are '%s'. The supported locations are '%s'.",
		"global", raw, kind, all, "global").Because(ARMCode("NoRegisteredProviderFound"))
}

// printable cuts text that a client made up to what may stand in a message.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
