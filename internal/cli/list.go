package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type listOptions struct {
	*shell
	place *place
}

func newList(s *shell, source SourceCommand) *cobra.Command {
	o := &listOptions{shell: s}
	c := &cobra.Command{
		Use: "list", Short: "List the connections of a " + source.Display, Args: noArgs,
		Example: "  patchbay " + source.Name + " connection list " + source.named() + " -o table",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), source)
	return c
}

func (o *listOptions) run(ctx context.Context) error {
	if err := o.place.checkSource(); err != nil {
		return err
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := o.place.locate(ctx, a, d); err != nil {
		return err
	}
	source, err := o.place.sourceOf(d.Subscription)
	if err != nil {
		return err
	}
	linkers, err := a.Linkers(ctx, source)
	if err != nil {
		return err
	}
	rows := make([]any, 0, len(linkers))
	for _, l := range linkers {
		rows = append(rows, flat(l))
	}
	return o.print(rows)
}
