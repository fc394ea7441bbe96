package ledger

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/seal"
)

func TestFileLockHoldings(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locks")
	a, b := newFileLocks(dir), newFileLocks(dir)
	var step string
	check := func(what string, want holding, do func(string) (holding, error)) {
		t.Helper()
		if got, err := do("/s"); err != nil || got != want {
			t.Fatalf("%s: %s = %v %v, want %v", step, what, got, err, want)
		}
	}
	step = "before"
	check("a.look", free, a.look)
	check("a.take", free, a.take)
	step = "taken"
	check("a.take", ours, a.take)
	check("a.look", ours, a.look)
	check("b.take", elsewhere, b.take)
	check("b.look", elsewhere, b.look)
	a.assign("/s", "op", 2)
	for _, wrong := range []struct {
		source, operation string
		fence             int64
	}{{"/s", "op", 1}, {"/s", "other", 2}, {"/s", "", 0}, {"/t", "op", 2}} {
		a.release(wrong.source, wrong.operation, wrong.fence)
	}
	step = "released for another lease"
	check("b.look", elsewhere, b.look)
	a.release("/s", "op", 2)
	step = "released"
	check("b.look", free, b.look)
	check("b.take", free, b.take)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	step = "closed"
	check("a.look", free, a.look)
}

// A taker is not turned away by readers that look at the same moment.
func TestLookingDoesNotKeepTakersOut(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locks")
	taker := newFileLocks(dir)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		reader := newFileLocks(dir)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := reader.look("/s"); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	const rounds = 300
	missed := 0
	for range rounds {
		whose, err := taker.take("/s")
		if err != nil {
			t.Fatal(err)
		}
		if whose != free {
			missed++
			continue
		}
		taker.release("/s", "", 0)
	}
	close(stop)
	wg.Wait()
	if missed > rounds/10 {
		t.Errorf("turned away %d times of %d", missed, rounds)
	}
}

// Where files cannot be locked, the expiry of the row decides alone.
func TestWithoutFileLocksExpiryDecides(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	lockless := func() *SQLite {
		l, err := Open(t.Context(), Options{Path: path, Box: box, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		l.files.try = func(*flock.Flock, bool) (bool, error) { return false, errors.ErrUnsupported }
		return l
	}
	a, b := lockless(), lockless()
	c := &connection.Connection{UID: "u", ID: "/s/l", Source: "/s"}
	if err := a.Accept(t.Context(), &Operation{Runner: "r"}, c, nil); err != nil {
		t.Fatal(err)
	}
	op, old, err := a.Take(t.Context(), "r", "")
	if err != nil || op == nil {
		t.Fatal(op, err)
	}
	for _, l := range []*SQLite{a, b} {
		if op, _, err := l.Take(t.Context(), "r", ""); op != nil || err != nil {
			t.Fatal("taken twice", err)
		}
		if op, err := l.Operation(t.Context(), op.ID); err != nil || op.Status != Running {
			t.Fatal(op.Status, err)
		}
	}
	mu.Lock()
	at = at.Add(defaultTTL)
	mu.Unlock()
	if op, err := b.Operation(t.Context(), op.ID); err != nil || op.Status != Interrupted {
		t.Fatal(op.Status, err)
	}
	op, lease, err := b.Take(t.Context(), "r", "")
	if err != nil || op == nil || lease.Fence != old.Fence+1 {
		t.Fatal(op, lease, err)
	}
	if err := a.Renew(t.Context(), old); !errors.Is(err, ErrFenced) {
		t.Fatal(err)
	}
	op.Status = Succeeded
	if err := b.Finish(t.Context(), lease, op, c, false); err != nil {
		t.Fatal(err)
	}
	if len(a.files.held)+len(b.files.held) != 0 {
		t.Error("a lease that ended is still held")
	}
}

func TestMigrationsAreNumbered(t *testing.T) {
	t.Parallel()
	all, err := scripts()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
}
