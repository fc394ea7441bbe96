package outside

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Api-versions of the raw reads.
const (
	WebVersion    = "2024-11-01"
	RoleVersion   = "2022-04-01"
	LinkerVersion = "2024-07-01-preview"
)

// Site is the raw state of one web app as far as connections change it.
type Site struct {
	Settings  map[string]string
	Identity  string // as ARM spells it; "None" when there is none
	Principal string // object id of the system identity
}

// Role is one role assignment.
type Role struct{ ID, Principal, Definition, Scope string }

// Linker is one connection as its API tells of it.
type Linker struct {
	Name, State, Target, Auth, Client string
}

// ReadSite reads settings and identity with plain management calls.
func (c *Cloud) ReadSite(ctx context.Context, id string) (Site, error) {
	body, err := c.Want(ctx, http.MethodGet, id+"?api-version="+WebVersion, nil, http.StatusOK)
	if err != nil {
		return Site{}, err
	}
	s := Site{Identity: text(body, "identity", "type"), Principal: text(body, "identity", "principalId"), Settings: map[string]string{}}
	if s.Identity == "" {
		s.Identity = "None"
	}
	body, err = c.Want(ctx, http.MethodPost, id+"/config/appsettings/list?api-version="+WebVersion, nil, http.StatusOK)
	if err != nil {
		return Site{}, err
	}
	values, _ := body["properties"].(map[string]any)
	for name, value := range values {
		s.Settings[name] = fmt.Sprint(value)
	}
	return s, nil
}

// ReadRoles reads the role assignments made on exactly this scope.
func (c *Cloud) ReadRoles(ctx context.Context, scope string) ([]Role, error) {
	body, err := c.Want(ctx, http.MethodGet, scope+"/providers/Microsoft.Authorization/roleAssignments?api-version="+
		RoleVersion+"&$filter="+url.QueryEscape("atScope()"), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var roles []Role
	for _, item := range list(body, "value") {
		r := Role{
			ID: text(item, "id"), Principal: text(item, "properties", "principalId"),
			Definition: last(text(item, "properties", "roleDefinitionId")), Scope: text(item, "properties", "scope"),
		}
		if strings.EqualFold(r.Scope, scope) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// ReadLinkers reads the connections of a source by name.
func (c *Cloud) ReadLinkers(ctx context.Context, source string) (map[string]Linker, error) {
	body, err := c.Want(ctx, http.MethodGet, source+"/providers/Microsoft.ServiceLinker/linkers?api-version="+LinkerVersion, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	found := map[string]Linker{}
	for _, item := range list(body, "value") {
		found[text(item, "name")] = Linker{
			Name: text(item, "name"), State: text(item, "properties", "provisioningState"),
			Target: text(item, "properties", "targetService", "id"),
			Auth:   text(item, "properties", "authInfo", "authType"), Client: text(item, "properties", "clientType"),
		}
	}
	return found, nil
}

// Of returns the assignments of one principal.
func Of(principal string, roles []Role) []Role {
	return slices.DeleteFunc(slices.Clone(roles), func(r Role) bool { return !strings.EqualFold(r.Principal, principal) })
}

// Names lists the names of settings in order.
func (s Site) Names() []string { return slices.Sorted(maps.Keys(s.Settings)) }

func list(body map[string]any, name string) []map[string]any {
	items, _ := body[name].([]any)
	found := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
