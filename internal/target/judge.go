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
	factSticky            = "source.sticky"
	factTriggers          = "source.triggers"
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

// checkKeyAccess refuses what would let the app sign in with a secret of the target's
// where it takes none: by such a secret, or by a key that an identity asks for.
func checkKeyAccess(c *connection.Connection, m *catalog.Match, facts connection.Facts) error {
	a, t := c.Properties.Auth, m.Target
	if a == nil || !waysOf(c).settings || !isOff(t.KeyAccess, facts) {
		return nil
	}
	what, fix := "access keys", keysOn(m)
	switch {
	case byKey(a.Type):
		if t.Auth[a.Type].Given {
			what = "passwords"
		}
		if slices.Contains(t.Offered(readyFor(c)), connection.AuthSystemIdentity) {
			fix = "sign in with an identity: --system-identity" + dataRole(t) + orWith(fix)
		}
	case fetchesKeys(c, t):
		what, fix = "access keys, which an identity asks for", "let the identity into the data plane:"+dataRole(t)+orWith(fix)
	default:
		return nil
	}
	return problem.New(problem.KeyAccessDisabled, c.Properties.Target.ID, "the target does not accept %s (%s is %s)", what, t.KeyAccess.Fact, facts.Text(t.KeyAccess.Fact)).
		WithFix("%s", fix)
}

// fetchesKeys tells whether an app with an identity asks the cloud for the target's keys,
// rather than enter its data plane with a role that is asked for. Where granting is left
// to the user, nobody knows.
func fetchesKeys(c *connection.Connection, t *catalog.Target) bool {
	return t.Audience == "management" && waysOf(c).grants &&
		!slices.ContainsFunc(c.Properties.Auth.Roles, func(name string) bool { _, ok := t.Policy(name); return ok })
}

// keysOn is the command that lets keys in again, "" where no single member says so.
func keysOn(m *catalog.Match) string {
	fact, on := m.Target.Facts[m.Target.KeyAccess.Fact], map[string]string{"true": "false", "false": "true", "Disabled": "Enabled"}[m.Target.KeyAccess.Off]
	if !strings.HasPrefix(fact.At, "properties.") || on == "" {
		return ""
	}
	return fmt.Sprintf("az resource update --ids %s --api-version %s --set %s=%s", m.Resource(fact.Of), m.Target.APIVersion, fact.At, on)
}

// dataRole is the option that an identity needs where it would ask for keys without it.
func dataRole(t *catalog.Target) string {
	if t.Audience != "management" || t.Access == nil {
		return ""
	}
	return fmt.Sprintf(" --roles %q", t.Access.Policies[0])
}

func orWith(command string) string {
	if command == "" {
		return ""
	}
	return ", or let them in: " + command
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
