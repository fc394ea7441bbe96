package cognitive

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const accountID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.CognitiveServices/accounts/account1"

type bench struct {
	t        *testing.T
	cloud    *providertest.Cloud
	front    *providertest.Front
	endpoint string
}

func newBench(t *testing.T, kind string, properties map[string]any) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	p := New(b.cloud)
	t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	b.run("PUT", "", account(kind, properties))
	b.endpoint = provider.Text(b.run("GET", "", nil).Body, "properties", "endpoint")
	return b
}

func account(kind string, properties map[string]any) provider.Document {
	if properties == nil {
		properties = map[string]any{"customSubDomainName": "account1"}
	}
	return provider.Document{"location": "westeurope", "kind": kind, "sku": map[string]any{"name": "S0"}, "properties": properties}
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, accountID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) keys() (key1, key2 string) {
	b.t.Helper()
	r := b.run("POST", "/listKeys", nil)
	return provider.Text(r.Body, "key1"), provider.Text(r.Body, "key2")
}

// call makes one request of the data plane; a header is "Name: value".
func (b *bench) call(from, method, path, header, message string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, strings.TrimSuffix(b.endpoint, "/")+path, bytes.NewReader([]byte(message)))
	if err != nil {
		b.t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

const (
	listed = "/openai/models?api-version=2024-10-21"
	here   = "127.0.0.1"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, "OpenAI", nil)
	key1, key2 := b.keys()
	for header, want := range map[string]int{
		"api-key: " + key1: 200, "api-key: " + key2: 200, "Ocp-Apim-Subscription-Key: " + key2: 200,
		"api-key: " + key1[1:]: 401, "api-key: 0": 401, "": 401, "Authorization: Bearer " + key1: 401,
	} {
		if got, said := b.call(here, "GET", listed, header, ""); got != want {
			t.Errorf("%d, want %d: %s", got, want, said)
		}
	}
	if got, _ := b.call(here, "GET", "/openai/models", "api-key: "+key1, ""); got != 404 {
		t.Errorf("without an api-version: %d", got)
	}
	r := b.run("POST", "/regenerateKey", provider.Document{"keyName": "Key1"})
	if provider.Text(r.Body, "key1") == key1 || provider.Text(r.Body, "key2") != key2 {
		t.Error("the wrong key was replaced")
	}
	if got, _ := b.call(here, "GET", listed, "api-key: "+key1, ""); got != 401 {
		t.Errorf("the replaced key: %d", got)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"disableLocalAuth": true}})
	if got, said := b.call(here, "GET", listed, "api-key: "+key2, ""); got != 403 || !strings.Contains(said, "AuthenticationTypeDisabled") {
		t.Errorf("with keys switched off: %d %s", got, said)
	}
	raw, _ := json.Marshal(b.run("GET", "", nil).Body)
	if strings.Contains(string(raw), key2) || strings.Contains(b.cloud.Logged(), key2) {
		t.Error("a key shows in the document or the log")
	}
}

func TestEntraTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, "OpenAI", map[string]any{}) // no subdomain
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	bearer := func(audience string) string {
		token, _, err := b.cloud.Directory().Token(app.ObjectID, audience)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + token
	}
	b.cloud.Grants().Allow(app.ObjectID, accountID, "Microsoft.CognitiveServices/accounts/OpenAI/models/read")
	if got, said := b.call(here, "GET", listed, bearer(publicAudience), ""); got != 400 || !strings.Contains(said, "custom subdomain") {
		t.Errorf("without a subdomain: %d %s", got, said)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"customSubDomainName": "account1"}})
	if got, said := b.call(here, "GET", listed, bearer(publicAudience), ""); got != 200 {
		t.Errorf("with a subdomain: %d %s", got, said)
	}
	if got, said := b.call(here, "POST", "/openai/deployments/d/chat/completions?api-version=2024-10-21", bearer(publicAudience), "{}"); got != 401 || !strings.Contains(said, "PermissionDenied") {
		t.Errorf("another right: %d %s", got, said)
	}
	if got, _ := b.call(here, "GET", listed, bearer("https://storage.azure.com"), ""); got != 401 {
		t.Errorf("another audience: %d", got)
	}
	var f *provider.Fault
	if _, err := b.front.Run(t.Context(), "PATCH", accountID, provider.Document{"properties": map[string]any{"customSubDomainName": "account2"}}); !errors.As(err, &f) || f.Status != 400 {
		t.Errorf("another subdomain: %v", err)
	}
}

// A token bought with a key opens what the key opens, for ten minutes.
func TestBoughtTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, "CognitiveServices", nil)
	key1, _ := b.keys()
	if got, _ := b.call(here, "POST", "/sts/v1.0/issueToken", "", ""); got != 401 {
		t.Errorf("without a key: %d", got)
	}
	got, token := b.call(here, "POST", "/sts/v1.0/issueToken", "Ocp-Apim-Subscription-Key: "+key1, "")
	if got != 200 {
		t.Fatalf("%d %s", got, token)
	}
	if got, said := b.call(here, "GET", "/vision/v3.2/models", "Authorization: Bearer "+token, ""); got != 200 || !strings.Contains(said, "landmarks") {
		t.Errorf("%d %s", got, said)
	}
	if got, _ := b.call(here, "GET", listed, "Ocp-Apim-Subscription-Key: "+key1, ""); got != 404 {
		t.Errorf("models of an account without: %d", got)
	}
	b.cloud.Advance(11 * time.Minute)
	if got, _ := b.call(here, "GET", "/vision/v3.2/models", "Authorization: Bearer "+token, ""); got != 401 {
		t.Errorf("an old token: %d", got)
	}
}

func TestNetworkRules(t *testing.T) {
	t.Parallel()
	b := newBench(t, "AIServices", nil)
	key1, _ := b.keys()
	for _, c := range []struct {
		name  string
		patch map[string]any
		want  int
	}{
		{"open", map[string]any{}, 200},
		{"closed", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny"}}, 403},
		{"let in", map[string]any{"networkAcls": map[string]any{"ipRules": []any{map[string]any{"value": "127.0.0.8/29"}}}}, 200},
		{"another let in", map[string]any{"networkAcls": map[string]any{"ipRules": []any{map[string]any{"value": "127.0.0.1"}}}}, 403},
		{"off", map[string]any{"networkAcls": map[string]any{"defaultAction": "Allow"}, "publicNetworkAccess": "Disabled"}, 403},
	} {
		b.run("PATCH", "", provider.Document{"properties": c.patch})
		if got, said := b.call("127.0.0.9", "GET", listed, "api-key: "+key1, ""); got != c.want {
			t.Errorf("%s: %d %s", c.name, got, said)
		}
	}
}

func TestWritesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, "OpenAI", nil)
	for name, c := range map[string]struct {
		path string
		body provider.Document
		want int
	}{
		"kind":            {"/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.CognitiveServices/accounts/two", account("Thinking", nil), 400},
		"subdomain taken": {"/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.CognitiveServices/accounts/two", account("OpenAI", nil), 409},
		"rule with an action": {accountID, account("OpenAI", map[string]any{"customSubDomainName": "account1", "networkAcls": map[string]any{
			"ipRules": []any{map[string]any{"value": "192.0.2.1", "action": "Allow"}}}}), 400},
		"rules without a subdomain": {"/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.CognitiveServices/accounts/two",
			account("OpenAI", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny"}}), 400},
		"deployment without a model": {accountID + "/deployments/d", provider.Document{"properties": map[string]any{}}, 400},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", c.path, c.body); !errors.As(err, &f) || f.Status != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChat(t *testing.T) {
	t.Parallel()
	b := newBench(t, "OpenAI", nil)
	key1, _ := b.keys()
	const path = "/openai/deployments/small/chat/completions?api-version=2024-10-21"
	const asked = `{"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"good morning"}]}`
	if got, said := b.call(here, "POST", path, "api-key: "+key1, asked); got != 404 || !strings.Contains(said, "DeploymentNotFound") {
		t.Errorf("before the deployment: %d %s", got, said)
	}
	b.run("PUT", "/deployments/small", provider.Document{"sku": map[string]any{"name": "Standard", "capacity": 1},
		"properties": map[string]any{"model": map[string]any{"format": "OpenAI", "name": "gpt-4o-mini"}}})
	got, said := b.call(here, "POST", path, "api-key: "+key1, asked)
	var answer struct {
		Model   string
		Choices []struct {
			Message struct{ Role, Content string }
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(said), &answer); got != 200 || err != nil || answer.Model != "gpt-4o-mini" || answer.Choices[0].Message.Content != "good morning" || answer.Usage.Total != 6 {
		t.Errorf("%d %s", got, said)
	}
	if got, _ := b.call(here, "POST", path, "api-key: "+key1, `{"messages":[]}`); got != 400 {
		t.Errorf("nothing said: %d", got)
	}
}
