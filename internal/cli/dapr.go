package cli

import (
	"slices"

	"github.com/spf13/pflag"
)

// daprFlags are what a request says about a Dapr component.
type daprFlags struct {
	component, secretStore string
	metadata, scopes       wordList
}

func (d *daprFlags) register(f *pflag.FlagSet) {
	f.StringVar(&d.component, "dapr-component", "", "Type of the Dapr component, as in state.redis. Default: the target's first.")
	f.StringVar(&d.secretStore, "dapr-secret-store", "", "Dapr component that holds the secrets, by `name`. Default: they stand in the file.")
	f.Var(&d.metadata, "dapr-metadata", "NAME=VALUE ...: metadata that only you know, such as containerName.")
	f.Var(&d.scopes, "dapr-scopes", "APP ...: Dapr ids of the apps that may use the component. Default: all.")
}

// properties are daprProperties; nil when no option was given.
func (d *daprFlags) properties() (map[string]any, error) {
	out := map[string]any{}
	if d.component != "" {
		out["componentType"] = d.component
	}
	if d.secretStore != "" {
		out["secretStoreComponent"] = d.secretStore
	}
	pairs, err := d.metadata.pairs("--dapr-metadata", nil)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(pairs))
	for name := range pairs {
		names = append(names, name)
	}
	slices.Sort(names)
	var rows []any
	for _, name := range names {
		rows = append(rows, map[string]any{"name": name, "value": pairs[name]})
	}
	if rows != nil {
		out["metadata"] = rows
	}
	if d.scopes.Given {
		out["scopes"] = d.scopes.Words
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}
