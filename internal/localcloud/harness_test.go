package localcloud_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud"
)

// api-versions that the tests use.
const (
	coreAPI  = "2021-04-01"
	webAPI   = "2024-11-01"
	roleAPI  = "2022-04-01"
	lockAPI  = "2020-05-01"
	idAPI    = "2024-11-30"
	thingAPI = "2024-01-01"
)

// world is a running cloud behind a real TLS listener, with one resource group.
type world struct {
	t     *testing.T
	cloud *localcloud.Cloud
	http  *http.Client
	ready localcloud.ReadyInfo
	token string // of the owner
	group string // resource group id
	close func()
}

func start(t *testing.T, change ...func(*localcloud.Config)) *world {
	t.Helper()
	w := open(t, change...)
	w.must(201, "PUT", w.group, coreAPI, doc{"location": "westeurope"})
	return w
}

// open starts a cloud without a resource group.
func open(t *testing.T, change ...func(*localcloud.Config)) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := localcloud.Config{URL: "https://" + l.Addr().String(), AsyncDelay: -1, Logf: func(format string, args ...any) { t.Logf(format, args...) }}
	for _, c := range change {
		c(&cfg)
	}
	c, err := localcloud.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c.Handler(), TLSConfig: c.ServerTLS()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "")
	}()
	w := &world{t: t, cloud: c, ready: c.Ready()}
	w.close = func() {
		_ = server.Close()
		<-done
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		w.close = func() {}
	}
	t.Cleanup(func() { w.close() })
	w.http = client(t, w.ready.CAFile)
	w.token = w.signIn(w.ready.ClientID, w.ready.ClientSecret)
	w.group = "/subscriptions/" + w.ready.SubscriptionID + "/resourceGroups/Rg1"
	return w
}

func client(t *testing.T, caFile string) *http.Client {
	t.Helper()
	raw, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func (w *world) signIn(clientID, secret string) string {
	w.t.Helper()
	status, body := w.form("/"+w.ready.TenantID+"/oauth2/v2.0/token", clientID, secret, w.ready.Endpoint+"/.default")
	if status != 200 {
		w.t.Fatalf("sign in: %d %v", status, body)
	}
	return body["access_token"].(string)
}

func (w *world) form(path, clientID, secret, scope string) (int, doc) {
	w.t.Helper()
	resp, err := w.http.PostForm(w.ready.Endpoint+path, url.Values{"grant_type": {"client_credentials"},
		"client_id": {clientID}, "client_secret": {secret}, "scope": {scope}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body doc
	_ = json.NewDecoder(resp.Body).Decode(&body)
	return resp.StatusCode, body
}

type doc = map[string]any

type answer struct {
	status int
	header http.Header
	raw    string
	body   doc
}

func (a answer) code() string    { s, _ := at(a.body, "error", "code").(string); return s }
func (a answer) message() string { s, _ := at(a.body, "error", "message").(string); return s }

// at walks into nested objects and arrays.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// as makes the calls of another token.
func (w *world) as(token string) *world {
	other := *w
	other.token = token
	return &other
}

// principal makes a service principal with no roles.
func (w *world) principal(name string) (localcloud.Credentials, *world) {
	w.t.Helper()
	cred, err := w.cloud.NewServicePrincipal(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return cred, w.as(w.signIn(cred.ClientID, cred.ClientSecret))
}

// call makes one request; a version is added as api-version unless it is empty.
func (w *world) call(method, path, version string, body any, header ...string) answer {
	w.t.Helper()
	a, err := w.try(method, path, version, body, header...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) try(method, path, version string, body any, header ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, _ := json.Marshal(b)
		r = bytes.NewReader(raw)
	}
	if version != "" {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + "api-version=" + version
	}
	if !strings.HasPrefix(path, "https://") {
		path = w.ready.Endpoint + path
	}
	req, err := http.NewRequest(method, path, r)
	if err != nil {
		return answer{}, err
	}
	if w.token != "" {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body)
	return a, err
}

// must makes a call and fails the test unless it is answered with the status.
func (w *world) must(status int, method, path, version string, body any) answer {
	w.t.Helper()
	a := w.call(method, path, version, body)
	if a.status != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.raw, status)
	}
	return a
}

// refused makes a call and fails the test unless it is refused with status and code.
func (w *world) refused(status int, code, method, path, version string, body any) answer {
	w.t.Helper()
	a := w.must(status, method, path, version, body)
	if a.code() != code {
		w.t.Fatalf("%s %s: code %q, want %q: %s", method, path, a.code(), code, a.raw)
	}
	return a
}

// until polls a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// finished follows a long-running answer to its end and returns the operation.
func (w *world) finished(a answer) doc {
	w.t.Helper()
	var op answer
	until(w.t, "the operation has ended", func() bool {
		op = w.call("GET", a.header.Get("Azure-AsyncOperation"), "", nil)
		s, _ := op.body["status"].(string)
		return op.status != 200 || s != "InProgress"
	})
	return op.body
}

func (w *world) site(name string) string {
	return w.group + "/providers/Microsoft.Web/sites/" + name
}

// newSite makes a site, with an identity when asked.
func (w *world) newSite(name string, body doc) string {
	w.t.Helper()
	if body == nil {
		body = doc{}
	}
	body["location"] = "westeurope"
	w.must(200, "PUT", w.site(name), webAPI, body)
	return w.site(name)
}

// settings lists a site's app settings.
func (w *world) settings(site string) doc {
	w.t.Helper()
	return at(w.must(200, "POST", site+"/config/appsettings/list", webAPI, nil).body, "properties").(map[string]any)
}

// lever pulls POST /_local/advance.
func (w *world) lever(args doc) answer {
	w.t.Helper()
	return w.must(200, "POST", "/_local/advance", "", args)
}
