package probe_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

// serveHTTPS starts a service; endpoints of any name lead to it.
func serveHTTPS(t *testing.T, h http.Handler) probe.Options {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = tlsOf(ca)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return probe.Options{Dial: dialTo(port, "127.0.0.1"), Roots: ca.roots}
}

// tableAccount checks the light signature by the published rules; refuse makes every
// answer an error, its code in the body only, as tables do.
func tableAccount(refuse string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, code := 200, ""
		key, _ := base64.StdEncoding.DecodeString(accountKey)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.Header.Get("x-ms-date") + "\n/account1" + r.URL.EscapedPath()))
		switch auth := r.Header.Get("Authorization"); {
		case refuse != "":
			_, _ = fmt.Sscanf(refuse, "%d %s", &status, &code)
		case auth == "":
			status, code = 401, "NoAuthenticationInformation"
		case r.URL.Path != "/Tables" || auth != "SharedKeyLite account1:"+base64.StdEncoding.EncodeToString(mac.Sum(nil)):
			status, code = 403, "AuthenticationFailed"
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"odata.error":{"code":"%s","message":{"lang":"en-US","value":"x"}}}`, code)
	})
}

func TestStorageServicesEveryClient(t *testing.T) {
	t.Parallel()
	config := "Configured connection information validated."
	for _, row := range []struct {
		protocol string
		service  http.Handler
		clients  []string
	}{
		{"queue", account{}, []string{"dotnet", "java", "python", "nodejs", "go", "springBoot"}},
		{"table", tableAccount(""), []string{"dotnet", "java", "python", "nodejs"}},
		{"file", account{}, []string{"dotnet", "php", "ruby", "springBoot", "none"}},
	} {
		target := "storage-" + row.protocol
		p, facts := probe.New(serveHTTPS(t, row.service)), known(target, row.protocol, nil)
		for _, client := range row.clients {
			c := link(target, secret, client)
			t.Log(target, client)
			check(t, p.Probe(context.Background(), c, facts, written(t, target, c, blobValues(accountKey))), "", exists, open, fine)
			got := p.Probe(context.Background(), c, facts, written(t, target, c, blobValues("b2xk")))
			check(t, got, "patchbay repair --id "+linker+" --force", exists, open, finding(config, "failure", problem.LoginRefused))
			if row.protocol == "file" {
				continue // has no identities
			}
			c = link(target, system, client)
			check(t, p.Probe(context.Background(), c, facts, written(t, target, c, blobValues(""))), "not proven", exists, open, fine)
		}
	}
}

func TestStorageServiceForms(t *testing.T) {
	t.Parallel()
	p := probe.New(serveHTTPS(t, account{}))
	for _, tail := range []string{";QueueEndpoint=https://other.test/", ";QueueEndpoint=https://other.test:10000/account1/", ";BlobEndpoint=https://b.test/;QueueEndpoint=https://q.test"} {
		settings := map[string]connection.Value{"AZURE_STORAGEQUEUE_CONNECTIONSTRING": connection.Hidden("DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=" + accountKey + tail)}
		check(t, p.Probe(context.Background(), link("storage-queue", secret, "go"), known("storage-queue", "queue", nil), settings), "", exists, open, fine)
	}
}

func TestTableFaults(t *testing.T) {
	t.Parallel()
	config, wall := "Configured connection information validated.", "Target service firewall validated."
	for _, row := range []struct {
		name, refuse, phrase string
		want                 []string
	}{
		{"firewall", "403 AuthorizationFailure", "AuthorizationFailure", []string{exists, finding(wall, "failure", problem.FirewallClosed)}},
		{"keys off", "403 KeyBasedAuthenticationNotPermitted", "--system-identity", []string{exists, open, finding(config, "failure", problem.KeyAccessDisabled)}},
		{"right", "403 AuthorizationPermissionMismatch", "minutes", []string{exists, open, fine, "Managed Identity permissions validated. warning"}},
	} {
		c := link("storage-table", secret, "python")
		got := probe.New(serveHTTPS(t, tableAccount(row.refuse))).Probe(context.Background(), c, known("storage-table", "table", nil), written(t, "storage-table", c, blobValues(accountKey)))
		t.Log(row.name)
		check(t, got, row.phrase, row.want...)
	}
}

func TestStorageServicesServicePrincipal(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"queue", "table"} {
		target := "storage-" + protocol
		facts := known(target, protocol, map[string]string{"audience": "https://storage.azure.com", "tenantId": tenantID})
		for _, client := range []string{"python", "springBoot"} {
			if protocol == "table" && client == "springBoot" {
				continue
			}
			o := bearers(t, "200 OK")
			o.SignIn = directory(t, "https://storage.azure.com", "canary-token")
			c := principal(target, client)
			t.Log(target, client)
			check(t, probe.New(o).Probe(context.Background(), c, facts, written(t, target, c, principalValues(blobValues("")))), "", exists, open, fine)
		}
	}
}
