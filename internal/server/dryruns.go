package server

import (
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// onDryrun is the right for an action on the dryruns of a source or a group.
func (x *exchange) onDryrun(verb string) engine.Right {
	kind := connection.TypeDryrun
	if strings.Contains(x.place.kind, "locations/") {
		kind = connection.TypeConnectorDryrun
	}
	return engine.Right{Action: kind + "/" + verb, Scope: x.place.source}
}

func (x *exchange) listDryruns() error {
	if err := x.need(x.onDryrun("read")); err != nil {
		return err
	}
	all, err := x.Engine.Within(x.r.Context(), x.collection("dryruns"))
	if err != nil {
		return err
	}
	value := make([]any, len(all))
	for i, c := range all {
		value[i] = api.EncodeDryrun(x.linkerVersion(), c)
	}
	return x.json(http.StatusOK, map[string]any{"value": value})
}

func (x *exchange) getDryrun() error {
	if err := x.need(x.onDryrun("read")); err != nil {
		return err
	}
	c, err := x.Engine.Connection(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, api.EncodeDryrun(x.linkerVersion(), c))
}

func (x *exchange) putDryrun() error {
	op, c, err := x.rehearse(api.ReplaceDryrun, false)
	if err != nil {
		return err
	}
	x.begin(op, false)
	return x.json(http.StatusCreated, api.EncodeDryrun(x.linkerVersion(), c))
}

func (x *exchange) patchDryrun() error {
	op, _, err := x.rehearse(api.MergeDryrun, true)
	if err != nil {
		return err
	}
	x.begin(op, false)
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

// reading reads a dryrun's body over the stored one.
type reading func(api.Version, *connection.Connection, []byte) (*connection.Properties, connection.Secrets, error)

// rehearse accepts a dryrun. What the caller lacks is looked at now, while there is a
// token: rights to read stand in the way, the rest is part of the result.
func (x *exchange) rehearse(read reading, mustExist bool) (*engine.Operation, *connection.Connection, error) {
	if err := x.need(x.onDryrun("write")); err != nil {
		return nil, nil, err
	}
	body, err := x.body()
	if err != nil {
		return nil, nil, err
	}
	existing, err := x.existing()
	if err == nil && existing == nil && mustExist {
		_, err = x.Engine.Connection(x.r.Context(), x.place.linker)
	}
	if err != nil {
		return nil, nil, err
	}
	properties, secrets, err := read(x.linkerVersion(), existing, body)
	if err != nil {
		return nil, nil, err
	}
	request := x.request(existing, properties)
	request.Verb, request.Secrets = engine.VerbDryrun, secrets
	request.Connection.Rehearsal = &connection.Rehearsal{For: x.rehearsedID()}
	prepared, err := x.prepare(request)
	if err != nil {
		return nil, nil, err
	}
	if err := x.need(reads(prepared.Rights)...); err != nil {
		return nil, nil, err
	}
	if len(prepared.Rights) > 0 {
		missing, err := x.Rights.Check(x.r.Context(), x.caller, prepared.Rights)
		if err != nil {
			return nil, nil, err
		}
		prepared.Connection.Rehearsal.Prerequisites = engine.Missing(missing)
	}
	return x.Engine.Accept(x.r.Context(), prepared)
}

// rehearsedID is the id of the connection a dryrun stands for: the one of its name.
func (x *exchange) rehearsedID() string {
	at := strings.LastIndex(strings.ToLower(x.place.linker), "/dryruns/")
	kind := "/linkers/"
	if strings.EqualFold(connection.TypeOf(x.place.linker), connection.TypeConnectorDryrun) {
		kind = "/connectors/"
	}
	return x.place.linker[:at] + kind + x.place.name
}

func (x *exchange) deleteDryrun() error {
	if err := x.need(x.onDryrun("delete")); err != nil {
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
	if op, err = x.ended(op, x.Linger); err != nil {
		return err
	}
	switch {
	case op.Status == engine.Succeeded:
		x.w.WriteHeader(http.StatusOK)
		return nil
	case op.Status.Done():
		return opProblem(op)
	}
	return problem.New(problem.StillRunning, x.place.linker, "the dryrun is still being deleted")
}
