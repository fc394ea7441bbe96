package gremlin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// account is a Host with one graph.
type account struct {
	mu     sync.Mutex
	keys   []Key
	closed bool
}

func (a *account) Keys() []Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.keys)
}

func (a *account) Has(database, graph string) bool { return database == "db" && graph == "g" }

func (a *account) Allow(netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errors.New("closed")
	}
	return nil
}

const user = "/dbs/db/colls/g"

type bench struct {
	t    *testing.T
	host *account
	at   string
	http *http.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cloud := providertest.New(t)
	b := &bench{t: t, host: &account{keys: []Key{{Secret: "key+/=="}, {Secret: "reader", ReadOnly: true}}}}
	l, err := net.Listen("tcp", net.JoinHostPort(cloud.Address("/x"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.at = l.Addr().String()
	b.http = &http.Client{Transport: &http.Transport{TLSClientConfig: cloud.ClientTLS()}}
	s := Serve(l, cloud.ServerTLS(), b.host)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// client is one connection; dialect "" sends bare JSON.
type client struct {
	t       *testing.T
	conn    *websocket.Conn
	dialect dialect
	user    string
	key     string
}

func (b *bench) dial() (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
	defer cancel()
	return websocket.Dial(ctx, "wss://"+b.at+"/gremlin", &websocket.DialOptions{HTTPClient: b.http})
}

func (b *bench) client(d dialect, user, key string) *client {
	b.t.Helper()
	conn, _, err := b.dial()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{t: b.t, conn: conn, dialect: d, user: user, key: key}
}

type answer struct {
	code   int
	status string
	data   string
}

// send makes one round.
func (c *client) send(op string, args any) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	var id any = "11111111-1111-1111-1111-111111111111"
	if c.dialect != "" {
		id = map[string]any{"@type": "g:UUID", "@value": id}
	}
	out, err := json.Marshal(map[string]any{"requestId": id, "op": op, "processor": "", "args": args})
	if err != nil {
		c.t.Fatal(err)
	}
	kind := websocket.MessageText
	if c.dialect != "" {
		kind, out = websocket.MessageBinary, append(append([]byte{byte(len(c.dialect))}, c.dialect...), out...)
	}
	if err := c.conn.Write(ctx, kind, out); err != nil {
		c.t.Fatal(err)
	}
	_, raw, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var said struct {
		RequestID string
		Status    struct {
			Code       int
			Attributes json.RawMessage
		}
		Result struct{ Data json.RawMessage }
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		c.t.Fatalf("%s: %v", raw, err)
	}
	return answer{said.Status.Code, string(said.Status.Attributes), string(said.Result.Data)}
}

// script sends a script and signs in when asked to.
func (c *client) script(text string, bindings map[string]any) answer {
	c.t.Helper()
	got := c.send("eval", map[string]any{"gremlin": text, "language": "gremlin-groovy", "bindings": bindings})
	if got.code != codeChallenge {
		return got
	}
	return c.send("authentication", map[string]any{"sasl": base64.StdEncoding.EncodeToString([]byte("\x00" + c.user + "\x00" + c.key))})
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, d := range []dialect{"", graphSON2, graphSON3} {
		if got := b.client(d, user, "key+/==").script("g.V().count()", nil); got.code != codeOK || !strings.Contains(got.data, `"@value":0`) {
			t.Errorf("%s: %+v", d, got)
		}
		for _, wrong := range [][2]string{{user, "key"}, {user, ""}, {"acc", "key+/=="}, {"/dbs/db", "key+/=="}} {
			if got := b.client(d, wrong[0], wrong[1]).script("g.V().count()", nil); got.code != codeUnauthorized || got.data != "null" {
				t.Errorf("%s %q: %+v", d, wrong, got)
			}
		}
	}
	if got := b.client(graphSON2, "/dbs/db/colls/other", "key+/==").script("g.V()", nil); got.code != codeServer || !strings.Contains(got.status, "404") {
		t.Errorf("a graph that does not exist: %+v", got)
	}
	if got := b.client("", user, "").send("bytecode", map[string]any{}); got.code != codeChallenge {
		t.Errorf("before sign-in: %+v", got)
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	c := newBench(t).client(graphSON2, user, "key+/==")
	for _, row := range []struct {
		script   string
		code     int
		contains string
	}{
		{`g.addV('person').property('id', 'thomas').property('name', who).property('age', 44)`, codeOK, `"label":"person"`},
		{`g.addV("person").property("id", "mary").property("name", "it's")`, codeOK, `"id":"mary"`},
		{`g.addV('person').property('id', 'mary')`, codeServer, "null"},
		{`g.V('thomas').property('id', 'paul')`, codeServer, "null"},
		{`g.V('thomas').addE('knows').to(g.V('mary'))`, codeOK, `"inV":"mary"`},
		{`g.V().count()`, codeOK, `[{"@type":"g:Int64","@value":2}]`},
		{`g.V('thomas').out('knows').values('name')`, codeOK, `["it's"]`},
		{`g.V().hasLabel('person').has('age', 44).values('name')`, codeOK, `["Tomás"]`},
		{`g.V('thomas').drop()`, codeNoContent, "null"},
		{`g.E().count()`, codeOK, `"@value":0`},
		{`g.V('nobody')`, codeNoContent, "null"},
	} {
		got := c.script(row.script, map[string]any{"who": "Tomás"})
		if got.code != row.code || !strings.Contains(got.data, row.contains) {
			t.Errorf("%s: %+v", row.script, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newBench(t).client(graphSON3, user, "key+/==")
	for _, script := range []string{
		"", "g", "g.", "g.V(", "g.V().count();", "1+1", "g.V().repeat(out())", "g.count()", "g.V().values()", "g.V().has('a', b)",
		"g.V().count().count().drop()", "g.V('a').addE('x')", "g.V().limit('x')", "g.V().drop().count()", "g.V('a').addE('x').to(g.addV('y'))", "System.exit(1)",
	} {
		if got := c.script(script, nil); got.code != codeScript {
			t.Errorf("%q: %+v", script, got)
		}
	}
	if got := c.send("bytecode", map[string]any{"gremlin": "x"}); got.code != codeMalformed {
		t.Errorf("bytecode: %+v", got)
	}
}

func TestReadOnlyKey(t *testing.T) {
	t.Parallel()
	c := newBench(t).client(graphSON2, user, "reader")
	if got := c.script("g.addV('x')", nil); got.code != codeServer || !strings.Contains(got.status, "403") {
		t.Errorf("write: %+v", got)
	}
	if got := c.script("g.V().count()", nil); got.code != codeOK || !strings.Contains(got.data, `"@value":0`) {
		t.Errorf("read: %+v", got)
	}
}

func TestKeyAndNetworkChangeUnderASession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.client(graphSON2, user, "key+/==")
	c.script("g.V()", nil)
	b.host.mu.Lock()
	b.host.keys = nil
	b.host.mu.Unlock()
	if got := c.script("g.V()", nil); got.code != codeUnauthorized {
		t.Errorf("after rotation: %+v", got)
	}
	b.host.mu.Lock()
	b.host.closed = true
	b.host.mu.Unlock()
	_, answered, err := b.dial()
	if err == nil || answered == nil || answered.StatusCode != http.StatusForbidden {
		t.Errorf("firewall: %v", err)
	}
}

// FuzzParse holds that no script panics, and that what is taken has steps and can run.
func FuzzParse(f *testing.F) {
	f.Add(`g.V('a').addE("b").to(g.V(c))`)
	f.Add(`g.addV('x').property('id', 'y').count()`)
	f.Fuzz(func(t *testing.T, script string) {
		parsed, err := parse(script, map[string]any{"c": "d"})
		if err != nil {
			return
		}
		if _, err := (&graph{}).run(parsed); err != nil && len(parsed.steps) == 0 {
			t.Error(err)
		}
	})
}

// FuzzRequest holds that no message panics.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"requestId":{"@type":"g:UUID","@value":"1"},"op":"eval","args":{"@type":"g:Map","@value":["gremlin","g.V()"]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := readRequest(raw); err == nil && (r.args == nil || r.text == "") {
			t.Error("half a request")
		}
	})
}
