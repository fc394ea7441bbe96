package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/problem"
)

// Run works until ctx ends: it takes accepted operations and those a dead process
// left, as many sources side by side as there are workers.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range e.Workers {
		g.Go(func() error { return e.work(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (e *Engine) work(ctx context.Context) error {
	for ctx.Err() == nil {
		worked, err := e.workOnce(ctx, "")
		if err != nil && ctx.Err() == nil {
			e.Log.Error("operation", "problem", problem.As(err).Code, "detail", problem.As(err).Error())
		}
		if worked && err == nil {
			e.signal() // there may be more
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-time.After(e.Poll):
		}
	}
	return ctx.Err()
}

// workOnce takes one operation and runs it; false when there was none.
func (e *Engine) workOnce(ctx context.Context, only string) (bool, error) {
	op, lease, err := e.Ledger.Take(ctx, e.Runner, only)
	if err != nil || op == nil {
		return false, storeProblem(err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		e.renew(ctx, lease, stop)
	}()
	defer func() { stop(); <-renewed }()
	return true, e.operateSafely(ctx, op, lease)
}

// renew keeps the lease while the operation runs; a lost lease stops it.
func (e *Engine) renew(ctx context.Context, lease *ledger.Lease, stop context.CancelFunc) {
	tick := time.NewTicker(e.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := e.Ledger.Renew(ctx, lease); errors.Is(err, ledger.ErrFenced) {
				stop()
				return
			}
		}
	}
}

// operateSafely turns a panic into a failed operation, so that one bad answer of a
// cloud cannot take the whole server down.
func (e *Engine) operateSafely(ctx context.Context, op *ledger.Operation, lease *ledger.Lease) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("panic in an operation", "operation", op.ID, "stack", string(debug.Stack()))
			r := &run{Engine: e, uid: op.UID, op: op, lease: lease}
			err = r.recovered(ctx, fmt.Sprint(p))
		}
	}()
	return e.operate(ctx, op, lease)
}

func (r *run) recovered(ctx context.Context, _ string) error {
	c := r.op.Before
	if c == nil {
		c = r.op.Wanted
	}
	if err := r.undo(ctx); err != nil {
		return err
	}
	return r.fail(ctx, c, problem.New(problem.Internal, r.op.Connection, "something broke inside operation %s", r.op.ID))
}

// Drain runs operations in this process until the given one has ended; operations
// of the same source that stand before it run first.
func (e *Engine) Drain(ctx context.Context, id string) (*ledger.Operation, error) {
	for {
		op, err := e.Ledger.Operation(ctx, id)
		if err != nil {
			return nil, operationProblem(id, err)
		}
		if op.Status.Done() {
			return op, nil
		}
		worked, err := e.workOnce(ctx, id)
		if err != nil {
			return nil, err
		}
		if worked {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(drainPoll):
		}
	}
}

// drainPoll is how often Drain looks whether another process is done with the source.
const drainPoll = 25 * time.Millisecond

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
