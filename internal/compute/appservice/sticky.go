package appservice

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Sticky drives the names that stay where they are when slots are swapped. There is one
// list for a site and all of its slots, so Key.Resource is the production site, or its
// config/connectionstrings for the name of a connection string; Key.Name is the name.
// Want is empty.
type Sticky struct{ arm *arm.Client }

// NewSticky makes the driver.
func NewSticky(c *arm.Client) *Sticky { return &Sticky{c} }

// StickyOf is the resource that the sticky names of a slot's settings are facets of: the
// production site. It is "" for a site, whose own settings need none.
func StickyOf(source string) string {
	at, err := id.Parse(source)
	if err != nil || !at.IsType("Microsoft.Web/sites/slots") {
		return ""
	}
	return at.Parent().String()
}

// The members of slotConfigNames that are ours to change.
const (
	stickySettings = "appSettingNames"
	stickyStrings  = "connectionStringNames"
)

// place tells the site and the list that a facet's name is in.
func (d *Sticky) place(f connection.Facet) (site, list string) {
	if site := NewConnectionString(nil).site(f); site != f.Resource {
		return site, stickyStrings
	}
	return f.Resource, stickySettings
}

// stickyNames are the lists as they stand; members that we do not know are kept as read.
type stickyNames struct {
	exists bool
	lists  map[string][]string
	others map[string]json.RawMessage
}

// UnmarshalJSON parts the lists that are ours to change from everything else.
func (n *stickyNames) UnmarshalJSON(raw []byte) error {
	n.lists, n.others = map[string][]string{}, map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &n.others); err != nil {
		return err
	}
	for _, name := range []string{stickySettings, stickyStrings} {
		var list []string
		if err := json.Unmarshal([]byte(cmp.Or(string(n.others[name]), "null")), &list); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		delete(n.others, name)
		if list != nil {
			n.lists[name] = list
		}
	}
	return nil
}

// MarshalJSON writes them back together.
func (n *stickyNames) MarshalJSON() ([]byte, error) {
	all := map[string]any{}
	for name, raw := range n.others {
		all[name] = raw
	}
	for name, list := range n.lists {
		all[name] = list
	}
	return json.Marshal(all)
}

func (n *stickyNames) find(list, name string) int {
	return slices.IndexFunc(n.lists[list], func(one string) bool { return strings.EqualFold(one, name) })
}

func (n *stickyNames) clone() *stickyNames {
	lists := map[string][]string{}
	for name, list := range n.lists {
		lists[name] = slices.Clone(list)
	}
	return &stickyNames{n.exists, lists, n.others}
}

// Path is the site's lists: they are replaced whole, and together.
func (d *Sticky) Path(f connection.Facet) string {
	site, _ := d.place(f)
	return connection.FoldID(site) + "/config/slotconfignames"
}

// Fresh is true: the lists are replaced whole and have no ETag.
func (d *Sticky) Fresh() bool { return true }

// Rights names reading and writing the site's configuration.
func (d *Sticky) Rights(f connection.Facet) []connection.Right {
	site, _ := d.place(f)
	return []connection.Right{right(site, "Microsoft.Web/sites/config/read"), right(site, "Microsoft.Web/sites/config/write")}
}

// Read reads the site's lists.
func (d *Sticky) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	site, _ := d.place(facets[0])
	return d.read(ctx, site)
}

func stickyPath(site string) string { return site + "/config/slotConfigNames" }

func (d *Sticky) read(ctx context.Context, site string) (*stickyNames, error) {
	answer := struct {
		Properties stickyNames `json:"properties"`
	}{}
	err := d.arm.Get(ctx, stickyPath(site), apiVersion, &answer)
	if arm.IsNotFound(err) {
		return &stickyNames{}, nil
	}
	if err != nil {
		return nil, err
	}
	answer.Properties.exists = true
	return &answer.Properties, nil
}

// State tells whether a name is in its list, case aside.
func (d *Sticky) State(b any, f connection.Facet) connection.State {
	names, ok := b.(*stickyNames)
	if !ok {
		return connection.State{}
	}
	_, list := d.place(f)
	at := names.find(list, f.Name)
	if at < 0 {
		return connection.State{}
	}
	state := connection.State{Exists: true, Attrs: connection.Attrs{}}
	if there := names.lists[list][at]; there != f.Name {
		state.Spelling = there
	}
	return state
}

// Write merges the names into the fresh lists, writes them once when that changes
// anything, and reads them back.
func (d *Sticky) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, ok := b.(*stickyNames)
	if !ok {
		return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
	}
	site, _ := d.place(changes[0].Facet)
	if !before.exists {
		return vanished(site, changes)
	}
	after, changed := d.merge(before, changes)
	if changed {
		if err := d.arm.Put(ctx, stickyPath(site), apiVersion, map[string]any{"properties": after}, nil); err != nil {
			return nil, err
		}
		found, err := d.read(ctx, site)
		if err != nil {
			return nil, err
		}
		after = found
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(after, c.Facet)
		if states[n].Exists != wanted(c) {
			return nil, problem.New(problem.WriteLost, site, "the sticky name %s is not as it was written", c.Facet.Name).While("write sticky names")
		}
	}
	return states, nil
}

// merge makes the changes in a copy of the lists. A list that was not there is not
// there again when its last name goes.
func (d *Sticky) merge(before *stickyNames, changes []plan.Change) (after *stickyNames, changed bool) {
	after = before.clone()
	for _, c := range changes {
		_, list := d.place(c.Facet)
		switch at := after.find(list, c.Facet.Name); {
		case wanted(c) && at < 0:
			after.lists[list], changed = append(after.lists[list], c.Facet.Name), true
		case !wanted(c) && at >= 0:
			if after.lists[list], changed = slices.Delete(after.lists[list], at, at+1), true; len(after.lists[list]) == 0 {
				delete(after.lists, list)
			}
		}
	}
	return after, changed
}
