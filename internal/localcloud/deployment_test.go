package localcloud_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (w *world) deployment(name string) string {
	return w.group + "/providers/Microsoft.Resources/deployments/" + name
}

func template(resources ...doc) doc {
	return doc{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": resources}
}

// deploy puts a deployment and waits for its end.
func (w *world) deploy(name string, t, parameters doc) (doc, answer) {
	w.t.Helper()
	body := doc{"properties": doc{"mode": "Incremental", "template": t, "parameters": parameters}}
	a := w.call("PUT", w.deployment(name), coreAPI, body)
	if a.status >= 400 {
		return nil, a
	}
	return w.finished(a), a
}

// siteTemplate deploys a site with its settings and identity, using every kind of
// expression that templates here may hold.
func siteTemplate() doc {
	t := template(
		doc{"type": "Microsoft.Web/sites/config", "apiVersion": webAPI, "name": "[concat(parameters('app'), '/appsettings')]",
			"dependsOn": []any{"[resourceId('Microsoft.Web/sites', parameters('app'))]"}, "properties": "[variables('settings')]"},
		doc{"type": "Microsoft.Web/sites", "apiVersion": webAPI, "name": "[parameters('app')]", "location": "[resourceGroup().location]", "kind": "app",
			"identity": doc{"type": "[parameters('identity')]"}, "tags": doc{"escaped": "[[not an expression]"},
			"properties": doc{"httpsOnly": "[parameters('https')]"}},
	)
	t["parameters"] = doc{"app": doc{"type": "string"}, "identity": doc{"type": "string", "defaultValue": "None"}, "https": doc{"type": "bool", "defaultValue": false},
		"secret": doc{"type": "secureString", "defaultValue": "none"}}
	t["variables"] = doc{"prefix": "from-", "settings": doc{"FROM": "[concat(variables('prefix'), toLower('TEMPLATE'))]", "SECRET": "[parameters('secret')]"}}
	return t
}

func TestRerunOfATemplateDropsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.site("templated")
	op, a := w.deploy("d1", siteTemplate(), doc{"app": doc{"value": "templated"}, "secret": doc{"value": "canary"}})
	if a.status != 201 || op["status"] != "Succeeded" {
		t.Fatalf("deployment: %s %v", a.raw, op)
	}
	got := w.must(200, "GET", w.deployment("d1"), coreAPI, nil)
	if at(got.body, "properties", "provisioningState") != "Succeeded" || strings.Contains(got.raw, "canary") || strings.Contains(a.raw, "canary") {
		t.Errorf("deployment: %s", got.raw)
	}
	if d := cmp.Diff(doc{"FROM": "from-template", "SECRET": "canary"}, w.settings(site)); d != "" {
		t.Error(d)
	}
	if tag := at(w.must(200, "GET", site, webAPI, nil).body, "tags", "escaped"); tag != "[not an expression]" {
		t.Errorf("escaped text became %v", tag)
	}

	// Someone else joins the app to a service: identity on, one setting more.
	w.must(200, "PATCH", site, webAPI, doc{"identity": doc{"type": "SystemAssigned"}})
	settings := w.settings(site)
	settings["FOREIGN"] = "1"
	w.must(200, "PUT", site+"/config/appsettings", webAPI, doc{"properties": settings})

	again := w.lever(doc{"action": "rerunDeployment", "id": strings.ToUpper(w.deployment("d1"))})
	if at(again.body, "properties", "provisioningState") != "Succeeded" || at(again.body, "id") != w.deployment("d1") {
		t.Errorf("rerun: %s", again.raw)
	}
	if d := cmp.Diff(doc{"FROM": "from-template", "SECRET": "canary"}, w.settings(site)); d != "" {
		t.Errorf("after the rerun: %s", d)
	}
	if id := at(w.must(200, "GET", site, webAPI, nil).body, "identity"); id != nil {
		t.Errorf("after the rerun the identity is %v", id)
	}
	w.must(404, "POST", "/_local/advance", "", doc{"action": "rerunDeployment", "id": w.deployment("none")})
}

func TestTemplateNestingAndScopes(t *testing.T) {
	t.Parallel()
	w := start(t)
	cred, _ := w.principal("granted")
	tmpl := template(
		doc{"type": "Microsoft.Authorization/roleAssignments", "apiVersion": roleAPI, "name": "[guid(resourceGroup().id, 'x')]", "scope": "Microsoft.Web/sites/nested",
			"dependsOn": []any{"nested"}, "properties": doc{"roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '" + readerRole + "')]",
				"principalId": cred.ObjectID, "principalType": "ServicePrincipal"}},
		doc{"type": "Microsoft.Web/sites", "apiVersion": webAPI, "name": "nested", "location": "westeurope", "resources": []doc{
			{"type": "config", "apiVersion": webAPI, "name": "appsettings", "properties": doc{"A": "[if(equals(1, 1), 'yes', 'no')]"}},
			{"type": "Microsoft.Web/sites/config", "apiVersion": webAPI, "name": "nested/connectionstrings", "properties": doc{"db": doc{"value": "x", "type": "Custom"}}}}},
		doc{"type": "Microsoft.Web/sites", "apiVersion": webAPI, "name": "skipped", "condition": false, "location": "westeurope"},
	)
	op, a := w.deploy("d", tmpl, nil)
	if op["status"] != "Succeeded" {
		t.Fatalf("deployment: %s %v", a.raw, op)
	}
	if w.settings(w.site("nested"))["A"] != "yes" {
		t.Error("the nested settings are not there")
	}
	if !w.cloud.Authorizer().Allowed(cred.ObjectID, "Microsoft.Web/sites/read", w.site("nested"), false) {
		t.Error("the role assignment is not there")
	}
	w.must(404, "GET", w.site("skipped"), webAPI, nil)
	if ops := at(w.must(200, "GET", w.deployment("d")+"/operations", coreAPI, nil).body, "value").([]any); len(ops) != 4 {
		t.Errorf("%d operations", len(ops))
	}
	got := w.must(200, "POST", w.deployment("d")+"/exportTemplate", coreAPI, nil)
	if n := len(at(got.body, "template", "resources").([]any)); n != 3 {
		t.Errorf("exported %s", got.raw)
	}
}

func TestTemplateRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := func(extra doc) doc {
		r := doc{"type": "Microsoft.Web/sites", "apiVersion": webAPI, "name": "never", "location": "westeurope"}
		for k, v := range extra {
			r[k] = v
		}
		return r
	}
	with := func(key string, v any) doc {
		t := template(site(nil))
		t[key] = v
		return t
	}
	cases := []struct {
		name       string
		template   doc
		parameters doc
		says       string
	}{
		{"unknown function", template(site(doc{"name": "[uniqueThing('a')]"})), nil, "'uniqueThing'"},
		{"unknown function in a variable nobody uses", with("variables", doc{"v": "[other()]"}), nil, "'other'"},
		{"parameter that is not declared", template(), doc{"x": doc{"value": 1}}, "'x'"},
		{"parameter without a value", with("parameters", doc{"p": doc{"type": "string"}}), nil, "'p'"},
		{"parameter of another type", with("parameters", doc{"p": doc{"type": "int"}}), doc{"p": doc{"value": "a"}}, "'p'"},
		{"value that is not allowed", with("parameters", doc{"p": doc{"type": "string", "allowedValues": []string{"a"}}}), doc{"p": doc{"value": "b"}}, "'p'"},
		{"variable that is not there", template(site(doc{"name": "[variables('v')]"})), nil, "'v'"},
		{"variables in a circle", with("variables", doc{"a": "[variables('b')]", "b": "[variables('a')]"}), nil, "Circular"},
		{"dependency that is not there", template(site(doc{"dependsOn": []string{"gone"}})), nil, "'gone'"},
		{"dependencies in a circle", template(site(doc{"dependsOn": []string{"never"}})), nil, "Circular"},
		{"resource twice", template(site(nil), site(doc{"name": "NEVER"})), nil, "more than once"},
		{"names do not fit the type", template(site(doc{"name": "a/b"})), nil, "'a/b'"},
		{"no apiVersion", template(site(doc{"apiVersion": nil})), nil, "apiVersion"},
		{"copy", template(site(doc{"copy": doc{"name": "x", "count": 2}})), nil, "copy"},
		{"expression that does not parse", template(site(doc{"name": "[concat('a']"})), nil, "concat"},
		{"wrong number of names", template(site(doc{"name": "[resourceId('Microsoft.Web/sites')]"})), nil, "resourceId"},
	}
	for _, c := range cases {
		_, a := w.deploy("d", c.template, c.parameters)
		if a.status != 400 || a.code() != "InvalidTemplate" || !strings.Contains(a.message(), c.says) {
			t.Errorf("%s: %d %s, want InvalidTemplate with %s", c.name, a.status, a.raw, c.says)
		}
	}
	body := doc{"properties": doc{"mode": "Complete", "template": template()}}
	w.refused(400, "InvalidDeployment", "PUT", w.deployment("d"), coreAPI, body)
	w.refused(404, "DeploymentNotFound", "GET", w.deployment("d"), coreAPI, nil)
	w.must(200, "POST", w.deployment("d")+"/validate", coreAPI, doc{"properties": doc{"mode": "Incremental", "template": template(site(nil))}})
	w.must(404, "GET", w.site("never"), webAPI, nil)
}

func TestDeploymentUsesTheCallersRights(t *testing.T) {
	t.Parallel()
	w := start(t)
	cred, caller := w.principal("deployer")
	role := w.group + "/providers/Microsoft.Authorization/roleDefinitions/22222222-2222-3333-4444-555555555555"
	w.must(201, "PUT", role, roleAPI, doc{"properties": doc{"roleName": "deploys only", "permissions": []doc{{"actions": []string{"Microsoft.Resources/deployments/*"}}}}})
	w.assign(w.group, "22222222-2222-3333-4444-555555555555", cred.ObjectID)
	op, _ := caller.deploy("d", siteTemplate(), doc{"app": doc{"value": "denied"}})
	if op["status"] != "Failed" || at(op, "error", "code") != "DeploymentFailed" || at(op, "error", "details", 0, "code") != "AuthorizationFailed" {
		t.Errorf("operation: %v", op)
	}
	if !strings.Contains(at(op, "error", "details", 0, "message").(string), "Microsoft.Web/sites/write") {
		t.Errorf("operation: %v", op)
	}
	got := w.must(200, "GET", w.deployment("d"), coreAPI, nil)
	if at(got.body, "properties", "provisioningState") != "Failed" || at(got.body, "properties", "error", "code") != "DeploymentFailed" {
		t.Errorf("deployment: %s", got.raw)
	}
	w.must(404, "GET", w.site("denied"), webAPI, nil)
}
