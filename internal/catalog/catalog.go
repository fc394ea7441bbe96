// Package catalog is what is known of backing services: per target its ids,
// where facts and keys are read, what an identity is granted, how its network is
// opened, and the settings an app gets per auth type and client type.
//
// All of it is data, one file per target under targets/; the code here only
// checks and renders it, without I/O. Files are read once, when the catalog is
// first used, strictly: an unknown member or placeholder, or a pair of auth and
// client type that has neither rows nor a stated reason, is an error. Nothing in
// this package may name a target.
package catalog

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed targets/*.yaml
var files embed.FS

// Catalog is every target, in the order of their names.
type Catalog struct{ targets []*Target }

var embedded = sync.OnceValues(func() (*Catalog, error) { return read(files) })

// Default returns the built-in catalog; it is read on the first call only.
func Default() (*Catalog, error) { return embedded() }

func read(from fs.FS) (*Catalog, error) {
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
		t, err := decode(text)
		if err == nil && t.Name != strings.TrimSuffix(path.Base(name), ".yaml") {
			err = fmt.Errorf("it calls itself %q", t.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s of the catalog: %w", path.Base(name), err)
		}
		c.targets = append(c.targets, t)
	}
	return c, nil
}

// decode reads one file, strictly, and checks it.
func decode(text []byte) (*Target, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	t := &Target{}
	if err := d.Decode(t); err != nil {
		return nil, err
	}
	return t, t.check()
}

// Targets returns every target in the order of their names.
func (c *Catalog) Targets() []*Target { return append([]*Target(nil), c.targets...) }

// Get finds a target by name.
func (c *Catalog) Get(name string) (*Target, bool) {
	for _, t := range c.targets {
		if strings.EqualFold(t.Name, name) {
			return t, true
		}
	}
	return nil, false
}

// Names returns the targets' names in order.
func (c *Catalog) Names() []string {
	names := make([]string, len(c.targets))
	for i, t := range c.targets {
		names[i] = t.Name
	}
	return names
}
