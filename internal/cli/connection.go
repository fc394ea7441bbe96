package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// newSource makes "patchbay webapp connection …" for one kind of source.
func newSource(s *shell, source SourceCommand) *cobra.Command {
	connection := group("connection", "Connections of a "+source.Display, "command",
		newWriteGroup(s, source, "create", "Create a connection to a backing service", newCreate),
		newWriteGroup(s, source, "update", "Change a connection", newUpdate),
		newList(s, source), newShow(s, source), newDelete(s, source), newValidate(s, source),
		newListConfiguration(s, source), newListSupportTypes(s, source), newWait(s, source))
	many := source.Title
	if many == "" {
		many = "App Service " + source.Display + "s"
	}
	return group(source.Name, "Connections of "+many, "command", connection)
}

// newLocalConnections makes "patchbay connection …": connections of programs that run anywhere.
func newLocalConnections(s *shell) *cobra.Command {
	source := localConnections()
	return group("connection", "Local connections: of programs that run anywhere", "command",
		newWriteGroup(s, source, "create", "Create a local connection to a backing service", newCreate),
		newWriteGroup(s, source, "update", "Change a local connection", newUpdate),
		newWriteGroup(s, source, "preview-configuration", "Show the names of the settings there would be", newPreviewConfiguration),
		newList(s, source), newShow(s, source), newDelete(s, source), newValidate(s, source),
		newGenerateConfiguration(s, source), newListSupportTypes(s, source), newWait(s, source))
}

// newWriteGroup makes create or update with one subcommand per target.
func newWriteGroup(s *shell, source SourceCommand, verb, short string,
	each func(*shell, SourceCommand, TargetCommand) *cobra.Command) *cobra.Command {
	g := group(verb, short, "target")
	if s.only != "" && s.only != source.Name {
		return g
	}
	for _, target := range s.targetsOf(source) {
		g.AddCommand(each(s, source, target))
	}
	return g
}

// open is the common begin of a command that acts on one connection.
func (s *shell) open(ctx context.Context, p *place) (a API, d Defaults, id string, done func(), err error) {
	if err := p.checkConnection(); err != nil {
		return nil, d, "", nil, err
	}
	a, d, done, err = s.connect(ctx)
	if err != nil {
		return nil, d, "", nil, err
	}
	if err = p.locate(ctx, a, d); err == nil {
		id, err = p.connectionOf(d.Subscription)
	}
	if err != nil {
		done()
		return nil, d, "", nil, err
	}
	return a, d, id, done, nil
}

// withNames adds the names there are to a "no such connection": one more request,
// on the way to an error only.
func withNames(ctx context.Context, a API, id string, err error) error {
	if !problem.Is(err, problem.ConnectionNotFound) {
		return err
	}
	source, name, e := splitConnection(id)
	if e != nil {
		return err
	}
	linkers, e := a.Linkers(ctx, source)
	if e != nil {
		return err
	}
	names := make([]string, 0, len(linkers))
	for _, l := range linkers {
		names = append(names, text(l, "name"))
	}
	p := problem.New(problem.ConnectionNotFound, id, "%s has no connection %q", shortID(source), name).Because(err)
	if len(names) == 0 {
		p.Detail += "; it has none at all"
		return p.WithFix("%s create --help", commandOf(id))
	}
	if near := nearest(name, names); near != "" {
		p.Detail += fmt.Sprintf("; did you mean %q?", near)
	}
	p.Detail += "; it has: " + strings.Join(names, ", ")
	p.Cause = nil
	return p.WithFix("%s", listCommand(id, source))
}

// flat returns a linker as the Azure CLI prints it: the properties on the top
// level, and the resource group beside them.
func flat(linker map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range linker {
		if name != "properties" {
			out[name] = v
		}
	}
	properties, _ := linker["properties"].(map[string]any)
	for name, v := range properties {
		out[name] = v
	}
	if group := resourceGroup(text(linker, "id")); group != "" {
		out["resourceGroup"] = group
	}
	return out
}

func resourceGroup(id string) string {
	parts := strings.Split(id, "/")
	for i := 0; i+1 < len(parts); i++ {
		if strings.EqualFold(parts[i], "resourceGroups") {
			return parts[i+1]
		}
	}
	return ""
}
