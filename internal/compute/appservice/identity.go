package appservice

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

// SystemIdentity is the Key.Name of the system-assigned identity; any other name
// is the ARM id of a user-assigned one.
const SystemIdentity = "system"

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

// Identity drives the identities of a site. Key.Resource is the site or slot,
// Key.Name is SystemIdentity or a user-assigned identity's id; Want is empty, or asks
// with tells for the client id of the system-assigned one.
type Identity struct {
	arm      *arm.Client
	patience Patience
}

// NewIdentity makes the driver. patience bounds the wait for a principal id,
// which may lag behind the answer.
func NewIdentity(c *arm.Client, patience Patience) *Identity {
	return &Identity{c, patience.orDefault()}
}

type userIdentity struct {
	PrincipalID string `json:"principalId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
}

// identity is the member identity of a site. A nil entry in a PATCH detaches.
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

// Path is the site: identities are written by changing it.
func (d *Identity) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the type names all identities at once and there is no ETag.
func (d *Identity) Fresh() bool { return true }

// Rights names reading and changing the site, and seeing and using a user-assigned
// identity: whoever attaches one hands the app its rights.
func (d *Identity) Rights(f connection.Facet) []connection.Right {
	prefix := resourceType(f.Resource)
	list := []connection.Right{right(f.Resource, prefix+"/read"), right(f.Resource, prefix+"/write")}
	if f.Name != SystemIdentity {
		const users = "Microsoft.ManagedIdentity/userAssignedIdentities"
		list = append(list, right(f.Name, users+"/read"), right(f.Name, users+"/assign/action"))
	} else if tellsClient(f) {
		list = append(list, right(f.Resource, "Microsoft.ManagedIdentity/identities/read"))
	}
	return list
}

// Read reads the site.
func (d *Identity) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource, slices.ContainsFunc(facets, tellsClient))
}

// tellsClient tells whether a facet asks for the client id of the site's own identity.
func tellsClient(f connection.Facet) bool {
	return f.Name == SystemIdentity && f.Want[connection.AttrTells].Text == connection.OutClientID
}

func (d *Identity) read(ctx context.Context, site string, client bool) (*identityBasis, error) {
	var seen struct {
		Identity *identity `json:"identity"`
	}
	err := d.arm.Get(ctx, site, apiVersion, &seen)
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
		basis.clientID, err = d.ownClientID(ctx, site, basis.identity.PrincipalID)
	}
	return basis, err
}

// ownClientID reads the client id of a site's own identity; "" while what is shown is
// not there yet, or still the identity before.
func (d *Identity) ownClientID(ctx context.Context, site, principal string) (string, error) {
	var own struct {
		Properties userIdentity `json:"properties"`
	}
	err := d.arm.Get(ctx, site+ownIdentity, ownIdentityVersion, &own)
	if err != nil && !arm.IsNotFound(err) {
		return "", err
	}
	if !strings.EqualFold(own.Properties.PrincipalID, principal) {
		return "", nil
	}
	return own.Properties.ClientID, nil
}

// State tells whether the identity is on, and its principal.
func (d *Identity) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*identityBasis)
	if !ok {
		return connection.State{}
	}
	if f.Name != SystemIdentity {
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

func put(outputs map[string]string, name, text string) {
	if text != "" {
		outputs[name] = text
	}
}

// Write turns identities on and off in one change of the site, and waits until
// every one that is on has its principal.
func (d *Identity) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	site := changes[0].Facet.Resource
	basis, ok := b.(*identityBasis)
	if !ok {
		return nil, problem.New(problem.Internal, site, "the basis was not read by this driver")
	}
	if !basis.exists {
		return vanished(site, changes)
	}
	if body, changed := union(basis.identity, changes); changed {
		if err := d.arm.Patch(ctx, site, apiVersion, map[string]any{"identity": body}, nil); err != nil {
			return nil, err
		}
	}
	return d.settle(ctx, site, changes)
}

// union is the identity member that makes the changes true and keeps everything
// else; changed is false when nothing is to be written.
func union(is identity, changes []plan.Change) (body identity, changed bool) {
	system := is.system()
	users := map[string]*userIdentity{}
	for name := range is.Users {
		users[name] = &userIdentity{}
	}
	left := len(users)
	for _, c := range changes {
		there, attached := is.user(c.Facet.Name)
		switch on := wanted(c); {
		case c.Facet.Name == SystemIdentity:
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
	return identity{Type: typeName(system, left > 0), Users: users}, changed
}

func typeName(system, users bool) string {
	switch {
	case system && users:
		return typeSystem + ", " + typeUser
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

// settle reads the site until it shows what was written.
func (d *Identity) settle(ctx context.Context, site string, changes []plan.Change) ([]connection.State, error) {
	end := time.Now().Add(d.patience.Limit)
	client := slices.ContainsFunc(changes, func(c plan.Change) bool { return wanted(c) && tellsClient(c.Facet) })
	for {
		basis, err := d.read(ctx, site, client)
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
			return nil, problem.New(problem.WriteLost, site, "the identity %s is not as it was written", changes[slot].Facet.Name).While("write identity")
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
