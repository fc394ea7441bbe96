package ledgertest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
)

var leaseCases = []testCase{
	{"operations of one source run one at a time, in order", func(t *testing.T, s Store) {
		a, b := s.Open(t, Opening{}), s.Open(t, Opening{})
		first, second := accept(t, a, conn(site, "z"), nil), accept(t, b, conn(site, "a"), nil)
		elsewhere := accept(t, a, conn(other, "x"), nil)
		op, lease := take(t, b, first)
		_, side := take(t, a, elsewhere)
		for _, l := range []ledger.Ledger{a, b} {
			takeNone(t, l, runner, "")
			takeNone(t, l, runner, second.ID)
		}
		finish(t, b, lease, op, conn(site, "z"), false)
		op, lease = take(t, a, second)
		finish(t, a, lease, op, conn(site, "a"), false)
		finish(t, a, side, elsewhere, conn(other, "x"), false)
		takeNone(t, b, runner, "")
	}},
	{"an operation goes to its runner only, and blocks its source for others", func(t *testing.T, s Store) {
		l := s.Open(t, Opening{})
		mine, theirs := conn(site, "mine"), conn(site, "theirs")
		op := &ledger.Operation{Verb: ledger.VerbCreate, Runner: "runner-b"}
		must(t, l.Accept(t.Context(), op, theirs, nil))
		after := accept(t, l, mine, nil)
		takeNone(t, l, runner, "")
		takeNone(t, l, runner, after.ID)
		got, lease, err := l.Take(t.Context(), "runner-b", "")
		must(t, err)
		finish(t, l, lease, got, theirs, false)
		take(t, l, after)
	}},
	{"only takes what blocks an operation, then itself", func(t *testing.T, s Store) {
		l := s.Open(t, Opening{})
		accept(t, l, conn(other, "x"), nil)
		before, it, after := conn(site, "before"), conn(site, "it"), conn(site, "after")
		accept(t, l, before, nil)
		id := accept(t, l, it, nil).ID
		accept(t, l, after, nil)
		for _, c := range []*connection.Connection{before, it} {
			op, lease, err := l.Take(t.Context(), runner, id)
			must(t, err)
			if op == nil || op.UID != c.UID {
				t.Fatalf("took %+v, want %s", op, c.Name)
			}
			finish(t, l, lease, op, c, false)
		}
		takeNone(t, l, runner, id)
	}},
	{"who comes later does not take what is at work", func(t *testing.T, s Store) {
		a, b := s.Open(t, Opening{}), s.Open(t, Opening{})
		op, lease := started(t, a, conn(site, "db"), nil)
		takeNone(t, a, runner, "")
		takeNone(t, b, runner, op.ID)
		equal(t, "seen by a", status(t, a, op.ID), ledger.Running)
		equal(t, "seen by b", status(t, b, op.ID), ledger.Running)
		must(t, a.Renew(t.Context(), lease))
	}},
	{"a lease that expired is taken over and its fence refused", func(t *testing.T, s Store) {
		now := newClock()
		l, c := s.Open(t, Opening{Now: now.now}), conn(site, "db")
		op, old := started(t, l, c, nil)
		now.advance(TTL - time.Second)
		must(t, l.Renew(t.Context(), old))
		now.advance(TTL - time.Second)
		takeNone(t, l, runner, "")
		equal(t, "renewed", status(t, l, op.ID), ledger.Running)
		must(t, l.Append(t.Context(), old, ledger.Entry{Phase: ledger.PhaseStart}))
		now.advance(time.Second)
		equal(t, "expired", status(t, l, op.ID), ledger.Interrupted)
		_, lease := take(t, l, op)
		equal(t, "fence", lease.Fence, old.Fence+1)
		equal(t, "taken over", status(t, l, op.ID), ledger.Running)
		refused(t, l, old, op, c)
		must(t, l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseStart}))
		finish(t, l, lease, op, c, false)
		refused(t, l, lease, op, c)
	}},
	{"a handle that closes lets its operations go", func(t *testing.T, s Store) {
		now := newClock()
		a, b, c := s.Open(t, Opening{Now: now.now}), s.Open(t, Opening{Now: now.now}), conn(site, "db")
		op, old := started(t, a, c, nil)
		later := accept(t, b, conn(site, "later"), nil)
		must(t, a.Close())
		if !s.AtOnce {
			now.advance(TTL)
		}
		equal(t, "dead", status(t, b, op.ID), ledger.Interrupted)
		equal(t, "not begun", status(t, b, later.ID), ledger.Accepted)
		_, lease := take(t, b, op) // not the later one
		equal(t, "fence", lease.Fence, old.Fence+1)
		refused(t, b, old, op, c)
		finish(t, b, lease, op, c, false)
		take(t, b, later)
	}},
	{"the journal keeps order and says everything", func(t *testing.T, s Store) {
		now := newClock()
		l, c := s.Open(t, Opening{Now: now.now}), conn(site, "db")
		op, lease := started(t, l, c, nil)
		at := now.now().Add(-time.Hour)
		must(t, l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseStart}))
		must(t, l.Append(t.Context(), lease, ledger.Entry{Seq: 99, At: at, Phase: ledger.PhaseIntent, Step: "s", Note: "n", Sealed: []byte("was")}))
		want := []ledger.Entry{
			{Seq: 1, At: now.now(), Phase: ledger.PhaseStart},
			{Seq: 2, At: at, Phase: ledger.PhaseIntent, Step: "s", Note: "n", Sealed: []byte("was")},
		}
		got, err := s.Open(t, Opening{}).Journal(t.Context(), op.ID)
		must(t, err)
		equal(t, "entries", got, want)
		finish(t, l, lease, op, c, false)
		want[1].Sealed = nil
		got, err = l.Journal(t.Context(), op.ID)
		must(t, err)
		equal(t, "entries after the end", got, want)
	}},
	{"a reader never takes work that ends for work that died", busyReader},
	{"many takers in one process and in others never run two of one source", racingTakers},
}

// refused expects ErrFenced from everything that needs a lease.
func refused(t *testing.T, l ledger.Ledger, lease *ledger.Lease, op *ledger.Operation, c *connection.Connection) {
	t.Helper()
	ctx, k := t.Context(), key("refused")
	end := *op
	end.Status = ledger.Succeeded
	_, release := l.Release(ctx, lease, c.UID, k)
	_, lock := l.Lock(ctx, lease, site)
	for what, err := range map[string]error{
		"renew":   l.Renew(ctx, lease),
		"append":  l.Append(ctx, lease, ledger.Entry{Phase: ledger.PhaseIntent}),
		"claim":   l.Claim(ctx, lease, c.UID, []connection.Key{k}),
		"store":   l.Store(ctx, lease, c.UID, record("refused")),
		"release": release,
		"lock":    lock,
		"finish":  l.Finish(ctx, lease, &end, nil, false),
	} {
		t.Run("refused "+what, func(t *testing.T) { wantErr(t, err, ledger.ErrFenced) })
	}
	found, err := l.Records(ctx, []connection.Key{k})
	must(t, err)
	equal(t, "records", len(found), 0)
	_, err = l.ByUID(ctx, c.UID)
	must(t, err)
}

// busyReader reads while another handle takes and finishes one operation after another.
func busyReader(t *testing.T, s Store) {
	l, reader, done := s.Open(t, Opening{}), s.Open(t, Opening{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			list, err := reader.Operations(t.Context(), site, 3)
			if err != nil {
				t.Error(err)
			}
			for _, op := range list {
				if op.Status == ledger.Interrupted {
					t.Errorf("operation %d looks dead", op.Seq)
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 150 {
		c := conn(site, fmt.Sprint("c", i))
		op := accept(t, l, c, nil)
		op, lease := take(t, l, op) // although the reader looks at the lock
		finish(t, l, lease, op, c, false)
	}
	close(done)
	wg.Wait()
}

// racingTakers lets handles with several goroutines each drain two sources.
func racingTakers(t *testing.T, s Store) {
	const handles, goroutines, operations = 3, 3, 20
	first := s.Open(t, Opening{})
	for i := range operations {
		accept(t, first, conn(site, fmt.Sprint("s", i)), nil)
		accept(t, first, conn(other, fmt.Sprint("o", i)), nil)
	}
	var (
		running = map[string]*atomic.Int32{site: {}, other: {}}
		last    = map[string]*atomic.Int64{site: {}, other: {}}
		ended   atomic.Int32
		wg      sync.WaitGroup
	)
	work := func(l ledger.Ledger) {
		op, lease, err := l.Take(t.Context(), runner, "")
		if err != nil {
			t.Error(err)
			return
		}
		if op == nil {
			time.Sleep(time.Millisecond) // nothing to signal on: the work is elsewhere
			return
		}
		if running[op.Source].Add(1) != 1 {
			t.Errorf("two operations of %s at once", op.Source)
		}
		if last[op.Source].Swap(op.Seq) >= op.Seq {
			t.Errorf("operation %d out of order", op.Seq)
		}
		if err := l.Append(t.Context(), lease, ledger.Entry{Phase: ledger.PhaseStart}); err != nil {
			t.Error(err)
		}
		running[op.Source].Add(-1)
		op.Status = ledger.Succeeded
		if err := l.Finish(t.Context(), lease, op, op.Wanted, false); err != nil {
			t.Error(err)
		}
		ended.Add(1)
	}
	for range handles {
		l := s.Open(t, Opening{})
		for range goroutines {
			wg.Go(func() {
				for ended.Load() < 2*operations && !t.Failed() {
					work(l)
				}
			})
		}
	}
	wg.Wait()
	equal(t, "ended", ended.Load(), 2*operations)
}
