package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

type repairOptions struct {
	*shell
	scope         *scopeFlags
	force, noWait bool
}

func newRepair(s *shell) *cobra.Command {
	o := &repairOptions{shell: s}
	c := &cobra.Command{
		Use: "repair", Short: "Make connections whole again", Args: noArgs,
		Long: "Write again what is missing, was replaced or has moved. A value that somebody changed on\n" +
			"purpose is left alone, unless --force is given.",
		Example: "  patchbay repair -g GROUP -n APP\n  patchbay repair --all",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.scope = newScopeFlags(s, c)
	c.Flags().BoolVar(&o.force, "force", false, "Write changed values as well.")
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "Return as soon as the operations are accepted.")
	return c
}

func (o *repairOptions) run(ctx context.Context) error {
	if err := o.scope.check(); err != nil {
		return err
	}
	if !o.scope.named() && o.scope.place.name == "" {
		return usage("say what to repair: --id, or -g and -n, or --all")
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	scope, err := o.scope.scope(d.Subscription)
	if err != nil {
		return err
	}
	ids, err := o.broken(ctx, a, scope)
	if err != nil {
		return err
	}
	o.noteInProcess(o.noWait && d.InProcess && len(ids) > 0)
	operations, err := o.repairEach(ctx, a, d, ids)
	if e := o.own(operations, func(t *texter) { t.repaired(operations, ids) }); e != nil {
		return e
	}
	return err
}

// broken returns the connections to repair: the one that is named, or those of the
// scope that differ.
func (o *repairOptions) broken(ctx context.Context, a API, scope string) ([]string, error) {
	if _, _, err := splitConnection(scope); err == nil {
		return []string{scope}, nil
	}
	list, err := a.Drift(ctx, scope)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range list {
		if d.State != inSync {
			ids = append(ids, d.Connection)
		}
	}
	return ids, nil
}

// repairEach repairs one after the other; one that fails does not keep the others
// from being tried.
func (o *repairOptions) repairEach(ctx context.Context, a API, d Defaults, ids []string) ([]*api.Operation, error) {
	operations := []*api.Operation{}
	var failures []error
	for _, id := range ids {
		op, err := a.Repair(ctx, id, o.force)
		if err != nil {
			failures = append(failures, withNames(ctx, a, id, err))
			continue
		}
		if o.noWait && !d.InProcess {
			o.accepted(op.ID)
			operations = append(operations, op)
			continue
		}
		if err := o.follow(ctx, a, d, op.ID); err != nil {
			failures = append(failures, err)
			if ctx.Err() != nil {
				break
			}
		}
		if ended, err := a.Operation(ctx, op.ID); err == nil {
			op = ended
		}
		operations = append(operations, op)
	}
	return operations, severalProblems(failures, len(ids))
}

// severalProblems makes one error of those met on the way; the first one's code stands.
func severalProblems(failures []error, of int) error {
	switch len(failures) {
	case 0:
		return nil
	case 1:
		return failures[0]
	}
	first := problem.As(failures[0])
	p := problem.New(first.Code, "", "%d of %d repairs did not work: %v", len(failures), of, errors.Join(failures...))
	p.Fix = first.Fix
	return p
}

func (t *texter) repaired(operations []*api.Operation, ids []string) {
	if len(ids) == 0 {
		t.line("Nothing to repair: everything is as it should be.")
	}
	for _, op := range operations {
		t.line("%-10s %s", op.Status, connectionLabel(op.Connection))
	}
}
