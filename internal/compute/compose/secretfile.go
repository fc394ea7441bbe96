package compose

import (
	"context"
	"path/filepath"

	"github.com/patchbay/patchbay/internal/compute/process"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// SecretFile drives values that lie in a file each. Key.Resource is their folder, Key.Name
// the file's name, Want the value.
type SecretFile struct{}

// Path is the file.
func (SecretFile) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/" + connection.FoldID(f.Name)
}

// Fresh is true: a file has no ETag.
func (SecretFile) Fresh() bool { return true }

// Rights is empty: the operating system's rights are the caller's own.
func (SecretFile) Rights(connection.Facet) []connection.Right { return nil }

func secretPath(f connection.Facet) (string, error) {
	names, err := connection.FileNames(connection.TypeSecretFolder, f.Resource)
	if err != nil {
		return "", &problem.Error{Code: problem.PathMalformed, Attempt: "read source", Resource: f.Resource, Cause: err}
	}
	if f.Name != filepath.Base(f.Name) {
		return "", problem.New(problem.SettingName, f.Resource, "no file can be called %q", f.Name)
	}
	return filepath.Join(names[0], f.Name), nil
}

// Read reads the file.
func (SecretFile) Read(_ context.Context, facets []connection.Facet) (any, error) {
	path, err := secretPath(facets[0])
	if err != nil {
		return nil, err
	}
	return process.Load(path)
}

// State tells what the file holds.
func (SecretFile) State(b any, _ connection.Facet) connection.State {
	c, ok := b.(process.Content)
	if !ok || !c.Exists {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: connection.Attrs{connection.AttrValue: connection.Hidden(string(c.Raw))}}
}

// Write replaces the file, for its owner only.
func (s SecretFile) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	before, ok := b.(process.Content)
	if !ok || len(changes) != 1 {
		return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
	}
	c := changes[0]
	path, err := secretPath(c.Facet)
	if err != nil {
		return nil, err
	}
	value, keep := c.Facet.Want[connection.AttrValue].Text, c.Action != plan.Remove
	if c.Restore != nil && c.Restore.Exists && !keep {
		value, keep = c.Restore.Attrs[connection.AttrValue].Text, true
	}
	err = process.Change(ctx, path, process.Private, func(old []byte, exists bool) ([]byte, bool, error) {
		if exists != before.Exists || string(old) != string(before.Raw) {
			return nil, false, problem.New(problem.WriteLost, path, "the file was changed by somebody else in the same moment").While("write secret")
		}
		return []byte(value), keep, nil
	})
	if err != nil {
		return nil, err
	}
	after, err := process.Load(path)
	return []connection.State{s.State(after, c.Facet)}, err
}
