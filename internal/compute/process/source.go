package process

import (
	"context"
	"path/filepath"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Sources reads env files as sources of connections. Outbound are the addresses that
// traffic of this machine comes from.
type Sources struct{ Outbound []string }

// Source tells what is known of the process that reads an env file; the file itself need
// not be there yet, its folder must.
func (s Sources) Source(_ context.Context, source string) (*compute.Source, error) {
	names, err := connection.FileNames(connection.TypeEnvFile, source)
	if err != nil || !filepath.IsAbs(names[0]) {
		return nil, &problem.Error{Code: problem.PathMalformed, Attempt: "read source", Resource: source, Cause: err}
	}
	if err := Writable(names[0]); err != nil {
		return nil, err
	}
	return &compute.Source{ID: source, Outbound: s.Outbound, NotInNames: ":"}, nil
}
