package engine

import (
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
)

// Request is one change as a caller asked for it.
type Request struct {
	Verb ledger.Verb
	// Connection is what is wanted (create, update), with ID, Name, Source, Properties and
	// System filled in; for the other verbs only ID and Source count.
	Connection  *connection.Connection
	Secrets     connection.Secrets // given with the request
	Caller      string             // object id of who asked, for the audit
	Correlation string             // correlation id sent on to ARM
	Force       bool               // delete: write off what cannot be removed; repair: changed values too
	Forget      bool               // do not keep the given secret
}

// Prepared is a request that has passed every check that needs no write. Rights
// are the actions the change needs: whoever accepts it checks the caller's first.
type Prepared struct {
	Request
	Existing *connection.Connection // nil when the connection is new
	Rights   []Right
	facets   []connection.Facet
	secrets  connection.Secrets
}

// Refused is why a request came to nothing once source and target had been read with
// the engine's own rights. It may tell of things the caller cannot see: whoever passes
// the cause on checks the caller for Rights first.
type Refused struct {
	Rights []Right // what the reading needed
	Cause  error
}

func (r *Refused) Error() string { return r.Cause.Error() }

// Unwrap returns the cause.
func (r *Refused) Unwrap() error { return r.Cause }

// Configuration is one setting as listConfigurations answers it.
type Configuration struct {
	Name        string
	Value       string
	Description string
	Secret      bool
}

// Drift is what differs for one connection.
type Drift struct {
	Connection *connection.Connection
	Changes    []plan.Change       // those with a reason, and values left alone
	Problem    *connection.Problem // set when the world could not be read
}

// Report is what a validation found; it is kept in the operation.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Available tells whether no finding is a failure.
func (r Report) Available() bool {
	for _, f := range r.Findings {
		if f.Result == ResultFailure {
			return false
		}
	}
	return true
}
