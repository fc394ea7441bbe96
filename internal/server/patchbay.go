package server

import (
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
)

// planConnection shows what a PUT of the body, or with delete=true a DELETE, would do.
func (x *exchange) planConnection() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	request, err := x.planned()
	if err != nil {
		return err
	}
	prepared, err := x.prepare(request)
	if err != nil {
		return err
	}
	if err := x.need(reads(prepared.Rights)...); err != nil {
		return err
	}
	p, err := x.Engine.Plan(x.r.Context(), prepared)
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, planView(prepared.Connection.ID, prepared.Verb, p))
}

// reads keeps the rights to look at things: a plan shows them.
func reads(rights []engine.Right) []engine.Right {
	var out []engine.Right
	for _, r := range rights {
		if strings.HasSuffix(strings.ToLower(r.Action), "/read") {
			out = append(out, r)
		}
	}
	return out
}

// planned is the request whose plan is asked for.
func (x *exchange) planned() (engine.Request, error) {
	body, err := x.body()
	if err != nil {
		return engine.Request{}, err
	}
	if x.r.URL.Query().Get("delete") == "true" {
		return x.onExisting(engine.VerbDelete), nil
	}
	asItStands := len(strings.TrimSpace(string(body))) == 0
	if !asItStands {
		object, err := api.ParseObject(body)
		if err != nil {
			return engine.Request{}, err
		}
		asItStands = len(object) == 0
	}
	if asItStands {
		existing, err := x.Engine.Connection(x.r.Context(), x.place.linker)
		if err != nil {
			return engine.Request{}, err
		}
		properties := existing.Properties
		return x.request(existing, &properties), nil
	}
	existing, err := x.existing()
	if err != nil {
		return engine.Request{}, err
	}
	properties, secrets, err := api.Replace(api.Newest, existing, body)
	if err != nil {
		return engine.Request{}, err
	}
	request := x.request(existing, properties)
	request.Secrets = secrets
	return request, nil
}

func (x *exchange) driftOfConnection() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	found, err := x.Engine.Drift(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return driftProblem(x.place.linker)
	}
	return x.json(http.StatusOK, driftView(found[0]))
}

func (x *exchange) driftOfSource() error {
	if err := x.need(x.onSource(actionRead)); err != nil {
		return err
	}
	found, err := x.Engine.Drift(x.r.Context(), x.place.source)
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, driftList(found))
}

func driftList(found []engine.Drift) api.DriftList {
	list := api.DriftList{Value: make([]api.Drift, 0, len(found))}
	for _, d := range found {
		list.Value = append(list.Value, driftView(d))
	}
	return list
}

// driftOfAll shows the drift of every connection whose source the caller may read;
// other sources are not looked at.
func (x *exchange) driftOfAll() error {
	all, err := x.Engine.Connections(x.r.Context(), "")
	if err != nil {
		return err
	}
	sources := sourcesOf(all)
	allowed, err := x.may(actionRead, sources)
	if err != nil {
		return err
	}
	found := make([][]engine.Drift, len(sources))
	group, ctx := errgroup.WithContext(x.r.Context())
	group.SetLimit(4)
	for i, source := range sources {
		if !allowed[fold(source)] {
			continue
		}
		group.Go(func() (err error) {
			found[i], err = x.Engine.Drift(ctx, source)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var flat []engine.Drift
	for _, list := range found {
		flat = append(flat, list...)
	}
	return x.json(http.StatusOK, driftList(flat))
}

// sourcesOf lists the sources of connections once each, in order.
func sourcesOf(all []*connection.Connection) []string {
	seen := map[string]bool{}
	var sources []string
	for _, c := range all {
		if !seen[fold(c.Source)] {
			seen[fold(c.Source)] = true
			sources = append(sources, c.Source)
		}
	}
	return sources
}

func (x *exchange) repairConnection() error {
	if err := x.need(x.onSource(actionWrite)); err != nil {
		return err
	}
	op, _, err := x.accept(x.onExisting(engine.VerbRepair))
	if err != nil {
		return err
	}
	return x.acceptedOperation(op)
}

func (x *exchange) acceptedOperation(op *engine.Operation) error {
	x.w.Header().Set(api.OperationHeader, op.ID)
	return x.json(http.StatusAccepted, operationView(op, nil))
}

func (x *exchange) listOperations() error {
	all, err := x.Engine.Operations(x.r.Context(), x.r.URL.Query().Get("source"))
	if err != nil {
		return err
	}
	sources := make([]string, len(all))
	for i, op := range all {
		sources[i] = op.Source
	}
	allowed, err := x.may(actionRead, sources)
	if err != nil {
		return err
	}
	list := api.OperationList{Value: []api.Operation{}}
	for _, op := range all {
		if allowed[fold(op.Source)] {
			list.Value = append(list.Value, operationView(op, nil))
		}
	}
	return x.json(http.StatusOK, list)
}

// operation reads the operation the path names, for a caller who holds an action on its source.
func (x *exchange) operation(action string) (*engine.Operation, []engine.Entry, error) {
	op, journal, err := x.Engine.Operation(x.r.Context(), x.place.names[0])
	if err != nil {
		return nil, nil, err
	}
	x.place.source = op.Source
	return op, journal, x.need(rightOn(action, op.Source))
}

func (x *exchange) getOperation() error {
	op, journal, err := x.operation(actionRead)
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, operationView(op, journal))
}

func (x *exchange) resumeOperation() error {
	if _, _, err := x.operation(actionWrite); err != nil {
		return err
	}
	op, err := x.Engine.Resume(x.r.Context(), x.place.names[0])
	if err != nil {
		return err
	}
	return x.acceptedOperation(op)
}

func (x *exchange) undoOperation() error {
	if _, _, err := x.operation(actionWrite); err != nil {
		return err
	}
	op, err := x.Engine.Undo(x.r.Context(), x.place.names[0])
	if err != nil {
		return err
	}
	return x.acceptedOperation(op)
}

func (x *exchange) listSupportTypes() error {
	list := api.SupportTypeList{Value: []api.SupportType{}}
	if x.SupportTypes != nil {
		list.Value = append(list.Value, x.SupportTypes()...)
	}
	return x.json(http.StatusOK, list)
}
