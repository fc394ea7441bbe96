package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type listConfigurationOptions struct {
	*shell
	place *place
}

func newListConfiguration(s *shell, source SourceCommand) *cobra.Command {
	o := &listConfigurationOptions{shell: s}
	c := &cobra.Command{
		Use: "list-configuration", Short: "List the settings a connection writes, with their values", Args: noArgs,
		Long: "List the settings a connection writes. Their values are shown in the clear.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), source).withConnection(c.Flags())
	return c
}

func (o *listConfigurationOptions) run(ctx context.Context) error {
	a, _, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	configurations, err := a.ListConfigurations(ctx, id)
	if err != nil {
		return withNames(ctx, a, id, err)
	}
	return o.printRows(map[string]any{"configurations": configurations}, configurations, "name", "value")
}
