package server_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/server"
)

// upstream is a cloud that answers by what handle writes, behind a server of ours.
func upstream(t *testing.T, azure bool, public string, handle http.HandlerFunc) *house {
	t.Helper()
	cloud := httptest.NewServer(handle)
	t.Cleanup(cloud.Close)
	at, err := url.Parse(cloud.URL)
	if err != nil {
		t.Fatal(err)
	}
	return build(t, func(c *server.Config) {
		c.PublicURL = public
		c.Upstream = server.Proxy(server.ProxyConfig{Upstream: at, PublicURL: public, Azure: azure})
		c.Tokens = server.NewJWKS(server.JWKSConfig{}) // nothing foreign is verified by us
	})
}

func TestForeignCallsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	type call struct{ method, uri, host, auth, body string }
	seen := make(chan call, 1)
	h := upstream(t, true, "https://patchbay.test", func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		seen <- call{r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), string(raw)}
		w.Header().Set("X-Theirs", "1")
		w.WriteHeader(http.StatusTeapot)
	})
	for _, uri := range []string{
		"//subscriptions/s/resourcegroups/G%20g?api-version=2021-04-01&$filter=a%20eq%20%27b%27;x",
		"/subscriptions/s/providers/Microsoft.Web/sites/a%2Fb/config/appsettings/list?api-version=2022-03-01",
		"/metadata/endpoints?api-version=2015-01-01",
		"/a/../b//c/%2e%2e/d",
		"/subscriptions/s/providers/Microsoft.ServiceLinker/register?api-version=2021-04-01",
		"/subscriptions/s/providers/microsoft.servicelinker?api-version=2021-04-01",
	} {
		r := newRequest(http.MethodPost, "/", "the body")
		if err := setTarget(r, uri); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer theirs")
		a := h.send(r)
		got := <-seen
		if got.uri != uri || got.method != http.MethodPost || got.auth != "Bearer theirs" || got.body != "the body" || got.host == "patchbay.test" {
			t.Errorf("sent on: %+v, want %s", got, uri)
		}
		if a.status != http.StatusTeapot || a.header.Get("X-Theirs") != "1" {
			t.Errorf("answer: %d %v", a.status, a.header)
		}
	}
}

func TestForeignAnswersLeadBackToUs(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{"https://front.test/": "https://front.test", "": "https://patchbay.test"} {
		h := upstream(t, true, public, func(w http.ResponseWriter, r *http.Request) {
			self := "http://" + r.Host
			w.Header().Set("Location", self+"/operations/1?api-version=1&t=%2f")
			w.Header().Set("Azure-AsyncOperation", strings.ToUpper(self[:4])+self[4:]+"/operations/2")
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			page := fmt.Sprintf(`{ "value": [ {"nextLink":"%s/inner", "n": 1.0} ],  "nextLink" : "%s/list?page=2\u0026x=%%20" , "end":true}`, self, self)
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("Accept-Encoding sent: %q", r.Header.Get("Accept-Encoding"))
			}
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write([]byte(page))
			_ = z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		})
		r := newRequest(http.MethodGet, "/subscriptions?api-version=2022-12-01", "")
		r.Header.Set("Accept-Encoding", "br")
		a := h.send(r)
		if a.header.Get("Location") != want+"/operations/1?api-version=1&t=%2f" || a.header.Get("Azure-AsyncOperation") != want+"/operations/2" {
			t.Errorf("headers: %v", a.header)
		}
		if a.at("nextLink") != want+"/list?page=2&x=%20" || !strings.Contains(a.raw, `/inner", "n": 1.0} ],  "nextLink" : "`+want) || strings.Contains(a.raw, want+"/inner") {
			t.Errorf("body: %s", a.raw)
		}
	}
}

func TestForeignAnswersOfOtherHostsStay(t *testing.T) {
	t.Parallel()
	h := upstream(t, true, "https://front.test", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.test/1")
		w.Header().Set("Azure-AsyncOperation", "/relative")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"nextLink":"https://elsewhere.test/2","value":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`)
	})
	a := h.call(http.MethodGet, "/subscriptions", "")
	if a.header.Get("Location") != "https://elsewhere.test/1" || a.header.Get("Azure-AsyncOperation") != "/relative" || a.at("nextLink") != "https://elsewhere.test/2" {
		t.Errorf("%v %s", a.header, a.raw)
	}
	for _, raw := range []string{`[1]`, `{"nextLink":`, `{"nextLink":null}`, `{"nextLink":5}`, ``} {
		h := upstream(t, true, "https://front.test", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, raw)
		})
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, newRequest(http.MethodGet, "/x", ""))
		if w.Body.String() != raw {
			t.Errorf("%q became %q", raw, w.Body.String())
		}
	}
}

func TestTemplatesWithLinkers(t *testing.T) {
	t.Parallel()
	const deployments = "/subscriptions/s/resourcegroups/g/providers/microsoft.resources/deployments/d"
	const plain = `{"properties":{"template":{"resources":[{"type":"Microsoft.Web/sites","name":"a"}]}}}`
	const direct = `{"properties":{"template":{"resources":[{"type":"microsoft.servicelinker/LINKERS","name":"a"}]}}}`
	const nested = `{"properties":{"template":{"resources":{"x":{"type":"Microsoft.Resources/deployments","properties":{"template":{"resources":[{"type":"Microsoft.Web/sites","resources":[{"type":"Microsoft.ServiceLinker/linkers"}]}]}}}}}}}`
	const old = `{"properties":{"template":{"resources":[{"type":"Microsoft.Web/sites/providers/linkers","name":"a/Microsoft.ServiceLinker/c"}]}}}`
	for _, c := range []struct {
		name, method, path, body string
		azure, refused           bool
	}{
		{"without", http.MethodPut, deployments, plain, true, false},
		{"direct", http.MethodPut, deployments, direct, true, true},
		{"nested", http.MethodPut, deployments, nested, true, true},
		{"old form", http.MethodPut, deployments, old, true, true},
		{"validate", http.MethodPost, deployments + "/validate", direct, true, true},
		{"what-if", http.MethodPost, deployments + "/whatIf", direct, true, true},
		{"stack", http.MethodPut, "/subscriptions/s/providers/Microsoft.Resources/deploymentStacks/d", direct, true, true},
		{"another cloud", http.MethodPut, deployments, direct, false, false},
		{"reading", http.MethodGet, deployments, direct, true, false},
		{"another type", http.MethodPut, "/subscriptions/s/providers/Microsoft.Web/sites/deployments", direct, true, false},
		{"not JSON", http.MethodPut, deployments, "{", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := upstream(t, c.azure, "https://patchbay.test", func(w http.ResponseWriter, r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write(raw)
			})
			a := h.call(c.method, c.path+"?api-version=2021-04-01", c.body)
			if c.refused {
				h.expect(a, http.StatusBadRequest, "InvalidTemplateDeployment", "DEPLOYMENT_REFUSED")
			} else if a.status != http.StatusCreated || a.raw != c.body {
				t.Errorf("%d %s", a.status, a.raw)
			}
		})
	}
}

func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	h := upstream(t, true, "https://patchbay.test", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	h.expect(h.call(http.MethodGet, "/subscriptions?api-version=2022-12-01", ""), http.StatusBadGateway, "BadGateway", "UPSTREAM_UNREACHED")
}
