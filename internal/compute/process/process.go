// Package process writes the settings of plain processes: env files of this machine,
// which dotenv libraries, shells and Docker Compose read.
//
// It promises that only the lines of our own names change, that a file is replaced whole
// or not at all, that it is readable by its owner only, and that what somebody else
// writes in the same moment is not lost. Values never enter errors. It knows nothing of
// any cloud.
package process

import (
	"context"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Setting drives the variables of env files. Key.Resource is the file, Key.Name the
// variable's name, Want its value.
type Setting struct {
	kind string
	read reader
}

// NewSetting makes the driver of env files that dotenv libraries and shells read.
func NewSetting() *Setting { return &Setting{connection.TypeEnvFile, shells} }

// NewComposeSetting makes the driver of env files that Docker Compose reads, which
// disagrees with shells about backticks.
func NewComposeSetting() *Setting { return &Setting{connection.TypeComposeEnvFile, compose} }

// Path is the file: it is replaced whole.
func (d *Setting) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: a file has no ETag.
func (d *Setting) Fresh() bool { return true }

// Rights is empty: the operating system's rights are the caller's own.
func (d *Setting) Rights(connection.Facet) []connection.Right { return nil }

func (d *Setting) file(f connection.Facet) (string, error) {
	names, err := connection.FileNames(d.kind, f.Resource)
	if err != nil {
		return "", &problem.Error{Code: problem.PathMalformed, Attempt: "read source", Resource: f.Resource, Cause: err}
	}
	return names[0], nil
}

// Read reads the file; one that is not there holds nothing.
func (d *Setting) Read(_ context.Context, facets []connection.Facet) (any, error) {
	path, err := d.file(facets[0])
	if err != nil {
		return nil, err
	}
	c, err := Load(path)
	if err != nil {
		return nil, err
	}
	return parseEnv(c.Raw, d.read), nil
}

// State finds a variable. Names that differ in case are different variables.
func (d *Setting) State(b any, f connection.Facet) connection.State {
	e, ok := b.(*envFile)
	if !ok {
		return connection.State{}
	}
	value, there := e.get(f.Name)
	if !there {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: seen(f, value)}}
}

// seen hides every value but one that we wanted in the open: what somebody else put
// under our name may be a secret.
func seen(f connection.Facet, value string) connection.Value {
	if want, ok := f.Want[connection.AttrValue]; ok && want.From == nil && want.Text == value {
		return want
	}
	return connection.Hidden(value)
}

// Write merges the changes into the file as it is at that moment, and reads it back.
func (d *Setting) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, ok := b.(*envFile)
	if !ok {
		return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
	}
	path, err := d.file(changes[0].Facet)
	if err != nil {
		return nil, err
	}
	if there, err := Load(path); err == nil && !there.Exists && removes(changes) {
		return make([]connection.State, len(changes)), nil
	}
	var wrote *envFile
	err = Change(ctx, path, Private, func(old []byte, _ bool) ([]byte, bool, error) {
		now := parseEnv(old, d.read)
		if name := differs(before, now, changes); name != "" {
			return nil, false, lost(path, "the variable "+name+" was changed by somebody else in the same moment")
		}
		for _, c := range changes {
			if err := now.apply(c); err != nil {
				return nil, false, problem.New(problem.SettingName, path, "the setting %s cannot be written to an env file: %s", c.Facet.Name, err)
			}
		}
		if now = parseEnv(now.bytes(), d.read); now.open && !removes(changes) {
			return nil, false, unreadable(path, "a quote in it is not closed")
		}
		wrote = now
		return now.bytes(), !now.bare(), nil
	})
	if err != nil {
		return nil, err
	}
	c, err := Load(path)
	if err != nil {
		return nil, err
	}
	after := parseEnv(c.Raw, d.read)
	if name := differs(wrote, after, changes); name != "" {
		return nil, lost(path, "the variable "+name+" is not as it was written")
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(after, c.Facet)
	}
	return states, nil
}

// removes tells whether nothing is to be there afterwards.
func removes(changes []plan.Change) bool {
	for _, c := range changes {
		if c.Action != plan.Remove || c.Restore != nil && c.Restore.Exists {
			return false
		}
	}
	return true
}

// differs names a variable of the changes that the two files do not agree on.
func differs(a, b *envFile, changes []plan.Change) string {
	for _, c := range changes {
		x, inA := a.get(c.Facet.Name)
		y, inB := b.get(c.Facet.Name)
		if inA != inB || x != y {
			return c.Facet.Name
		}
	}
	return ""
}

func lost(path, why string) error {
	return problem.New(problem.WriteLost, path, "%s", why).While("write settings")
}
