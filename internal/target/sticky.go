package target

import (
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// triggersRead is what a setting of a function app asks for besides its value.
const triggersRead = "read anew"

// trigger asks that the platform reads a function app's triggers anew when the setting is
// written: it keeps them where it scales the app, apart from the app itself.
func (d *derivation) trigger(setting *connection.Facet) {
	if how := d.facts.Text(factTriggers); how != "" {
		setting.Want[connection.AttrTriggers] = connection.Plain(how)
	}
}

// stick adds the facet that keeps a setting where it is when slots are swapped, and lets
// the setting wait for it: a swap between the two writes would carry the setting away.
// The list is the production site's, one for all slots, so that connections of several
// slots share a name.
func (d *derivation) stick(setting *connection.Facet) {
	list := d.facts.Text(factSticky)
	if list == "" {
		return
	}
	if setting.Resource != d.c.Source { // an entry of another dictionary of the source
		list += strings.TrimPrefix(setting.Resource, d.c.Source)
	}
	key := d.add(connection.Facet{
		Key:  connection.Key{Kind: connection.KindSticky, Resource: list, Name: setting.Name},
		Want: connection.Attrs{},
	})
	setting.After = append(append([]connection.Key{}, setting.After...), key)
}
