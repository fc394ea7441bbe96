package engine

import (
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

// The engine's answers are made of the ledger's and the plan's own types. Rooms above
// read them under these names, so that they need no sight of either.
type (
	Operation = ledger.Operation
	Entry     = ledger.Entry
	Phase     = ledger.Phase
	Verb      = ledger.Verb
	Status    = ledger.Status
	Plan      = plan.Plan
	Step      = plan.Step
	Change    = plan.Change
	Action    = plan.Action
	Reason    = plan.Reason
)

// What an operation does.
const (
	VerbCreate   = ledger.VerbCreate
	VerbUpdate   = ledger.VerbUpdate
	VerbDelete   = ledger.VerbDelete
	VerbValidate = ledger.VerbValidate
	VerbRepair   = ledger.VerbRepair
	VerbDryrun   = ledger.VerbDryrun
)

// Where an operation stands.
const (
	Accepted    = ledger.Accepted
	Running     = ledger.Running
	Succeeded   = ledger.Succeeded
	Failed      = ledger.Failed
	Canceled    = ledger.Canceled
	Interrupted = ledger.Interrupted
)

// Phases of a journal entry.
const (
	PhaseStart  = ledger.PhaseStart
	PhaseIntent = ledger.PhaseIntent
	PhaseEnd    = ledger.PhaseEnd
)

// Actions of a change and reasons for it.
const (
	Create   = plan.Create
	Update   = plan.Update
	Remove   = plan.Remove
	Keep     = plan.Keep
	Leave    = plan.Leave
	Changed  = plan.Changed
	Unwanted = plan.Unwanted
)
