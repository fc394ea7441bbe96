package cosmos

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/coder/websocket"
	"go.mongodb.org/mongo-driver/v2/bson"
	mongodriver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The protocol peers behind real accounts, judged by drivers we did not write.

func peers() Planes {
	return Planes{MongoDB: OpenMongo, Cassandra: OpenCassandra, Gremlin: OpenGremlin}
}

func withPeer(t *testing.T, capability string) *bench {
	t.Helper()
	b := newBench(t, peers())
	b.run("PUT", "", body(capability))
	return b
}

// host is that of an endpoint, whose URL has a port of its own.
func (b *bench) host(member string) string {
	b.t.Helper()
	u, err := url.Parse(b.property(member))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Hostname()
}

func (b *bench) soon() context.Context {
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

// mongo connects with the connection string the account itself hands out.
func (b *bench) mongo(text, source string) *mongodriver.Client {
	b.t.Helper()
	o := options.Client().ApplyURI(text).SetServerSelectionTimeout(5 * time.Second)
	o.SetTLSConfig(b.cloud.ClientTLS())
	o.SetDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}})
	c, err := mongodriver.Connect(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(b.ctx)) })
	return c
}

func (b *bench) connectionString(n int) string {
	b.t.Helper()
	list, _ := b.run("POST", "/listConnectionStrings", nil).Body["connectionStrings"].([]any)
	if n >= len(list) {
		b.t.Fatalf("%d connection strings", len(list))
	}
	text, _ := list[n].(map[string]any)["connectionString"].(string)
	return text
}

func TestMongoAccount(t *testing.T) {
	t.Parallel()
	b := withPeer(t, "MongoDB")
	ctx := b.soon()
	first := b.connectionString(0)
	c := b.mongo(first, "127.0.0.1")
	if _, err := c.Database("shop").Collection("orders").InsertOne(ctx, bson.D{{Key: "n", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := b.run("GET", "/mongodbDatabases/shop/collections/orders", nil); got.Status != 200 {
		t.Errorf("what a driver makes is not in ARM: %d", got.Status)
	}
	b.child("/mongodbDatabases", "made", nil)
	if names, err := c.ListDatabaseNames(ctx, bson.D{}); err != nil || strings.Join(names, " ") != "made shop" {
		t.Errorf("databases %v, %v", names, err)
	}
	if _, err := b.mongo(strings.Replace(first, "retrywrites=false", "retrywrites=true", 1), "127.0.0.1").Database("shop").Collection("orders").
		InsertOne(ctx, bson.D{}); err == nil || !strings.Contains(err.Error(), "Retryable writes are not supported") {
		t.Errorf("a retryable write: %v", err)
	}
	b.run("POST", "/regenerateKey", map[string]any{"keyKind": "primary"})
	if err := b.mongo(first, "127.0.0.1").Ping(ctx, nil); !hasCode(err, 18) {
		t.Errorf("an old key: %v", err)
	}
	b.patch(map[string]any{"disableLocalAuth": true})
	if err := b.mongo(b.connectionString(0), "127.0.0.1").Ping(ctx, nil); !hasCode(err, 18) {
		t.Errorf("keys switched off: %v", err)
	}
}

func hasCode(err error, code int) bool {
	var said mongodriver.ServerError
	return errors.As(err, &said) && said.HasErrorCode(code)
}

func TestMongoFirewall(t *testing.T) {
	t.Parallel()
	b := withPeer(t, "MongoDB")
	b.patch(map[string]any{"ipRules": []any{map[string]any{"ipAddressOrRange": "127.0.0.9"}}})
	ctx := b.soon()
	if err := b.mongo(b.connectionString(0), "127.0.0.9").Ping(ctx, nil); err != nil {
		t.Errorf("an address that is let in: %v", err)
	}
	if err := b.mongo(b.connectionString(0), "127.0.0.8").Ping(ctx, nil); !hasCode(err, 13) || !strings.Contains(err.Error(), "127.0.0.8") {
		t.Errorf("an address that is not: %v", err)
	}
}

func (b *bench) cassandra(key string) (*gocql.Session, error) {
	c := gocql.NewCluster(b.host("cassandraEndpoint"))
	c.Port = 10350
	c.Timeout, c.ConnectTimeout = 5*time.Second, 5*time.Second
	c.Authenticator = gocql.PasswordAuthenticator{Username: name, Password: key}
	c.SslOpts = &gocql.SslOptions{Config: b.cloud.ClientTLS(), EnableHostVerification: true}
	return c.CreateSession()
}

func TestCassandraAccount(t *testing.T) {
	t.Parallel()
	b := withPeer(t, "EnableCassandra")
	b.child("/cassandraKeyspaces", "shop", nil)
	s, err := b.cassandra(b.key("primaryMasterKey"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var place string
	if err := s.Query(`SELECT data_center FROM system.local`).Scan(&place); err != nil || place != "westeurope" {
		t.Errorf("data centre %q, %v", place, err)
	}
	if err := s.Query(`CREATE TABLE shop.orders (id int PRIMARY KEY)`).Exec(); err != nil {
		t.Fatal(err)
	}
	if got := b.run("GET", "/cassandraKeyspaces/shop/tables/orders", nil); got.Status != 200 {
		t.Errorf("what a driver makes is not in ARM: %d", got.Status)
	}
	reader, err := b.cassandra(b.key("primaryReadonlyMasterKey"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.Query(`INSERT INTO shop.orders (id) VALUES (1)`).Exec(); err == nil || !strings.Contains(err.Error(), "MODIFY") {
		t.Errorf("a write with a key for reading: %v", err)
	}
	b.patch(map[string]any{"ipRules": []any{map[string]any{"ipAddressOrRange": "127.0.0.9"}}})
	if err := s.Query(`SELECT key FROM system.local`).Exec(); err == nil || !strings.Contains(err.Error(), "firewall") {
		t.Errorf("a session the firewall no longer lets in: %v", err)
	}
}

// gremlin sends one script and returns the answer's code.
func (b *bench) gremlin(path, key string) int {
	b.t.Helper()
	ctx := b.soon()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: b.cloud.ClientTLS()}}
	conn, answer, err := websocket.Dial(ctx, "wss://"+b.host("gremlinEndpoint")+":443/gremlin", &websocket.DialOptions{HTTPClient: client})
	if answer != nil && answer.StatusCode == http.StatusForbidden {
		return http.StatusForbidden
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // the talk is over
	said := 0
	for _, request := range []string{
		`{"requestId":"1","op":"eval","args":{"gremlin":"g.V().count()"}}`,
		`{"requestId":"1","op":"authentication","args":{"sasl":"` + base64.StdEncoding.EncodeToString([]byte("\x00"+path+"\x00"+key)) + `"}}`,
	} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(request)); err != nil {
			b.t.Fatal(err)
		}
		_, raw, err := conn.Read(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		var answer struct{ Status struct{ Code int } }
		if err := json.Unmarshal(raw, &answer); err != nil {
			b.t.Fatal(err)
		}
		said = answer.Status.Code
	}
	return said
}

func TestGremlinAccount(t *testing.T) {
	t.Parallel()
	b := withPeer(t, "EnableGremlin")
	b.child("/gremlinDatabases", "shop", nil)
	b.child("/gremlinDatabases/shop/graphs", "lines", map[string]any{"partitionKey": map[string]any{"paths": []any{"/pk"}, "kind": "Hash"}})
	key := b.key("primaryMasterKey")
	for path, code := range map[string]int{"/dbs/shop/colls/lines": 200, "/dbs/shop/colls/others": 500} {
		if got := b.gremlin(path, key); got != code {
			t.Errorf("%s answers %d", path, got)
		}
	}
	b.run("POST", "/regenerateKey", map[string]any{"keyKind": "primary"})
	if got := b.gremlin("/dbs/shop/colls/lines", key); got != 401 {
		t.Errorf("an old key answers %d", got)
	}
	b.patch(map[string]any{"ipRules": []any{map[string]any{"ipAddressOrRange": "127.0.0.9"}}})
	if got := b.gremlin("/dbs/shop/colls/lines", b.key("primaryMasterKey")); got != 403 {
		t.Errorf("an address that is not let in: %d", got)
	}
}
