// Package server answers Microsoft.ServiceLinker and our own namespace over HTTP
// in ARM's manners: resource ids, api-versions, asynchronous operations, the error
// envelope, tokens and the caller's rights. Everything else it hands on.
//
// It promises that no request reaches the engine before its token is verified and
// the caller's rights are checked, that a token is used only while its request is
// answered, and that no panic and no secret reaches a client. It runs no operation
// itself and keeps no state.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// Engine is what the server needs of the engine; its methods are documented there.
type Engine interface {
	Prepare(ctx context.Context, r engine.Request) (*engine.Prepared, error)
	Accept(ctx context.Context, p *engine.Prepared) (*engine.Operation, *connection.Connection, error)
	Plan(ctx context.Context, p *engine.Prepared) (*engine.Plan, error)
	Connection(ctx context.Context, id string) (*connection.Connection, error)
	Connections(ctx context.Context, source string) ([]*connection.Connection, error)
	Configurations(ctx context.Context, id string) ([]engine.Configuration, error)
	Drift(ctx context.Context, scope string) ([]engine.Drift, error)
	Operation(ctx context.Context, id string) (*engine.Operation, []engine.Entry, error)
	Operations(ctx context.Context, source string) ([]*engine.Operation, error)
	Within(ctx context.Context, collection string) ([]*connection.Connection, error)
	Generate(ctx context.Context, id string, change func(*connection.Properties)) (*engine.Generated, error)
	Resume(ctx context.Context, id string) (*engine.Operation, error)
	Undo(ctx context.Context, id string) (*engine.Operation, error)
}

// Config is what a server is made of. Engine, Tokens and Rights must be set.
type Config struct {
	Engine Engine
	Tokens TokenVerifier
	Rights RightsChecker
	// Upstream answers everything that is not ours; nil means nothing does.
	Upstream http.Handler
	// PublicURL is what addresses in answers begin with (https://host[:port]); empty
	// means the host each request was sent to.
	PublicURL string
	// SupportTypes lists which targets, auth types and client types go together.
	SupportTypes func() []api.SupportType
	// Names lists the names of settings by target, client type and auth type.
	Names func() []api.ConfigurationNames
	// Components lists the Dapr components there are by target and auth type.
	Components func() []api.DaprConfiguration
	// Here is the address that callers on this machine reach targets from, "" when nobody
	// knows; other callers come from where their requests do.
	Here string
	// Ready tells whether requests can be answered; nil means always.
	Ready func(context.Context) error
	Now   func() time.Time
	Log   *slog.Logger
	// Follow is how often a stream of events looks for news; 0 means 100 ms.
	Follow time.Duration
	// Hold is how long the poll of an unfinished operation waits for its end; 0 means
	// 250 ms.
	Hold time.Duration
	// Linger is how long the deletion of a local connection waits for its end before it
	// answers that it is under way; 0 means 30 s.
	Linger time.Duration
}

// New makes the handler. It opens no listener.
func New(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Follow == 0 {
		c.Follow = 100 * time.Millisecond
	}
	if c.Hold == 0 {
		c.Hold = 250 * time.Millisecond
	}
	if c.Linger == 0 {
		c.Linger = 30 * time.Second
	}
	return &server{Config: c}
}

type server struct{ Config }

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, w: &recorder{ResponseWriter: w}, r: r, correlation: correlation(r)}
	defer x.rescue()
	if handle := s.plain(r.URL.Path); handle != nil {
		handle(x)
		return
	}
	found, err := locate(r.URL.EscapedPath())
	if err == nil && found.foreign {
		err = x.handOn()
	} else if err == nil {
		x.place = found
		err = x.answer()
	}
	if err != nil {
		x.refuse(err)
	}
}

// correlation is the caller's correlation id when it is a UUID, or a new one.
func correlation(r *http.Request) string {
	for _, name := range []string{"x-ms-correlation-request-id", "x-ms-client-request-id"} {
		if given, err := uuid.Parse(r.Header.Get(name)); err == nil {
			return given.String()
		}
	}
	return uuid.NewString()
}

func (x *exchange) handOn() error {
	if x.Upstream == nil {
		return problem.New(problem.RouteUnknown, x.r.URL.Path, "nothing answers at this address")
	}
	x.Upstream.ServeHTTP(x.w, x.r)
	return nil
}
