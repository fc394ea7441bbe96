package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

var errDead = errors.New("this process is gone")

// mortal is a ledger whose process dies at its n-th change of the store, before or
// after the change is made: from then on nothing is written any more.
type mortal struct {
	ledger.Ledger
	n     int // changes it lives to see; below zero it is dead
	after bool
	mu    sync.Mutex
}

func (m *mortal) live(change func() error) error {
	m.mu.Lock()
	m.n--
	dead, dies := m.n < 0, m.n == 0
	m.mu.Unlock()
	if dies && m.after || !dead && !dies {
		if err := change(); !dies {
			return err
		}
	}
	return errDead
}

func (m *mortal) Append(ctx context.Context, l *ledger.Lease, e ledger.Entry) error {
	return m.live(func() error { return m.Ledger.Append(ctx, l, e) })
}
func (m *mortal) Store(ctx context.Context, l *ledger.Lease, uid string, r *plan.Record) error {
	return m.live(func() error { return m.Ledger.Store(ctx, l, uid, r) })
}
func (m *mortal) Claim(ctx context.Context, l *ledger.Lease, uid string, keys []connection.Key) error {
	return m.live(func() error { return m.Ledger.Claim(ctx, l, uid, keys) })
}
func (m *mortal) Release(ctx context.Context, l *ledger.Lease, uid string, k connection.Key) (gone bool, err error) {
	err = m.live(func() error { gone, err = m.Ledger.Release(ctx, l, uid, k); return err })
	return gone, err
}
func (m *mortal) Finish(ctx context.Context, l *ledger.Lease, op *ledger.Operation, c *connection.Connection, keep bool) error {
	return m.live(func() error { return m.Ledger.Finish(ctx, l, op, c, keep) })
}

// runMortal accepts one request and works on it until the process dies. It tells
// the operation and whether it died.
func (b *bench) runMortal(r engine.Request, n int, after bool) (string, bool) {
	b.t.Helper()
	m := &mortal{Ledger: b.ledger, n: n, after: after}
	e := b.over(m)
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	p, err := e.Prepare(ctx, r)
	if err != nil {
		b.t.Fatal(err)
	}
	op, _, err := e.Accept(ctx, p)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = e.Drain(ctx, op.ID)
	if err != nil && m.n > 0 {
		b.t.Fatal(err)
	}
	return op.ID, m.n <= 0
}

func (b *bench) request(verb ledger.Verb) engine.Request {
	switch verb {
	case ledger.VerbDelete:
		return engine.Request{Verb: verb, Connection: linker("c1", "", "")}
	case ledger.VerbUpdate:
		return engine.Request{Verb: verb, Connection: linker("c1", connection.AuthSecret, "java"), Secrets: password("p9")}
	}
	return engine.Request{Verb: verb, Connection: linker("c1", connection.AuthSystemIdentity, "go")}
}

// goal is the world after an undisturbed run.
func goal(t *testing.T, verb ledger.Verb) map[string]string {
	b := newBench(t)
	b.setUp(verb)
	b.must(b.run(verb), ledger.Succeeded)
	return b.world.picture()
}

func TestAProcessMayDieAnywhere(t *testing.T) {
	t.Parallel()
	for _, verb := range []ledger.Verb{ledger.VerbCreate, ledger.VerbUpdate, ledger.VerbDelete} {
		want := goal(t, verb)
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				if died := dieAt(t, verb, n, after, want); !died {
					if n < 8 {
						t.Errorf("%s made only %d changes to the store", verb, n)
					}
					break
				}
			}
		}
	}
}

func dieAt(t *testing.T, verb ledger.Verb, n int, after bool, want map[string]string) (died bool) {
	t.Run(fmt.Sprintf("%s/%d/after=%v", verb, n, after), func(t *testing.T) {
		b := newBench(t)
		b.setUp(verb)
		var id string
		id, died = b.runMortal(b.request(verb), n, after)
		if !died {
			return
		}
		if err := b.ledger.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
		op, err := b.engine.Drain(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b.must(op, ledger.Succeeded)
		if d := cmp.Diff(want, b.world.picture()); d != "" {
			t.Error(d)
		}
	})
	return died
}

func TestAnInterruptedOperationCanBeUndone(t *testing.T) {
	t.Parallel()
	for _, verb := range []ledger.Verb{ledger.VerbCreate, ledger.VerbUpdate, ledger.VerbDelete} {
		for n := 3; n < 30; n += 3 {
			t.Run(fmt.Sprintf("%s/%d", verb, n), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.setUp(verb)
				before := b.world.picture()
				id, died := b.runMortal(b.request(verb), n, false)
				if !died {
					return
				}
				b.ledger.Close()
				b.open()
				if op, _, err := b.engine.Operation(t.Context(), id); err != nil || op.Status != ledger.Interrupted {
					t.Fatalf("status = %v, %v; want Interrupted", op.Status, err)
				}
				if _, err := b.engine.Undo(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				op, err := b.engine.Drain(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				b.must(op, ledger.Canceled)
				if d := cmp.Diff(before, b.world.picture()); d != "" {
					t.Error(d)
				}
			})
		}
	}
}
