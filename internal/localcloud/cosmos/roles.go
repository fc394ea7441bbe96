package cosmos

import (
	"context"
	"net/http"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// builtIn are the two roles every account has, under the same ids for every API
// (documented for NoSQL and Table, for the others mem).
var builtIn = []struct {
	guid, name string
	actions    func(dataActions) []string
}{
	{"00000000-0000-0000-0000-000000000001", "Cosmos DB Built-in Data Reader", func(a dataActions) []string { return a.read }},
	{"00000000-0000-0000-0000-000000000002", "Cosmos DB Built-in Data Contributor", func(a dataActions) []string { return a.contribute }},
}

func (f feature) definitionType() string { return accountType + "/" + f.roles + "RoleDefinitions" }
func (f feature) assignmentType() string { return accountType + "/" + f.roles + "RoleAssignments" }

// roleTypes are an API's role definitions and assignments.
func (p *Provider) roleTypes(f feature) []provider.Type {
	types := []provider.Type{
		{Name: f.definitionType(), Get: p.getDefinition(f), List: p.listDefinitions(f), Put: p.putDefinition(f), Delete: p.deleteRole(f), Async202: true},
		{Name: f.assignmentType(), Put: p.putAssignment(f), Delete: p.deleteRole(f), Async202: true},
	}
	if f.api != NoSQL {
		for n := range types {
			types[n].APIVersions = roleVersions
		}
	}
	return types
}

func builtInDocument(account id.ID, f feature, n int) provider.Document {
	i := account.Child(f.roles+"RoleDefinitions", builtIn[n].guid)
	actions := []any{}
	for _, a := range builtIn[n].actions(f.actions) {
		actions = append(actions, a)
	}
	return provider.Identify(i, f.definitionType(), map[string]any{"properties": map[string]any{
		"roleName": builtIn[n].name, "type": "BuiltInRole", "assignableScopes": []any{account.String()},
		"permissions": []any{map[string]any{"dataActions": actions, "notDataActions": []any{}}},
	}})
}

// definition finds a role definition, a built-in one or one that was made.
func (p *Provider) definition(i id.ID, f feature) (provider.Document, bool) {
	for n, b := range builtIn {
		if i.IsType(f.definitionType()) && strings.EqualFold(i.Name(), b.guid) {
			return builtInDocument(i.Parent(), f, n), true
		}
	}
	doc, ok := p.cloud.Store().Get(i.String())
	return doc, ok && i.IsType(f.definitionType())
}

func (p *Provider) getDefinition(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, err := p.parents(r.ID, f); err != nil {
			return nil, err
		}
		if doc, ok := p.definition(r.ID, f); ok {
			return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
		}
		return nil, notFound(r.ID.String())
	}
}

func (p *Provider) listDefinitions(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, err := p.parents(r.ID.Child(f.roles+"RoleDefinitions", "x"), f); err != nil {
			return nil, err
		}
		value := []any{}
		for n := range builtIn {
			value = append(value, map[string]any(builtInDocument(r.ID, f, n)))
		}
		for _, doc := range p.cloud.Store().Children(r.ID.String(), f.definitionType()) {
			value = append(value, map[string]any(doc))
		}
		return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": value}}, nil
	}
}

// write checks what every write of a role needs and holds the account until the work
// is done: other writes of it are refused meanwhile.
func (p *Provider) write(r *provider.Request, f feature, doc provider.Document) (*provider.Answer, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	account, err := p.parents(r.ID, f)
	if err != nil {
		return nil, err
	}
	if _, err := uuid.Parse(r.ID.Name()); err != nil {
		return nil, provider.BadRequest("BadRequest", "The name of the role is not a GUID.")
	}
	if err := p.hold(account); err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc, Later: func(context.Context) error {
		p.writes.Lock()
		defer p.writes.Unlock()
		delete(p.held, id.Fold(provider.Text(account, "id")))
		if doc == nil {
			p.cloud.Store().Delete(r.ID.String())
		} else {
			p.cloud.Store().Put(r.ID.String(), doc)
		}
		return nil
	}}, nil
}

// hold takes the account for one write; the caller holds the lock.
func (p *Provider) hold(account provider.Document) error {
	if err := p.busy(account); err != nil {
		return err
	}
	p.held[id.Fold(provider.Text(account, "id"))] = true
	return nil
}

func (p *Provider) putDefinition(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		properties, _ := r.Body["properties"].(map[string]any)
		scopes, _ := properties["assignableScopes"].([]any)
		permissions, _ := properties["permissions"].([]any)
		if provider.Text(properties, "roleName") == "" || len(scopes) == 0 || len(permissions) == 0 {
			return nil, provider.BadRequest("BadRequest", "A role definition needs roleName, assignableScopes and permissions.")
		}
		return p.write(r, f, provider.Identify(r.ID, f.definitionType(), map[string]any{"properties": provider.Merge(map[string]any{"type": "CustomRole"}, properties)}))
	}
}

func (p *Provider) putAssignment(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		account := r.ID.Parent()
		roleID, principal, scope := provider.Text(r.Body, "properties", "roleDefinitionId"), provider.Text(r.Body, "properties", "principalId"), provider.Text(r.Body, "properties", "scope")
		role, err := id.Parse(roleID)
		if err != nil || !id.Equal(role.Parent().String(), account.String()) {
			return nil, provider.BadRequest("BadRequest", "The roleDefinitionId ["+roleID+"] is not a role definition of this account.")
		}
		if _, ok := p.definition(role, f); !ok {
			return nil, provider.BadRequest("BadRequest", "The Role Definition ["+roleID+"] does not exist.")
		}
		if _, ok := p.cloud.Directory().Lookup(principal); !ok {
			return nil, provider.BadRequest("BadRequest", "The provided principal ID ["+principal+"] was not found in the AAD tenant(s) associated with the customer's subscription.")
		}
		if _, ok := scopeNames(account.String(), scope); !ok {
			return nil, provider.BadRequest("BadRequest", "The scope ["+scope+"] is not the account or below it.")
		}
		if old, exists := p.cloud.Store().Get(r.ID.String()); exists && provider.Text(old, "properties", "principalId") != principal {
			return nil, provider.BadRequest("BadRequest", "The principal of a role assignment cannot be changed.")
		}
		return p.write(r, f, provider.Identify(r.ID, f.assignmentType(), map[string]any{"properties": map[string]any{
			"roleDefinitionId": roleID, "principalId": principal, "scope": scope, "provisioningState": succeeded,
		}}))
	}
}

func (p *Provider) deleteRole(f feature) provider.Handler {
	return func(_ context.Context, r *provider.Request) (*provider.Answer, error) {
		if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
			return &provider.Answer{Status: http.StatusNoContent}, nil
		}
		return p.write(r, f, nil)
	}
}

// scopeNames reads a scope, "{account}[/dbs/{database}[/colls/{collection}]]", as the
// names below the account.
func scopeNames(account, scope string) ([]string, bool) {
	if scope == "/" || scope == "" {
		return nil, scope == "/"
	}
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimRight(scope, "/"))+"/", strings.ToLower(account)+"/")
	if !ok {
		return nil, false
	}
	var names []string
	steps := strings.FieldsFunc(rest, func(r rune) bool { return r == '/' })
	for n := 1; n < len(steps); n += 2 {
		names = append(names, steps[n])
	}
	return names, len(steps)%2 == 0 && len(names) <= 2
}

// may evaluates an account's data roles.
func (p *Provider) may(account string, f feature, objectID, action string, scope []string) bool {
	for _, a := range p.cloud.Store().Children(account, f.assignmentType()) {
		if !strings.EqualFold(provider.Text(a, "properties", "principalId"), objectID) {
			continue
		}
		names, ok := scopeNames(account, provider.Text(a, "properties", "scope"))
		role, err := id.Parse(provider.Text(a, "properties", "roleDefinitionId"))
		if !ok || err != nil || !within(names, scope) {
			continue
		}
		if doc, known := p.definition(role, f); known && allows(doc, action) {
			return true
		}
	}
	return false
}

// within tells whether a scope lies at or below the named one.
func within(names, scope []string) bool {
	if len(names) > len(scope) {
		return false
	}
	for n := range names {
		if !strings.EqualFold(names[n], scope[n]) {
			return false
		}
	}
	return true
}

func allows(definition provider.Document, action string) bool {
	permissions, _ := provider.At(definition, "properties", "permissions").([]any)
	for _, one := range permissions {
		m, _ := one.(map[string]any)
		if matchesAny(m["dataActions"], action) && !matchesAny(m["notDataActions"], action) {
			return true
		}
	}
	return false
}

// matchesAny knows patterns whose star stands for everything that follows it.
func matchesAny(patterns any, action string) bool {
	list, _ := patterns.([]any)
	for _, one := range list {
		pattern, _ := one.(string)
		if stem, open := strings.CutSuffix(strings.ToLower(pattern), "*"); open && strings.HasPrefix(strings.ToLower(action), stem) {
			return true
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(action)); err == nil && ok {
			return true
		}
	}
	return false
}
