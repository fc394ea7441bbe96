// Package identity reads and writes the identities that a resource carries: the driver of
// the identity kind for every compute whose ARM resource has the member identity.
//
// It promises that identities of others survive every change, and that a change is over
// only when what it turned on has its principal. It takes no locks: the caller holds the
// lock of the path while it reads and writes.
package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// System is the Key.Name of the system-assigned identity; any other name is the ARM id of
// a user-assigned one.
const System = "system"

// Patience bounds the wait for an identity's principal to show up. Zero members
// take the defaults.
type Patience struct {
	Limit time.Duration // default 60 s
	Pause time.Duration // default 1 s
}

func (p Patience) orDefault() Patience {
	if p.Limit <= 0 {
		p.Limit = 60 * time.Second
	}
	if p.Pause <= 0 {
		p.Pause = time.Second
	}
	return p
}

// Dialect is what differs between resource types.
type Dialect struct {
	APIVersion string
	Separator  string   // between the two words of a type: ", " or ","
	Types      []string // the resource types, as the names of their rights begin
}

// prefix is what the names of a resource's rights begin with.
func (d Dialect) prefix(resource string) string {
	at, err := id.Parse(resource)
	for _, t := range d.Types {
		if err == nil && at.IsType(t) {
			return t
		}
	}
	return d.Types[0]
}

const (
	typeSystem = "SystemAssigned"
	typeUser   = "UserAssigned"
	typeNone   = "None"
)

// ownIdentity is where a resource's system-assigned identity is read, client id and all;
// the resource itself tells only the principal.
const (
	ownIdentity        = "/providers/Microsoft.ManagedIdentity/identities/default"
	ownIdentityVersion = "2023-01-31"
)

// Driver drives the identities of a resource. Key.Resource is the resource, Key.Name is
// System or a user-assigned identity's id; Want is empty, or asks with tells for the
// client id of the system-assigned one.
type Driver struct {
	arm      *arm.Client
	patience Patience
	dialect  Dialect
}

// New makes the driver. patience bounds the wait for a principal id, which may lag
// behind the answer.
func New(c *arm.Client, patience Patience, dialect Dialect) *Driver {
	return &Driver{c, patience.orDefault(), dialect}
}

type userIdentity struct {
	PrincipalID string `json:"principalId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
}

// identity is the member identity of a resource. A nil entry in a PATCH detaches.
type identity struct {
	Type        string                   `json:"type"`
	PrincipalID string                   `json:"principalId,omitempty"`
	TenantID    string                   `json:"tenantId,omitempty"`
	Users       map[string]*userIdentity `json:"userAssignedIdentities,omitempty"`
}

func (i identity) system() bool {
	for _, t := range strings.Split(i.Type, ",") {
		if strings.EqualFold(strings.TrimSpace(t), typeSystem) {
			return true
		}
	}
	return false
}

// user finds an attached identity, case aside, and the spelling it stands under.
func (i identity) user(name string) (string, *userIdentity) {
	for there, u := range i.Users {
		if id.Equal(there, name) {
			if u == nil {
				u = &userIdentity{}
			}
			return there, u
		}
	}
	return "", nil
}

type identityBasis struct {
	exists   bool
	identity identity
	clientID string // of the system-assigned identity, when it was asked for
}

// Path is the resource: identities are written by changing it.
func (d *Driver) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the type names all identities at once and there is no ETag.
func (d *Driver) Fresh() bool { return true }

// Rights names reading and changing the resource, and seeing and using a user-assigned
// identity: whoever attaches one hands the app its rights.
func (d *Driver) Rights(f connection.Facet) []connection.Right {
	prefix := d.dialect.prefix(f.Resource)
	list := []connection.Right{right(f.Resource, prefix+"/read"), right(f.Resource, prefix+"/write")}
	if f.Name != System {
		const users = "Microsoft.ManagedIdentity/userAssignedIdentities"
		list = append(list, right(f.Name, users+"/read"), right(f.Name, users+"/assign/action"))
	} else if tellsClient(f) {
		list = append(list, right(f.Resource, "Microsoft.ManagedIdentity/identities/read"))
	}
	return list
}

// Read reads the resource.
func (d *Driver) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource, slices.ContainsFunc(facets, tellsClient))
}

// tellsClient tells whether a facet asks for the client id of the resource's own identity.
func tellsClient(f connection.Facet) bool {
	return f.Name == System && f.Want[connection.AttrTells].Text == connection.OutClientID
}

func (d *Driver) read(ctx context.Context, resource string, client bool) (*identityBasis, error) {
	var seen struct {
		Identity *identity `json:"identity"`
	}
	err := d.arm.Get(ctx, resource, d.dialect.APIVersion, &seen)
	if arm.IsNotFound(err) {
		return &identityBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	basis := &identityBasis{exists: true}
	if seen.Identity != nil {
		basis.identity = *seen.Identity
	}
	if client && basis.identity.system() {
		basis.clientID, err = d.ownClientID(ctx, resource, basis.identity.PrincipalID)
	}
	return basis, err
}

// ownClientID reads the client id of a resource's own identity; "" while what is shown is
// not there yet, or still the identity before.
func (d *Driver) ownClientID(ctx context.Context, resource, principal string) (string, error) {
	var own struct {
		Properties userIdentity `json:"properties"`
	}
	err := d.arm.Get(ctx, resource+ownIdentity, ownIdentityVersion, &own)
	if err != nil && !arm.IsNotFound(err) {
		return "", err
	}
	if !strings.EqualFold(own.Properties.PrincipalID, principal) {
		return "", nil
	}
	return own.Properties.ClientID, nil
}

// State tells whether the identity is on, and its principal.
func (d *Driver) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*identityBasis)
	if !ok {
		return connection.State{}
	}
	if f.Name != System {
		there, u := basis.identity.user(f.Name)
		if u == nil {
			return connection.State{}
		}
		state := connection.State{Exists: true, Attrs: connection.Attrs{}, Outputs: map[string]string{}}
		if there != f.Name {
			state.Spelling = there
		}
		put(state.Outputs, connection.OutPrincipalID, u.PrincipalID)
		put(state.Outputs, connection.OutClientID, u.ClientID)
		return state
	}
	if !basis.identity.system() {
		return connection.State{}
	}
	state := connection.State{Exists: true, Attrs: connection.Attrs{}, Outputs: map[string]string{}}
	put(state.Outputs, connection.OutPrincipalID, basis.identity.PrincipalID)
	put(state.Outputs, connection.OutTenantID, basis.identity.TenantID)
	put(state.Outputs, connection.OutClientID, basis.clientID)
	return state
}

func right(scope, action string) connection.Right {
	return connection.Right{Action: action, Scope: scope}
}

// vanished is the answer for a resource that is gone: removals are done, the rest cannot be.
func vanished(resource string, changes []plan.Change) ([]connection.State, error) {
	for _, c := range changes {
		if c.Action != plan.Remove {
			return nil, problem.New(problem.SourceNotFound, resource, "the app is not there").While("write source")
		}
	}
	return make([]connection.State, len(changes)), nil
}

func put(outputs map[string]string, name, text string) {
	if text != "" {
		outputs[name] = text
	}
}

// Write turns identities on and off in one change of the resource, and waits until
// every one that is on has its principal.
func (d *Driver) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	resource := changes[0].Facet.Resource
	basis, ok := b.(*identityBasis)
	if !ok {
		return nil, problem.New(problem.Internal, resource, "the basis was not read by this driver")
	}
	if !basis.exists {
		return vanished(resource, changes)
	}
	if body, changed := d.union(basis.identity, changes); changed {
		if err := d.arm.Patch(ctx, resource, d.dialect.APIVersion, map[string]any{"identity": body}, nil); err != nil {
			return nil, err
		}
	}
	return d.settle(ctx, resource, changes)
}

// union is the identity member that makes the changes true and keeps everything
// else; changed is false when nothing is to be written.
func (d *Driver) union(is identity, changes []plan.Change) (body identity, changed bool) {
	system := is.system()
	users := map[string]*userIdentity{}
	for name := range is.Users {
		users[name] = &userIdentity{}
	}
	left := len(users)
	for _, c := range changes {
		there, attached := is.user(c.Facet.Name)
		switch on := wanted(c); {
		case c.Facet.Name == System:
			changed = changed || system != on
			system = on
		case on && attached == nil:
			users[c.Facet.Name], changed, left = &userIdentity{}, true, left+1
		case !on && attached != nil:
			users[there], changed, left = nil, true, left-1
		}
	}
	if left == 0 {
		users = nil // a type without user-assigned identities takes no map
	}
	return identity{Type: d.dialect.typeName(system, left > 0), Users: users}, changed
}

func (d Dialect) typeName(system, users bool) string {
	switch {
	case system && users:
		return typeSystem + d.Separator + typeUser
	case system:
		return typeSystem
	case users:
		return typeUser
	}
	return typeNone
}

// wanted tells whether a change leaves its identity on.
func wanted(c plan.Change) bool {
	return c.Action != plan.Remove || (c.Restore != nil && c.Restore.Exists)
}

// settle reads the resource until it shows what was written.
func (d *Driver) settle(ctx context.Context, resource string, changes []plan.Change) ([]connection.State, error) {
	end := time.Now().Add(d.patience.Limit)
	client := slices.ContainsFunc(changes, func(c plan.Change) bool { return wanted(c) && tellsClient(c.Facet) })
	for {
		basis, err := d.read(ctx, resource, client)
		if err != nil {
			return nil, err
		}
		states := make([]connection.State, len(changes))
		for n, c := range changes {
			states[n] = d.State(basis, c.Facet)
		}
		if slot := slices.IndexFunc(changes, func(c plan.Change) bool { return !shown(c, d.State(basis, c.Facet)) }); slot < 0 {
			return states, nil
		} else if time.Now().Add(d.patience.Pause).After(end) {
			return nil, problem.New(problem.WriteLost, resource, "the identity %s is not as it was written", changes[slot].Facet.Name).While("write identity")
		}
		timer := time.NewTimer(d.patience.Pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// shown tells whether a state is what its change leads to.
func shown(c plan.Change, s connection.State) bool {
	if !wanted(c) {
		return !s.Exists
	}
	told := !tellsClient(c.Facet) || s.Outputs[connection.OutClientID] != ""
	return told && s.Exists && s.Outputs[connection.OutPrincipalID] != ""
}
