// Package engine is the story: derive, observe, plan, apply, probe.
//
// It turns an accepted operation into a plan and runs it, journalling before and
// after each write, undoing on failure and taking over what a dead process left.
// It promises that the ledger is the only truth about operations, that nothing is
// written which is not in the plan, and that nothing is removed which it did not
// write. It knows no cloud: drivers, targets and probes are given to it.
package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/problem"
)

// Options are what an engine is made of.
type Options struct {
	Ledger      ledger.Ledger
	Targets     Targets
	Drivers     Drivers
	Prober      Prober
	Permissions Permissions
	// Runner is the principal whose rights the engine acts with.
	Runner string
	// Workers run operations of different sources side by side; 0 means 4.
	Workers int
	// Poll is how often workers look for dead leases and new work; 0 means 500 ms.
	Poll time.Duration
	// Renew is how often a lease is renewed; 0 means 10 s.
	Renew time.Duration
	// Settle is how long a write whose answer was lost may still take to show: that long is
	// waited before a failed or interrupted operation looks at the world again; 0 means 2 s.
	Settle time.Duration
	// Memo makes a context in which each path is read at most once; nil leaves it as is.
	Memo func(context.Context) context.Context
	// Trace carries the caller's correlation id into calls; nil leaves it as is.
	Trace func(ctx context.Context, correlation string) context.Context
	Log   *slog.Logger
}

// Engine runs operations. Its methods may be called from many goroutines.
type Engine struct {
	Options
	wake chan struct{}
}

// New makes an engine; Run or Drain does the work.
func New(o Options) *Engine {
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.Poll == 0 {
		o.Poll = 500 * time.Millisecond
	}
	if o.Renew == 0 {
		o.Renew = 10 * time.Second
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	if o.Memo == nil {
		o.Memo = func(ctx context.Context) context.Context { return ctx }
	}
	if o.Trace == nil {
		o.Trace = func(ctx context.Context, _ string) context.Context { return ctx }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Options: o, wake: make(chan struct{}, 1)}
}

// settle lets a write whose answer was lost come to its end.
func (e *Engine) settle(ctx context.Context) {
	timer := time.NewTimer(e.Settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// driver finds the driver of a facet.
func (e *Engine) driver(f connection.Facet) (Driver, error) {
	byType := e.Drivers[f.Kind]
	for name, d := range byType {
		if name != "" && foldEqual(name, connection.TypeOf(f.Resource)) {
			return d, nil
		}
	}
	if d, ok := byType[""]; ok {
		return d, nil
	}
	return nil, problem.New(problem.SourceUnsupported, f.Resource, "no driver writes a %s on %s", f.Kind, connection.TypeOf(f.Resource))
}
