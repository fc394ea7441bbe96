package cli

import (
	"context"

	"github.com/patchbay/patchbay/internal/api"
)

// API is what the commands need of a server, in this process or behind a URL:
// the methods of *api.Client, whose documentation holds here. Errors a person can
// act on are *problem.Error. An implementation that holds anything open is an
// io.Closer as well; it is closed when the command ends.
type API interface {
	Linkers(ctx context.Context, source string) ([]map[string]any, error)
	Linker(ctx context.Context, id string) (map[string]any, error)
	PutLinker(ctx context.Context, id string, body map[string]any, o api.PutOptions) (*api.Accepted, error)
	DeleteLinker(ctx context.Context, id string, force bool) (*api.Accepted, error)
	ValidateLinker(ctx context.Context, id string) (*api.Accepted, error)
	ListConfigurations(ctx context.Context, id string) ([]map[string]any, error)
	GenerateConfigurations(ctx context.Context, id, clientType string, body map[string]any) ([]map[string]any, error)
	ConfigurationNames(ctx context.Context, filter string) ([]map[string]any, error)
	Status(ctx context.Context, statusURL string) (status map[string]any, done bool, err error)

	Plan(ctx context.Context, linker string, body map[string]any, remove bool) (*api.Plan, error)
	Drift(ctx context.Context, scope string) ([]api.Drift, error)
	Repair(ctx context.Context, linker string, force bool) (*api.Operation, error)

	Operations(ctx context.Context, source string) ([]api.Operation, error)
	Operation(ctx context.Context, id string) (*api.Operation, error)
	Resume(ctx context.Context, id string) (*api.Operation, error)
	Undo(ctx context.Context, id string) (*api.Operation, error)
	Events(ctx context.Context, operation string, each func(api.JournalEntry) error) (*api.Operation, error)

	Raw(ctx context.Context, method, path string, body []byte) (*api.Response, error)
}

var _ API = (*api.Client)(nil)
