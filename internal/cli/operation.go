package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
)

// newOperation makes "patchbay operation …".
func newOperation(s *shell) *cobra.Command {
	return group("operation", "Look at operations, resume or undo them", "command",
		newOperationList(s), newOperationShow(s),
		newOperationAct(s, "resume", "Finish an interrupted operation", API.Resume),
		newOperationAct(s, "undo", "Take an unfinished operation back", API.Undo))
}

type operationListOptions struct {
	*shell
	place *place
}

func newOperationList(s *shell) *cobra.Command {
	o := &operationListOptions{shell: s}
	c := &cobra.Command{
		Use: "list", Short: "List operations, the newest first", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), s.Sources[0])
	return c
}

func (o *operationListOptions) run(ctx context.Context) error {
	if o.place.given() {
		if err := o.place.checkSource(); err != nil {
			return err
		}
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	source := ""
	if o.place.given() {
		if source, err = o.place.sourceOf(d.Subscription); err != nil {
			return err
		}
	}
	list, err := a.Operations(ctx, source)
	if err != nil {
		return err
	}
	if list == nil {
		list = []api.Operation{}
	}
	return o.own(list, func(t *texter) { t.operations(list) })
}

func (t *texter) operations(list []api.Operation) {
	if len(list) == 0 {
		t.line("There are no operations.")
		return
	}
	rows := make([][]string, 0, len(list))
	for _, op := range list {
		rows = append(rows, []string{op.ID, op.Verb, connectionLabel(op.Connection), op.Status, stamp(&op.Accepted), tookText(op)})
	}
	t.table([]string{"Id", "Verb", "Connection", "Status", "Accepted", "Took"}, rows)
}

func stamp(at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05Z")
}

func tookText(op api.Operation) string {
	if op.Started == nil || op.Ended == nil {
		return ""
	}
	return seconds(op.Ended.Sub(*op.Started))
}

type operationShowOptions struct {
	*shell
	id     string
	follow bool
}

func newOperationShow(s *shell) *cobra.Command {
	o := &operationShowOptions{shell: s}
	c := &cobra.Command{
		Use: "show ID", Short: "Show an operation with its journal", Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			o.id = args[0]
			return o.run(c.Context())
		},
	}
	c.Flags().BoolVar(&o.follow, "follow", false, "Wait until it has ended, showing its progress.")
	return c
}

func (o *operationShowOptions) run(ctx context.Context) error {
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	var outcome error
	if o.follow {
		if outcome = o.shell.follow(ctx, a, d, o.id); ctx.Err() != nil {
			return outcome
		}
	}
	op, err := a.Operation(ctx, o.id)
	if err != nil {
		return err
	}
	if err := o.own(op, func(t *texter) { t.operation(op) }); err != nil {
		return err
	}
	return outcome
}

func (t *texter) operation(op *api.Operation) {
	for _, f := range [][2]string{
		{"operation", op.ID}, {"verb", op.Verb}, {"connection", op.Connection}, {"status", op.Status},
		{"caller", op.Caller}, {"accepted", stamp(&op.Accepted)}, {"started", stamp(op.Started)},
		{"ended", stamp(op.Ended)}, {"took", tookText(*op)}, {"message", op.Message},
	} {
		if f[1] != "" {
			t.line("%-11s %s", f[0]+":", f[1])
		}
	}
	if op.Problem != nil {
		t.line("%-11s %s (%s)", "problem:", op.Problem.Message, op.Problem.Code)
	}
	if fix := operationFix(op); fix != "" {
		t.line("%-11s %s", "fix:", fix)
	}
	if len(op.Journal) == 0 {
		return
	}
	t.line("")
	start := op.Journal[0].At
	rows := make([][]string, 0, len(op.Journal))
	for _, e := range op.Journal {
		rows = append(rows, []string{"+" + seconds(e.At.Sub(start)), e.Phase, stepLabel(e.Step), e.Note})
	}
	t.table([]string{"At", "Phase", "Step", "Note"}, rows)
}

func operationFix(op *api.Operation) string {
	if op.Fix == "" && op.Problem != nil {
		return op.Problem.Fix
	}
	return op.Fix
}

type operationActOptions struct {
	*shell
	id     string
	undo   bool // an operation that ends Canceled is what was asked for
	noWait bool
	act    func(API, context.Context, string) (*api.Operation, error)
}

func newOperationAct(s *shell, verb, short string, act func(API, context.Context, string) (*api.Operation, error)) *cobra.Command {
	o := &operationActOptions{shell: s, act: act, undo: verb == "undo"}
	c := &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			o.id = args[0]
			return o.run(c.Context())
		},
	}
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "Return as soon as the request is accepted.")
	return c
}

func (o *operationActOptions) run(ctx context.Context) error {
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	op, err := o.act(a, ctx, o.id)
	if err != nil {
		return err
	}
	if o.noWait && !d.InProcess {
		o.accepted(op.ID)
		return o.own(op, func(t *texter) { t.operation(op) })
	}
	o.noteInProcess(o.noWait)
	outcome := o.follow(ctx, a, d, op.ID)
	if ctx.Err() != nil {
		return outcome
	}
	if latest, err := a.Operation(ctx, op.ID); err == nil {
		op = latest
	}
	// Undoing was asked for: that it was undone is no error.
	if op.Status == "Canceled" && o.undo {
		outcome = nil
	}
	if err := o.own(op, func(t *texter) { t.line("%-10s %s %s", op.Status, op.Verb, connectionLabel(op.Connection)) }); err != nil {
		return err
	}
	return outcome
}
