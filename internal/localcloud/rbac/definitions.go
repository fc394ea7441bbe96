package rbac

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func (r *Rights) definitionType() provider.Type {
	return provider.Type{
		Name: DefinitionType, Extension: true,
		APIVersions: []string{"2022-05-01-preview", "2022-04-01", "2018-01-01-preview", "2015-07-01"},
		Get:         r.getDefinition, List: r.listDefinitions, Put: r.putDefinition, Delete: r.deleteDefinition,
	}
}

func (r *Rights) permissionType() provider.Type {
	return provider.Type{
		Name: PermissionType, Extension: true, OpenRead: true,
		APIVersions: []string{"2022-05-01-preview", "2022-04-01", "2018-07-01", "2018-01-01-preview", "2015-07-01"},
		List:        r.listPermissions,
	}
}

// listPermissions answers what the caller itself may do at the scope, now.
func (r *Rights) listPermissions(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	found := []any{}
	for _, p := range r.permissions(q.Caller.ObjectID, q.ID.String()) {
		found = append(found, p.document())
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": found}}, nil
}

func (p permission) document() map[string]any {
	list := func(s []string) []string {
		if s == nil {
			return []string{}
		}
		return s
	}
	return map[string]any{"actions": list(p.Actions), "notActions": list(p.NotActions),
		"dataActions": list(p.DataActions), "notDataActions": list(p.NotDataActions)}
}

func (d Definition) document(scope string) provider.Document {
	p := permission{d.Actions, d.NotActions, d.DataActions, d.NotDataActions}
	return provider.Document{
		"id": scope + "/providers/" + DefinitionType + "/" + d.GUID, "name": d.GUID, "type": DefinitionType,
		"properties": map[string]any{
			"roleName": d.Name, "type": "BuiltInRole", "description": d.Description,
			"assignableScopes": []string{"/"}, "permissions": []any{p.document()},
		},
	}
}

func subscriptionScope(i id.ID) string {
	if sub := i.Subscription(); sub != "" {
		return "/subscriptions/" + sub
	}
	return ""
}

func (r *Rights) getDefinition(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	if d, ok := builtInByGUID(q.ID.Name()); ok {
		return &provider.Answer{Status: http.StatusOK, Body: d.document(subscriptionScope(q.ID))}, nil
	}
	for _, d := range r.store.Under("", DefinitionType) {
		if name, _ := d["name"].(string); strings.EqualFold(name, q.ID.Name()) {
			return &provider.Answer{Status: http.StatusOK, Body: d}, nil
		}
	}
	return nil, fault(http.StatusNotFound, "RoleDefinitionDoesNotExist",
		"The specified role definition with ID '%s' does not exist.", strings.ReplaceAll(q.ID.Name(), "-", ""))
}

var definitionFilter = regexp.MustCompile(`(?i)^(roleName|type) eq '([^']*)'$|^(atScopeAndBelow|atScope)\(\)$`)

func (r *Rights) listDefinitions(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	wantName, wantType := "", ""
	for _, term := range strings.Split(q.Query["$filter"], " and ") {
		m := definitionFilter.FindStringSubmatch(strings.TrimSpace(term))
		switch {
		case strings.TrimSpace(term) == "" || m != nil && m[3] != "":
		case m == nil:
			return nil, fault(http.StatusBadRequest, "UnsupportedQuery", "The filter '%s' is not supported.", term)
		case strings.EqualFold(m[1], "roleName"):
			wantName = m[2]
		default:
			wantType = m[2]
		}
	}
	found := []any{}
	for _, d := range r.definitionsAt(q.ID) {
		props, _ := d["properties"].(map[string]any)
		name, _ := props["roleName"].(string)
		kind, _ := props["type"].(string)
		if (wantName == "" || strings.EqualFold(name, wantName)) && (wantType == "" || strings.EqualFold(kind, wantType)) {
			found = append(found, d)
		}
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": found}}, nil
}

func (r *Rights) definitionsAt(scope id.ID) []provider.Document {
	var all []provider.Document
	for _, d := range builtIn {
		all = append(all, d.document(subscriptionScope(scope)))
	}
	return append(all, r.store.Under(subscriptionScope(scope), DefinitionType)...)
}

func (r *Rights) putDefinition(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	name := q.ID.Name()
	if _, err := uuid.Parse(name); err != nil {
		return nil, fault(http.StatusBadRequest, "InvalidRoleDefinitionId", "The role definition ID '%s' is not valid. The role definition ID must be a GUID.", name)
	}
	if _, ok := builtInByGUID(name); ok {
		return nil, fault(http.StatusConflict, "RoleDefinitionWithSameNameExists", "A built-in role cannot be changed.")
	}
	props, _ := q.Body["properties"].(map[string]any)
	roleName, _ := props["roleName"].(string)
	blocks := permissionBlocks(q.Body)
	if roleName == "" || len(blocks) == 0 {
		return nil, fault(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: 'roleName and permissions are required in properties'.")
	}
	scopes := props["assignableScopes"]
	if list, ok := scopes.([]any); !ok || len(list) == 0 {
		scopes = []any{q.ID.Scope().String()}
	}
	_, exists := r.store.Get(q.ID.String())
	doc := provider.Document{"id": q.ID.String(), "name": name, "type": DefinitionType, "properties": map[string]any{
		"roleName": roleName, "type": "CustomRole", "description": props["description"],
		"assignableScopes": scopes, "permissions": documents(blocks),
	}}
	r.store.Put(q.ID.String(), doc)
	status := http.StatusCreated
	if exists {
		status = http.StatusOK
	}
	return &provider.Answer{Status: status, Body: doc}, nil
}

func documents(blocks []permission) []any {
	var all []any
	for _, p := range blocks {
		all = append(all, p.document())
	}
	return all
}

func (r *Rights) deleteDefinition(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, ok := r.store.Get(q.ID.String())
	if !ok {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	used := false
	r.store.View(AssignmentType, func(_ string, d provider.Document, _ map[string]string) {
		used = used || strings.EqualFold(assignmentOf(d).role, q.ID.Name())
	})
	if used {
		return nil, fault(http.StatusBadRequest, "RoleDefinitionHasAssignments", "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments).")
	}
	r.store.Delete(q.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// RoleGUID finds a role by name or GUID.
func (r *Rights) RoleGUID(role string) (string, bool) {
	for _, d := range builtIn {
		if strings.EqualFold(d.Name, role) || strings.EqualFold(d.GUID, role) {
			return d.GUID, true
		}
	}
	guid := ""
	r.store.View(DefinitionType, func(_ string, d provider.Document, _ map[string]string) {
		props, _ := d["properties"].(map[string]any)
		name, _ := d["name"].(string)
		if title, _ := props["roleName"].(string); strings.EqualFold(title, role) || strings.EqualFold(name, role) {
			guid = name
		}
	})
	return guid, guid != ""
}

// Grant assigns a role at once, without a caller and without propagation delay.
// Repeating it changes nothing.
func (r *Rights) Grant(role, objectID, scope string) error {
	guid, ok := r.RoleGUID(role)
	if !ok {
		return fault(http.StatusNotFound, "RoleDefinitionDoesNotExist", "The role '%s' does not exist.", role)
	}
	at, err := id.Parse(scope)
	if err != nil {
		return err
	}
	w := wanted{role: guid, principal: objectID}
	if err := r.checkPrincipal(&w); err != nil {
		return err
	}
	if r.twin(at.String(), w) != "" {
		return nil
	}
	name := uuid.NewSHA1(uuid.NameSpaceURL, []byte(id.Fold(scope)+objectID+guid)).String()
	q := &provider.Request{ID: at.Extension("Microsoft.Authorization", "roleAssignments", name)}
	r.store.Put(q.ID.String(), r.assignmentDocument(q, w, nil))
	r.store.SetPrivate(q.ID.String(), map[string]string{seededKey: "true"})
	return nil
}

const seededKey = "seeded"

// Clear removes custom roles, locks and every assignment that Grant did not make.
func (r *Rights) Clear() {
	var gone []string
	for _, kind := range []string{AssignmentType, DefinitionType, LockType} {
		r.store.View(kind, func(docID string, _ provider.Document, private map[string]string) {
			if private[seededKey] == "" {
				gone = append(gone, docID)
			}
		})
	}
	for _, docID := range gone {
		r.store.Delete(docID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ghosts = map[string]ghost{}
}
