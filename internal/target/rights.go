package target

import (
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
)

// Reads names the management actions that Facts needs, on target and source.
func (r *Reader) Reads(c *connection.Connection) []connection.Right {
	var rights []connection.Right
	if source, err := id.Parse(c.Source); err == nil && !source.IsZero() && !sourceless(c) && !c.OnFile() {
		rights = append(rights, connection.Right{Action: source.Type() + "/read", Scope: source.String()})
	}
	m, err := r.match(c)
	if err != nil {
		return rights
	}
	for _, name := range resourcesToRead(c, m.Target) {
		scope := m.Resource(name)
		if child := m.Target.Resources[name].Child; child != "" {
			scope = scope[:len(scope)-len(child)-1]
		}
		rights = append(rights, connection.Right{Action: m.Target.ResourceType(name) + "/read", Scope: scope})
	}
	return append(append(rights, keyRights(c, m)...), r.keeperRights(c)...)
}

// keyRights names the actions that hand out keys. An action may lie on a child that is
// named in it: authorizationRules/NAME/listKeys.
func keyRights(c *connection.Connection, m *catalog.Match) []connection.Right {
	var rights []connection.Right
	seen := map[connection.Right]bool{}
	for _, name := range sortedKeys(keysOf(c, m.Target)) {
		place := keysOf(c, m.Target)[name]
		parts := strings.Split(place.Action, "/")
		right := connection.Right{Action: m.Target.ResourceType(place.Of), Scope: m.Resource(place.Of)}
		for i := 0; i+2 < len(parts); i += 2 {
			right.Action += "/" + parts[i]
			if parts[i+1] == catalog.RuleHole { // one of a list, which must be read first
				rights = append(rights, connection.Right{Action: right.Action + "/read", Scope: right.Scope})
				break
			}
			right.Scope += "/" + parts[i] + "/" + parts[i+1]
		}
		right.Action += "/" + parts[len(parts)-1] + "/action"
		if !seen[right] {
			seen[right] = true
			rights = append(rights, right)
		}
	}
	return rights
}
