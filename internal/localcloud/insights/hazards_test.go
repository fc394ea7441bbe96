package insights

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const componentID = "/subscriptions/0000/resourceGroups/Rg/providers/microsoft.insights/components/component1"

type bench struct {
	t             *testing.T
	cloud         *providertest.Cloud
	front         *providertest.Front
	key, endpoint string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	p := New(b.cloud)
	t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	r, err := b.front.Do(t.Context(), "PUT", componentID, provider.Document{"location": "westeurope", "kind": "web", "properties": map[string]any{"Application_Type": "web"}})
	if err != nil || r.Later != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	b.key = provider.Text(r.Body, "properties", "InstrumentationKey")
	for _, part := range strings.Split(provider.Text(r.Body, "properties", "ConnectionString"), ";") {
		if name, value, _ := strings.Cut(part, "="); name == "IngestionEndpoint" {
			b.endpoint = value
		}
	}
	return b
}

func (b *bench) patch(properties map[string]any) {
	b.t.Helper()
	if _, err := b.front.Run(b.t.Context(), "PATCH", componentID, provider.Document{"properties": properties}); err != nil {
		b.t.Fatal(err)
	}
}

func item(key string) string {
	return `{"name":"Microsoft.ApplicationInsights.Message","time":"2026-01-01T00:00:00Z","iKey":"` + key + `","data":{"baseType":"MessageData","baseData":{"ver":2,"message":"hello"}}}`
}

type said struct {
	Received int        `json:"itemsReceived"`
	Accepted int        `json:"itemsAccepted"`
	Errors   []rejected `json:"errors"`
}

func (b *bench) send(path, message, token string, packed bool) (int, said) {
	b.t.Helper()
	var raw bytes.Buffer
	if packed {
		w := gzip.NewWriter(&raw)
		_, _ = w.Write([]byte(message))
		_ = w.Close()
	} else {
		raw.WriteString(message)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), "POST", strings.TrimSuffix(b.endpoint, "/")+path, &raw)
	if err != nil {
		b.t.Fatal(err)
	}
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DisableKeepAlives: true}}).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var out said
	if len(body) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &out); err != nil {
			b.t.Fatalf("%s: %v", body, err)
		}
	}
	return resp.StatusCode, out
}

func TestTelemetryIsJudgedItemByItem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good, bad := item(b.key), item("00000000-0000-0000-0000-000000000000")
	for name, c := range map[string]struct {
		path, message    string
		packed           bool
		status, accepted int
	}{
		"lines":         {"/v2.1/track", good + "\n" + good, false, 200, 2},
		"array":         {"/v2/track", "[" + good + "]", false, 200, 1},
		"compressed":    {"/v2.1/track", good, true, 200, 1},
		"another key":   {"/v2.1/track", bad, false, 400, 0},
		"one of two":    {"/v2.1/track", good + "\n" + bad, false, 206, 1},
		"no data":       {"/v2.1/track", `{"name":"x","time":"t","iKey":"` + b.key + `"}`, false, 400, 0},
		"no JSON":       {"/v2.1/track", "hello", false, 400, 0},
		"nothing":       {"/v2.1/track", "", false, 400, 0},
		"broken array":  {"/v2.1/track", "[" + good, false, 400, 0},
		"not a channel": {"/v3/track", good, false, 404, 0},
	} {
		if status, s := b.send(c.path, c.message, "", c.packed); status != c.status || s.Accepted != c.accepted {
			t.Errorf("%s: %d %+v", name, status, s)
		}
	}
}

func TestKeysCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	token, _, err := b.cloud.Directory().Token(app.ObjectID, publicAudience)
	if err != nil {
		t.Fatal(err)
	}
	b.patch(map[string]any{"DisableLocalAuth": true})
	if status, _ := b.send("/v2.1/track", item(b.key), "", false); status != 401 {
		t.Errorf("the key alone: %d", status)
	}
	if status, _ := b.send("/v2.1/track", item(b.key), token, false); status != 403 {
		t.Errorf("without a role: %d", status)
	}
	b.cloud.Grants().Allow(app.ObjectID, componentID, telemetryWrite)
	if status, s := b.send("/v2.1/track", item(b.key), token, false); status != 200 || s.Accepted != 1 {
		t.Errorf("with the right: %d", status)
	}
	b.patch(map[string]any{"publicNetworkAccessForIngestion": "Disabled"})
	if status, _ := b.send("/v2.1/track", item(b.key), token, false); status != 403 {
		t.Errorf("from the public network: %d", status)
	}
}

func TestComponentsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, bad := range []provider.Document{
		{"location": "westeurope", "properties": map[string]any{"Application_Type": "web"}},
		{"location": "westeurope", "kind": "web", "properties": map[string]any{}},
		{"kind": "web", "properties": map[string]any{"Application_Type": "web"}},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", componentID, bad); !errors.As(err, &f) || f.Status != 400 {
			t.Errorf("%v: %v", bad, err)
		}
	}
	b.patch(map[string]any{"InstrumentationKey": "mine", "RetentionInDays": 30.0})
	r, err := b.front.Run(t.Context(), "GET", componentID, nil)
	if err != nil || provider.Text(r.Body, "properties", "InstrumentationKey") != b.key {
		t.Errorf("the key was changed: %v %v", r, err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(item("k")))
	f.Add([]byte("[" + item("k") + "]"))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		items, err := split(raw)
		if err == nil && len(items) == 0 && !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
			t.Error("no item and no error")
		}
		for _, one := range items {
			judge(one, "k")
		}
	})
}
