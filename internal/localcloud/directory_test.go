package localcloud_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := open(t)
	scope := w.ready.Endpoint + "/.default"
	cases := []struct {
		name, path, clientID, secret, scope string
		status                              int
		code, audience                      string
	}{
		{"the form of the Azure CLI", "/adfs/oauth2/token", w.ready.ClientID, w.ready.ClientSecret, scope, 200, "", w.ready.Endpoint},
		{"the tenant", "/" + w.ready.TenantID + "/oauth2/v2.0/token", strings.ToUpper(w.ready.ClientID), w.ready.ClientSecret, scope, 200, "", w.ready.Endpoint},
		{"audience that ends in a slash", "/adfs/oauth2/token", w.ready.ClientID, w.ready.ClientSecret, w.ready.Endpoint + "//.default", 200, "", w.ready.Endpoint + "/"},
		{"database audience", "/adfs/oauth2/token", w.ready.ClientID, w.ready.ClientSecret, w.ready.Endpoint + "/ossrdbms/.default", 200, "", w.ready.Endpoint + "/ossrdbms"},
		{"wrong secret", "/adfs/oauth2/token", w.ready.ClientID, "wrong", scope, 401, "invalid_client", ""},
		{"empty secret", "/adfs/oauth2/token", w.ready.ClientID, "", scope, 401, "invalid_client", ""},
		{"unknown client", "/adfs/oauth2/token", "nobody", "x", scope, 400, "unauthorized_client", ""},
		{"bare scope", "/adfs/oauth2/token", w.ready.ClientID, w.ready.ClientSecret, "openid", 400, "invalid_scope", ""},
		{"another tenant", "/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token", w.ready.ClientID, w.ready.ClientSecret, scope, 400, "invalid_request", ""},
	}
	for _, c := range cases {
		status, body := w.form(c.path, c.clientID, c.secret, c.scope)
		code, _ := body["error"].(string)
		if status != c.status || code != c.code {
			t.Errorf("%s: %d %v, want %d %s", c.name, status, body, c.status, c.code)
			continue
		}
		if token, _ := body["access_token"].(string); c.status == 200 {
			claims, err := w.cloud.Directory().Verify(token, c.audience)
			if err != nil || claims.Audience != c.audience || claims.ClientID != w.ready.ClientID || len(token) < 1500 {
				t.Errorf("%s: %v %v, %d bytes", c.name, claims, err, len(token))
			}
		}
	}
	resp, err := w.http.PostForm(w.ready.Endpoint+"/adfs/oauth2/token", url.Values{"grant_type": {"password"}, "scope": {scope}})
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("password grant: %v %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := open(t).as("")
	base := w.ready.Endpoint
	if got := w.must(200, "GET", "/adfs/.well-known/openid-configuration", "", nil).body; got["token_endpoint"] != base+"/adfs/oauth2/token" || got["issuer"] != base+"/adfs" {
		t.Errorf("adfs: %v", got)
	}
	got := w.must(200, "GET", "/"+w.ready.TenantID+"/v2.0/.well-known/openid-configuration", "", nil).body
	if got["token_endpoint"] != base+"/"+w.ready.TenantID+"/oauth2/v2.0/token" {
		t.Errorf("tenant: %v", got)
	}
	keys := w.must(200, "GET", got["jwks_uri"].(string), "", nil).body
	if at(keys, "keys", 0, "kty") != "RSA" || at(keys, "keys", 0, "n") == "" {
		t.Errorf("keys: %v", keys)
	}
	w.must(200, "GET", "/common/discovery/instance", "1.1", nil)

	if got := w.must(200, "GET", "/metadata/endpoints", "2015-01-01", nil).body; at(got, "authentication", "loginEndpoint") != base+"/adfs" || at(got, "authentication", "audiences", 0) != base {
		t.Errorf("2015: %v", got)
	}
	if raw := w.must(200, "GET", "/metadata/endpoints", "2019-05-01", nil).raw; !strings.HasPrefix(raw, "[") {
		t.Errorf("2019: %s", raw)
	}
	got = w.must(200, "GET", "/metadata/endpoints", "2022-09-01", nil).body
	if at(got, "authentication", "identityProvider") != "AAD" || at(got, "authentication", "loginEndpoint") != base || at(got, "resourceManager") != base ||
		at(got, "suffixes", "postgresqlServerEndpoint") != w.cloud.Suffix("postgres") {
		t.Errorf("2022: %v", got)
	}
	w.refused(400, "MissingApiVersionParameter", "GET", "/metadata/endpoints", "", nil)
}

func TestGraphLookups(t *testing.T) {
	t.Parallel()
	w := start(t)
	site := w.newSite("graphed", doc{"identity": doc{"type": "SystemAssigned"}})
	identity := at(w.must(200, "GET", site, webAPI, nil).body, "identity", "principalId").(string)
	user, _ := w.principal("patchbay-user")
	esc := url.QueryEscape
	cases := []struct{ path, want string }{
		{"/v1.0/servicePrincipals?$filter=" + esc("servicePrincipalNames/any(c:c eq '"+w.ready.ClientID+"')"), user.ObjectID},
		{"/v1.0/servicePrincipals?$filter=" + esc("appId eq '"+w.ready.ClientID+"'"), user.ObjectID},
		{"/v1.0/servicePrincipals?$filter=" + esc("displayName eq 'graphed'"), identity},
		{"/v1.0/servicePrincipals/" + identity, identity},
		{"/v1.0/servicePrincipals(appId='" + w.ready.ClientID + "')", user.ObjectID},
		{"/v1.0/directoryObjects/" + identity, identity},
		{"/v1.0/me", user.ObjectID},
	}
	for _, c := range cases {
		got := w.must(200, "GET", c.path, "", nil).body
		id := got["id"]
		if list, ok := got["value"].([]any); ok {
			id = at(list, 0, "id")
		}
		if id != c.want {
			t.Errorf("%s: %v, want %s", c.path, got, c.want)
		}
	}
	if got := w.must(200, "POST", "/v1.0/directoryObjects/getByIds", "", doc{"ids": []string{identity, "x"}}); at(got.body, "value", 0, "servicePrincipalType") != "ManagedIdentity" {
		t.Errorf("getByIds: %s", got.raw)
	}
	w.refused(404, "Request_ResourceNotFound", "GET", "/v1.0/servicePrincipals/none", "", nil)
	w.refused(400, "Request_UnsupportedQuery", "GET", "/v1.0/servicePrincipals?$filter=other", "", nil)
	w.as("").refused(401, "InvalidAuthenticationToken", "GET", "/v1.0/me", "", nil)
}

// The Azure SDK signs in without being told anything but the endpoint.
func TestAzureSDKSignsIn(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, tenant := range []string{w.ready.TenantID, "adfs"} {
		cred, err := azidentity.NewClientSecretCredential(tenant, w.ready.ClientID, w.ready.ClientSecret, &azidentity.ClientSecretCredentialOptions{
			DisableInstanceDiscovery: true,
			ClientOptions:            azcore.ClientOptions{Transport: w.http, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: w.ready.Endpoint}},
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{w.ready.Endpoint + "//.default"}})
		if err != nil {
			t.Fatalf("%s: %v", tenant, err)
		}
		w.as(token.Token).must(http.StatusOK, "GET", w.group, coreAPI, nil)
	}
}
