package target

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	factSourceLocation    = "source.location"
	factConnectionStrings = "source.connectionStrings"
	factNotInNames        = "source.notInNames"
)

// judge adds what follows from the facts read: stopped, closed, without effect.
func (r *reading) judge() {
	t := r.m.Target
	if s := t.Stopped; s != nil {
		state := r.facts.Text(s.Fact)
		r.put(connection.FactState, state)
		if slices.ContainsFunc(s.Values, func(v string) bool { return strings.EqualFold(v, state) }) {
			r.put(connection.FactStopped, "true")
		}
		r.put(connection.FactStart, fmt.Sprintf("patchbay rest POST %s/%s?api-version=%s --wait", r.m.Resource(s.Of), s.Action, t.APIVersion))
	}
	if isOff(t.PublicAccess, r.facts) {
		r.put(connection.FactDenied, "true")
		r.put(connection.FactWarning, deniedWarning)
	}
	if t.Firewall == nil || !holds(t.Firewall.When, r.facts) {
		return
	}
	r.put(connection.FactWall, "true")
	if n := r.c.Properties.PublicNetwork; n != nil && strings.EqualFold(n.CallerClientIP, "true") && n.CallerAddress == "" && waysOf(r.c).network {
		r.put(connection.FactWarning, unknownCaller)
	}
	here, there := r.facts.Text(factSourceLocation), r.facts.Text("location")
	if t.Firewall.Regional && here != "" && region(here) == region(there) {
		r.put(connection.FactWallNote, regionalWarning)
		if waysOf(r.c).network {
			r.put(connection.FactWarning, regionalWarning)
		}
	}
}

const (
	unknownCaller   = "The firewall was not opened for the caller: nobody knows the address its traffic comes from. Set PATCHBAY_EGRESS_ADDRESS and update the connection, or add a rule by hand."
	deniedWarning   = "The target denies all public network access. Make sure that the app reaches it through a private endpoint."
	regionalWarning = "Firewall rules of a storage account have no effect on traffic from its own region. Use a service endpoint or a private endpoint instead."
)

// region is the comparison form of a location: "West Europe" is westeurope.
func region(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}

func isOff(s catalog.Switch, facts connection.Facts) bool {
	return s.Fact != "" && strings.EqualFold(facts.Text(s.Fact), s.Off)
}

func holds(c catalog.Condition, facts connection.Facts) bool {
	text := facts.Text(c.Fact)
	if c.Is == "" {
		return text != ""
	}
	return strings.EqualFold(text, c.Is)
}

// checkKeyAccess refuses secrets where the target takes none.
func checkKeyAccess(c *connection.Connection, t *catalog.Target, facts connection.Facts) error {
	a := c.Properties.Auth
	if a == nil || a.Type != connection.AuthSecret || !waysOf(c).settings || !isOff(t.KeyAccess, facts) {
		return nil
	}
	what := "access keys"
	if t.Auth[a.Type].Given {
		what = "passwords"
	}
	return problem.New(problem.KeyAccessDisabled, c.Properties.Target.ID, "the target does not accept %s (%s is %s)", what, t.KeyAccess.Fact, facts.Text(t.KeyAccess.Fact))
}

// checkPublicAccess refuses what needs a way in for the engine itself where there is none.
func checkPublicAccess(c *connection.Connection, t *catalog.Target, facts connection.Facts) error {
	if !entersDatabase(c, t) || !waysOf(c).network || facts.Text(connection.FactDenied) == "" {
		return nil
	}
	return problem.New(problem.PublicAccessDenied, c.Properties.Target.ID, "the server denies all public network access, so its database user cannot be created from outside").
		WithFix("open public access on the server, or run Patchbay inside its network and add --opt-out publicnetwork")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
