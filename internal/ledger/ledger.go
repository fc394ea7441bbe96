// Package ledger is the one truth about ownership and operations: which
// connection owns which facet and what was there before, every operation with
// its journal, the leases under which they run, and the secrets kept for repair.
//
// It promises that no secret is stored in the clear (values are sealed or
// stamped before they reach the store), that each journal entry is checked
// against the writer's fencing number, and that a process which dies leaves a
// lease others can take. It does no network I/O and decides nothing. Nothing else in a
// process may open the files of an open ledger.
package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("not in the ledger")
	ErrBusy     = errors.New("another operation on the connection is under way")
	ErrFenced   = errors.New("the lease was taken by another process")
	ErrFull     = errors.New("the store is full")
	ErrSeal     = errors.New("a sealed value cannot be opened")
	ErrEnded    = errors.New("the operation has ended")
)

// Verb is what an operation does.
type Verb string

// The verbs.
const (
	VerbCreate   Verb = "create"
	VerbUpdate   Verb = "update"
	VerbDelete   Verb = "delete"
	VerbValidate Verb = "validate"
	VerbRepair   Verb = "repair"
	VerbDryrun   Verb = "dryrun" // rehearse a create or update; nothing is written
)

// Status of an operation. Interrupted is never stored: it is what a running
// operation whose lease is dead looks like to a reader.
type Status string

// The states.
const (
	Accepted    Status = "Accepted"
	Running     Status = "Running"
	Succeeded   Status = "Succeeded"
	Failed      Status = "Failed"
	Canceled    Status = "Canceled" // undone at somebody's wish
	Interrupted Status = "Interrupted"
)

// Done tells whether the operation has ended.
func (s Status) Done() bool { return s == Succeeded || s == Failed || s == Canceled }

// Operation is one accepted piece of work.
type Operation struct {
	ID          string // uuid
	Seq         int64  // order of acceptance
	Verb        Verb
	UID         string // of the connection
	Connection  string // ARM id, as first written
	Source      string // ARM id of the source: operations of one source run one at a time
	Runner      string // principal whose rights it was accepted for; only that runner takes it
	Caller      string // who asked (object id or name), for audit
	Correlation string
	Status      Status
	// Wanted is what was asked for (create, update); Before the connection as it was.
	Wanted                   *connection.Connection
	Before                   *connection.Connection
	Force                    bool // ForcedCleanup, or repair of changed values
	Forget                   bool // --no-keep-secret
	Undo                     bool // somebody asked to undo it
	Accepted, Started, Ended time.Time
	Message                  string              // warning for the wire's properties.Message
	Problem                  *connection.Problem // set when Failed
	Report                   []byte              // JSON: validation report, drift, summary
}

// Phase of a journal entry.
type Phase string

// The phases. Every write has intent, then done or failed; an undo has undo, then undone.
const (
	PhaseStart  Phase = "start"  // the operation was taken by a runner
	PhasePlan   Phase = "plan"   // the plan, in print
	PhaseIntent Phase = "intent" // about to write a step
	PhaseCall   Phase = "call"   // a call was sent (note says which)
	PhaseDone   Phase = "done"   // the step is written
	PhaseFailed Phase = "failed" // the step's write failed
	PhaseUndo   Phase = "undo"   // about to undo a step
	PhaseUndone Phase = "undone"
	PhaseEnd    Phase = "end"
)

// Entry is one line of a journal. Note is for people and never holds a secret;
// Sealed is the machine's part (states before a write) and is sealed at rest and
// erased when the operation ends.
type Entry struct {
	Seq    int64
	At     time.Time
	Phase  Phase
	Step   string
	Note   string
	Sealed []byte // in the clear for the caller; nil when there is none or it was erased
}

// Lease is the right to run one operation. Fence grows with every taking.
type Lease struct {
	Operation string
	Source    string
	Holder    string // this process
	Fence     int64
}

// Ledger is the contract. One implementation per database; ledgertest judges each.
// Every method may be called from many goroutines and from many processes.
type Ledger interface {
	plan.Stamps

	// Connection returns one connection by ARM id (folded), or ErrNotFound.
	Connection(ctx context.Context, id string) (*connection.Connection, error)
	// ByUID returns one connection by uid, or ErrNotFound.
	ByUID(ctx context.Context, uid string) (*connection.Connection, error)
	// Connections lists those of a source, ordered by name; "" lists all.
	Connections(ctx context.Context, source string) ([]*connection.Connection, error)

	// Accept stores an operation, the connection it leaves behind until it ends, and the
	// secrets given with it, in one transaction. ErrBusy when the connection has an
	// unfinished operation. ID, Seq, Status and Accepted are filled in.
	Accept(ctx context.Context, op *Operation, c *connection.Connection, given connection.Secrets) error
	// Operation returns one, Operations the newest first (source "" = all; limit 0 = 100).
	Operation(ctx context.Context, id string) (*Operation, error)
	Operations(ctx context.Context, source string, limit int) ([]*Operation, error)

	// Take leases the oldest operation a runner may run now: accepted ones, and running
	// ones whose lease is dead (expired, or whose process let go of its file lock), never two
	// of one source. only (an operation id, may be "") restricts it to what blocks that
	// operation and the operation itself. (nil, nil, nil) when there is none.
	Take(ctx context.Context, runner, only string) (*Operation, *Lease, error)
	// Renew extends a lease; ErrFenced when it was taken.
	Renew(ctx context.Context, l *Lease) error
	// Append journals one entry under the lease's fence; ErrFenced when it was taken.
	Append(ctx context.Context, l *Lease, e Entry) error
	// Journal returns the entries of an operation in order.
	Journal(ctx context.Context, operation string) ([]Entry, error)
	// Finish ends the operation: stores its status, problem, message and report, replaces the
	// connection (nil c removes it with all its records and secrets), moves the secrets given with
	// the operation to the connection when keep is true and drops them otherwise, erases
	// sealed journal parts, and lets the lease go. One transaction.
	Finish(ctx context.Context, l *Lease, op *Operation, c *connection.Connection, keep bool) error
	// RequestUndo marks an unfinished operation to be undone by whoever takes it; ErrEnded
	// when there is nothing left to undo.
	RequestUndo(ctx context.Context, operation string) error

	// Given returns the secrets given with an operation, Kept those kept for a connection. ErrSeal when the key is another one.
	Given(ctx context.Context, operation string) (connection.Secrets, error)
	Kept(ctx context.Context, uid string) (connection.Secrets, error)

	// Forget erases kept secrets of a connection: the named slots, or all when none is named.
	Forget(ctx context.Context, l *Lease, uid string, slots ...string) error

	// Claim notes that the connection is about to own the keys; existing owners stay.
	Claim(ctx context.Context, l *Lease, uid string, keys []connection.Key) error
	// Records returns what is known of the given keys; RecordsOf of everything a connection owns.
	Records(ctx context.Context, keys []connection.Key) ([]*plan.Record, error)
	RecordsOf(ctx context.Context, uid string) ([]*plan.Record, error)
	// Store writes a record and makes uid one of its owners (Owners of r is ignored).
	Store(ctx context.Context, l *Lease, uid string, r *plan.Record) error
	// Release takes uid off the owners; the record goes with its last owner. It tells whether it went.
	Release(ctx context.Context, l *Lease, uid string, k connection.Key) (gone bool, err error)

	// Lock takes the lock of a resource that is written without an ETag, waiting until ctx
	// ends. Locks of a dead lease are free for whoever takes the operation or waits.
	Lock(ctx context.Context, l *Lease, resource string) (unlock func(), err error)

	Close() error
}
