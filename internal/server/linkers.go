package server

import (
	"errors"
	"net/http"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// The actions a caller needs on the source.
const (
	actionRead           = "Microsoft.ServiceLinker/linkers/read"
	actionWrite          = "Microsoft.ServiceLinker/linkers/write"
	actionDelete         = "Microsoft.ServiceLinker/linkers/delete"
	actionValidate       = "Microsoft.ServiceLinker/linkers/validateLinker/action"
	actionConfigurations = "Microsoft.ServiceLinker/linkers/listConfigurations/action"
)

func (x *exchange) onSource(action string) engine.Right {
	if x.place.local() {
		return rightOn(action, x.place.linker)
	}
	return engine.Right{Action: action, Scope: x.place.source}
}

func (x *exchange) linkerVersion() api.Version { return api.Version(x.version) }

func (x *exchange) listLinkers() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	all, err := x.Engine.Connections(x.r.Context(), x.place.source)
	if err != nil {
		return err
	}
	value := make([]any, len(all))
	for i, c := range all {
		value[i] = api.Encode(x.linkerVersion(), c)
	}
	return x.json(http.StatusOK, map[string]any{"value": value})
}

func (x *exchange) getLinker() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	c, err := x.Engine.Connection(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	if c.State != connection.StateSucceeded && c.State != connection.StateFailed {
		x.w.Header().Set("Retry-After", retryAfter) // some clients wait for the end by reading the linker
	}
	return x.json(http.StatusOK, api.Encode(x.linkerVersion(), c))
}

// existing reads the connection the path names; nil when there is none.
func (x *exchange) existing() (*connection.Connection, error) {
	c, err := x.Engine.Connection(x.r.Context(), x.place.linker)
	if problem.Is(err, problem.ConnectionNotFound) {
		return nil, nil
	}
	return c, err
}

func (x *exchange) putLinker() error {
	if err := x.need(x.onSource(actionWrite)); err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	existing, err := x.existing()
	if err != nil {
		return err
	}
	properties, secrets, err := api.Replace(x.linkerVersion(), existing, body)
	if err != nil {
		return err
	}
	return x.change(http.StatusCreated, existing, properties, secrets)
}

func (x *exchange) patchLinker() error { return x.patch(http.StatusCreated) }

// patch answers with the status the contract has for the resource.
func (x *exchange) patch(status int) error {
	if err := x.need(x.onSource(actionWrite)); err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	existing, err := x.Engine.Connection(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	properties, secrets, err := api.Merge(x.linkerVersion(), existing, body)
	if err != nil {
		return err
	}
	return x.change(status, existing, properties, secrets)
}

// change accepts a create or update and answers as ARM does.
func (x *exchange) change(status int, existing *connection.Connection, properties *connection.Properties, secrets connection.Secrets) error {
	request := x.request(existing, properties)
	request.Secrets = secrets
	request.Forget = x.r.Header.Get(api.NoKeepHeader) == "true"
	op, c, err := x.accept(request)
	if err != nil {
		return err
	}
	x.begin(op, false)
	return x.json(status, api.EncodeAccepted(x.linkerVersion(), c))
}

// request makes the engine's request for a create or update.
func (x *exchange) request(existing *connection.Connection, properties *connection.Properties) engine.Request {
	now := x.Now().UTC()
	who, kind := x.caller.Name, x.caller.kind()
	x.complete(properties)
	c := &connection.Connection{ID: x.place.linker, Name: x.place.name, Source: x.place.origin(),
		System: connection.SystemData{CreatedBy: who, CreatedByType: kind, CreatedAt: now}}
	verb := engine.VerbCreate
	if existing != nil {
		copied := *existing
		c, verb = &copied, engine.VerbUpdate
	}
	c.Properties = *properties
	c.System.LastModifiedBy, c.System.LastModifiedByType, c.System.LastModifiedAt = who, kind, now
	return engine.Request{Verb: verb, Connection: c, Caller: x.caller.ObjectID, Correlation: x.correlation}
}

// onExisting makes the engine's request for another verb.
func (x *exchange) onExisting(verb engine.Verb) engine.Request {
	c := &connection.Connection{ID: x.place.linker, Name: x.place.name, Source: x.place.origin()}
	return engine.Request{Verb: verb, Connection: c, Caller: x.caller.ObjectID, Correlation: x.correlation,
		Force: x.r.URL.Query().Get(api.ForceParam) == "true"}
}

// prepare has a request checked. Why it was refused is told only to those who may see
// what the engine has looked at.
func (x *exchange) prepare(request engine.Request) (*engine.Prepared, error) {
	prepared, err := x.Engine.Prepare(x.r.Context(), request)
	return prepared, x.explain(err)
}

// explain passes on why something was refused, to those who may see what was looked at.
func (x *exchange) explain(err error) error {
	var refused *engine.Refused
	if errors.As(err, &refused) {
		if lacking := x.need(refused.Rights...); lacking != nil {
			return lacking
		}
	}
	return err
}

// accept checks a request and the caller's rights for it, then has it journalled.
func (x *exchange) accept(request engine.Request) (*engine.Operation, *connection.Connection, error) {
	prepared, err := x.prepare(request)
	if err != nil {
		return nil, nil, err
	}
	if err := x.need(prepared.Rights...); err != nil {
		return nil, nil, err
	}
	return x.Engine.Accept(x.r.Context(), prepared)
}

func (x *exchange) deleteLinker() error {
	if err := x.need(x.onSource(actionDelete)); err != nil {
		return err
	}
	op, _, err := x.accept(x.onExisting(engine.VerbDelete))
	if problem.Is(err, problem.ConnectionNotFound) {
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	x.begin(op, true)
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (x *exchange) validateLinker() error {
	if err := x.need(x.onSource(actionValidate)); err != nil {
		return err
	}
	op, _, err := x.accept(x.onExisting(engine.VerbValidate))
	if err != nil {
		return err
	}
	x.begin(op, true)
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (x *exchange) listConfigurations() error {
	if err := x.need(x.onSource(actionConfigurations)); err != nil {
		return err
	}
	settings, err := x.Engine.Configurations(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	rows := make([]api.Row, len(settings))
	for i, s := range settings {
		rows[i] = api.Row{Name: s.Name, Value: s.Value, Description: s.Description}
	}
	return x.json(http.StatusOK, api.EncodeConfigurations(x.linkerVersion(), rows))
}
