// Package ledgertest is the conformance suite of ledgers: whoever implements
// ledger.Ledger is done when Run passes.
//
// It promises to test only what the contract says, through the contract, with
// several handles on one store standing for several processes, and with real second
// processes where death is what is tested. The test binary that calls Run must call
// Main from its TestMain, so that it can be such a process.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
)

// Store is one empty store that handles can be opened on.
type Store struct {
	// Address is what the opener given to Main understands.
	Address string
	// Open opens one more handle, as another process would, and closes it with the test.
	Open func(t testing.TB, o Opening) ledger.Ledger
	// Rest returns every byte the store keeps outside memory, except its key.
	Rest func(t testing.TB) []byte
	// AtOnce is true where the death of a process shows at once, and not only when its
	// lease expires.
	AtOnce bool
}

// Opening says how a handle differs from the usual one.
type Opening struct {
	Now      func() time.Time // nil: the real time
	TTL      time.Duration    // of leases; 0: TTL
	OtherKey bool             // seal with another key
}

// TTL is the life of leases in the suite, long enough that none expires by itself.
const TTL = time.Minute

// Names that the cases use.
const (
	runner = "runner-a"
	site   = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/Shop"
	other  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/blog"
	target = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redis/r"
)

// Run judges a ledger. fresh makes an empty store for each case.
func Run(t *testing.T, fresh func(t testing.TB) Store) {
	for _, group := range [][]testCase{connectionCases, operationCases, leaseCases, recordCases, secretCases, lockCases, processCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, fresh(t))
			})
		}
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, s Store)
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// conn makes a connection of a source; its uid follows from both.
func conn(source, name string) *connection.Connection {
	return &connection.Connection{
		UID: "uid-" + name + "-" + source[len(source)-4:], Name: name, Source: source, State: connection.StateAccepted,
		ID: source + "/providers/Microsoft.ServiceLinker/linkers/" + name,
		Properties: connection.Properties{
			Target: connection.Target{Type: "AzureResource", ID: target},
			Auth:   &connection.Auth{Type: connection.AuthSecret, Name: "u"},
		},
	}
}

// accept stores a create of a connection.
func accept(t testing.TB, l ledger.Ledger, c *connection.Connection, given connection.Secrets) *ledger.Operation {
	t.Helper()
	op := &ledger.Operation{Verb: ledger.VerbCreate, UID: c.UID, Connection: c.ID, Source: c.Source, Runner: runner, Wanted: c}
	must(t, l.Accept(t.Context(), op, c, given))
	return op
}

// take leases what is next and expects it to be the operation.
func take(t testing.TB, l ledger.Ledger, want *ledger.Operation) (*ledger.Operation, *ledger.Lease) {
	t.Helper()
	op, lease, err := l.Take(t.Context(), runner, "")
	must(t, err)
	if op == nil || op.ID != want.ID {
		t.Fatalf("took %v, want %s", op, want.ID)
	}
	if lease.Operation != op.ID || lease.Source != op.Source || lease.Holder == "" || lease.Fence < 1 {
		t.Fatalf("lease %+v", lease)
	}
	return op, lease
}

// takeNone expects that nothing may be taken.
func takeNone(t testing.TB, l ledger.Ledger, runner, only string) {
	t.Helper()
	op, lease, err := l.Take(t.Context(), runner, only)
	if err != nil || op != nil || lease != nil {
		t.Fatalf("took %v %v %v, want nothing", op, lease, err)
	}
}

// started accepts and takes an operation on a new connection.
func started(t testing.TB, l ledger.Ledger, c *connection.Connection, given connection.Secrets) (*ledger.Operation, *ledger.Lease) {
	t.Helper()
	return take(t, l, accept(t, l, c, given))
}

// finish ends an operation well and leaves c.
func finish(t testing.TB, l ledger.Ledger, lease *ledger.Lease, op *ledger.Operation, c *connection.Connection, keep bool) {
	t.Helper()
	op.Status = ledger.Succeeded
	must(t, l.Finish(t.Context(), lease, op, c, keep))
}

// status reads the status of an operation.
func status(t testing.TB, l ledger.Ledger, id string) ledger.Status {
	t.Helper()
	op, err := l.Operation(t.Context(), id)
	must(t, err)
	return op.Status
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

// equal compares what is printed of both; enough for the plain data of the contract.
func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// soon is a context for what should not take long, even on a busy machine.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
