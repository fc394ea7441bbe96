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
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/probe"
	"github.com/patchbay/patchbay/internal/problem"
)

var accountKey = base64.StdEncoding.EncodeToString([]byte("canary-account-key"))

// account is a blob service that checks Shared Key by the published rules, built
// from the request as it arrived. refuse makes every answer an error.
type account struct {
	refuse string // status and code
	inBody bool   // the code is in the body only
}

func (a account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, code := 200, ""
	switch auth := r.Header.Get("Authorization"); {
	case a.refuse != "":
		_, _ = fmt.Sscanf(a.refuse, "%d %s", &status, &code)
	case auth == "":
		status, code = 401, "NoAuthenticationInformation"
	case auth != "SharedKey account1:"+signature(r):
		status, code = 403, "AuthenticationFailed"
	}
	if code != "" && !a.inBody {
		w.Header().Set("x-ms-error-code", code)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

func signature(r *http.Request) string {
	h := func(name string) string { return r.Header.Get(name) }
	length := ""
	if r.ContentLength > 0 {
		length = fmt.Sprint(r.ContentLength)
	}
	text := strings.Join([]string{
		r.Method, h("Content-Encoding"), h("Content-Language"), length, h("Content-MD5"), h("Content-Type"), h("Date"),
		h("If-Modified-Since"), h("If-Match"), h("If-None-Match"), h("If-Unmodified-Since"), h("Range"),
		"x-ms-date:" + h("x-ms-date"), "x-ms-version:" + h("x-ms-version"),
		"/account1" + r.URL.EscapedPath(), "comp:" + r.URL.Query().Get("comp"), "maxresults:" + r.URL.Query().Get("maxresults"),
	}, "\n")
	key, _ := base64.StdEncoding.DecodeString(accountKey)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// serve starts the account; endpoints of any name lead to it.
func serve(t *testing.T, a account) probe.Options {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(a)
	srv.TLS = tlsOf(ca)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a test hangs up in a handshake
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return probe.Options{Dial: dialTo(port, "127.0.0.1"), Roots: ca.roots}
}

func blobValues(key string) map[string]string {
	return map[string]string{"storageAccount": "account1", "accountKey": key, "endpoint": "https://account1.test/"}
}

func TestBlobEveryClient(t *testing.T) {
	t.Parallel()
	p := probe.New(serve(t, account{}))
	facts := known("storage-blob", "blob", nil)
	for _, client := range []string{"dotnet", "java", "python", "nodejs", "go", "springBoot", "none", ""} {
		c := link("storage-blob", secret, client)
		check(t, p.Probe(context.Background(), c, facts, written(t, "storage-blob", c, blobValues(accountKey))), "", exists, open, fine)
		got := p.Probe(context.Background(), c, facts, written(t, "storage-blob", c, blobValues("b2xk")))
		check(t, got, "patchbay repair --id "+linker+" --force", exists, open, finding("Configured connection information validated.", "failure", problem.LoginRefused))
		c = link("storage-blob", system, client)
		check(t, p.Probe(context.Background(), c, facts, written(t, "storage-blob", c, blobValues(""))), "not proven", exists, open, fine)
	}
}

// TestBlobForms reads both forms of the connection string and an endpoint with a path.
func TestBlobForms(t *testing.T) {
	t.Parallel()
	p := probe.New(serve(t, account{}))
	for _, tail := range []string{";EndpointSuffix=test", ";BlobEndpoint=https://other.test/", ";BlobEndpoint=https://other.test/account1", ";BlobEndpoint=https://other.test:10000/account1/"} {
		settings := map[string]connection.Value{"AZURE_STORAGEBLOB_CONNECTIONSTRING": connection.Hidden("DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=" + accountKey + tail)}
		got := p.Probe(context.Background(), link("storage-blob", secret, "go"), known("storage-blob", "blob", nil), settings)
		if tail == ";EndpointSuffix=test" {
			// account1.blob.test: the certificate is for one label only
			check(t, got, "TLS certificate", exists, finding("Target network access validated.", "failure", problem.TargetNoAnswer))
			continue
		}
		check(t, got, "", exists, open, fine)
	}
}

func TestBlobFaults(t *testing.T) {
	t.Parallel()
	config, network, wall := "Configured connection information validated.", "Target network access validated.", "Target service firewall validated."
	for _, row := range []struct {
		name    string
		account account
		auth    string
		facts   map[string]string
		phrase  string
		want    []string
	}{
		{"firewall, the app's address", account{refuse: "403 AuthorizationFailure"}, secret, map[string]string{"source.addresses": "127.0.0.1"}, "AuthorizationFailure",
			[]string{exists, finding(wall, "failure", problem.FirewallClosed)}},
		{"firewall, our address", account{refuse: "403 AuthorizationFailure"}, system, map[string]string{"source.addresses": "1.1.1.1"}, "own address 127.0.0.1",
			[]string{exists, open, fine}},
		{"firewall, denied to all", account{refuse: "403 AuthorizationFailure"}, secret, map[string]string{"publicDenied": "true"}, "not proven",
			[]string{exists, "Target network access validated. warning", unproven}},
		{"one region", account{}, secret, map[string]string{"firewallNote": "no effect"}, "", []string{exists, "Target service firewall validated. warning", fine}},
		{"keys off", account{refuse: "403 KeyBasedAuthenticationNotPermitted"}, secret, nil, "--system-identity", []string{exists, open, finding(config, "failure", problem.KeyAccessDisabled)}},
		{"code in the body", account{refuse: "403 KeyBasedAuthenticationNotPermitted", inBody: true}, secret, nil, "", []string{exists, open, finding(config, "failure", problem.KeyAccessDisabled)}},
		{"disabled", account{refuse: "403 AccountIsDisabled"}, secret, nil, "subscription", []string{exists, finding(network, "failure", problem.TargetStopped)}},
		{"unwell", account{refuse: "503 ServerBusy"}, secret, nil, "503 ServerBusy", []string{exists, finding(network, "failure", problem.TargetNoAnswer)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := link("storage-blob", row.auth, "go")
			got := probe.New(serve(t, row.account)).Probe(context.Background(), c, known("storage-blob", "blob", row.facts), written(t, "storage-blob", c, blobValues(accountKey)))
			check(t, got, row.phrase, row.want...)
		})
	}
}

func TestBlobUnreadableSettings(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"canary", "AccountName=a", "AccountName=a;AccountKey=%%%canary;BlobEndpoint=https://a.test/", "AccountName=a;AccountKey=eA==;BlobEndpoint=ftp://canary"} {
		got := probe.New(probe.Options{}).Probe(context.Background(), link("storage-blob", secret, "go"), known("storage-blob", "blob", nil),
			map[string]connection.Value{"AZURE_STORAGEBLOB_CONNECTIONSTRING": connection.Hidden(text)})
		check(t, got, "cannot be read", exists, open, finding("Configured connection information validated.", "failure", problem.SettingChanged))
	}
}

func TestBlobWithoutSettings(t *testing.T) {
	t.Parallel()
	c := link("storage-blob", secret, "go", func(c *connection.Connection) {
		c.Properties.Configuration = &connection.Configuration{Action: "optOut"}
	})
	facts := known("storage-blob", "blob", map[string]string{"endpoint": "https://account1.test/"})
	check(t, probe.New(serve(t, account{})).Probe(context.Background(), c, facts, nil), "", exists, open)
}
