package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

const actionGenerate = "Microsoft.ServiceLinker/linkers/generateConfigurations/action"

// local tells whether the path names a local connection.
func (p place) local() bool { return p.linker != "" && connection.IsLocal(p.linker) }

// origin is the source of the connection that the path names; a local one is its own, and
// so is a dryrun.
func (p place) origin() string {
	if p.local() || connection.IsDryrun(p.linker) {
		return p.linker
	}
	return p.source
}

// rightOn is the right for an action on a linker of a source. What is its own source
// has actions of its own, and the group they are handed out for.
func rightOn(action, source string) engine.Right {
	kind := ""
	switch {
	case connection.IsLocal(source):
		kind = connection.TypeConnector
		action = strings.Replace(action, "validateLinker", "validate", 1)
	case connection.IsDryrun(source):
		kind = connection.TypeDryrun
		if strings.EqualFold(connection.TypeOf(source), connection.TypeConnectorDryrun) {
			kind = connection.TypeConnectorDryrun
		}
	default:
		return engine.Right{Action: action, Scope: source}
	}
	action = kind + strings.TrimPrefix(action, "Microsoft.ServiceLinker/linkers")
	return engine.Right{Action: action, Scope: source[:strings.LastIndex(strings.ToLower(source), "/providers/")]}
}

// collection is the id that the ids of a listed collection begin with.
func (x *exchange) collection(kind string) string {
	at := x.place.source + "/providers/" + api.Provider
	if len(x.place.names) > 0 {
		at += "/locations/" + x.place.names[0]
	}
	return at + "/" + kind
}

func (x *exchange) listConnectors() error {
	collection := x.collection("connectors")
	if err := x.need(rightOn(actionRead, collection+"/any")); err != nil {
		return err
	}
	all, err := x.Engine.Within(x.r.Context(), collection)
	if err != nil {
		return err
	}
	value := make([]any, len(all))
	for i, c := range all {
		value[i] = api.Encode(x.linkerVersion(), c)
	}
	return x.json(http.StatusOK, map[string]any{"value": value})
}

func (x *exchange) patchConnector() error { return x.patch(http.StatusAccepted) }

// complete fills in what a request leaves to the service to know: who the person is, and
// where they are.
func (x *exchange) complete(p *connection.Properties) {
	if a := p.Auth; a != nil && a.Type == connection.AuthUserAccount {
		a.PrincipalID, a.PrincipalType = firstText(a.PrincipalID, x.caller.ObjectID), ""
		if x.caller.App && strings.EqualFold(a.PrincipalID, x.caller.ObjectID) {
			a.PrincipalType = "ServicePrincipal"
		}
	}
	azure := x.place.local() && p.Target.Type == "AzureResource"
	if azure && p.Auth != nil && p.Auth.Type == connection.AuthUserAccount {
		p.Auth.Behavior = firstText(p.Auth.Behavior, connection.BehaviorDefault)
	}
	n := p.PublicNetwork
	if n == nil {
		return
	}
	n.CallerAddress = ""
	if strings.EqualFold(n.CallerClientIP, "true") {
		n.CallerAddress = x.callerAddress()
	}
	if azure {
		n.Action, n.Behavior = firstText(n.Action, "enable"), firstText(n.Behavior, connection.BehaviorDefault)
	}
}

// callerAddress is where the caller's traffic comes from, as far as that shows.
func (x *exchange) callerAddress() string {
	host, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err != nil {
		return x.Here // this process
	}
	at, err := netip.ParseAddr(host)
	if err != nil || at.IsLoopback() {
		return x.Here
	}
	return at.Unmap().String()
}

// deleteConnector answers when the connection is gone, as clients expect; one that says
// it would rather not wait is told where to look.
func (x *exchange) deleteConnector() error {
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
	if !strings.Contains(strings.ToLower(x.r.Header.Get("Prefer")), "respond-async") {
		if op, err = x.ended(op, x.Linger); err != nil {
			return err
		}
	}
	switch {
	case op.Status == engine.Succeeded:
		x.w.WriteHeader(http.StatusOK)
		return nil
	case op.Status.Done():
		return opProblem(op)
	}
	x.begin(op, true)
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

// ended waits for an operation's end, at most so long.
func (x *exchange) ended(op *engine.Operation, atMost time.Duration) (*engine.Operation, error) {
	longer := *x
	copied := *x.server
	copied.Hold = atMost
	longer.server = &copied
	return longer.settled(op)
}

// generateConfigurations renders settings from the target's facts for a caller who may
// read them there.
func (x *exchange) generateConfigurations() error {
	if err := x.need(x.onSource(actionGenerate)); err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	stored, err := x.Engine.Connection(x.r.Context(), x.place.linker)
	if err != nil {
		return err
	}
	configuration, err := api.LayConfiguration(x.linkerVersion(), stored.Properties.Configuration, body)
	if err != nil {
		return err
	}
	said, client := len(body) > 0, x.r.URL.Query().Get(api.ClientParam)
	generated, err := x.Engine.Generate(x.r.Context(), x.place.linker, func(p *connection.Properties) {
		if said {
			p.Configuration = configuration
		}
		if client != "" {
			p.ClientType = client
		}
	})
	if err != nil {
		return x.explain(err)
	}
	if err := x.need(generated.Rights...); err != nil {
		return err
	}
	rows := make([]any, len(generated.Configurations))
	for i, s := range generated.Configurations {
		rows[i] = map[string]any{"name": s.Name, "value": s.Value}
	}
	return x.json(http.StatusOK, map[string]any{"configurations": rows})
}

// localNames are the names that validations of local connections give their items.
func localNames() map[string]string {
	return map[string]string{
		"Target resource existence validated.":                                        "The target existence is validated",
		"Target network access validated.":                                            "The target's network access is validated",
		"Target service firewall validated.":                                          "The target service firewall is validated",
		"Configured connection information validated.":                                "The configured values is validated",
		"Configured connection information validated (except for username/password).": "The configured values (except username/password) is validated",
		"Managed Identity existence validated.":                                       "The identity existence is validated",
		"Managed Identity permissions validated.":                                     "The identity permission is validated",
	}
}

// localName names a finding as validations of that kind of connection do.
func localName(op *engine.Operation, f engine.Finding) engine.Finding {
	if name, ok := localNames()[f.Name]; ok && connection.IsLocal(op.Connection) {
		f.Name = name
	}
	return f
}
