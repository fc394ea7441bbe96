package target

import (
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
)

// Reads names the management actions that Facts needs, on target and source.
func (r *Reader) Reads(c *connection.Connection) []connection.Right {
	var rights []connection.Right
	if source, err := id.Parse(c.Source); err == nil && !source.IsZero() {
		rights = append(rights, connection.Right{Action: source.Type() + "/read", Scope: source.String()})
	}
	m, err := r.Catalog.Match(c.Properties.Target.ID)
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
	if key, ok := wantsKey(c, m.Target); ok {
		place := m.Target.Keys[key]
		rights = append(rights, connection.Right{Action: m.Target.ResourceType(place.Of) + "/" + place.Action + "/action", Scope: m.Resource(place.Of)})
	}
	return rights
}
