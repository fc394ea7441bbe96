package arm_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/problem"
)

func TestCloudsAreComplete(t *testing.T) {
	t.Parallel()
	for _, c := range arm.Clouds() {
		for name, text := range map[string]string{"arm": c.ARM, "audience": c.Audience, "login": c.Login, "graph": c.Graph, "portal": c.Portal,
			"ossrdbms": c.Audiences[arm.AudienceOSSRDBMS], "storage": c.Audiences[arm.AudienceStorage], "sql": c.Audiences[arm.AudienceSQL]} {
			if u, err := url.Parse(text); err != nil || u.Scheme != "https" || strings.HasSuffix(text, "/") {
				t.Errorf("%s: %s is %q", c.Name, name, text)
			}
		}
		for _, kind := range []string{arm.SuffixStorage, arm.SuffixPostgres, arm.SuffixRedis, arm.SuffixAppService} {
			if s := c.Suffixes[kind]; s == "" || strings.HasPrefix(s, ".") {
				t.Errorf("%s: suffix %s is %q", c.Name, kind, s)
			}
		}
	}
	if c, ok := arm.CloudNamed("azurechinacloud"); !ok || c.Suffixes[arm.SuffixPostgres] != "postgres.database.chinacloudapi.cn" {
		t.Errorf("found %+v", c)
	}
	if _, ok := arm.CloudNamed("nowhere"); ok {
		t.Error("found a cloud that is not there")
	}
}

// authority is a cloud's endpoints and sign-in in one server.
func authority(t *testing.T, metadata string) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		base := server.URL + "/tenant-1"
		switch {
		case r.URL.Path == "/metadata/endpoints" && r.URL.Query().Get("api-version") == "2022-09-01":
			_, _ = w.Write([]byte(strings.ReplaceAll(metadata, "{host}", server.URL)))
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/oauth2/v2.0/token"})
		case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
			if err := r.ParseForm(); err != nil || r.PostForm.Get("client_secret") != "right" {
				w.WriteHeader(http.StatusUnauthorized)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "for " + r.PostForm.Get("scope"), "expires_in": 3600, "token_type": "Bearer"})
		default:
			t.Errorf("unexpected %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

const ownCloud = `{"name":"Own","portal":"{host}/portal","resourceManager":"{host}/","microsoftGraphResourceId":"{host}/graph/",
	"authentication":{"loginEndpoint":"{host}/","audiences":["https://own.test","x"],"tenant":"tenant-1"},
	"ossrDbmsResourceId":"https://ossrdbms.own.test","suffixes":{"storage":"store.own.test","keyVaultDns":".vault.own.test","postgresqlServerEndpoint":"pg.own.test"}}`

func TestFromMetadata(t *testing.T) {
	t.Parallel()
	server := authority(t, ownCloud)
	c, err := arm.FromMetadata(t.Context(), server.URL+"/", server.Client())
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "Own" || c.ARM != server.URL || c.Login != server.URL || c.Audience != "https://own.test" || c.Tenant != "tenant-1" {
		t.Errorf("cloud %+v", c)
	}
	if c.Audiences[arm.AudienceOSSRDBMS] != "https://ossrdbms.own.test" || c.Suffixes[arm.SuffixKeyVault] != "vault.own.test" || c.Suffixes[arm.SuffixRedis] != "redis.cache.windows.net" {
		t.Errorf("cloud %+v", c)
	}
	if public, _ := arm.CloudNamed(arm.PublicCloud); public.Suffixes[arm.SuffixStorage] != "core.windows.net" {
		t.Error("a custom cloud changed the public one")
	}
	for name, text := range map[string]string{"no JSON": "<", "no audience": `{"authentication":{"loginEndpoint":"x"}}`} {
		server := authority(t, text)
		if _, err := arm.FromMetadata(t.Context(), server.URL, server.Client()); !problem.Is(err, problem.ARMRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Close()
	if _, err := arm.FromMetadata(t.Context(), server.URL, server.Client()); !problem.Is(err, problem.ARMUnreached) {
		t.Errorf("closed: %v", err)
	}
}

func TestCredentialOfAnOwnCloud(t *testing.T) {
	t.Parallel()
	server := authority(t, ownCloud)
	cloud, err := arm.FromMetadata(t.Context(), server.URL, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	for secret, code := range map[string]problem.Code{"right": "", "wrong": problem.SignInFailed} {
		c, err := arm.Credential(arm.CredentialOptions{Cloud: cloud, TenantID: "tenant-1", ClientID: "me", ClientSecret: secret, HTTP: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := arm.Token(t.Context(), c, cloud.Audiences[arm.AudienceOSSRDBMS])
		if code != "" {
			if !problem.Is(err, code) || strings.Contains(err.Error(), secret+"\"") {
				t.Errorf("%s secret: %v", secret, err)
			}
			continue
		}
		if err != nil || !strings.Contains(got, "https://ossrdbms.own.test/.default") {
			t.Errorf("token %q, %v", got, err)
		}
	}
	if _, err := arm.Credential(arm.CredentialOptions{Cloud: cloud, TenantID: "bad tenant!", ClientID: "me", ClientSecret: "x"}); !problem.Is(err, problem.SignInFailed) {
		t.Errorf("bad tenant: %v", err)
	}
}
