package localcloud_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud"
)

const (
	readerRole  = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	blobReader  = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
	contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
)

func assignmentPath(scope, name string) string {
	return scope + "/providers/Microsoft.Authorization/roleAssignments/" + name
}

func (w *world) assign(scope, role, principal string) string {
	w.t.Helper()
	path := assignmentPath(scope, uuid.NewString())
	w.must(201, "PUT", path, roleAPI, w.assignment(role, principal))
	return path
}

func (w *world) assignment(role, principal string) doc {
	return doc{"properties": doc{"roleDefinitionId": "/subscriptions/" + w.ready.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + role,
		"principalId": principal, "principalType": "ServicePrincipal", "description": "mark"}}
}

func TestEveryCallNeedsItsRight(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("rights", nil)
	user := w.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uid"
	w.must(201, "PUT", user, idAPI, doc{"location": "westeurope"})
	_, nobody := w.principal("nobody")
	calls := []struct {
		method, path, version string
		body                  any
		action                string
	}{
		{"GET", site, webAPI, nil, "Microsoft.Web/sites/read"},
		{"GET", w.group + "/providers/Microsoft.Web/sites", webAPI, nil, "Microsoft.Web/sites/read"},
		{"PUT", site, webAPI, doc{"location": "westeurope"}, "Microsoft.Web/sites/write"},
		{"PATCH", site, webAPI, doc{}, "Microsoft.Web/sites/write"},
		{"DELETE", site, webAPI, nil, "Microsoft.Web/sites/delete"},
		{"PUT", site + "/config/appsettings", webAPI, doc{"properties": doc{}}, "Microsoft.Web/sites/config/write"},
		{"POST", site + "/config/appsettings/list", webAPI, nil, "Microsoft.Web/sites/config/list/action"},
		{"POST", site + "/restart", webAPI, nil, "Microsoft.Web/sites/restart/action"},
		{"PUT", assignmentPath(site, uuid.NewString()), roleAPI, w.assignment(readerRole, uuid.NewString()), "Microsoft.Authorization/roleAssignments/write"},
		{"PUT", site + "/providers/Microsoft.Authorization/locks/l", lockAPI, doc{"properties": doc{"level": "ReadOnly"}}, "Microsoft.Authorization/locks/write"},
		{"PUT", w.group, coreAPI, doc{"location": "westeurope"}, "Microsoft.Resources/subscriptions/resourceGroups/write"},
		{"GET", w.group, coreAPI, nil, "Microsoft.Resources/subscriptions/resourceGroups/read"},
		{"DELETE", w.group, coreAPI, nil, "Microsoft.Resources/subscriptions/resourceGroups/delete"},
		{"POST", "/subscriptions/" + w.ready.SubscriptionID + "/providers/Microsoft.Web/register", coreAPI, nil, "Microsoft.Web/register/action"},
		{"PUT", w.group + "/providers/Microsoft.Resources/deployments/d", coreAPI, doc{}, "Microsoft.Resources/deployments/write"},
	}
	for _, c := range calls {
		a := nobody.refused(403, "AuthorizationFailed", c.method, c.path, c.version, c.body)
		scope := strings.SplitN(c.path, "/config/appsettings/list", 2)[0]
		if !strings.Contains(a.message(), "action '"+c.action+"'") || !strings.Contains(a.message(), strings.TrimSuffix(scope, "/restart")[:20]) {
			t.Errorf("%s %s: %s, want action %s", c.method, c.path, a.message(), c.action)
		}
	}
	if list := nobody.must(200, "GET", "/subscriptions", coreAPI, nil); len(at(list.body, "value").([]any)) != 0 {
		t.Error("a principal without roles sees a subscription")
	}
}

func TestRolesAndScopes(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("scoped", nil)
	other := w.newSite("other", nil)
	custom := "11111111-2222-3333-4444-555555555555"
	w.must(201, "PUT", w.group+"/providers/Microsoft.Authorization/roleDefinitions/"+custom, roleAPI, doc{"properties": doc{"roleName": "settings reader",
		"permissions": []doc{{"actions": []string{"Microsoft.Web/sites/*/Read", "microsoft.web/sites/config/list/action"}, "notActions": []string{"Microsoft.Web/sites/config/read"}}}}})
	cases := []struct {
		name, role, scope, method, path string
		want                            int
	}{
		{"reader of the group reads a site", readerRole, w.group, "GET", site, 200},
		{"reader cannot list settings", readerRole, w.group, "POST", site + "/config/appsettings/list", 403},
		{"reader of one site", readerRole, site, "GET", site, 200},
		{"reader of one site is nothing on another", readerRole, site, "GET", other, 403},
		{"reader in other case of the id", readerRole, strings.ToUpper(site[:15]) + site[15:], "GET", site, 200},
		{"contributor lists settings", contributor, w.group, "POST", site + "/config/appsettings/list", 200},
		{"contributor assigns no roles", contributor, w.group, "PUT", assignmentPath(site, uuid.NewString()), 403},
		{"custom role lists settings", custom, w.group, "POST", site + "/config/appsettings/list", 200},
		{"custom role lacks what it excludes", custom, w.group, "GET", site + "/config/web", 403},
		{"data role manages nothing", blobReader, w.group, "GET", site, 403},
	}
	for n, c := range cases {
		cred, caller := w.principal("p" + itoa(n))
		w.assign(c.scope, c.role, cred.ObjectID)
		var body any
		if c.method == "PUT" {
			body = w.assignment(readerRole, cred.ObjectID)
		}
		version := webAPI
		if strings.Contains(c.path, "Authorization") {
			version = roleAPI
		}
		if a := caller.call(c.method, c.path, version, body); a.status != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.raw, c.want)
		}
	}
}

func TestRoleAssignmentRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("assign", nil)
	cred, _ := w.principal("holder")
	name := "ABCDEF00-0000-4000-8000-000000000001"
	path := assignmentPath(site, name)
	w.must(201, "PUT", path, roleAPI, w.assignment(readerRole, cred.ObjectID))
	w.must(200, "PUT", path, roleAPI, w.assignment(readerRole, cred.ObjectID))
	a := w.refused(409, "RoleAssignmentExists", "PUT", assignmentPath(site, uuid.NewString()), roleAPI, w.assignment(readerRole, cred.ObjectID))
	if !strings.HasSuffix(a.message(), "is "+strings.ReplaceAll(name, "-", "")+".") {
		t.Errorf("the message does not end in the id without dashes: %s", a.message())
	}
	unknown := uuid.NewString()
	noType := w.assignment(readerRole, unknown)
	delete(noType["properties"].(doc), "principalType")
	w.refused(400, "PrincipalNotFound", "PUT", assignmentPath(site, uuid.NewString()), roleAPI, noType)
	w.must(201, "PUT", assignmentPath(site, uuid.NewString()), roleAPI, w.assignment(readerRole, unknown))
	w.refused(400, "RoleAssignmentUpdateNotPermitted", "PUT", path, roleAPI, w.assignment(contributor, cred.ObjectID))
	w.refused(404, "RoleDefinitionDoesNotExist", "PUT", assignmentPath(site, uuid.NewString()), roleAPI, w.assignment(uuid.NewString(), cred.ObjectID))
	w.refused(400, "InvalidRoleAssignmentId", "PUT", assignmentPath(site, "name"), roleAPI, w.assignment(readerRole, cred.ObjectID))
	w.refused(404, "ResourceNotFound", "PUT", assignmentPath(site+"-missing", uuid.NewString()), roleAPI, w.assignment(readerRole, cred.ObjectID))
	wrongType := w.assignment(contributor, cred.ObjectID)
	wrongType["properties"].(doc)["principalType"] = "User"
	w.refused(400, "UnmatchedPrincipalType", "PUT", assignmentPath(site, uuid.NewString()), roleAPI, wrongType)
	w.must(200, "DELETE", path, roleAPI, nil)
	w.must(204, "DELETE", path, roleAPI, nil)
}

func TestRoleAssignmentLists(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("listed", nil)
	cred, _ := w.principal("lister")
	other, _ := w.principal("other")
	above := w.assign(w.group, readerRole, cred.ObjectID)
	here := w.assign(site, readerRole, cred.ObjectID)
	w.assign(site, readerRole, other.ObjectID)
	all := w.must(200, "GET", assignmentPath(site, "")[:len(assignmentPath(site, ""))-1], roleAPI, nil)
	if n := len(at(all.body, "value").([]any)); n != 4 { // with the owner's
		t.Errorf("%d assignments at or above the site, want 4", n)
	}
	cases := []struct {
		name, scope, filter string
		want                []string
	}{
		{"assignedTo", site, "assignedTo('" + cred.ObjectID + "')", []string{above, here}},
		{"principalId", site, "principalId eq '" + cred.ObjectID + "'", []string{above, here}},
		{"below", w.group, "principalId eq '" + cred.ObjectID + "'", []string{above, here}},
		{"at scope and above only", w.group, "atScope() and assignedTo('" + cred.ObjectID + "')", []string{above}},
	}
	for _, c := range cases {
		path := strings.TrimSuffix(assignmentPath(c.scope, ""), "/") + "?$filter=" + strings.NewReplacer(" ", "%20", "'", "%27").Replace(c.filter)
		got := map[string]bool{}
		for _, d := range at(w.must(200, "GET", path, roleAPI, nil).body, "value").([]any) {
			got[at(d, "id").(string)] = true
		}
		if len(got) != len(c.want) || !got[c.want[0]] {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	w.must(400, "GET", strings.TrimSuffix(assignmentPath(site, ""), "/")+"?$filter=other()", roleAPI, nil)
}

func TestRolePropagation(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *localcloud.Config) { c.RoleDelay = time.Hour })
	site := w.newSite("delayed", nil)
	cred, caller := w.principal("late")
	path := w.assign(site, readerRole, cred.ObjectID)
	w.must(200, "GET", path, roleAPI, nil)
	caller.refused(403, "AuthorizationFailed", "GET", site, webAPI, nil)
	if got := at(caller.must(200, "GET", site+"/providers/Microsoft.Authorization/permissions", roleAPI, nil).body, "value"); len(got.([]any)) != 0 {
		t.Errorf("permissions of an assignment that does not count yet: %v", got)
	}

	w.lever(doc{"action": "roleDelay", "milliseconds": 1})
	w.must(200, "DELETE", path, roleAPI, nil)
	path = w.assign(site, readerRole, cred.ObjectID)
	until(t, "the assignment counts", func() bool { return caller.call("GET", site, webAPI, nil).status == 200 })
	got := caller.must(200, "GET", site+"/providers/Microsoft.Authorization/permissions", roleAPI, nil)
	if at(got.body, "value", 0, "actions", 0) != "*/read" {
		t.Errorf("permissions are %s", got.raw)
	}

	w.lever(doc{"action": "roleDelay", "seconds": 3600})
	w.must(200, "DELETE", path, roleAPI, nil)
	w.must(404, "GET", path, roleAPI, nil)
	caller.must(200, "GET", site, webAPI, nil) // still counts
}

func TestRemovedIdentityLeavesItsAssignment(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("orphan", doc{"identity": doc{"type": "SystemAssigned"}})
	principal := func() string {
		s, _ := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId").(string)
		return s
	}
	first := principal()
	path := w.assign(w.group, readerRole, first)
	if !w.cloud.Authorizer().Allowed(first, "Microsoft.Web/sites/read", site, false) {
		t.Fatal("the assignment does not count")
	}
	token, _, err := w.cloud.Directory().Token(first, w.ready.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	w.as(token).must(200, "GET", site, webAPI, nil)
	w.must(200, "PATCH", site, webAPI, doc{"identity": doc{"type": "None"}})
	got := w.must(200, "GET", path, roleAPI, nil)
	if at(got.body, "properties", "principalId") != first {
		t.Errorf("the orphaned assignment is %s", got.raw)
	}
	w.as(token).refused(401, "InvalidAuthenticationToken", "GET", site, webAPI, nil)
	w.must(200, "PATCH", site, webAPI, doc{"identity": doc{"type": "SystemAssigned"}})
	if second := principal(); second == first || w.cloud.Authorizer().Allowed(second, "Microsoft.Web/sites/read", site, false) {
		t.Error("the new identity is the old one, or inherits its role")
	}
}

func TestAttachingAnIdentityNeedsItsRight(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("linked", nil)
	user := w.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uid"
	w.must(201, "PUT", user, idAPI, doc{"location": "westeurope"})
	cred, caller := w.principal("web person")
	w.assign(site, contributor, cred.ObjectID)
	body := doc{"identity": doc{"type": "UserAssigned", "userAssignedIdentities": doc{user: doc{}}}}
	a := caller.refused(403, "LinkedAuthorizationFailed", "PATCH", site, webAPI, body)
	if !strings.Contains(a.message(), "assign/action") || !strings.Contains(a.message(), user) {
		t.Errorf("the message names neither action nor scope: %s", a.message())
	}
	w.assign(user, "f1a07417-d97a-45cb-824c-7a7467783830", cred.ObjectID)
	caller.must(200, "PATCH", site, webAPI, body)
}

func TestLocks(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("locked", nil)
	lock := func(scope string) string { return scope + "/providers/Microsoft.Authorization/locks/l" }
	cases := []struct {
		level, scope, method, path string
		body                       any
		blocked                    bool
	}{
		{"ReadOnly", w.group, "GET", site, nil, false},
		{"ReadOnly", w.group, "POST", site + "/config/appsettings/list", nil, true},
		{"ReadOnly", site, "POST", site + "/config/appsettings/list", nil, true},
		{"ReadOnly", w.group, "PUT", site + "/config/appsettings", doc{"properties": doc{}}, true},
		{"ReadOnly", site, "PATCH", site, doc{}, true},
		{"ReadOnly", site, "DELETE", site, nil, true},
		{"ReadOnly", site, "DELETE", w.group, nil, true},
		{"CanNotDelete", w.group, "POST", site + "/config/appsettings/list", nil, false},
		{"CanNotDelete", w.group, "PATCH", site, doc{}, false},
		{"CanNotDelete", w.group, "DELETE", site, nil, true},
		{"CanNotDelete", site, "DELETE", w.group, nil, true},
	}
	for _, c := range cases {
		w.must(201, "PUT", lock(c.scope), lockAPI, doc{"properties": doc{"level": c.level}})
		version := webAPI
		if c.path == w.group {
			version = coreAPI
		}
		a := w.call(c.method, c.path, version, c.body)
		if blocked := a.code() == "ScopeLocked" && a.status == 409; blocked != c.blocked || !blocked && a.status != 200 {
			t.Errorf("%s on %s, %s %s: %d %s", c.level, c.scope, c.method, c.path, a.status, a.raw)
		}
		if c.blocked && !strings.Contains(a.message(), "locked: '"+c.scope+"'") {
			t.Errorf("the message does not name the locked scope: %s", a.message())
		}
		if n := len(at(w.must(200, "GET", site+"/providers/Microsoft.Authorization/locks", lockAPI, nil).body, "value").([]any)); n != 1 {
			t.Errorf("%d locks listed", n)
		}
		w.must(200, "DELETE", lock(c.scope), lockAPI, nil)
	}
	w.refused(400, "LockLevelNotSupported", "PUT", lock(site), lockAPI, doc{"properties": doc{"level": "Some"}})
}

func TestRoleDefinitions(t *testing.T) {
	t.Parallel()
	w := start(t)
	base := "/subscriptions/" + w.ready.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions"
	got := w.must(200, "GET", base+"/"+strings.ToUpper(blobReader), roleAPI, nil).body
	if at(got, "properties", "roleName") != "Storage Blob Data Reader" || at(got, "properties", "permissions", 0, "dataActions", 0) == nil {
		t.Errorf("definition: %v", got)
	}
	list := at(w.must(200, "GET", base+"?$filter=roleName%20eq%20%27Website%20Contributor%27", roleAPI, nil).body, "value").([]any)
	if len(list) != 1 || at(list[0], "name") != "de139f84-1756-47ae-9be6-808fbbe84772" {
		t.Errorf("list by name: %v", list)
	}
	custom := base + "/" + uuid.NewString()
	body := doc{"properties": doc{"roleName": "mine", "permissions": []doc{{"actions": []string{"*/read"}}}}}
	w.must(201, "PUT", custom, roleAPI, body)
	cred, _ := w.principal("role holder")
	if err := w.cloud.Assign("mine", cred.ObjectID, w.group); err != nil {
		t.Fatal(err)
	}
	w.refused(400, "RoleDefinitionHasAssignments", "DELETE", custom, roleAPI, nil)
	w.refused(400, "InvalidRequestContent", "PUT", base+"/"+uuid.NewString(), roleAPI, doc{"properties": doc{"roleName": "x"}})
	w.refused(409, "RoleDefinitionWithSameNameExists", "PUT", base+"/"+readerRole, roleAPI, body)
	if err := w.cloud.Assign("none such", cred.ObjectID, w.group); err == nil {
		t.Error("an unknown role was assigned")
	}
}
