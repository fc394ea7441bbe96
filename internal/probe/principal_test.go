package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	clientID = "aaaaaaaa-0000-4000-8000-00000000000a"
	objectID = "bbbbbbbb-0000-4000-8000-00000000000b"
	tenantID = "cccccccc-0000-4000-8000-00000000000c"
)

func principal(target, client string) *connection.Connection {
	return link(target, connection.AuthServicePrincipalSecret, client, func(c *connection.Connection) {
		c.Properties.Auth.ClientID, c.Properties.Auth.PrincipalID = clientID, objectID
	})
}

func principalValues(more map[string]string) map[string]string {
	out := map[string]string{"clientId": clientID, "clientSecret": "canary-secret", "tenantId": tenantID}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// directory takes one secret for tokens of one audience.
func directory(t *testing.T, audience, token string) probe.SignInFunc {
	return func(_ context.Context, p probe.Principal, asked string) (string, error) {
		if p != (probe.Principal{TenantID: tenantID, ClientID: clientID, Secret: "canary-secret"}) || asked != audience {
			t.Errorf("asked for a token of %s as %s of %s", asked, p.ClientID, p.TenantID)
		}
		if token == "" {
			return "", problem.New(problem.SignInFailed, "", "the sign-in endpoint answered 401 Unauthorized").While("get a token")
		}
		return token, nil
	}
}

// bearers is a blob service that takes one token.
func bearers(t *testing.T, code string) probe.Options {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := code
		if r.Header.Get("Authorization") != "Bearer canary-token" {
			answer = "401 NoAuthenticationInformation"
		}
		var status int
		_, _ = fmt.Sscanf(answer, "%d %s", &status, &answer)
		w.Header().Set("x-ms-error-code", answer)
		w.WriteHeader(status)
	}))
	srv.TLS = tlsOf(ca)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return probe.Options{Dial: dialTo(port, "127.0.0.1"), Roots: ca.roots}
}

func TestBlobServicePrincipal(t *testing.T) {
	t.Parallel()
	config, rights := "Configured connection information validated.", "Managed Identity permissions validated."
	facts := known("storage-blob", "blob", map[string]string{"audience": "https://storage.azure.com", "tenantId": tenantID})
	for _, row := range []struct {
		name, answer, token, phrase string
		want                        []string
	}{
		{"let in", "200 OK", "canary-token", "", []string{exists, open, fine}},
		{"secret refused", "200 OK", "", "--service-principal client-id=" + clientID + " object-id=" + objectID, []string{exists, open, finding(config, "failure", problem.LoginRefused)}},
		{"not in force", "403 AuthorizationPermissionMismatch", "canary-token", "minutes", []string{exists, open, fine, rights + " warning"}},
		{"token refused", "401 InvalidAuthenticationInfo", "canary-token", "InvalidAuthenticationInfo", []string{exists, open, finding(config, "failure", problem.LoginRefused)}},
	} {
		for _, client := range []string{"go", "springBoot", ""} {
			o := bearers(t, row.answer)
			o.SignIn = directory(t, "https://storage.azure.com", row.token)
			c := principal("storage-blob", client)
			got := probe.New(o).Probe(context.Background(), c, facts, written(t, "storage-blob", c, principalValues(blobValues(""))))
			t.Log(row.name, client)
			check(t, got, row.phrase, row.want...)
		}
	}
}

// TestServicePrincipalUntried: with nobody to ask for a token, or no answer from him, the
// way in is not proven; an app that was given no secret is told so.
func TestServicePrincipalUntried(t *testing.T) {
	t.Parallel()
	facts := known("storage-blob", "blob", map[string]string{"audience": "x", "tenantId": tenantID})
	c := principal("storage-blob", "go")
	settings := written(t, "storage-blob", c, principalValues(blobValues("")))
	o := bearers(t, "200 OK")
	check(t, probe.New(o).Probe(context.Background(), c, facts, settings), "not proven", exists, open, fine)
	ctx, cancel := context.WithCancel(context.Background())
	o.SignIn = func(context.Context, probe.Principal, string) (string, error) {
		cancel()
		return "", errors.New("too late")
	}
	check(t, probe.New(o).Probe(ctx, c, facts, settings), "not proven", exists, open, fine)
	o.SignIn = func(context.Context, probe.Principal, string) (string, error) {
		t.Error("signed in without a secret")
		return "", nil
	}
	delete(settings, "AZURE_STORAGEBLOB_CLIENTSECRET")
	got := probe.New(o).Probe(context.Background(), c, facts, settings)
	check(t, got, "AZURE_STORAGEBLOB_CLIENTSECRET", exists, open, finding("Configured connection information validated.", "failure", problem.SettingMissing))
	settings["AZURE_STORAGEBLOB_CLIENTSECRET"] = connection.Hidden("")
	got = probe.New(o).Probe(context.Background(), c, facts, settings)
	check(t, got, "is empty", exists, open, finding("Configured connection information validated.", "failure", problem.SettingChanged))
}

func TestRedisServicePrincipal(t *testing.T) {
	t.Parallel()
	m, a := cache(t)
	m.RequireUserAuth(objectID, "canary-token")
	facts := known("redis", "redis", map[string]string{"audience": "https://redis.azure.com", "tenantId": tenantID})
	c := principal("redis", "none")
	settings := written(t, "redis", c, principalValues(redisValues("")))
	o := probe.Options{Dial: dialTo(m.Port(), "127.0.0.1"), Roots: a.roots, SignIn: directory(t, "https://redis.azure.com", "canary-token")}
	check(t, probe.New(o).Probe(context.Background(), c, facts, settings), "", exists, open, fine)
	o.SignIn = directory(t, "https://redis.azure.com", "canary-another")
	check(t, probe.New(o).Probe(context.Background(), c, facts, settings), "the cache says", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
}

// TestPostgresServicePrincipal: the token is the password of the user made for it.
func TestPostgresServicePrincipal(t *testing.T) {
	t.Parallel()
	s := postgres(t)
	facts := known("postgres-flexible", "postgres", map[string]string{"audience": "a", "tenantId": tenantID})
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "php", "ruby", "django", "springBoot", "none"} {
		c := principal("postgres-flexible", client)
		settings := written(t, "postgres-flexible", c, principalValues(good(nil)))
		try := func(token string) []connection.Finding {
			o := probe.Options{Dial: dialTo(s.port, "127.0.0.1"), Roots: s.roots, SignIn: directory(t, "a", token)}
			return probe.New(o).Probe(context.Background(), c, facts, settings)
		}
		check(t, try(password), "", exists, open, fine)
		check(t, try("canary-another"), "patchbay repair --id "+linker, exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
	}
}
