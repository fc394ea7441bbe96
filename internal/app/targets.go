package app

import (
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/target"
)

// targetCommands makes the command line's target words out of the catalog. A broken
// catalog cannot be built in: its own tests read it.
func targetCommands() []cli.TargetCommand {
	facts, err := catalog.Default()
	if err != nil {
		panic(err)
	}
	var out []cli.TargetCommand
	for _, s := range facts.Support(target.ReadyAuth()) {
		if t, ok := facts.Get(s.Target); ok {
			out = append(out, targetCommand(t, s))
		}
	}
	return out
}

func targetCommand(t *catalog.Target, s catalog.Support) cli.TargetCommand {
	c := cli.TargetCommand{Name: t.Name, Display: t.Display, AuthTypes: s.AuthTypes, ClientTypes: s.ClientTypes, KeysFetched: len(t.Keys) > 0}
	words := []string{"/subscriptions/{subscription}/resourceGroups/{target-resource-group}/providers", t.Namespace}
	for _, part := range t.ID {
		name := part.Fixed
		if name == "" {
			name = "{" + part.Option + "}"
			c.Options = append(c.Options, cli.TargetOption{Name: part.Option, Help: part.Help, Default: part.Default})
		}
		words = append(words, part.Type, name)
	}
	c.ID = strings.Join(words, "/")
	return c
}

// supportTypes is the matrix of what goes together, for every source there is.
func supportTypes() []api.SupportType {
	facts, err := catalog.Default()
	if err != nil {
		return nil
	}
	var out []api.SupportType
	seen := map[string]bool{}
	for _, source := range compute.Types() {
		if seen[source.Name] {
			continue
		}
		seen[source.Name] = true
		for _, s := range facts.Support(target.ReadyAuth()) {
			out = append(out, api.SupportType{Source: source.Name, Target: s.Target, AuthTypes: s.AuthTypes, ClientTypes: s.ClientTypes})
		}
	}
	return out
}
