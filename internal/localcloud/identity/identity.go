// Package identity is the local cloud's Microsoft.ManagedIdentity: user-assigned
// identities, the lookup of a resource's own identity, and the rules by which a
// resource's identity member changes.
//
// It promises that a system-assigned identity that is switched off and on again
// has a new principal. It must not know which resource carries an identity.
package identity

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	userType    = "Microsoft.ManagedIdentity/userAssignedIdentities"
	defaultType = "Microsoft.ManagedIdentity/identities"
)

var versions = []string{
	"2025-05-31-preview", "2025-01-31-preview", "2024-11-30", "2023-07-31-preview", "2023-01-31",
	"2022-01-31-preview", "2021-09-30-preview", "2018-11-30", "2015-08-31-preview",
}

// Identities is the provider. Make one with New.
type Identities struct {
	cloud  provider.Cloud
	tenant string
	writes sync.Mutex // held while the credentials of an identity are looked at and one is written
}

var _ provider.Provider = (*Identities)(nil)

// New makes the provider for a cloud and its tenant.
func New(c provider.Cloud, tenant string) *Identities { return &Identities{cloud: c, tenant: tenant} }

// Types lists what the front door routes here.
func (p *Identities) Types() []provider.Type {
	return []provider.Type{
		{Name: userType, APIVersions: versions, Put: p.put, Patch: p.put, Delete: p.remove},
		{Name: federatedType, APIVersions: federatedVersions, Put: p.putFederated, Delete: p.removeFederated},
		{Name: defaultType, APIVersions: versions, Extension: true, Get: p.getDefault},
	}
}

// Resume has nothing to rebuild.
func (p *Identities) Resume(context.Context) error { return nil }

// Close has nothing to stop.
func (p *Identities) Close() error { return nil }

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func (p *Identities) put(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, exists := p.cloud.Store().Get(r.ID.String())
	status := http.StatusOK
	if !exists {
		status = http.StatusCreated
		location, _ := r.Body["location"].(string)
		if location == "" {
			return nil, fault(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
		}
		who := p.cloud.Directory().NewManagedIdentity(r.ID.String(), r.ID.Name())
		doc = provider.Document{"id": r.ID.String(), "name": r.ID.Name(), "type": userType, "location": location,
			"properties": map[string]any{"tenantId": p.tenant, "principalId": who.ObjectID, "clientId": who.ClientID}}
	}
	if tags, ok := r.Body["tags"]; ok {
		doc["tags"] = tags
	}
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (p *Identities) remove(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if who, ok := p.userAssigned(r.ID.String()); ok {
		p.cloud.Directory().Remove(who.ObjectID)
	}
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

// userAssigned finds the principal of a user-assigned identity.
func (p *Identities) userAssigned(resource string) (provider.Principal, bool) {
	i, err := id.Parse(resource)
	doc, ok := p.cloud.Store().Get(resource)
	if err != nil || !ok || !i.IsType(userType) {
		return provider.Principal{}, false
	}
	props, _ := doc["properties"].(map[string]any)
	objectID, _ := props["principalId"].(string)
	return p.cloud.Directory().Lookup(objectID)
}

// getDefault shows the system-assigned identity of the resource it is asked on.
func (p *Identities) getDefault(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	carrier := r.ID.Scope().String()
	doc, _ := p.cloud.Store().Get(carrier)
	block, _ := doc["identity"].(map[string]any)
	objectID, _ := block["principalId"].(string)
	who, ok := p.cloud.Directory().Lookup(objectID)
	if !ok || !strings.EqualFold(r.ID.Name(), "default") {
		return nil, fault(http.StatusNotFound, "ResourceNotFound", "The resource '%s' has no system-assigned identity.", carrier)
	}
	return &provider.Answer{Body: provider.Document{
		"id": r.ID.String(), "name": "default", "type": defaultType, "location": doc["location"],
		"properties": map[string]any{"tenantId": p.tenant, "principalId": who.ObjectID, "clientId": who.ClientID},
	}}, nil
}

// Change is one wish about a resource's identity member.
type Change struct {
	Resource, Name string
	Caller         provider.Principal
	Current        any  // the member as stored
	Wanted         any  // the member as sent; nil switches everything off
	Merge          bool // user-assigned ids that are not mentioned stay
}

// Apply makes a change real and returns the member to store, nil for none.
func (p *Identities) Apply(c Change) (any, error) {
	current, _ := c.Current.(map[string]any)
	wanted, _ := c.Wanted.(map[string]any)
	kinds, err := readKinds(wanted["type"])
	if err != nil {
		return nil, err
	}
	users := map[string]any{}
	if kinds.user {
		if users, err = p.users(c, current, wanted); err != nil {
			return nil, err
		}
	}
	block := map[string]any{}
	p.system(c, kinds.system, current, block)
	if len(users) > 0 {
		block["userAssignedIdentities"] = users
	}
	return p.finish(block), nil
}

func (p *Identities) finish(block map[string]any) any {
	_, system := block["principalId"]
	_, user := block["userAssignedIdentities"]
	switch {
	case system && user:
		block["type"] = "SystemAssigned, UserAssigned"
	case system:
		block["type"] = "SystemAssigned"
	case user:
		block["type"] = "UserAssigned"
	default:
		return nil
	}
	return block
}

type kinds struct{ system, user bool }

// readKinds reads an identity type; separators with and without a space are both in use.
func readKinds(v any) (kinds, error) {
	text, _ := v.(string)
	var k kinds
	for _, word := range strings.Split(text, ",") {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "systemassigned":
			k.system = true
		case "userassigned":
			k.user = true
		case "", "none":
		default:
			return k, fault(http.StatusBadRequest, "InvalidIdentityType", "The identity type '%s' is not valid. It can be 'None', 'SystemAssigned', 'UserAssigned' or 'SystemAssigned, UserAssigned'.", text)
		}
	}
	return k, nil
}

// system keeps, makes or removes the resource's own principal.
func (p *Identities) system(c Change, on bool, current, block map[string]any) {
	objectID, _ := current["principalId"].(string)
	switch {
	case on && objectID == "":
		objectID = p.cloud.Directory().NewManagedIdentity(c.Resource, c.Name).ObjectID
	case !on && objectID != "":
		p.cloud.Directory().Remove(objectID)
	}
	if on {
		block["principalId"], block["tenantId"] = objectID, p.tenant
	}
}

// users resolves the user-assigned ids that are to be attached.
func (p *Identities) users(c Change, current, wanted map[string]any) (map[string]any, error) {
	attached, _ := current["userAssignedIdentities"].(map[string]any)
	result := map[string]any{}
	if c.Merge {
		for k, v := range attached {
			result[k] = v
		}
	}
	asked, _ := wanted["userAssignedIdentities"].(map[string]any)
	if len(asked) == 0 && len(result) == 0 {
		return nil, fault(http.StatusBadRequest, "InvalidIdentityValues", "The identity type 'UserAssigned' needs at least one id in userAssignedIdentities.")
	}
	for resource, v := range asked {
		had := dropFolded(result, resource)
		if v == nil {
			continue
		}
		who, ok := p.userAssigned(resource)
		if !ok {
			return nil, fault(http.StatusBadRequest, "FailedIdentityOperation", "Identity operation for resource '%s' failed with error 'The identity '%s' could not be found.'.", c.Resource, resource)
		}
		if !had && !hasFolded(attached, resource) && !p.mayAssign(c.Caller, resource) {
			return nil, fault(http.StatusForbidden, "LinkedAuthorizationFailed",
				"The client '%s' with object id '%s' has permission to perform action on scope '%s'; however, it does not have permission to perform action '%s' on the linked scope '%s' or the linked scope is invalid.",
				c.Caller.ClientID, c.Caller.ObjectID, c.Resource, userType+"/assign/action", resource)
		}
		result[resource] = map[string]any{"principalId": who.ObjectID, "clientId": who.ClientID}
	}
	return result, nil
}

// mayAssign tells whether the caller may attach an identity; roles write the
// action with and without a segment for the identity's name.
func (p *Identities) mayAssign(caller provider.Principal, resource string) bool {
	name := resource[strings.LastIndexByte(resource, '/')+1:]
	for _, action := range []string{userType + "/assign/action", userType + "/" + name + "/assign/action"} {
		if caller.ObjectID == "" || p.cloud.Authorizer().Allowed(caller.ObjectID, action, resource, false) {
			return true
		}
	}
	return false
}

func hasFolded(m map[string]any, key string) bool {
	for k := range m {
		if id.Equal(k, key) {
			return true
		}
	}
	return false
}

func dropFolded(m map[string]any, key string) bool {
	for k := range m {
		if id.Equal(k, key) {
			delete(m, k)
			return true
		}
	}
	return false
}

// Principal picks the principal that a resource's code asks for: the system-assigned
// one when no selector is given, else the user-assigned one it names.
func (p *Identities) Principal(block any, clientID, objectID, resource string) (provider.Principal, bool) {
	b, _ := block.(map[string]any)
	if clientID == "" && objectID == "" && resource == "" {
		own, _ := b["principalId"].(string)
		return p.cloud.Directory().Lookup(own)
	}
	users, _ := b["userAssignedIdentities"].(map[string]any)
	for attached := range users {
		who, ok := p.userAssigned(attached)
		if ok && (resource == "" || id.Equal(resource, attached)) &&
			(clientID == "" || strings.EqualFold(clientID, who.ClientID)) && (objectID == "" || strings.EqualFold(objectID, who.ObjectID)) {
			return who, true
		}
	}
	return provider.Principal{}, false
}

// Drop removes a deleted resource's own principal from the directory.
func (p *Identities) Drop(block any) {
	b, _ := block.(map[string]any)
	if objectID, _ := b["principalId"].(string); objectID != "" {
		p.cloud.Directory().Remove(objectID)
	}
}
