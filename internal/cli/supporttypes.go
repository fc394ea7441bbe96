package cli

import (
	"github.com/spf13/cobra"
)

type listSupportTypesOptions struct {
	*shell
	source SourceCommand
	target string
}

func newListSupportTypes(s *shell, source SourceCommand) *cobra.Command {
	o := &listSupportTypesOptions{shell: s, source: source}
	c := &cobra.Command{
		Use: "list-support-types", Short: "List targets with their authentication and client types", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return o.run() },
	}
	c.Flags().StringVarP(&o.target, "target-type", "t", "", "Only this `target`.")
	_ = c.RegisterFlagCompletionFunc("target-type", words(s.targetNames()...))
	return c
}

func (s *shell) targetNames() []string {
	names := make([]string, 0, len(s.Targets))
	for _, t := range s.Targets {
		names = append(names, t.Name)
	}
	return names
}

// run needs no server: the matrix is the command tree's own.
func (o *listSupportTypesOptions) run() error {
	if o.target != "" && !contains(o.targetNames(), o.target) {
		return unknownValue("--target-type", o.target, o.targetNames())
	}
	var rows []map[string]any
	for _, t := range o.targetsOf(o.source) {
		if o.target != "" && t.Name != o.target {
			continue
		}
		rows = append(rows, map[string]any{
			"source": o.source.Name, "target": t.Name,
			"auth_types": t.azAuthTypes(), "client_types": t.ClientTypes,
		})
	}
	return o.printRows(anyList(rows), rows, "source", "target", "auth_types=AuthType", "client_types=ClientType")
}

// azAuthTypes names the auth types as the Azure CLI does.
func (t TargetCommand) azAuthTypes() []string {
	var list []string
	for _, wire := range t.AuthTypes {
		name := wire
		if o, ok := authByWire(wire); ok {
			name = o.AzName
		}
		list = append(list, name)
	}
	return list
}
