package compose

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/process"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Entry drives what a service of a Compose file has to say so that it reads the files
// beside it. Key.Resource is the service; Key.Name tells the kind of entry and what it is.
type Entry struct{}

// Path is the Compose file: it is replaced whole.
func (Entry) Path(f connection.Facet) string {
	file, _, _ := strings.Cut(connection.FoldID(f.Resource), "/services/")
	return file
}

// Fresh is true: a file has no ETag.
func (Entry) Fresh() bool { return true }

// Rights is empty: the operating system's rights are the caller's own.
func (Entry) Rights(connection.Facet) []connection.Right { return nil }

// seen is a file as it was read; one that is gone, or holds no YAML, has no document.
type seen struct {
	exists bool
	doc    *document
	err    error
}

func look(raw []byte, exists bool) *seen {
	s := &seen{exists: exists}
	if exists {
		s.doc, s.err = parse(raw)
	}
	return s
}

// Read reads the file. What is no YAML is told when somebody wants to write: a look is
// not hindered by it.
func (Entry) Read(_ context.Context, facets []connection.Facet) (any, error) {
	at, err := serviceOf(facets[0].Resource)
	if err != nil {
		return nil, err
	}
	c, err := process.Load(at.file)
	if err != nil {
		return nil, err
	}
	return look(c.Raw, c.Exists), nil
}

// State finds an entry.
func (Entry) State(b any, f connection.Facet) connection.State {
	s, ok := b.(*seen)
	at, err := serviceOf(f.Resource)
	switch {
	case !ok || err != nil || !s.exists:
		return connection.State{}
	case s.doc == nil:
		return connection.State{Unknown: true, Why: "the Compose file is not readable"}
	}
	there, value := stateOf(s.doc, at, f)
	if !there {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: connection.Plain(value)}}
}

// stateOf tells whether an entry is there, and which file it leads to.
func stateOf(d *document, at service, f connection.Facet) (bool, string) {
	if path, ok := strings.CutPrefix(f.Name, entryEnvFile); ok {
		return at.envList(path).has(d), path
	}
	name := strings.TrimPrefix(f.Name, entrySecret)
	file, there := declared{name}.file(d)
	return there && at.secretList(name).has(d), file
}

func (s service) envList(path string) list {
	return list{s.name, keyEnvFile, func(item string) bool { return s.reaches(item, s.absolute(path)) }}
}

func (s service) secretList(name string) list {
	return list{s.name, keySecrets, func(item string) bool { return item == name }}
}

// Write edits the file as it is at that moment, under its lock, and reads it back.
func (e Entry) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, ok := b.(*seen)
	if !ok {
		return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
	}
	at, err := serviceOf(changes[0].Facet.Resource)
	if err != nil {
		return nil, err
	}
	if c, err := process.Load(at.file); err == nil && !c.Exists {
		return vanished(at, changes)
	}
	err = process.Change(ctx, at.file, process.Kept, func(old []byte, exists bool) ([]byte, bool, error) {
		now := look(old, exists)
		if now.doc == nil {
			return nil, false, malformed(at, now.err)
		}
		for _, c := range changes {
			if before.doc != nil && e.State(before, c.Facet).Exists != e.State(now, c.Facet).Exists {
				return nil, false, problem.New(problem.WriteLost, at.file, "the %s was changed by somebody else in the same moment", c.Facet.Name).While("write Compose file")
			}
			if now.doc, err = edit(now.doc, c); err != nil {
				return nil, false, err
			}
		}
		return now.doc.raw, true, nil
	})
	if err != nil {
		return nil, err
	}
	c, err := process.Load(at.file)
	if err != nil {
		return nil, err
	}
	after, states := look(c.Raw, c.Exists), make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = e.State(after, c.Facet)
		if wanted := c.Action != plan.Remove || c.Restore != nil && c.Restore.Exists; states[n].Exists != wanted {
			return nil, problem.New(problem.WriteLost, at.file, "the %s is not as it was written", c.Facet.Name).While("write Compose file")
		}
	}
	return states, nil
}

// vanished is the answer for a file that is gone: removals are done, the rest cannot be.
func vanished(at service, changes []plan.Change) ([]connection.State, error) {
	for _, c := range changes {
		if c.Action != plan.Remove {
			return nil, missing(at, "there is no Compose file "+at.file)
		}
	}
	return make([]connection.State, len(changes)), nil
}

func missing(at service, why string) error {
	return problem.New(problem.SourceNotFound, at.file, "%s", why).While("read source").
		WithFix("name the file and the service: --file PATH --service NAME")
}

func malformed(at service, err error) error {
	return problem.New(problem.SourceUnusable, at.file, "the Compose file %s cannot be understood", at.file).Because(err).
		WithFix("docker compose -f '%s' config", at.file)
}

// edit makes one change.
func edit(d *document, c plan.Change) (*document, error) {
	at, err := serviceOf(c.Facet.Resource)
	if err != nil {
		return nil, err
	}
	there := c.Action != plan.Remove || c.Restore != nil && c.Restore.Exists
	if there {
		if err := overridden(d, at, c.Facet); err != nil {
			return nil, err
		}
	}
	var raw []byte
	if path, ok := strings.CutPrefix(c.Facet.Name, entryEnvFile); ok {
		raw, err = toggle(d, at.envList(path), path, there)
	} else {
		raw, err = editSecret(d, at, strings.TrimPrefix(c.Facet.Name, entrySecret), fileOf(c), there)
	}
	if errors.Is(err, errNoService) && !there {
		return d, nil
	}
	if err != nil {
		return nil, refusal(at, c.Facet, err)
	}
	return parse(raw)
}

// fileOf is where a secret's value lies after a change.
func fileOf(c plan.Change) string {
	if c.Action == plan.Remove && c.Restore != nil {
		return c.Restore.Attrs[connection.AttrValue].Text
	}
	return c.Facet.Want[connection.AttrValue].Text
}

func toggle(d *document, l list, item string, there bool) ([]byte, error) {
	if there {
		return l.add(d, item)
	}
	return l.drop(d)
}

// editSecret keeps the declaration and the service's use of it together.
func editSecret(d *document, at service, name, file string, there bool) ([]byte, error) {
	one := declared{name}
	if now, declaredThere := one.file(d); there && declaredThere && now != file {
		return nil, errors.New("the file declares a secret of that name already")
	}
	raw, err := toggle(d, at.secretList(name), name, there)
	if err != nil {
		return nil, err
	}
	if d, err = parse(raw); err != nil {
		return nil, err
	}
	if there {
		return one.add(d, file)
	}
	return one.drop(d)
}

// overridden refuses settings that the service sets itself: those go before an env file.
func overridden(d *document, at service, f connection.Facet) error {
	n, _, err := d.serviceNode(at.name)
	if err != nil {
		return nil //nolint:nilerr // told by whoever edits it
	}
	own := environment(n)
	for _, name := range strings.Split(f.Want[attrNames].Text, ",") {
		if own[name] {
			return problem.New(problem.SettingClash, at.file, "the service %s sets %s itself under environment, which goes before any env file", at.name, name).
				WithFix("take it out there, or choose another name: --customized-keys %s=NAME", name)
		}
	}
	return nil
}

func refusal(at service, f connection.Facet, err error) error {
	if errors.Is(err, errNoService) {
		return missing(at, "the Compose file has no service "+at.name)
	}
	return problem.New(problem.SourceUnusable, at.file, "the %s cannot be written into the Compose file", f.Name).Because(err).
		WithFix("write it into the service %s by hand, then run the command again", at.name)
}

// Sources reads services as sources of connections. Outbound are the addresses that
// traffic of this machine comes from.
type Sources struct{ Outbound []string }

// Source refuses early what would only fail while writing.
func (s Sources) Source(_ context.Context, source string) (*compute.Source, error) {
	at, err := serviceOf(source)
	if err != nil {
		return nil, err
	}
	c, err := process.Load(at.file)
	if err != nil {
		return nil, err
	}
	if !c.Exists {
		return nil, missing(at, "there is no Compose file "+at.file)
	}
	d, err := parse(c.Raw)
	if err != nil {
		return nil, malformed(at, err)
	}
	if _, _, err := d.serviceNode(at.name); errors.Is(err, errNoService) {
		return nil, missing(at, "the Compose file has no service "+at.name+"; it has: "+strings.Join(serviceNames(d), ", "))
	} else if err != nil {
		return nil, problem.New(problem.SourceUnusable, at.file, "the service cannot be connected").Because(err)
	}
	if err := process.Writable(at.file); err != nil {
		return nil, err
	}
	return &compute.Source{ID: source, Outbound: s.Outbound, NotInNames: ":" + string(os.PathSeparator)}, nil
}

func serviceNames(d *document) []string {
	services, _ := find(d.root, "services")
	var names []string
	if services != nil {
		for i := 0; i+1 < len(services.Content); i += 2 {
			names = append(names, services.Content[i].Value)
		}
	}
	return names
}
