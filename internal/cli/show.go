package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type showOptions struct {
	*shell
	place *place
}

func newShow(s *shell, source SourceCommand) *cobra.Command {
	o := &showOptions{shell: s}
	c := &cobra.Command{
		Use: "show", Short: "Show a connection with its settings", Args: noArgs,
		Long: "Show a connection with its settings. Their values are shown in the clear.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), source).withConnection(c.Flags())
	return c
}

func (o *showOptions) run(ctx context.Context) error {
	a, _, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	linker, err := a.Linker(ctx, id)
	if err != nil {
		return withNames(ctx, a, id, err)
	}
	out := flat(linker)
	// A connection that failed has no settings to list; it can be shown all the same.
	if configurations, err := a.ListConfigurations(ctx, id); err == nil {
		out["configurations"] = configurations
	} else {
		o.note("the settings could not be listed: %v", err)
	}
	return o.print(out)
}
