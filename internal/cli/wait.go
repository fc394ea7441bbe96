package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

type waitOptions struct {
	*shell
	place                             *place
	created, updated, deleted, exists bool
	custom                            string
	interval, timeout                 int
}

func newWait(s *shell, source SourceCommand) *cobra.Command {
	o := &waitOptions{shell: s}
	c := &cobra.Command{
		Use: "wait", Short: "Wait until a connection is in a state", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	o.place = newPlace(s, f, source).withConnection(f)
	f.BoolVar(&o.created, "created", false, "Until it is created: provisioningState Succeeded.")
	f.BoolVar(&o.updated, "updated", false, "Until it is updated: provisioningState Succeeded.")
	f.BoolVar(&o.deleted, "deleted", false, "Until it is gone.")
	f.BoolVar(&o.exists, "exists", false, "Until it is there, in any state.")
	f.StringVar(&o.custom, "custom", "", "Until this JMESPath `expression` over the connection is true.")
	f.IntVar(&o.interval, "interval", 2, "The `seconds` between two looks.")
	f.IntVar(&o.timeout, "timeout", 3600, "Give up after so many `seconds`.")
	return c
}

// condition looks at what show answers (nil: not there) and tells whether to stop.
type condition func(linker map[string]any) (bool, error)

func (o *waitOptions) condition() (condition, error) {
	chosen := map[string]condition{}
	for name, on := range map[string]bool{"created": o.created, "updated": o.updated} {
		if on {
			chosen[name] = succeeded
		}
	}
	if o.deleted {
		chosen["deleted"] = func(l map[string]any) (bool, error) { return l == nil, nil }
	}
	if o.exists {
		chosen["exists"] = func(l map[string]any) (bool, error) { return l != nil, nil }
	}
	if o.custom != "" {
		q, err := compileQuery(o.custom)
		if err != nil {
			return nil, err
		}
		chosen["custom"] = func(l map[string]any) (bool, error) {
			if l == nil {
				return false, nil
			}
			v, err := q.search(l)
			return truth(v), err
		}
	}
	if len(chosen) != 1 {
		return nil, usage("give one of --created, --updated, --deleted, --exists and --custom")
	}
	for _, c := range chosen {
		return c, nil
	}
	return nil, nil
}

func succeeded(l map[string]any) (bool, error) {
	switch state := text(l, "provisioningState"); state {
	case "Succeeded":
		return true, nil
	case "Failed", "Canceled":
		return false, problem.New(problem.OperationState, text(l, "id"), "the connection is %s", state).
			WithFix("patchbay operation list")
	}
	return false, nil
}

// truth is JMESPath's: null, false and what is empty are not true.
func truth(v any) bool {
	switch t := v.(type) {
	case nil:
		return false
	case bool:
		return t
	case string:
		return t != ""
	case []any:
		return len(t) > 0
	case map[string]any:
		return len(t) > 0
	}
	return true
}

func (o *waitOptions) run(ctx context.Context) error {
	until, err := o.condition()
	if err != nil {
		return err
	}
	if o.interval < 0 || o.timeout < 0 {
		return usage("--interval and --timeout are seconds, not negative")
	}
	a, _, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	end := time.NewTimer(time.Duration(o.timeout) * time.Second)
	defer end.Stop()
	for {
		if stop, err := o.look(ctx, a, id, until); stop || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return problem.New(problem.StillRunning, id, "the connection did not get there within %d seconds", o.timeout)
		case <-time.After(time.Duration(o.interval) * time.Second):
		}
	}
}

func (o *waitOptions) look(ctx context.Context, a API, id string, until condition) (bool, error) {
	linker, err := a.Linker(ctx, id)
	if problem.Is(err, problem.ConnectionNotFound) {
		return until(nil)
	}
	if err != nil {
		return false, err
	}
	return until(flat(linker))
}
