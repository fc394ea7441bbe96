// Package catalog is what is known of backing services: per target its ids,
// where facts and keys are read, what an identity is granted, how its network is
// opened, and the settings an app gets per auth type and client type.
//
// All of it is data, one file per target under targets/; the code here only
// checks and renders it, without I/O. Of a file only its head (what tells targets
// apart) is read when the catalog is first used; the rest when its target is asked
// for, strictly: an unknown member or placeholder, or a pair of auth and client type
// that has neither rows nor a stated reason, is an error, and the tests read every
// file. Nothing in this package may name a target.
package catalog

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed targets/*.yaml
var files embed.FS

// Catalog is every target, in the order of their names.
type Catalog struct{ entries []entry }

// entry is one target: its head, and all of it once it is asked for.
type entry struct {
	head *Target
	full func() (*Target, error)
}

var embedded = sync.OnceValues(func() (*Catalog, error) { return open(files) })

// Default returns the built-in catalog; it is read on the first call only.
func Default() (*Catalog, error) { return embedded() }

// open reads the head of every file.
func open(from fs.FS) (*Catalog, error) {
	names, err := fs.Glob(from, "targets/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the catalog: %w", err)
	}
	c := &Catalog{}
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("read the catalog: %w", err)
		}
		head := &Target{}
		if err := yaml.Unmarshal(headOf(text), head); err != nil {
			return nil, fmt.Errorf("read the head of %s of the catalog: %w", path.Base(name), err)
		}
		head.withCertificate()
		head.withPerson()
		full := sync.OnceValues(func() (*Target, error) { return file(from, name, text) })
		c.entries = append(c.entries, entry{head, full})
	}
	slices.SortFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.head.Name, b.head.Name) })
	return c, nil
}

// read reads every file whole.
func read(from fs.FS) (*Catalog, error) {
	c, err := open(from)
	if err != nil {
		return nil, err
	}
	for _, e := range c.entries {
		if _, err := e.full(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func file(from fs.FS, name string, text []byte) (*Target, error) {
	t, err := decode(from, text)
	if err == nil && t.Name != strings.TrimSuffix(path.Base(name), ".yaml") {
		err = fmt.Errorf("it calls itself %q", t.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of the catalog: %w", path.Base(name), err)
	}
	return t, nil
}

// decode reads one file, strictly, and checks it. Settings it has like another target's
// come from there.
func decode(from fs.FS, text []byte) (*Target, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	t := &Target{}
	if err := d.Decode(t); err != nil {
		return nil, err
	}
	if err := t.beLike(from); err != nil {
		return nil, err
	}
	t.withCertificate()
	t.withPerson()
	return t, t.check()
}

// headOf cuts out the sections that tell targets apart: decoding them takes a tenth
// of the time of the whole.
func headOf(text []byte) []byte {
	var out []byte
	keep := false
	for line := range bytes.Lines(text) {
		if key, _, found := bytes.Cut(line, []byte(":")); found && !bytes.ContainsAny(key[:1], " #-\n") {
			switch string(key) {
			case "name", "display", "status", "namespace", "id", "kinds", "types", "schemes", "linkers", "auth", "clients", "dbuser", "connectionStringType", "bindings", "apiVersion":
				keep = true
			default:
				keep = false
			}
		}
		if keep {
			out = append(out, line...)
		}
	}
	return out
}

// whole is all of a target. It panics on a broken file, which the tests keep from
// being built in.
func (e entry) whole() *Target {
	t, err := e.full()
	if err != nil {
		panic(err)
	}
	return t
}

// Targets returns every target in the order of their names.
func (c *Catalog) Targets() []*Target {
	out := make([]*Target, len(c.entries))
	for i, e := range c.entries {
		out[i] = e.whole()
	}
	return out
}

// Get finds a target by name.
func (c *Catalog) Get(name string) (*Target, bool) {
	for _, e := range c.entries {
		if strings.EqualFold(e.head.Name, name) {
			return e.whole(), true
		}
	}
	return nil, false
}

// Names returns the targets' names in order.
func (c *Catalog) Names() []string {
	names := make([]string, len(c.entries))
	for i, e := range c.entries {
		names[i] = e.head.Name
	}
	return names
}
