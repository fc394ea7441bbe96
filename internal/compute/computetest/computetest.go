// Package computetest is the suite every compute has to pass: what connections
// take for granted of a source, as tests.
//
// It promises to judge a compute only by what its drivers and its reader answer
// and by what somebody else sees of the source before and after. It plays the
// engine's part itself, with the real plan: observe, plan, read again, write, book.
// It knows no kind of compute.
package computetest

import (
	"context"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// Case is one compute. Make is called for each test anew, and for each run of the
// property, with everything in it as it was the first time.
type Case struct {
	Make func(t *testing.T) World
}

// Driver is what the engine asks of a driver.
type Driver interface {
	Path(f connection.Facet) string
	Read(ctx context.Context, facets []connection.Facet) (any, error)
	State(basis any, f connection.Facet) connection.State
	Write(ctx context.Context, basis any, changes []plan.Change) ([]connection.State, error)
	Fresh() bool
	Rights(f connection.Facet) []connection.Right
}

// World is one source with things of others in it: at least one setting, and where
// the compute has identities one of somebody else's.
type World struct {
	// Source is the ARM id of the source, or whatever names one where there is no ARM.
	Source string
	// Drivers are the compute's own, by kind: setting always, identity where it has them.
	Drivers map[connection.Kind]Driver
	// Setting makes the facet of one setting as derive would: its resource tells the scope.
	Setting func(name, value string) connection.Facet
	// Identity makes the facet of an identity: "system", or a user-assigned one's id. nil
	// where the compute has no identities.
	Identity func(name string) connection.Facet
	// Mine and Theirs are user-assigned identities that may be attached; Theirs is.
	Mine, Theirs string

	// Settings are those of the facets' scope as somebody else reads them, by name as
	// it is spelled there.
	Settings func() map[string]string
	// Identities are the names of what is on and attached, as Identity takes them.
	Identities func() []string
	// Rest is everything else somebody can see of the source (tags, other containers, other
	// scopes, other fields); values that change by themselves are left out.
	Rest func() any
	// Foreign writes one setting as somebody else does, all at once; nil takes it away.
	Foreign func(name string, value *string)
	// ForeignIdentity turns an identity on or off as somebody else does. nil where the compute
	// has no identities.
	ForeignIdentity func(name string, on bool)
	// Merges tells that a write carries an ETag or is merged on the other side, so that what
	// somebody else writes between our read and our write is never lost.
	Merges bool
	// Folds tells that names which differ in case are one.
	Folds bool

	// Rightless tells that no cloud hands out rights on the source.
	Rightless bool

	// Read tells the facts of the source.
	Read func(ctx context.Context) (*compute.Source, error)
	// Facts are what Read must tell: Outbound and Subnet are compared.
	Facts compute.Source
	// Writes counts the writes the world has seen.
	Writes func() int
	// Restarts counts restarts or revisions so far. nil where the world cannot count them.
	Restarts func() int
	// Vanish takes the source away.
	Vanish func()
}

// Side tells when somebody else writes, as seen from one of our writes.
type Side int

// The sides. Only what is written Inside may be lost, and only where the service
// neither merges nor knows ETags.
const (
	Before Side = iota // before we read
	Inside             // after we read and before we write
	After              // after we wrote
)

func (s Side) String() string { return [...]string{"before", "inside", "after"}[s] }

// limit bounds each test.
const limit = 2 * time.Minute

// Run runs the suite.
func Run(t *testing.T, c Case) {
	t.Helper()
	for _, one := range []struct {
		name string
		test func(*testing.T, World)
	}{
		{"settings of one connection are one write", oneWrite},
		{"what is right already is not written", quietly},
		{"others' settings survive create, update and delete", othersSurvive},
		{"a replaced setting comes back", replacedComesBack},
		{"what somebody changed since is left", changedIsLeft},
		{"names that differ in case", namesOfOtherCase},
		{"the scope is the facet's own", scopeOnly},
		{"a write before or after ours is kept", outsideTheWindow},
		{"a write inside our window is lost at most by itself", insideTheWindow},
		{"identities of others survive", identitiesSurvive},
		{"identities somebody attaches meanwhile survive", identitiesMeanwhile},
		{"identity and settings are undone together", undone},
		{"a shared identity goes with its last owner", sharedIdentity},
		{"the source tells where it calls from", tellsFacts},
		{"a vanished source counts as done", vanishedIsDone},
		{"rights name one action on one scope", rightsNamed},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			one.test(t, c.Make(t))
		})
	}
	t.Run("200 random creates, updates and deletes among others' writes", func(t *testing.T) {
		t.Parallel()
		property(t, c)
	})
}
