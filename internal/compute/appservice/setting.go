package appservice

import (
	"context"
	"maps"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Setting drives application settings. Key.Resource is the site or slot,
// Key.Name the setting's name; Want holds value.
type Setting struct{ arm *arm.Client }

// NewSetting makes the driver.
func NewSetting(c *arm.Client) *Setting { return &Setting{c} }

type dictionary struct {
	Properties map[string]string `json:"properties"`
}

// settings are a site's application settings and their names by folded name.
type settings struct {
	exists   bool
	values   map[string]string
	spelling map[string]string
}

func newSettings(values map[string]string) *settings {
	s := &settings{exists: true, values: values, spelling: make(map[string]string, len(values))}
	if s.values == nil {
		s.values = map[string]string{}
	}
	for name := range values {
		s.spelling[fold(name)] = name
	}
	return s
}

func (s *settings) clone() *settings {
	return &settings{s.exists, maps.Clone(s.values), maps.Clone(s.spelling)}
}

func (s *settings) set(name, value string) {
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
	return connection.FoldID(f.Resource) + "/config/appsettings"
}

// Fresh is true: the dictionary is replaced whole and has no ETag.
func (d *Setting) Fresh() bool { return true }

// Rights names listing and writing the settings.
func (d *Setting) Rights(f connection.Facet) []connection.Right {
	prefix := resourceType(f.Resource)
	return []connection.Right{right(f.Resource, prefix+"/config/list/action"), right(f.Resource, prefix+"/config/write")}
}

// Read lists the site's settings.
func (d *Setting) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.list(ctx, facets[0].Resource)
}

func (d *Setting) list(ctx context.Context, site string) (*settings, error) {
	var answer dictionary
	err := d.arm.Post(ctx, site+"/config/appsettings/list", apiVersion, nil, &answer)
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
	state := connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: seen(f, s.values[name])}}
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
	site := changes[0].Facet.Resource
	if !before.exists {
		return vanished(site, changes)
	}
	after := before.clone()
	for _, c := range changes {
		apply(after, c)
	}
	if !maps.Equal(before.values, after.values) {
		if err := d.arm.Put(ctx, site+"/config/appsettings", apiVersion, dictionary{after.values}, nil); err != nil {
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
	return states, nil
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
		s.set(name, c.Facet.Want[connection.AttrValue].Text)
	case c.Restore != nil && c.Restore.Exists:
		if name = c.Facet.Name; c.Restore.Spelling != "" {
			name = c.Restore.Spelling
		}
		s.set(name, c.Restore.Attrs[connection.AttrValue].Text)
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
