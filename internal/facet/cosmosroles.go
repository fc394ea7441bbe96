package facet

import (
	"context"
	"maps"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// cosmosRoles are the two roles that every API has built in, by the names the catalog
// lists. Their ids are the same everywhere; the names of the APIs' own listings differ.
func cosmosRoles() map[string]string {
	return map[string]string{
		"Cosmos DB Built-in Data Contributor": "00000000-0000-0000-0000-000000000002",
		"Cosmos DB Built-in Data Reader":      "00000000-0000-0000-0000-000000000001",
	}
}

// CosmosAccess drives the data roles of one API of Cosmos DB, which are no role
// assignments of Azure. Key.Resource is the account's collection of assignments
// ("…/sqlRoleAssignments"); Key.Name names the assignment, by a stable GUID made from
// it. Want holds policy and principalId. A role reaches the whole account: clients read
// its metadata before anything else. The service keeps no text with an assignment, so
// there is no mark on it.
type CosmosAccess struct {
	arm        *arm.Client
	collection string // sqlRoleAssignments
	apiVersion string
}

// CosmosAPIs are the collections of assignments, one per API, with the api-version
// that has them.
func CosmosAPIs() map[string]string {
	const later = "2026-03-15" // the others became stable years after NoSQL
	return map[string]string{
		"sqlRoleAssignments": cosmosVersion, "mongoMIRoleAssignments": later, "cassandraRoleAssignments": later,
		"gremlinRoleAssignments": later, "tableRoleAssignments": later,
	}
}

// NewCosmosAccess makes the driver of one of CosmosAPIs.
func NewCosmosAccess(c *arm.Client, collection string) *CosmosAccess {
	return &CosmosAccess{c, collection, CosmosAPIs()[collection]}
}

type cosmosAssignment struct {
	ID         string                     `json:"id,omitempty"`
	Name       string                     `json:"name,omitempty"`
	Properties cosmosAssignmentProperties `json:"properties"`
}

type cosmosAssignmentProperties struct {
	Role      string `json:"roleDefinitionId"`
	Principal string `json:"principalId"`
	Scope     string `json:"scope"`
}

// policy is the catalog's name of the role; another role stays an id.
func (a cosmosAssignment) policy() string {
	for name, guid := range cosmosRoles() {
		if strings.EqualFold(lastName(a.Properties.Role, ""), guid) {
			return name
		}
	}
	return a.Properties.Role
}

type cosmosAccessBasis struct{ assignments []cosmosAssignment }

func (d *CosmosAccess) account(f connection.Facet) string {
	return f.Resource[:strings.LastIndex(f.Resource, "/")]
}

// Path is the account, which takes one write at a time.
func (d *CosmosAccess) Path(f connection.Facet) string { return connection.FoldID(d.account(f)) }

// Fresh is false: each assignment is an object of its own.
func (d *CosmosAccess) Fresh() bool { return false }

// Rights names reading, writing and deleting assignments of the account.
func (d *CosmosAccess) Rights(f connection.Facet) []connection.Right {
	return rights(d.account(f), cosmosAction+d.collection+"/", "read", "write", "delete")
}

// Read lists the account's assignments.
func (d *CosmosAccess) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[cosmosAssignment](ctx, d.arm, facets[0].Resource, d.apiVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &cosmosAccessBasis{all}, nil
}

// cosmosName is the GUID of an assignment.
func cosmosName(f connection.Facet) string {
	return uuid.NewSHA1(assignmentNames, []byte(connection.FoldID(f.Resource)+" "+strings.ToLower(f.Name))).String()
}

// State finds the assignment of our name, or another one that grants the same on the
// whole account.
func (d *CosmosAccess) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*cosmosAccessBasis)
	if !ok {
		return connection.State{}
	}
	for _, a := range basis.assignments {
		if strings.EqualFold(lastName(a.ID, a.Name), cosmosName(f)) {
			return cosmosAccessState(f, a)
		}
	}
	policy, principal := known(f.Want, connection.AttrPolicy), known(f.Want, connection.AttrPrincipalID)
	for _, a := range basis.assignments {
		whole := strings.EqualFold(strings.TrimRight(a.Properties.Scope, "/"), d.account(f)) || a.Properties.Scope == "/"
		if whole && principal != "" && strings.EqualFold(a.Properties.Principal, principal) && strings.EqualFold(a.policy(), policy) {
			return cosmosAccessState(f, a)
		}
	}
	return connection.State{}
}

func cosmosAccessState(f connection.Facet, a cosmosAssignment) connection.State {
	return connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrPolicy:      echo(f.Want, connection.AttrPolicy, a.policy()),
			connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, a.Properties.Principal),
		},
		Outputs: map[string]string{connection.OutID: a.ID},
	}
}

// Write grants or takes away, one assignment per change.
func (d *CosmosAccess) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		state, err := d.write(ctx, b, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *CosmosAccess) write(ctx context.Context, b any, c plan.Change) (connection.State, error) {
	path := c.Facet.Resource + "/" + cosmosName(c.Facet)
	if !wanted(c) {
		return connection.State{}, d.arm.Delete(ctx, path, d.apiVersion)
	}
	want := c.Facet
	if c.Action == plan.Remove {
		want.Want = maps.Clone(c.Restore.Attrs)
	}
	policy, err := needed(want, connection.AttrPolicy)
	if err != nil {
		return connection.State{}, err
	}
	principal, err := needed(want, connection.AttrPrincipalID)
	if err != nil {
		return connection.State{}, err
	}
	role := policy
	if guid, ok := cosmosRoles()[policy]; ok {
		role = d.account(want) + "/" + strings.TrimSuffix(d.collection, "Assignments") + "Definitions/" + guid
	} else if !strings.HasPrefix(policy, "/") {
		return connection.State{}, problem.New(problem.OptionUnsupported, d.account(want), "the data role %q is not known", policy).While("assign a data role")
	}
	is := d.State(b, want)
	if is.Exists && strings.EqualFold(is.Attrs[connection.AttrPolicy].Text, policy) && strings.EqualFold(is.Attrs[connection.AttrPrincipalID].Text, principal) {
		return is, nil
	}
	if is.Exists && !strings.EqualFold(is.Attrs[connection.AttrPrincipalID].Text, principal) {
		// The service takes no change of an assignment's principal.
		if err := d.arm.Delete(ctx, path, d.apiVersion); err != nil {
			return connection.State{}, err
		}
	}
	made := cosmosAssignment{ID: path, Properties: cosmosAssignmentProperties{Role: role, Principal: principal, Scope: d.account(want)}}
	body := cosmosAssignment{Properties: made.Properties}
	if err := d.arm.Put(ctx, path, d.apiVersion, body, nil); err != nil {
		return connection.State{}, err
	}
	return cosmosAccessState(want, made), nil
}
