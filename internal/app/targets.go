package app

import (
	"slices"
	"strconv"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/connection"
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
	for _, s := range facts.Support(everyAuth()) {
		out = append(out, targetCommand(s))
	}
	return out
}

// everyAuth are the auth types of connections with a source and of local ones.
func everyAuth() []string {
	all := slices.Clone(target.ReadyAuth())
	for _, a := range target.LocalAuth() {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// only keeps the auth types of one kind of connection.
func only(auth, kind []string) []string {
	var out []string
	for _, a := range auth {
		if slices.Contains(kind, a) {
			out = append(out, a)
		}
	}
	return out
}

// localAuth are a target's auth types for local connections; where no person and no key
// can sign in, there are none.
func localAuth(s catalog.Support) []string { return only(s.AuthTypes, target.LocalAuth()) }

// configurationNames lists the settings' names in the words of the contract.
func configurationNames() []api.ConfigurationNames {
	facts, err := catalog.Default()
	if err != nil {
		return nil
	}
	var out []api.ConfigurationNames
	for _, n := range facts.ConfigurationNames() {
		row := api.ConfigurationNames{TargetService: n.Service, ClientType: n.Client, AuthType: n.Auth, Names: make([]api.ConfigurationName, len(n.Names))}
		for i, name := range n.Names {
			row.Names[i] = api.ConfigurationName(name)
		}
		out = append(out, row)
	}
	return out
}

func targetCommand(s catalog.Support) cli.TargetCommand {
	c := cli.TargetCommand{
		Name: s.Target, Display: s.Display, ID: s.IDTemplate,
		AuthTypes: only(s.AuthTypes, target.ReadyAuth()), ClientTypes: s.ClientTypes, KeysFetched: s.KeysFetched, Nameless: s.Nameless,
		Grants: s.Grants, ConnectionStrings: s.StringType != "", Bindings: bindings(s.Bindings), APIVersion: s.APIVersion,
		LocalAuthTypes: localAuth(s), LocalClientTypes: daprClient(s), Service: s.Service,
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

func bindings(list []catalog.Binding) []cli.TargetBinding {
	var out []cli.TargetBinding
	for _, b := range list {
		tells := map[string]cli.TargetTelling{}
		for name, told := range b.Tells {
			tells[name] = cli.TargetTelling(told)
		}
		out = append(out, cli.TargetBinding{AuthTypes: b.Auth, ClientTypes: b.Clients, Names: b.Names, Shared: b.Shared, Add: b.Add, Tells: tells, Roles: b.Roles})
	}
	return out
}

// localSource is how the matrix calls connections without a source, as the Azure CLI does.
const localSource = "connection"

// supportTypes is the matrix of what goes together, for every source there is and for
// local connections.
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
		ready := target.ReadyAuth()
		if source.ARM == connection.TypeCluster {
			ready = target.ClusterAuth()
		}
		for _, s := range facts.Support(ready) {
			out = append(out, api.SupportType{Source: source.Name, Target: s.Target, AuthTypes: s.AuthTypes, ClientTypes: s.ClientTypes})
		}
	}
	for _, s := range facts.Support(everyAuth()) {
		if auth := localAuth(s); len(auth) > 0 {
			out = append(out, api.SupportType{Source: localSource, Target: s.Target, AuthTypes: auth, ClientTypes: append(s.ClientTypes, daprClient(s)...)})
		}
	}
	return out
}

// daprClient is the client type of local connections to what Dapr has components for.
func daprClient(s catalog.Support) []string {
	if s.Dapr {
		return []string{catalog.ClientDapr}
	}
	return nil
}

// daprConfigurations lists the components there are in the words of the contract.
func daprConfigurations() []api.DaprConfiguration {
	facts, err := catalog.Default()
	if err != nil {
		return nil
	}
	var out []api.DaprConfiguration
	for _, t := range facts.Targets() {
		components, err := t.Components()
		if err != nil {
			return nil // the catalog's own tests read every file
		}
		for _, c := range components {
			for _, auth := range t.AuthTypes() {
				if c.Takes(auth) {
					out = append(out, daprConfiguration(t, c, auth))
				}
			}
		}
	}
	return out
}

func daprConfiguration(t *catalog.Target, c catalog.Component, auth string) api.DaprConfiguration {
	row := api.DaprConfiguration{TargetType: t.Service(), AuthType: auth,
		DaprProperties: api.DaprProperties{Version: c.Version, ComponentType: c.Type, Metadata: []api.DaprMetadata{}}}
	for _, w := range c.Yours {
		row.DaprProperties.Metadata = append(row.DaprProperties.Metadata,
			api.DaprMetadata{Name: w.Name, Description: w.About, Required: strconv.FormatBool(w.Required)})
	}
	return row
}
