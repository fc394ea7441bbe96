package rbac

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

var assignmentVersions = []string{
	"2022-04-01", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview", "2020-03-01-preview",
	"2018-09-01-preview", "2018-01-01-preview", "2017-10-01-preview", "2015-07-01",
}

func (r *Rights) assignmentType() provider.Type {
	return provider.Type{
		Name: AssignmentType, APIVersions: assignmentVersions, Extension: true,
		List: r.listAssignments, Put: r.putAssignment, Delete: r.deleteAssignment,
	}
}

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// wanted is what a role assignment's body asks for.
type wanted struct {
	role, principal, kind string
	rest                  map[string]any // description, condition and such
}

func (r *Rights) putAssignment(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	if _, err := uuid.Parse(q.ID.Name()); err != nil {
		return nil, fault(http.StatusBadRequest, "InvalidRoleAssignmentId",
			"The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", q.ID.Name())
	}
	w, err := r.readAssignment(q)
	if err != nil {
		return nil, err
	}
	scope := q.ID.Scope().String()
	old, exists := r.store.Get(q.ID.String())
	if exists {
		was := assignmentOf(old)
		if !strings.EqualFold(was.principal, w.principal) || !strings.EqualFold(was.role, lastSegment(w.role)) {
			return nil, fault(http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted",
				"Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
		}
	} else if twin := r.twin(scope, w); twin != "" {
		return nil, fault(http.StatusConflict, "RoleAssignmentExists",
			"The role assignment already exists. The ID of the conflicting role assignment is %s.", strings.ReplaceAll(twin, "-", ""))
	}
	doc := r.assignmentDocument(q, w, old)
	r.store.Put(q.ID.String(), doc)
	status := http.StatusOK
	if !exists {
		status = http.StatusCreated
		r.store.SetPrivate(q.ID.String(), map[string]string{effectiveKey: r.now().Add(r.propagation()).Format(time.RFC3339Nano)})
	}
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (r *Rights) readAssignment(q *provider.Request) (wanted, error) {
	props, _ := q.Body["properties"].(map[string]any)
	w := wanted{rest: map[string]any{}}
	w.role, _ = props["roleDefinitionId"].(string)
	w.principal, _ = props["principalId"].(string)
	w.kind, _ = props["principalType"].(string)
	for _, k := range []string{"description", "condition", "conditionVersion", "delegatedManagedIdentityResourceId"} {
		w.rest[k] = props[k]
	}
	if w.role == "" || w.principal == "" {
		return w, fault(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: 'roleDefinitionId and principalId are required in properties'.")
	}
	guid := lastSegment(w.role)
	if r.permissionsOf(guid) == nil {
		return w, fault(http.StatusNotFound, "RoleDefinitionDoesNotExist",
			"The specified role definition with ID '%s' does not exist.", strings.ReplaceAll(guid, "-", ""))
	}
	return w, r.checkPrincipal(&w)
}

func (r *Rights) checkPrincipal(w *wanted) error {
	p, known := r.directory.Lookup(w.principal)
	if !known {
		if w.kind != "" {
			return nil // a stated type skips the lookup, as for principals not yet replicated
		}
		return fault(http.StatusBadRequest, "PrincipalNotFound", "Principal %s does not exist in the directory %s. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.",
			strings.ReplaceAll(w.principal, "-", ""), r.directory.Tenant())
	}
	actual := "ServicePrincipal"
	if p.Kind == "User" {
		actual = "User"
	}
	if w.kind == "" {
		w.kind = actual
	}
	if !strings.EqualFold(w.kind, actual) {
		return fault(http.StatusBadRequest, "UnmatchedPrincipalType", "The PrincipalId '%s' has type '%s' , which is different from specified PrincipalType '%s'.",
			strings.ReplaceAll(w.principal, "-", ""), actual, w.kind)
	}
	return nil
}

// twin finds an assignment of the same role to the same principal at the same scope.
func (r *Rights) twin(scope string, w wanted) string {
	found := ""
	r.store.View(AssignmentType, func(_ string, d provider.Document, _ map[string]string) {
		a := assignmentOf(d)
		if id.Equal(a.scope, scope) && strings.EqualFold(a.principal, w.principal) && strings.EqualFold(a.role, lastSegment(w.role)) {
			found, _ = d["name"].(string)
		}
	})
	return found
}

func (r *Rights) assignmentDocument(q *provider.Request, w wanted, old provider.Document) provider.Document {
	now := r.now().UTC().Format(time.RFC3339Nano)
	created, by := any(now), any(q.Caller.ObjectID)
	if props, ok := old["properties"].(map[string]any); ok {
		created, by = props["createdOn"], props["createdBy"]
	}
	scope := q.ID.Scope().String()
	if scope == "" {
		scope = "/"
	}
	props := map[string]any{
		"roleDefinitionId": r.qualify(w.role, q.ID), "principalId": w.principal, "principalType": w.kind, "scope": scope,
		"createdOn": created, "createdBy": by, "updatedOn": now, "updatedBy": q.Caller.ObjectID,
	}
	for k, v := range w.rest {
		props[k] = v
	}
	return provider.Document{"id": q.ID.String(), "name": q.ID.Name(), "type": AssignmentType, "properties": props}
}

// qualify writes a role definition id the way assignments show it: under the subscription.
func (r *Rights) qualify(role string, at id.ID) string {
	path := "/providers/" + DefinitionType + "/" + lastSegment(role)
	if sub := at.Subscription(); sub != "" {
		return "/subscriptions/" + sub + path
	}
	return path
}

func (r *Rights) deleteAssignment(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	doc, ok := r.store.Get(q.ID.String())
	if !ok {
		return &provider.Answer{Status: http.StatusNoContent}, nil
	}
	g := assignmentOf(doc)
	g.until = r.now().Add(r.propagation())
	r.mu.Lock()
	r.ghosts[q.ID.Fold()] = g
	r.mu.Unlock()
	r.store.Delete(q.ID.String())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

// assignmentFilter is the part of OData that role assignment lists understand.
type assignmentFilter struct {
	atScope   bool
	principal string
}

var filterTerms = regexp.MustCompile(`(?i)^(?:(atScope)\(\)|(?:principalId eq|assignedTo\() *'?([0-9a-f-]+)'?\)?)$`)

func readFilter(s string) (assignmentFilter, error) {
	var f assignmentFilter
	if strings.TrimSpace(s) == "" {
		return f, nil
	}
	for _, term := range regexp.MustCompile(`(?i) and `).Split(s, -1) {
		m := filterTerms.FindStringSubmatch(strings.TrimSpace(term))
		switch {
		case m == nil:
			return f, fault(http.StatusBadRequest, "UnsupportedQuery", "The filter '%s' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{value}' or assignedTo('{value}')'.", s)
		case m[1] != "":
			f.atScope = true
		default:
			f.principal = m[2]
		}
	}
	return f, nil
}

// listAssignments lists what is at and above the scope, and below it unless the
// filter says atScope().
func (r *Rights) listAssignments(_ context.Context, q *provider.Request) (*provider.Answer, error) {
	f, err := readFilter(q.Query["$filter"])
	if err != nil {
		return nil, err
	}
	scope := q.ID.String()
	found := []any{}
	for _, d := range r.store.Under("", AssignmentType) {
		a := assignmentOf(d)
		here := within(scope, a.scope) || (!f.atScope && within(a.scope, scope))
		if here && (f.principal == "" || strings.EqualFold(f.principal, a.principal)) {
			found = append(found, d)
		}
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": found}}, nil
}
