package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// connectorSegment stands before a local connection's name in its id.
const connectorSegment = "/connectors/"

// localConnections are connections of programs that run anywhere: they have no source,
// and are kept in a location of a resource group.
func localConnections() SourceCommand {
	return SourceCommand{
		Name: "connection", Display: "local app", Local: true,
		ID: "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.ServiceLinker/locations/{location}",
		Options: []SourceOption{{Name: "location", Short: "l", Optional: true, Env: "AZURE_DEFAULTS_LOCATION",
			Help: "The `location` the connection is kept in. Default: the group's."}},
	}
}

// segment stands between a source's id and a connection's name.
func (s SourceCommand) segment() string {
	if s.Local {
		return connectorSegment
	}
	return linkerSegment
}

// localName is where the name begins in the id of a local connection, or 0.
func localName(id string) int {
	parts := strings.Split(id, "/") // "", subscriptions, S, resourceGroups, G, providers, P, locations, L, connectors, N
	if len(parts) == 11 && strings.EqualFold(parts[6], "Microsoft.ServiceLinker") && strings.EqualFold(parts[7], "locations") && strings.EqualFold(parts[9], "connectors") {
		return len(id) - len(parts[10])
	}
	return 0
}

// commandOf is the command that handles connections of an id's kind.
func commandOf(id string) string {
	if localName(cleanID(id)) > 0 {
		return "patchbay connection"
	}
	return "patchbay " + sourceWord(id) + " connection"
}

func listCommand(id, source string) string {
	if localName(cleanID(id)) > 0 {
		return "patchbay connection list -g " + resourceGroup(id) + " -l " + lastName(source)
	}
	return "patchbay " + sourceWord(id) + " connection list --source-id " + source
}

// sourceWord is the command of the source that an id names or lies on.
func sourceWord(id string) string {
	if strings.Contains(strings.ToLower(id), "/microsoft.app/containerapps/") {
		return ContainerApp().Name
	}
	if onMachine(id) {
		return machineWord(id)
	}
	return WebApp().Name
}

// locate finds the location of a local connection that was named without one: that of
// its resource group.
func (p *place) locate(ctx context.Context, a API, d Defaults) error {
	if err := p.here(d); err != nil {
		return err
	}
	if !p.source.Local || p.id != "" || *p.values["location"] != "" {
		return nil
	}
	if d.Subscription == "" {
		return noSubscription()
	}
	at := "/subscriptions/" + d.Subscription + "/resourceGroups/" + p.group
	r, err := a.Raw(ctx, http.MethodGet, at+"?api-version="+versions()[""], nil)
	if err != nil {
		return problem.New(problem.UsageInvalid, at, "the location is not given, and the group %s does not tell it", p.group).Because(err).
			WithFix("add -l LOCATION, or correct -g")
	}
	var group struct {
		Location string `json:"location"`
	}
	if err := json.Unmarshal(r.Body, &group); err != nil || group.Location == "" {
		return problem.New(problem.UsageInvalid, at, "the location is not given, and the group %s does not tell it", p.group).
			WithFix("add -l LOCATION")
	}
	*p.values["location"] = group.Location
	return nil
}

// targetsOf are the targets that connections of a kind can have, as that kind has them.
func (s *shell) targetsOf(source SourceCommand) []TargetCommand {
	if source.Machine {
		return onFiles(s.Targets)
	}
	if source.Federated {
		return inCluster(plainOnly(source, s.Targets))
	}
	if !source.Local {
		return plainOnly(source, s.Targets)
	}
	var out []TargetCommand
	for _, t := range s.Targets {
		if len(t.LocalAuthTypes) == 0 {
			continue
		}
		t.AuthTypes = t.LocalAuthTypes
		t.ClientTypes = append(append([]string{}, t.ClientTypes...), t.LocalClientTypes...)
		t.ServiceEndpoint, t.PrivateEndpoint, t.ConnectionStrings = false, false, false
		out = append(out, t)
	}
	return out
}

// plainOnly leaves out what only App Service has a place for, at sources that have none.
func plainOnly(source SourceCommand, targets []TargetCommand) []TargetCommand {
	if !source.PlainOnly {
		return targets
	}
	out := slices.Clone(targets)
	for n := range out {
		out[n].ConnectionStrings = false
	}
	return out
}

// letIn asks for the caller's own address to be let in: that is where a local app runs.
func (p *propertyFlags) letIn(properties map[string]any, source SourceCommand) {
	if source.Local && !p.optedOut("publicnetwork") {
		member(member(properties, "publicNetworkSolution"), "firewallRules")["callerClientIP"] = "true"
	}
}
