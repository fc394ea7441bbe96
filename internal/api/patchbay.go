package api

import "time"

// The types of our own provider namespace, Patchbay (api-version 2026-11-01): what
// Microsoft.ServiceLinker cannot say. Paths, under the server's endpoint:
//
//	POST {source}/providers/Patchbay/connections/{name}/plan    body: linker (as PUT) or {} -> Plan
//	     query delete=true plans the deletion
//	POST {source}/providers/Patchbay/connections/{name}/drift   -> Drift
//	POST {source}/providers/Patchbay/drift                      -> DriftList (one app)
//	POST /providers/Patchbay/drift                              -> DriftList (everything)
//	POST {source}/providers/Patchbay/connections/{name}/repair  query force=true -> 202 Operation
//	GET  /providers/Patchbay/operations[?source=ID]             -> OperationList
//	GET  /providers/Patchbay/operations/{id}                    -> Operation with journal
//	GET  /providers/Patchbay/operations/{id}/events             -> text/event-stream of JournalEntry, ends with event "end" (Operation)
//	POST /providers/Patchbay/operations/{id}/resume | /undo     -> 202 Operation
//	GET  /providers/Patchbay/supportTypes                       -> SupportTypeList
//
// A linker PUT or DELETE answers with the operation's id in the header
// X-Patchbay-Operation, so that a client can follow its journal.
const (
	Namespace       = "Patchbay"
	NamespaceV      = "2026-11-01"
	OperationHeader = "X-Patchbay-Operation"
	// NoKeepHeader set to "true" on a PUT asks not to keep the secret.
	NoKeepHeader = "X-Patchbay-No-Keep-Secret"
	// ForceParam=true on a DELETE writes off what cannot be removed.
	ForceParam = "force"
	// ClientParam on generateConfigurations renders for another client type.
	ClientParam = "clientType"
)

// Plan is what a change would do. Values are masked; what is not known yet reads
// "known after apply".
type Plan struct {
	Connection string       `json:"connection"`
	Verb       string       `json:"verb"`
	Steps      []PlanStep   `json:"steps"`
	Quiet      []PlanChange `json:"unchanged"`
}

// PlanStep is one write: the changes that go to one path in one call.
type PlanStep struct {
	ID        string       `json:"id"`
	Path      string       `json:"path"`
	Needs     []string     `json:"needs"`
	Dismantle bool         `json:"dismantle,omitempty"`
	Changes   []PlanChange `json:"changes"`
}

// PlanChange is one facet's before and after.
type PlanChange struct {
	Kind     string            `json:"kind"`
	Name     string            `json:"name"`
	Resource string            `json:"resource"`
	Action   string            `json:"action"`
	Reason   string            `json:"reason,omitempty"`
	Scaffold bool              `json:"scaffold,omitempty"`
	Before   map[string]string `json:"before"` // null: not there
	After    map[string]string `json:"after"`  // null: gone
	Note     string            `json:"note,omitempty"`
}

// Drift is what differs from what a connection needs.
type Drift struct {
	Connection string       `json:"connection"`
	Name       string       `json:"name"`
	State      string       `json:"state"` // InSync, Drifted, Unreadable
	Changes    []PlanChange `json:"changes"`
	Problem    *Problem     `json:"problem,omitempty"`
}

// DriftList is the drift of several connections.
type DriftList struct {
	Value []Drift `json:"value"`
}

// Problem is an error as data.
type Problem struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Resource string `json:"resource,omitempty"`
	Fix      string `json:"fix,omitempty"`
}

// Operation is one accepted piece of work.
type Operation struct {
	ID         string         `json:"id"`
	Verb       string         `json:"verb"`
	Connection string         `json:"connection"`
	Source     string         `json:"source"`
	Status     string         `json:"status"` // Accepted, Running, Interrupted, Succeeded, Failed, Canceled
	Caller     string         `json:"caller,omitempty"`
	Accepted   time.Time      `json:"acceptedAt"`
	Started    *time.Time     `json:"startedAt,omitempty"`
	Ended      *time.Time     `json:"endedAt,omitempty"`
	Message    string         `json:"message,omitempty"`
	Problem    *Problem       `json:"problem,omitempty"`
	Fix        string         `json:"fix,omitempty"` // the command that resumes an interrupted one
	Journal    []JournalEntry `json:"journal,omitempty"`
}

// OperationList is a page of operations, newest first.
type OperationList struct {
	Value []Operation `json:"value"`
}

// JournalEntry is one line of an operation's journal.
type JournalEntry struct {
	Seq   int64     `json:"seq"`
	At    time.Time `json:"at"`
	Phase string    `json:"phase"`
	Step  string    `json:"step,omitempty"`
	Note  string    `json:"note,omitempty"`
}

// SupportType is one row of list-support-types.
type SupportType struct {
	Source      string   `json:"source"`
	Target      string   `json:"target"`
	AuthTypes   []string `json:"auth_types"`
	ClientTypes []string `json:"client_types"`
}

// SupportTypeList is the whole matrix.
type SupportTypeList struct {
	Value []SupportType `json:"value"`
}
