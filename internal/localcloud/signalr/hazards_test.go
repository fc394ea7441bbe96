package signalr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const group = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.SignalRService/"

// bench is one service of either type in a small cloud.
type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
	id    string
	host  string

	provider provider.Provider
}

func newBench(t *testing.T, kind string) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t), id: group + kind + "/service1"}
	b.boot()
	b.run("PUT", "", made(nil))
	b.host = provider.Text(b.run("GET", "", nil).Body, "properties", "hostName")
	return b
}

func (b *bench) boot() provider.Provider {
	p := New(b.cloud)
	b.t.Cleanup(func() { _ = p.Close() })
	b.front, b.provider = providertest.NewFront(b.cloud, p), p
	return p
}

func made(properties map[string]any) provider.Document {
	if properties == nil {
		properties = map[string]any{}
	}
	return provider.Document{"location": "westeurope", "sku": map[string]any{"name": "Standard_S1"}, "properties": properties}
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, b.id+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) keys() (primary, secondary string) {
	b.t.Helper()
	r := b.run("POST", "/listKeys", nil)
	return provider.Text(r.Body, "primaryKey"), provider.Text(r.Body, "secondaryKey")
}

// sign makes a token as the SDKs do: for the address, with the key's letters.
func (b *bench) sign(key, address string, life time.Duration) string {
	b.t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": address, "exp": b.cloud.Now().Add(life).Unix()}).SignedString([]byte(key))
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

func (b *bench) client(from string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// call makes one request of the data plane and returns status and body.
func (b *bench) call(from, method, path, query, token string, message string) (int, string) {
	b.t.Helper()
	u := "https://" + b.host + path
	if query != "" {
		u += "?" + query
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, u, bytes.NewReader([]byte(message)))
	if err != nil {
		b.t.Fatal(err)
	}
	if message != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.client(from).Do(req)
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
	apiVersion = "api-version=2022-11-01"
	here       = "127.0.0.1"
)

// presence is a request of both services that needs a right and changes nothing.
func (b *bench) presence(from, token string) int {
	b.t.Helper()
	status, _ := b.call(from, "HEAD", "/api/hubs/chat/users/ada", apiVersion, token, "")
	return status
}

func (b *bench) at(path string) string { return "https://" + b.host + path }

// signed is a good token of the primary key for the presence request.
func (b *bench) signed() string {
	primary, _ := b.keys()
	return b.sign(primary, b.at("/api/hubs/chat/users/ada"), time.Minute)
}

func both(t *testing.T, test func(t *testing.T, b *bench, kind string)) {
	t.Helper()
	for _, kind := range []string{"SignalR", "WebPubSub"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newBench(t, kind), kind)
		})
	}
}

func TestKeysSignTokens(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, b *bench, kind string) {
		primary, secondary := b.keys()
		address := b.at("/api/hubs/chat/users/ada")
		for name, c := range map[string]struct {
			token string
			want  int
		}{
			"primary":          {b.sign(primary, address, time.Minute), 404},
			"secondary":        {b.sign(secondary, address, time.Minute), 404},
			"no token":         {"", 401},
			"another key":      {b.sign("x"+primary, address, time.Minute), 401},
			"another address":  {b.sign(primary, b.at("/api/hubs/chat"), time.Minute), 401},
			"address of query": {b.sign(primary, address+"?"+apiVersion, time.Minute), 401},
			"expired":          {b.sign(primary, address, -time.Minute), 401},
			"no signature":     {unsigned(t, address), 401},
		} {
			if got := b.presence(here, c.token); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
		old := b.signed()
		r := b.run("POST", "/regenerateKey", provider.Document{"keyType": "Primary"})
		if provider.Text(r.Body, "primaryKey") == primary || provider.Text(r.Body, "secondaryKey") != secondary {
			t.Error("the wrong key was replaced")
		}
		if got := b.presence(here, old); got != 401 {
			t.Errorf("a token of the replaced key: %d", got)
		}
		text := provider.Text(b.run("POST", "/listKeys", nil).Body, "secondaryConnectionString")
		if want := "Endpoint=https://" + b.host + ";AccessKey=" + secondary + ";Version=1.0;"; text != want {
			t.Errorf("connection string %q, want %q", text, want)
		}
		b.run("PATCH", "", provider.Document{"properties": map[string]any{"disableLocalAuth": true}})
		if got := b.presence(here, b.signed()); got != 401 {
			t.Errorf("with keys switched off: %d", got)
		}
		raw, _ := json.Marshal(b.run("GET", "", nil).Body)
		if strings.Contains(string(raw), secondary) || strings.Contains(b.cloud.Logged(), secondary) {
			t.Error("a key shows in the document or the log")
		}
	})
}

func unsigned(t *testing.T, address string) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"aud": address, "exp": time.Now().Add(time.Hour).Unix()}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestEntraTokensNeedTheRight(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, b *bench, kind string) {
		app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
		token := func(audience string) string {
			text, _, err := b.cloud.Directory().Token(app.ObjectID, audience)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		audience := map[string]string{"SignalR": "https://signalr.azure.com", "WebPubSub": "https://webpubsub.azure.com"}[kind]
		if got := b.presence(here, token(audience)); got != 403 {
			t.Errorf("without a role: %d", got)
		}
		b.cloud.Grants().Allow(app.ObjectID, b.id, "Microsoft.SignalRService/"+kind+"/user/read")
		if got := b.presence(here, token(audience)); got != 404 {
			t.Errorf("with the right: %d", got)
		}
		if status, _ := b.call(here, "POST", "/api/hubs/chat/:send", apiVersion, token(audience), `{"target":"x"}`); status != 403 {
			t.Errorf("another right: %d", status)
		}
		if got := b.presence(here, token("https://storage.azure.com")); got != 401 {
			t.Errorf("another audience: %d", got)
		}
		b.run("PATCH", "", provider.Document{"properties": map[string]any{"disableAadAuth": true}})
		if got := b.presence(here, token(audience)); got != 401 {
			t.Errorf("with Entra switched off: %d", got)
		}
	})
}

func TestNetworkRules(t *testing.T) {
	t.Parallel()
	type rule = map[string]any
	all := []any{"ServerConnection", "ClientConnection", "RESTAPI", "Trace"}
	both(t, func(t *testing.T, b *bench, _ string) {
		for name, c := range map[string]struct {
			acls map[string]any
			from string
			want int
		}{
			"as made":                  {rule{}, "127.0.0.9", 404},
			"no rule":                  {rule{"ipRules": []any{}}, "127.0.0.9", 404},
			"the first rule shuts out": {rule{"ipRules": []any{rule{"value": "127.0.0.1", "action": "Allow"}}}, "127.0.0.9", 403},
			"and lets in":              {rule{"ipRules": []any{rule{"value": "127.0.0.8/29", "action": "Allow"}}}, "127.0.0.9", 404},
			"the first match counts": {rule{"ipRules": []any{rule{"value": "127.0.0.9", "action": "Deny"}, rule{"value": "127.0.0.0/8", "action": "Allow"}}},
				"127.0.0.9", 403},
			"no kind, deny":  {rule{"publicNetwork": rule{"allow": []any{}}}, "127.0.0.9", 403},
			"other kind":     {rule{"publicNetwork": rule{"allow": []any{"ClientConnection"}}}, "127.0.0.9", 403},
			"no kind, allow": {rule{"defaultAction": "Allow", "publicNetwork": rule{"allow": []any{}}}, "127.0.0.9", 404},
			"denied kind":    {rule{"defaultAction": "Allow", "publicNetwork": rule{"deny": []any{"RESTAPI"}, "allow": nil}}, "127.0.0.9", 403},
		} {
			b.run("PATCH", "", provider.Document{"properties": map[string]any{"networkACLs": map[string]any{
				"defaultAction": "Deny", "ipRules": []any{}, "publicNetwork": map[string]any{"allow": all, "deny": []any{}}}}})
			b.run("PATCH", "", provider.Document{"properties": map[string]any{"networkACLs": c.acls}})
			if got := b.presence(c.from, b.signed()); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
		b.run("PATCH", "", provider.Document{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
		if got := b.presence(here, b.signed()); got != 403 {
			t.Errorf("with public access off: %d", got)
		}
		if status, _ := b.call(here, "GET", "/api/health", "", "", ""); status != 200 {
			t.Errorf("health: %d", status)
		}
	})
}

// A PATCH replaces the array of rules: what is left out of it is gone.
func TestPatchReplacesRules(t *testing.T) {
	t.Parallel()
	b := newBench(t, "SignalR")
	one := func(value string) provider.Document {
		return provider.Document{"properties": map[string]any{"networkACLs": map[string]any{"ipRules": []any{map[string]any{"value": value, "action": "Allow"}}}}}
	}
	b.run("PATCH", "", one("192.0.2.1"))
	doc := b.run("PATCH", "", one("192.0.2.2")).Body
	rules, _ := provider.At(doc, "properties", "networkACLs", "ipRules").([]any)
	if len(rules) != 1 || provider.Text(doc, "properties", "networkACLs", "defaultAction") != "Deny" {
		t.Errorf("rules %v", rules)
	}
	for _, bad := range []map[string]any{
		{"networkACLs": map[string]any{"ipRules": []any{map[string]any{"value": "192.0.2.1"}}}},
		{"networkACLs": map[string]any{"ipRules": []any{map[string]any{"value": "nowhere", "action": "Allow"}}}},
		{"networkACLs": map[string]any{"defaultAction": "Perhaps"}},
		{"disableLocalAuth": "yes"},
	} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PATCH", b.id, provider.Document{"properties": bad}); !errors.As(err, &f) || f.Status != 400 {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// dial connects a client of either service.
func (b *bench) dial(ctx context.Context, path, query, token string) (*websocket.Conn, error) {
	conn, resp, err := websocket.Dial(ctx, "wss://"+b.host+path+"?"+query, &websocket.DialOptions{
		HTTPClient: b.client(here), HTTPHeader: http.Header{"Authorization": []string{"Bearer " + token}}})
	if err != nil && resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	return conn, err
}

func (b *bench) token(path, query string) string {
	b.t.Helper()
	primary, _ := b.keys()
	status, raw := b.call(here, "POST", path, query, b.sign(primary, b.at(path), time.Minute), "")
	var said struct{ Token string }
	if err := json.Unmarshal([]byte(raw), &said); status != 200 || err != nil || said.Token == "" {
		b.t.Fatalf("token: %d %s", status, raw)
	}
	return said.Token
}

func (b *bench) send(path, message string) int {
	primary, _ := b.keys()
	status, _ := b.call(here, "POST", path, apiVersion, b.sign(primary, b.at(path), time.Minute), message)
	return status
}

func TestWebPubSubMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, "WebPubSub")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ada := b.token("/api/hubs/chat/:generateToken", apiVersion+"&userId=ada&group=room")
	if _, err := b.dial(ctx, "/client/hubs/other", "", ada); err == nil {
		t.Error("a token of another hub connects")
	}
	conn, err := b.dial(ctx, "/client/hubs/chat", "", ada)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for b.presence(here, b.signed()) != 200 { // the service adds the client after it has answered
		if ctx.Err() != nil {
			t.Fatal("the client is not there")
		}
	}
	for n, path := range []string{"/api/hubs/chat/:send", "/api/hubs/chat/groups/room/:send", "/api/hubs/chat/users/ada/:send"} {
		message := `{"n":` + string(rune('0'+n)) + `}`
		if status := b.send(path, message); status != 202 {
			t.Errorf("%s: %d", path, status)
		}
		kind, raw, err := conn.Read(ctx)
		if err != nil || kind != websocket.MessageText || string(raw) != message {
			t.Errorf("%s: got %q, %v", path, raw, err)
		}
	}
	if status := b.send("/api/hubs/chat/users/eve/:send", `{}`); status != 202 {
		t.Errorf("to nobody: %d", status)
	}
	b.run("DELETE", "", nil)
	if _, _, err := conn.Read(ctx); err == nil {
		t.Error("the client outlives the service")
	}
}

func TestSignalRCallsClients(t *testing.T) {
	t.Parallel()
	b := newBench(t, "SignalR")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ada := b.token("/api/hubs/chat/:generateToken", apiVersion+"&userId=ada")
	conn, err := b.dial(ctx, "/client/", "hub=chat", ada)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"protocol":"json","version":1}`+"\x1e")); err != nil {
		t.Fatal(err)
	}
	if _, raw, err := conn.Read(ctx); err != nil || string(raw) != "{}\x1e" {
		t.Fatalf("handshake: %q, %v", raw, err)
	}
	for b.presence(here, b.signed()) != 200 { // the service adds the client after it has answered
		if ctx.Err() != nil {
			t.Fatal("the client is not there")
		}
	}
	if status := b.send("/api/v1/hubs/chat", `{"target":"say","arguments":["hello",1]}`); status != 202 {
		t.Fatalf("broadcast: %d", status)
	}
	_, raw, err := conn.Read(ctx)
	if want := `{"type":1,"target":"say","arguments":["hello",1]}` + "\x1e"; err != nil || string(raw) != want {
		t.Errorf("got %q, %v", raw, err)
	}
	if status := b.send("/api/v1/hubs/chat", `["no target"]`); status != 400 {
		t.Errorf("a message without a target: %d", status)
	}
	if _, err := b.dial(ctx, "/client/", "hub=other", ada); err == nil {
		t.Error("a token of another hub connects")
	}
}

func TestServicesComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, "SignalR")
	if err := b.provider.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.boot().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.presence(here, b.signed()); got != 404 {
		t.Errorf("after a restart: %d", got)
	}
}

func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, "SignalR")
	for path, want := range map[string]int{strings.Replace(b.id, "/Rg/", "/Other/", 1): 409, group + "SignalR/1x": 400, group + "SignalR/x-": 400} {
		var f *provider.Fault
		if _, err := b.front.Run(t.Context(), "PUT", path, made(nil)); !errors.As(err, &f) || f.Status != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestIdentityComesAndGoes(t *testing.T) {
	t.Parallel()
	b := newBench(t, "SignalR")
	on := b.run("PATCH", "", provider.Document{"identity": map[string]any{"type": "SystemAssigned"}}).Body
	principal := provider.Text(on, "identity", "principalId")
	if _, known := b.cloud.Directory().Lookup(principal); !known {
		t.Fatalf("identity %v", on["identity"])
	}
	if again := b.run("PATCH", "", provider.Document{"tags": map[string]any{"a": "b"}}).Body; provider.Text(again, "identity", "principalId") != principal {
		t.Error("the identity changed")
	}
	b.run("PATCH", "", provider.Document{"identity": map[string]any{"type": "None"}})
	if _, known := b.cloud.Directory().Lookup(principal); known {
		t.Error("the identity stays")
	}
}
