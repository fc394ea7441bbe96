package appservice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// The dictionaries of a site that settings go to.
const (
	appSettings       = "appsettings"
	connectionStrings = "connectionstrings"
)

// Setting drives the entries of one of a site's dictionaries: application settings, or
// connection strings. Key.Resource is the site or slot, or its config/connectionstrings;
// Key.Name the entry's name; Want holds value, and type for a connection string.
type Setting struct {
	arm   *arm.Client
	child string
}

// NewSetting makes the driver of application settings.
func NewSetting(c *arm.Client) *Setting { return &Setting{c, appSettings} }

// NewConnectionString makes the driver of connection strings.
func NewConnectionString(c *arm.Client) *Setting { return &Setting{c, connectionStrings} }

// ConnectionStringsOf is the resource that the connection strings of a site are facets of.
func ConnectionStringsOf(site string) string { return site + "/config/" + connectionStrings }

// site is the site an entry belongs to.
func (d *Setting) site(f connection.Facet) string {
	if at := len(f.Resource) - len("/config/"+d.child); at > 0 && strings.EqualFold(f.Resource[at:], "/config/"+d.child) {
		return f.Resource[:at]
	}
	return f.Resource
}

// entry is one value; application settings have no type.
type entry struct {
	Value string `json:"value"`
	Type  string `json:"type"`
}

// UnmarshalJSON accepts a bare value as well.
func (e *entry) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '{' {
		type plain entry
		return json.Unmarshal(raw, (*plain)(e))
	}
	return json.Unmarshal(raw, &e.Value)
}

// MarshalJSON writes a bare value where there is no type.
func (e entry) MarshalJSON() ([]byte, error) {
	if e.Type == "" {
		return json.Marshal(e.Value)
	}
	type plain entry
	return json.Marshal(plain(e))
}

type dictionary struct {
	Properties map[string]entry `json:"properties"`
}

// settings are the entries of a dictionary and their names by folded name.
type settings struct {
	exists   bool
	values   map[string]entry
	spelling map[string]string
}

func newSettings(values map[string]entry) *settings {
	s := &settings{exists: true, values: values, spelling: make(map[string]string, len(values))}
	if s.values == nil {
		s.values = map[string]entry{}
	}
	for name := range values {
		s.spelling[fold(name)] = name
	}
	return s
}

func (s *settings) clone() *settings {
	return &settings{s.exists, maps.Clone(s.values), maps.Clone(s.spelling)}
}

func (s *settings) set(name string, value entry) {
	if old, ok := s.spelling[fold(name)]; ok {
		delete(s.values, old)
	}
	s.values[name], s.spelling[fold(name)] = value, name
}

func (s *settings) remove(name string) {
	delete(s.values, s.spelling[fold(name)])
	delete(s.spelling, fold(name))
}

// Path is the site's settings: they are replaced whole.
func (d *Setting) Path(f connection.Facet) string {
	return connection.FoldID(d.site(f)) + "/config/" + d.child
}

// Fresh is true: the dictionary is replaced whole and has no ETag.
func (d *Setting) Fresh() bool { return true }

// Rights names listing and writing the settings.
func (d *Setting) Rights(f connection.Facet) []connection.Right {
	site := d.site(f)
	prefix := resourceType(site)
	return []connection.Right{right(site, prefix+"/config/list/action"), right(site, prefix+"/config/write")}
}

// Read lists the site's settings.
func (d *Setting) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.list(ctx, d.site(facets[0]))
}

func (d *Setting) list(ctx context.Context, site string) (*settings, error) {
	var answer dictionary
	err := d.arm.Post(ctx, site+"/config/"+d.child+"/list", apiVersion, nil, &answer)
	if arm.IsNotFound(err) {
		return &settings{}, nil
	}
	if err != nil {
		return nil, err
	}
	return newSettings(answer.Properties), nil
}

// State finds a setting, whatever the case of its name.
func (d *Setting) State(b any, f connection.Facet) connection.State {
	s, ok := b.(*settings)
	if !ok {
		return connection.State{}
	}
	name, ok := s.spelling[fold(f.Name)]
	if !ok {
		return connection.State{}
	}
	is := s.values[name]
	state := connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: seen(f, is.Value)}}
	if is.Type != "" {
		state.Attrs[connection.AttrType] = connection.Plain(is.Type)
	}
	if name != f.Name {
		state.Spelling = name
	}
	return state
}

// seen hides every value but one that we wanted in the open: what somebody else
// put under our name may be a secret.
func seen(f connection.Facet, value string) connection.Value {
	if want, ok := f.Want[connection.AttrValue]; ok && want.From == nil && want.Text == value {
		return want
	}
	return connection.Hidden(value)
}

// Write merges all changes into the fresh settings, writes them once when that
// changes anything, and reads them back.
func (d *Setting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, ok := b.(*settings)
	if !ok {
		return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
	}
	site := d.site(changes[0].Facet)
	if !before.exists {
		return vanished(site, changes)
	}
	after := before.clone()
	for _, c := range changes {
		apply(after, c)
	}
	if !maps.Equal(before.values, after.values) {
		if err := d.arm.Put(ctx, site+"/config/"+d.child, apiVersion, dictionary{after.values}, nil); err != nil {
			return nil, err
		}
		found, err := d.list(ctx, site)
		if err != nil {
			return nil, err
		}
		if lost := compare(after, found, changes); lost != "" {
			return nil, problem.New(problem.WriteLost, site, "the setting %s is not as it was written", lost).While("write settings")
		}
		after = found
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(after, c.Facet)
	}
	if !maps.Equal(before.values, after.values) && slices.ContainsFunc(changes, readsTriggers) {
		states[0].Why = d.syncTriggers(ctx, site)
	}
	return states, nil
}

func readsTriggers(c plan.Change) bool { return c.Facet.Want[connection.AttrTriggers].Text != "" }

// syncTriggers has the platform read a function app's triggers anew: it scales the app by
// what it knows of them. The settings are written either way, so a refusal is only told.
func (d *Setting) syncTriggers(ctx context.Context, site string) string {
	err := d.arm.Post(ctx, site+"/syncfunctiontriggers", apiVersion, nil, nil)
	if err == nil {
		return ""
	}
	return fmt.Sprintf("the settings are written, but the platform did not read the triggers of %s anew (%v): restart the app, or run az rest --method post --url %s/syncfunctiontriggers?api-version=%s",
		site[strings.LastIndex(site, "/")+1:], err, site, apiVersion)
}

// vanished is the answer for a site that is gone: removals are done, the rest cannot be.
func vanished(site string, changes []plan.Change) ([]connection.State, error) {
	for _, c := range changes {
		if c.Action != plan.Remove {
			return nil, problem.New(problem.SourceNotFound, site, "the site is not there").While("write source")
		}
	}
	return make([]connection.State, len(changes)), nil
}

func entryOf(a connection.Attrs) entry {
	return entry{a[connection.AttrValue].Text, a[connection.AttrType].Text}
}

// apply makes one change. A name that is there in another case keeps that
// spelling: the platform takes no second one.
func apply(s *settings, c plan.Change) {
	name := c.Facet.Name
	if there, ok := s.spelling[fold(name)]; ok {
		name = there
	} else if c.Before.Spelling != "" {
		name = c.Before.Spelling // it comes back under the name it had
	}
	switch {
	case c.Action != plan.Remove:
		s.set(name, entryOf(c.Facet.Want))
	case c.Restore != nil && c.Restore.Exists:
		if name = c.Facet.Name; c.Restore.Spelling != "" {
			name = c.Restore.Spelling
		}
		s.set(name, entryOf(c.Restore.Attrs))
	default:
		s.remove(name)
	}
}

// compare names a setting of the changes that is not as it was written, "" when
// all are.
func compare(wrote, found *settings, changes []plan.Change) string {
	for _, c := range changes {
		key := fold(c.Facet.Name)
		want, wanted := wrote.spelling[key]
		is, there := found.spelling[key]
		if wanted != there || (wanted && wrote.values[want] != found.values[is]) {
			return c.Facet.Name
		}
	}
	return ""
}
