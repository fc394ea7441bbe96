package keyvault

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func TestVaultNeedsPoliciesUnlessItGoesByRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, body := range map[string]provider.Document{
		"no policies": {"location": "x", "properties": map[string]any{"tenantId": "t", "sku": map[string]any{"name": "standard"}}},
		"no tenant":   {"location": "x", "properties": map[string]any{"sku": map[string]any{"name": "standard"}, "accessPolicies": []any{}}},
		"no location": {"properties": vaultBody(nil)["properties"]},
		"bad rule":    vaultBody(map[string]any{"networkAcls": map[string]any{"ipRules": []any{map[string]any{"value": "nowhere"}}}}),
	} {
		t.Run(name, func(t *testing.T) { b.refused(400, "BadRequest", "PUT", "", body) })
	}
	body := vaultBody(map[string]any{"enableRbacAuthorization": true})
	delete(body["properties"].(map[string]any), "accessPolicies")
	if got := b.run("PUT", "", body); provider.At(got, "properties", "enableRbacAuthorization") != true || provider.At(got, "properties", "networkAcls") != nil {
		t.Errorf("made: %v", got)
	}
}

// TestPoliciesMergeOnTheServer: add and remove touch what they name and nothing else.
func TestPoliciesMergeOnTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("PUT", "", vaultBody(map[string]any{"accessPolicies": []any{policy1("them", "get")}}))
	change := func(kind string, entry map[string]any) {
		b.run("PUT", "/accessPolicies/"+kind, provider.Document{"properties": map[string]any{"accessPolicies": []any{entry}}})
	}
	steps := []struct {
		kind  string
		entry map[string]any
		want  string
	}{
		{"add", policy1("us", "Get", "list"), "them:get us:get,list"},
		{"add", policy1("US", "list", "set"), "them:get us:get,list,set"},
		{"remove", policy1("us", "set", "delete"), "them:get us:get,list"},
		{"replace", policy1("us", "list"), "them:get us:list"},
		{"remove", policy1("us", "list"), "them:get"},
		{"remove", policy1("nobody", "list"), "them:get"},
		{"add", policy1("us", "get"), "them:get us:get"},
		{"remove", policy1("us"), "them:get"},
	}
	for n, s := range steps {
		change(s.kind, s.entry)
		var got []string
		list, _ := provider.At(b.run("GET", "", nil), "properties", "accessPolicies").([]any)
		for _, e := range list {
			one := e.(map[string]any)
			got = append(got, strings.ToLower(provider.Text(one, "objectId"))+":"+strings.Join(words(provider.At(one, "permissions", "secrets")), ","))
		}
		if strings.Join(got, " ") != s.want {
			t.Fatalf("step %d: %s, want %s", n, got, s.want)
		}
	}
	b.refused(400, "BadRequest", "PUT", "/accessPolicies/merge", provider.Document{})
	// A PATCH of the vault replaces the whole list.
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"accessPolicies": []any{policy1("us", "get")}}})
	if list, _ := provider.At(b.run("GET", "", nil), "properties", "accessPolicies").([]any); len(list) != 1 {
		t.Errorf("after PATCH: %v", list)
	}
}

func TestChallengeAndTokens(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	const path = "secrets?api-version=7.4"
	status, header, _ := b.call("GET", path, "", nil)
	if got := header.Get("WWW-Authenticate"); status != 401 || !strings.Contains(got, `resource="https://vault.azure.net"`) || !strings.Contains(got, `authorization="https://127.0.0.1:8443/`) {
		t.Errorf("challenge: %d %s", status, got)
	}
	for aud, want := range map[string]int{audience: 200, audience + "/": 200, applicationID: 200, "https://management.azure.com": 401, "https://storage.azure.com": 401} {
		if got, _, _ := b.call("GET", path, aud, nil); got != want {
			t.Errorf("audience %s: %d, want %d", aud, got, want)
		}
	}
	if got, _, _ := b.call("GET", "secrets", audience, nil); got != 400 {
		t.Errorf("without an api-version: %d", got)
	}
	token, _, err := b.cloud.Directory().Token(b.who.ObjectID, audience)
	if err != nil {
		t.Fatal(err)
	}
	try := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.endpoint()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := b.http("127.0.0.1").Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := try(); got != 200 {
		t.Errorf("fresh token: %d", got)
	}
	b.cloud.Advance(2 * time.Hour)
	if got := try(); got != 401 {
		t.Errorf("expired token: %d", got)
	}
}

// rights are what each operation needs, in either model.
var rights = []struct{ method, path, permission, action string }{
	{"GET", "secrets", "list", "readMetadata/action"},
	{"GET", "secrets/s", "get", "getSecret/action"},
	{"GET", "secrets/s/versions", "list", "readMetadata/action"},
	{"PUT", "secrets/s", "set", "setSecret/action"},
	{"DELETE", "secrets/s", "delete", "delete"},
	{"GET", "deletedsecrets", "list", "readMetadata/action"},
	{"POST", "deletedsecrets/gone/recover", "recover", "recover/action"},
	{"DELETE", "deletedsecrets/gone", "purge", "purge/action"},
}

func TestEachOperationNeedsItsRight(t *testing.T) {
	t.Parallel()
	for _, row := range rights {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.run("PUT", "", vaultBody(map[string]any{"accessPolicies": []any{policy1(b.who.ObjectID, "backup")}}))
			b.run("PUT", "/secrets/s", provider.Document{"properties": map[string]any{"value": "v"}})
			try := func(inner string) {
				t.Helper()
				status, _, answer := b.call(row.method, row.path+"?api-version=7.4", audience, map[string]any{"value": "w"})
				if got := provider.Text(answer, "error", "innererror", "code"); inner != "" && (status != 403 || got != inner) || inner == "" && status == 403 {
					t.Errorf("%d %v, want %q", status, answer, inner)
				}
			}
			try("ForbiddenByPolicy")
			b.cloud.Grants().Allow(b.who.ObjectID, vaultID, secretType+"/"+row.action)
			try("ForbiddenByPolicy") // roles count for nothing in a vault of policies
			b.run("PATCH", "", provider.Document{"properties": map[string]any{"accessPolicies": []any{policy1(b.who.ObjectID, row.permission)}}})
			try("")
			b.cloud.Grants().Clear()
			b.run("PATCH", "", provider.Document{"properties": map[string]any{"enableRbacAuthorization": true}})
			try("ForbiddenByRbac") // and policies for nothing in a vault of roles
			b.cloud.Grants().Allow(b.who.ObjectID, vaultID, secretType+"/"+row.action)
			try("")
		})
	}
}

func TestFirewallByAddress(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	try := func(source string) string {
		_, err := b.sdk(source).NewListSecretPropertiesPager(nil).NextPage(t.Context())
		if err == nil {
			return ""
		}
		return err.Error()
	}
	acls := func(action string, rules ...string) {
		list := []any{}
		for _, r := range rules {
			list = append(list, map[string]any{"value": r})
		}
		b.run("PATCH", "", provider.Document{"properties": map[string]any{"networkAcls": map[string]any{"defaultAction": action, "ipRules": list}}})
	}
	acls("Deny", "127.9.9.9", "127.8.0.0/16")
	if got := provider.Text(b.run("GET", "", nil)["properties"].(map[string]any)["networkAcls"].(map[string]any)["ipRules"].([]any)[0].(map[string]any), "value"); got != "127.9.9.9/32" {
		t.Errorf("an address is stored as %s", got)
	}
	for source, inner := range map[string]string{"127.0.0.1": "ForbiddenByFirewall", "127.9.9.9": "", "127.8.7.6": ""} {
		if got := try(source); inner == "" && got != "" || !strings.Contains(got, inner) {
			t.Errorf("from %s: %s", source, got)
		}
	}
	acls("Allow")
	if got := try("127.0.0.1"); got != "" {
		t.Errorf("open: %s", got)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	if got := try("127.9.9.9"); !strings.Contains(got, "ForbiddenByConnection") {
		t.Errorf("disabled: %s", got)
	}
}

// TestARMWritesAndNeverTells: the child writes values, no answer and no document holds one.
func TestARMWritesAndNeverTells(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	made := b.run("PUT", "/secrets/Api-Key", provider.Document{"properties": map[string]any{"value": "canary-1"}, "tags": map[string]any{"a": "b"}})
	list := b.run("GET", "/secrets/", nil)
	raw, _ := json.Marshal([]any{made, list, b.run("GET", "/secrets/api-key", nil), b.run("GET", "", nil)})
	if strings.Contains(string(raw), "canary-1") || strings.Contains(b.cloud.Logged(), "canary-1") {
		t.Error("a value shows")
	}
	got, err := b.sdk("127.0.0.1").GetSecret(t.Context(), "Api-Key", "", nil)
	want(t, err, 0, "")
	if *got.Value != "canary-1" || provider.Text(made, "properties", "secretUriWithVersion") != string(*got.ID) {
		t.Errorf("%+v, made %v", got.Secret, made)
	}
	b.refused(405, "MethodNotAllowed", "DELETE", "/secrets/api-key", nil)
	b.refused(400, "BadParameter", "PUT", "/secrets/no_underscores", provider.Document{"properties": map[string]any{"value": "v"}})
	b.refused(400, "BadParameter", "PUT", "/secrets/empty", provider.Document{"properties": map[string]any{}})
}

// TestDeletedVaultKeepsItsName: until it is purged, or recovered with all it held.
func TestDeletedVaultKeepsItsName(t *testing.T) {
	t.Parallel()
	b := withVault(t)
	_, err := b.sdk("127.0.0.1").SetSecret(t.Context(), "s", azsecrets.SetSecretParameters{Value: to.Ptr("v")}, nil)
	want(t, err, 0, "")
	b.run("DELETE", "", nil)
	b.refused(404, "ResourceNotFound", "GET", "", nil)
	b.refused(409, "ConflictError", "PUT", "", vaultBody(nil))
	b.run("PUT", "", provider.Document{"location": "westeurope", "properties": map[string]any{"createMode": "recover"}})
	got, err := b.sdk("127.0.0.1").GetSecret(t.Context(), "s", "", nil)
	want(t, err, 0, "")
	if *got.Value != "v" {
		t.Error("the secret did not survive")
	}
	b.run("DELETE", "", nil)
	const purge = "/subscriptions/0000/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/Vault-1/purge"
	if _, err := b.front.Run(t.Context(), "POST", purge, nil); err != nil {
		t.Fatal(err)
	}
	b.run("PUT", "", vaultBody(map[string]any{"accessPolicies": []any{policy1(b.who.ObjectID, "all")}}))
	_, err = b.sdk("127.0.0.1").GetSecret(t.Context(), "s", "", nil)
	want(t, err, 404, "SecretNotFound")
	b.refused(400, "BadRequest", "PATCH", "", provider.Document{"properties": map[string]any{"enableSoftDelete": false}})
}

// TestRestart: addresses and secrets are there again.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.boot()
	b.run("PUT", "", vaultBody(map[string]any{"accessPolicies": []any{policy1(b.who.ObjectID, "all")}}))
	b.run("PUT", "/secrets/s", provider.Document{"properties": map[string]any{"value": "v"}})
	at := b.endpoint()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.boot().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.sdk("127.0.0.1").GetSecret(t.Context(), "s", "", nil)
	want(t, err, 0, "")
	if b.endpoint() != at {
		t.Errorf("moved from %s to %s", at, b.endpoint())
	}
}

func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{"10.0.0.1", "10.0.0.0/8", "::1", "x", "1.2.3.4/33", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		block, err := parseRule(value)
		if err != nil {
			return
		}
		again, err := parseRule(block.String())
		if err != nil || again != block {
			t.Errorf("%q reads as %s, which reads as %s, %v", value, block, again, err)
		}
	})
}
