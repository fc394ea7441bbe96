// Package plan is the difference between what should be and what is, as data.
//
// Make is pure: desired facets, observed states and the ledger's records go in,
// an ordered graph of changes comes out. The same value is printed by a dry run,
// found by drift and taken by apply. It does no I/O and holds no secret in print.
package plan

import "github.com/patchbay/patchbay/internal/connection"

// Action is what a change does to its facet.
type Action string

// The actions. Keep, Found and Leave write nothing.
const (
	Create Action = "create" // it is not there
	Update Action = "update" // it is there and differs
	Remove Action = "remove" // it is ours and no longer wanted
	Keep   Action = "keep"   // it is there, ours, and right
	Found  Action = "found"  // it was right before us: never removed by us
	Leave  Action = "leave"  // it was changed by somebody else since we wrote it
)

// Reason says why a change is needed, in the words of drift.
type Reason string

// The reasons.
const (
	New      Reason = "new"      // not written before
	Missing  Reason = "missing"  // we wrote it and it is gone
	Changed  Reason = "changed"  // it no longer carries what we wrote
	Replaced Reason = "replaced" // what it was written for came back under another identity
	Moved    Reason = "moved"    // the value moved at its origin (a rotated key, another host)
	Unwanted Reason = "unwanted" // the connection no longer needs it
)

// Record is what the ledger knows of one facet. Written holds stamps, not
// values: Stamps.Same compares them.
type Record struct {
	Key      connection.Key    `json:"key"`
	Owners   []string          `json:"owners"` // uids of connections
	Found    bool              `json:"found"`
	Written  map[string]string `json:"written"` // attribute -> stamp
	Outputs  map[string]string `json:"outputs"` // as answered when written
	Previous *connection.State `json:"previous,omitempty"`
	Scaffold bool              `json:"scaffold,omitempty"` // to be gone when its operation ends
	Claimed  bool              `json:"claimed,omitempty"`  // claimed by an operation, not written yet
	Spelling string            `json:"spelling,omitempty"`
}

// OwnedBy tells whether uid is among the owners.
func (r *Record) OwnedBy(uid string) bool {
	for _, o := range r.Owners {
		if o == uid {
			return true
		}
	}
	return false
}

// Stamps makes and compares stamps of values: the text itself for plain values,
// a keyed MAC for secret ones.
type Stamps interface {
	Stamp(v connection.Value) string
	Same(v connection.Value, stamp string) bool
}

// Change is one facet's difference.
type Change struct {
	Facet  connection.Facet `json:"facet"`
	Action Action           `json:"action"`
	Reason Reason           `json:"reason,omitempty"`
	// Before is what was observed; a removal that restores carries Restore.
	Before  connection.State  `json:"before"`
	Restore *connection.State `json:"restore,omitempty"`
	// Was holds the outputs the ledger stored when we wrote it, such as the id of an
	// assignment that is an orphan now.
	Was  map[string]string `json:"was,omitempty"`
	Note string            `json:"note,omitempty"`
	// Obsolete marks a facet the connection no longer wants: it is let go when the plan has run.
	Obsolete bool `json:"obsolete,omitempty"`
}

// Writes tells whether the change touches the world.
func (c Change) Writes() bool {
	return c.Action == Create || c.Action == Update || c.Action == Remove
}

// Step is one write: all changes that go to one path in one call.
type Step struct {
	ID      string   `json:"id"`    // stable within a plan: kind and path
	Path    string   `json:"path"`  // what is written, and locked meanwhile
	Needs   []string `json:"needs"` // ids of steps that go first
	Changes []Change `json:"changes"`
	// Dismantle marks the removal of scaffolding: it runs when the operation ends, however it ends.
	Dismantle bool `json:"dismantle,omitempty"`
}

// Plan is the ordered graph. Steps stand in an order that respects Needs.
type Plan struct {
	Steps []Step   `json:"steps"`
	Quiet []Change `json:"quiet"` // keep, found, leave
}
