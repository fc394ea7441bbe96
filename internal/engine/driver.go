package engine

import (
	"context"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// Right is one management action on one scope; it lives in connection so that
// drivers need no import of engine.
type Right = connection.Right

// Basis is what one read found; only the driver that made it can look inside.
type Basis = any

// Driver observes and changes the facets of one kind on one type of resource.
//
// Facets with equal Path are read by one Read and written by one Write. Errors
// are *problem.Error wherever a person can act on them. A driver keeps no state
// between calls, takes no locks, retries nothing (package arm does) and never
// decides what should be true.
type Driver interface {
	// Path is what a write of f goes to; it is the unit of locking.
	Path(f connection.Facet) string
	// Read looks at the world for facets of one path. A missing resource is a state
	// (Exists false), not an error. It may be called any number of times.
	Read(ctx context.Context, facets []connection.Facet) (Basis, error)
	// State tells what the basis holds of one facet. It is pure. f.Want may hold
	// references that are not resolved yet; the state is then as much as is certain.
	State(b Basis, f connection.Facet) connection.State
	// Write makes the changes of one step true, from a basis read under the step's lock.
	// Create and Update set Facet.Want (always resolved); Remove takes the facet away, or
	// sets Restore when the change has one. Writing twice is the same as once. It returns
	// the states afterwards, in the order of changes. What is not among the changes is
	// never touched; where the service has no ETag the result is read back, and a write
	// that got lost is WRITE_LOST.
	Write(ctx context.Context, b Basis, changes []plan.Change) ([]connection.State, error)
	// Fresh tells whether the basis must be read again under the lock just before a write
	// (true where a write replaces more than the facet and there is no ETag).
	Fresh() bool
	// Rights names the management actions that reading and writing f needs.
	Rights(f connection.Facet) []Right
}

// Awaiter is a driver whose place opens to the engine only while an operation runs, and
// not at once: Await reads a facet like Read, and waits within bounds until it can be seen.
type Awaiter interface {
	Await(ctx context.Context, f connection.Facet) (Basis, error)
}

// Drivers finds the driver of a kind on a resource type ("" = any type). The
// map is built in package app and visible there as a whole.
type Drivers map[connection.Kind]map[string]Driver

// Facts are what is known of source and target before facets are derived.
type Facts = connection.Facts

// Targets knows the catalog: what a pair supports, what is read of a target, and
// which facets a connection stands for.
type Targets interface {
	// Check refuses a connection that can never work: unknown target, unsupported auth or
	// client type, unsupported option, missing secret, setting names the source cannot carry.
	// given tells which secrets are at hand (given or kept).
	Check(c *connection.Connection, given connection.Secrets) error
	// Type is the catalog's name of the target (postgres-flexible); siblings share it.
	Type(c *connection.Connection) string
	// Facts reads the target and the source as the catalog says, each path at most once, in parallel.
	// With SOURCE_NOT_FOUND, TARGET_NOT_FOUND and IDENTITY_NOT_FOUND come the facts of what is
	// still there.
	Facts(ctx context.Context, c *connection.Connection) (Facts, error)
	// Derive is pure: the facets of a connection from its facts and secrets, scaffolding included.
	Derive(c *connection.Connection, facts Facts, secrets connection.Secrets) ([]connection.Facet, error)
	// Reads names the management actions that Facts needs.
	Reads(c *connection.Connection) []Right
	// Describe tells, by folded setting name, which generation of a library reads a setting;
	// most need no such remark.
	Describe(c *connection.Connection) map[string]string
}

// Finding is one item of a validation, in the order of the published item names.
type Finding = connection.Finding

// Prober knocks at a target's own protocol as the app would.
type Prober interface {
	// Probe returns findings from the target's side: existence, network, login. settings are
	// the values the app has. It never writes. A nil slice means nothing to knock at.
	Probe(ctx context.Context, c *connection.Connection, facts Facts, settings map[string]connection.Value) []Finding
}

// Permissions asks the cloud what the engine's own identity may do.
type Permissions interface {
	// Missing returns those of the rights the identity lacks.
	Missing(ctx context.Context, rights []Right) ([]Right, error)
}
