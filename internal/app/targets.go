package app

import (
	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/target"
)

// targetCommands makes the command line's target words out of the heads of the
// catalog's files; a file is read whole only when its target is asked for. A broken
// catalog cannot be built in: its own tests read it.
func targetCommands() []cli.TargetCommand {
	facts, err := catalog.Default()
	if err != nil {
		panic(err)
	}
	var out []cli.TargetCommand
	for _, s := range facts.Support(target.ReadyAuth()) {
		out = append(out, targetCommand(s))
	}
	return out
}

func targetCommand(s catalog.Support) cli.TargetCommand {
	c := cli.TargetCommand{
		Name: s.Target, Display: s.Display, ID: s.IDTemplate,
		AuthTypes: s.AuthTypes, ClientTypes: s.ClientTypes, KeysFetched: s.KeysFetched,
		Grants: s.Grants, ConnectionStrings: s.StringType != "",
	}
	for _, l := range s.Linkers {
		c.Linkers = append(c.Linkers, cli.TargetLinker(l))
	}
	for _, part := range s.ID {
		if part.Fixed == "" {
			c.Options = append(c.Options, cli.TargetOption{Name: part.Option, Help: part.Help, Default: part.Default})
		}
	}
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
