// Package compute is the table of source types: which computes a connection can
// start from, how commands name them, and what their drivers have in common.
//
// It promises to hold facts only; each compute's own package (appservice) reads
// and writes it. It does no I/O.
package compute

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Type is one kind of compute.
type Type struct {
	Name       string // as commands spell it: webapp
	ARM        string // resource type: Microsoft.Web/sites
	APIVersion string
	Title      string // for people
}

// Types returns the computes there are drivers for.
func Types() []Type {
	return []Type{
		{Name: "webapp", ARM: "Microsoft.Web/sites", APIVersion: "2024-11-01", Title: "web app"},
		{Name: "webapp", ARM: "Microsoft.Web/sites/slots", APIVersion: "2024-11-01", Title: "web app slot"},
		{Name: "functionapp", ARM: "Microsoft.Web/sites", APIVersion: "2024-11-01", Title: "function app"}, // ARM's kind tells them apart, the id does not
		{Name: "containerapp", ARM: "Microsoft.App/containerApps", APIVersion: "2025-07-01", Title: "container app"},
		{Name: "aks", ARM: connection.TypeCluster, APIVersion: "2025-10-01", Title: "AKS cluster"},
	}
}

// TypeOf finds the kind of a source by its ARM id; SOURCE_UNSUPPORTED names the
// kinds there are.
func TypeOf(source string) (Type, error) {
	at, err := id.Parse(source)
	if err != nil {
		return Type{}, &problem.Error{Code: problem.PathMalformed, Attempt: "read source", Resource: source, Cause: err}
	}
	var all []string
	for _, t := range Types() {
		if at.IsType(t.ARM) {
			return t, nil
		}
		if !slices.Contains(all, t.ARM) {
			all = append(all, t.ARM)
		}
	}
	return Type{}, problem.New(problem.SourceUnsupported, source, "a connection cannot start from %q; it can from %s", at.Type(), strings.Join(all, ", "))
}

// Source is what is known of one compute.
type Source struct {
	ID       string
	Type     Type
	Kind     string // ARM's kind: app,linux
	Location string
	State    string // Running, Stopped
	HostName string
	Linux    bool
	Runtime  string   // such as PYTHON|3.11; empty when the platform does not say
	Outbound []string // every address it may call from, each once, in order
	Subnet   string   // ARM id of the subnet it calls through, or ""
	// Scopes are the places its settings can go to, such as containers, the one for who names
	// none first; none where there is only one place.
	Scopes []string
	// NotInNames are characters that keep a setting of that name from the app.
	NotInNames string
}
