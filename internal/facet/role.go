package facet

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	roleAssignments        = "/providers/Microsoft.Authorization/roleAssignments"
	roleAssignmentsVersion = "2022-04-01"
)

// assignmentNames is the namespace of our deterministic assignment names.
var assignmentNames = uuid.MustParse("5a6cbb0e-2e0f-5bb5-9a3c-7c1d4f5e8a90")

// Patience bounds how long a write waits for something that is on its way
// through the cloud, such as a new principal. Zero members take the defaults.
type Patience struct {
	Limit time.Duration // default 90 s
	Pause time.Duration // between two tries, default 2 s
}

const (
	defaultLimit = 90 * time.Second
	defaultPause = 2 * time.Second
)

func (p Patience) orDefault() Patience {
	if p.Limit <= 0 {
		p.Limit = defaultLimit
	}
	if p.Pause <= 0 {
		p.Pause = defaultPause
	}
	return p
}

// until runs try again while it asks for that, at most for the limit; the last error stands.
func (p Patience) until(ctx context.Context, try func() (again bool, err error)) error {
	end := time.Now().Add(p.Limit)
	for {
		again, err := try()
		if !again || time.Now().Add(p.Pause).After(end) {
			return err
		}
		timer := time.NewTimer(p.Pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Role drives role assignments. Key.Resource is the scope, Key.Name is opaque;
// Want holds roleId (the definition's GUID) and principalId.
type Role struct {
	arm      *arm.Client
	patience Patience
}

// NewRole makes the driver. patience bounds the wait for a new principal to be
// known to the directory's replicas.
func NewRole(c *arm.Client, patience Patience) *Role { return &Role{c, patience.orDefault()} }

type assignment struct {
	ID         string               `json:"id,omitempty"`
	Properties assignmentProperties `json:"properties"`
}

type assignmentProperties struct {
	RoleDefinitionID string `json:"roleDefinitionId"`
	PrincipalID      string `json:"principalId"`
	PrincipalType    string `json:"principalType,omitempty"`
	Description      string `json:"description,omitempty"`
	Scope            string `json:"scope,omitempty"`
}

func (a assignment) grants(role, principal string) bool {
	definition := a.Properties.RoleDefinitionID
	return strings.EqualFold(definition[strings.LastIndex(definition, "/")+1:], role) &&
		strings.EqualFold(a.Properties.PrincipalID, principal)
}

type roleBasis struct{ assignments []assignment }

// Path is the collection of assignments at the scope.
func (d *Role) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + strings.ToLower(roleAssignments)
}

// Fresh is false: each assignment is an object of its own.
func (d *Role) Fresh() bool { return false }

// Rights names reading, writing and deleting assignments at the scope.
func (d *Role) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.Authorization/roleAssignments/", "read", "write", "delete")
}

func rights(scope, prefix string, verbs ...string) []connection.Right {
	list := make([]connection.Right, len(verbs))
	for n, verb := range verbs {
		list[n] = connection.Right{Action: prefix + verb, Scope: scope}
	}
	return list
}

// Read lists what is assigned at the scope and above it.
func (d *Role) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *Role) read(ctx context.Context, scope string) (*roleBasis, error) {
	all, err := arm.ListAll[assignment](ctx, d.arm, scope+roleAssignments+"?$filter=atScope()", roleAssignmentsVersion)
	if arm.IsNotFound(err) {
		return &roleBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &roleBasis{all}, nil
}

// State finds the assignment that grants the role to the principal, be it made
// at the scope or inherited; one made at the scope goes first.
func (d *Role) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*roleBasis)
	role, principal := known(f.Want, connection.AttrRoleID), known(f.Want, connection.AttrPrincipalID)
	if !ok || role == "" || principal == "" {
		return connection.State{}
	}
	var found *assignment
	for n := range basis.assignments {
		a := &basis.assignments[n]
		if a.grants(role, principal) && (found == nil || madeAt(a.ID, f.Resource)) {
			found = a
		}
	}
	if found == nil {
		return connection.State{}
	}
	return assignedState(f, *found)
}

// principalType is what the directory calls who is let in.
func principalType(f connection.Facet) string {
	if kind := known(f.Want, connection.AttrPrincipalType); kind != "" {
		return kind
	}
	return "ServicePrincipal"
}

func assignedState(f connection.Facet, a assignment) connection.State {
	definition := a.Properties.RoleDefinitionID
	attrs := connection.Attrs{
		connection.AttrRoleID:      echo(f.Want, connection.AttrRoleID, definition[strings.LastIndex(definition, "/")+1:]),
		connection.AttrPrincipalID: echo(f.Want, connection.AttrPrincipalID, a.Properties.PrincipalID),
	}
	if kind, asked := f.Want[connection.AttrPrincipalType]; asked {
		attrs[connection.AttrPrincipalType] = kind // who it is does not change with the word for it
	}
	return connection.State{
		Exists:  true,
		Attrs:   attrs,
		Outputs: map[string]string{connection.OutID: a.ID},
		Mark:    markOf(a.Properties.Description),
	}
}

// madeAt tells whether an assignment was made at the scope itself, not above it.
func madeAt(assignmentID, scope string) bool {
	at, err := id.Parse(assignmentID)
	return err == nil && id.Equal(at.Scope().String(), scope)
}

// assignmentID is the id we give an assignment: the same triple, the same name.
func assignmentID(scope, principal, role string) string {
	triple := strings.Join([]string{connection.FoldID(scope), strings.ToLower(principal), strings.ToLower(role)}, "|")
	return scope + roleAssignments + "/" + uuid.NewSHA1(assignmentNames, []byte(triple)).String()
}

// Write assigns or takes away, one assignment per change.
func (d *Role) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		var err error
		if c.Action == plan.Remove {
			err = d.remove(ctx, b, c)
		} else {
			states[n], err = d.assign(ctx, b, c)
		}
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// assign deletes the orphan of an earlier principal first, then makes the
// assignment unless it is there.
func (d *Role) assign(ctx context.Context, b any, c plan.Change) (connection.State, error) {
	role, err := needed(c.Facet, connection.AttrRoleID)
	if err != nil {
		return connection.State{}, err
	}
	principal, err := needed(c.Facet, connection.AttrPrincipalID)
	if err != nil {
		return connection.State{}, err
	}
	scope, is := c.Facet.Resource, d.State(b, c.Facet)
	ours := assignmentID(scope, principal, role)
	if was := c.Was[connection.OutID]; was != "" && !id.Equal(was, ours) && !id.Equal(was, is.Outputs[connection.OutID]) && made(b, c.Facet, was) {
		if err := d.delete(ctx, was); err != nil {
			return connection.State{}, err
		}
	}
	if is.Exists {
		return is, nil
	}
	var answer assignment
	err = d.put(ctx, ours, assignment{Properties: assignmentProperties{
		RoleDefinitionID: definitionID(scope, role),
		PrincipalID:      principal,
		PrincipalType:    principalType(c.Facet), // spares the directory look-up that fails on new principals
		Description:      markText(c.Facet.Want),
	}}, &answer)
	if arm.HasCode(err, "RoleAssignmentExists") {
		return d.found(ctx, c.Facet, err)
	}
	if err != nil {
		return connection.State{}, err
	}
	return assignedState(c.Facet, answer), nil
}

// found reads the assignment that another name already holds; its mark tells
// whose it is.
func (d *Role) found(ctx context.Context, f connection.Facet, cause error) (connection.State, error) {
	basis, err := d.read(ctx, f.Resource)
	if err != nil {
		return connection.State{}, err
	}
	if state := d.State(basis, f); state.Exists {
		return state, nil
	}
	return connection.State{}, cause
}

func (d *Role) put(ctx context.Context, path string, body assignment, made *assignment) error {
	return d.patience.until(ctx, func() (bool, error) {
		err := d.arm.Put(ctx, path, roleAssignmentsVersion, body, made)
		return arm.HasCode(err, "PrincipalNotFound"), err
	})
}

// definitionID addresses a built-in role from the subscription the scope lies in.
func definitionID(scope, role string) string {
	prefix := ""
	if at, err := id.Parse(scope); err == nil && at.Subscription() != "" {
		prefix = "/subscriptions/" + at.Subscription()
	}
	return prefix + "/providers/Microsoft.Authorization/roleDefinitions/" + role
}

// made tells whether an assignment is one of ours at the facet's scope: its name
// follows from its own scope, principal and role, or it is the one the facet
// stands for. Inherited ones and those others made are not.
func made(b any, f connection.Facet, assigned string) bool {
	if id.Equal(assigned, assignmentID(f.Resource, known(f.Want, connection.AttrPrincipalID), known(f.Want, connection.AttrRoleID))) {
		return true
	}
	basis, _ := b.(*roleBasis)
	if basis == nil {
		return false
	}
	for _, a := range basis.assignments {
		definition := a.Properties.RoleDefinitionID
		role := definition[strings.LastIndex(definition, "/")+1:]
		if id.Equal(a.ID, assigned) && id.Equal(a.ID, assignmentID(f.Resource, a.Properties.PrincipalID, role)) {
			return true
		}
	}
	return false
}

// remove deletes what we wrote, by the id stored then; without one, by what was
// observed. Never does it touch an assignment that is not of our making.
func (d *Role) remove(ctx context.Context, b any, c plan.Change) error {
	for _, assigned := range []string{c.Was[connection.OutID], c.Before.Outputs[connection.OutID], d.State(b, c.Facet).Outputs[connection.OutID]} {
		if assigned != "" {
			if !made(b, c.Facet, assigned) {
				return nil
			}
			return d.delete(ctx, assigned)
		}
	}
	return nil
}

func (d *Role) delete(ctx context.Context, assignmentID string) error {
	at, err := id.Parse(assignmentID)
	if err != nil || !at.IsType("Microsoft.Authorization/roleAssignments") {
		return problem.New(problem.Internal, assignmentID, "not the id of a role assignment").While("delete role assignment")
	}
	return d.arm.Delete(ctx, assignmentID, roleAssignmentsVersion)
}
