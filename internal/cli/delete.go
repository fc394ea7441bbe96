package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

type deleteOptions struct {
	*shell
	place                      *place
	yes, force, noWait, dryRun bool
}

func newDelete(s *shell, source SourceCommand) *cobra.Command {
	o := &deleteOptions{shell: s}
	c := &cobra.Command{
		Use: "delete", Short: "Delete a connection and what it alone owns", Args: noArgs,
		Long: "Delete a connection: exactly what it alone owns is removed, and what it replaced is\n" +
			"put back. Data is never removed. It asks first, unless --yes is given.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	o.place = newPlace(s, f, source).withConnection(f)
	f.BoolVarP(&o.yes, "yes", "y", false, "Do not ask.")
	f.BoolVar(&o.force, "force", false, "Write off what cannot be removed; it is recorded and named.")
	f.BoolVar(&o.noWait, "no-wait", false, "Return as soon as the operation is accepted.")
	f.BoolVar(&o.dryRun, "dry-run", false, "Print what would be removed and put back, and write nothing.")
	return c
}

func (o *deleteOptions) run(ctx context.Context) error {
	if err := o.place.checkConnection(); err != nil {
		return err
	}
	if !o.yes && !o.dryRun && !o.Streams.InTerminal {
		return problem.New(problem.ConfirmNeeded, "", "deleting asks for a yes, and nobody is there to give it")
	}
	a, d, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	if o.dryRun {
		p, err := a.Plan(ctx, id, nil, true)
		if err != nil {
			return withNames(ctx, a, id, err)
		}
		return o.own(p, func(t *texter) { t.plan(p) })
	}
	if !o.yes {
		sure, err := o.confirmed(ctx, "Delete the connection "+connectionLabel(id)+"?")
		if err != nil {
			return err
		}
		if !sure {
			o.note("nothing was deleted")
			return nil
		}
	}
	return o.remove(ctx, a, d, id)
}

func (o *deleteOptions) remove(ctx context.Context, a API, d Defaults, id string) error {
	accepted, err := a.DeleteLinker(ctx, id, o.force)
	switch {
	case err != nil:
		return err
	case accepted.Done:
		o.note("there is no connection %s: nothing to delete", connectionLabel(id))
		return nil
	case o.noWait && !d.InProcess:
		o.accepted(accepted.Operation)
		return nil
	}
	o.noteInProcess(o.noWait)
	return o.follow(ctx, a, d, accepted.Operation)
}
