package cql

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/patchbay/patchbay/internal/localcloud/mongo"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// account is a Host with one user.
type account struct {
	mongo.Memory
	mu      sync.Mutex
	secrets []Secret
	closed  bool
}

func (a *account) Secrets(user string) []Secret {
	a.mu.Lock()
	defer a.mu.Unlock()
	if user != "acc" {
		return nil
	}
	return slices.Clone(a.secrets)
}

func (a *account) Allow(netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errors.New("closed")
	}
	return nil
}

type bench struct {
	t    *testing.T
	host *account
	at   netip.AddrPort
	tls  *providertest.Cloud
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, tls: providertest.New(t), host: &account{secrets: []Secret{{Password: "key;'=="}, {Password: "reader", ReadOnly: true}}}}
	if err := b.host.Create("shop"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(b.tls.Address("/x"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.at = netip.MustParseAddrPort(l.Addr().String())
	s := Serve(l, Config{TLS: b.tls.ServerTLS(), Host: b.host, Address: b.at, Datacenter: "West Europe"})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// connect opens a session as the samples of the service do.
func (b *bench) connect(user, password string) (*gocql.Session, error) {
	c := gocql.NewCluster(b.at.Addr().String())
	c.Port = int(b.at.Port())
	c.Keyspace = "shop"
	c.Timeout, c.ConnectTimeout = 5*time.Second, 5*time.Second
	c.Authenticator = gocql.PasswordAuthenticator{Username: user, Password: password}
	c.SslOpts = &gocql.SslOptions{Config: b.tls.ClientTLS(), EnableHostVerification: true}
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1}
	return c.CreateSession()
}

func (b *bench) session(password string) *gocql.Session {
	b.t.Helper()
	s, err := b.connect("acc", password)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Close)
	return s
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, wrong := range [][2]string{{"acc", "key"}, {"other", "key;'=="}, {"acc", ""}, {"", ""}} {
		s, err := b.connect(wrong[0], wrong[1])
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "are incorrect") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	c := gocql.NewCluster(b.at.Addr().String())
	c.Port, c.SslOpts = int(b.at.Port()), &gocql.SslOptions{Config: b.tls.ClientTLS(), EnableHostVerification: true}
	if s, err := c.CreateSession(); err == nil {
		s.Close()
		t.Error("signed in without credentials")
	}
	b.session("reader")
}

func TestTables(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.session("key;'==")
	for _, text := range []string{
		`CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, "of" text, n int, big bigint, yes boolean, at timestamp, raw blob, d double)`,
		`CREATE TABLE shop.lines (o text, n int, what text, PRIMARY KEY ((o), n)) WITH comment = 'x' AND caching = {'keys': 'ALL'}`,
		`INSERT INTO lines (o, n, what) VALUES ('a', 1, 'it''s')`,
		`INSERT INTO lines (o, n, what) VALUES ('a', 2, 'two')`,
		`UPDATE lines SET what = 'three' WHERE o = 'a' AND n = 2`,
	} {
		if err := s.Query(text).Exec(); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	id := gocql.TimeUUID()
	if err := s.Query(`INSERT INTO orders (id, "of", n, big, yes, at, raw, d) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		id, "tée", 7, int64(1)<<40, true, time.UnixMilli(1), []byte{0, 1}, 1.5).Exec(); err != nil {
		t.Fatal(err)
	}
	var of string
	var n int
	var yes bool
	if err := s.Query(`SELECT "of", n, yes FROM orders WHERE id = ?`, id).Scan(&of, &n, &yes); err != nil || of != "tée" || n != 7 || !yes {
		t.Errorf("read %q %d %t, %v", of, n, yes, err)
	}
	got := map[string]any{}
	if err := s.Query(`SELECT * FROM orders WHERE id = ?`, id).MapScan(got); err != nil || got["big"] != int64(1)<<40 || got["d"] != 1.5 {
		t.Errorf("read %v, %v", got, err)
	}
	var what []string
	scan := s.Query(`SELECT what FROM lines WHERE o = ?`, "a").Iter()
	for each := ""; scan.Scan(&each); {
		what = append(what, each)
	}
	if err := scan.Close(); err != nil || strings.Join(what, ",") != "it's,three" {
		t.Errorf("lines %q, %v", what, err)
	}
	if err := s.Query(`DELETE FROM lines WHERE o = 'a' AND n = 1`).Exec(); err != nil {
		t.Error(err)
	}
	var count int64
	if err := s.Query(`SELECT count(*) FROM lines`).Scan(&count); err != nil || count != 1 {
		t.Errorf("count %d, %v", count, err)
	}
	if names := b.host.Collections("shop"); strings.Join(names, " ") != "lines orders" {
		t.Errorf("names %v", names)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.session("key;'==")
	if err := s.Query(`CREATE TABLE lines (o text, n int, what text, PRIMARY KEY (o, n))`).Exec(); err != nil {
		t.Fatal(err)
	}
	meta, err := b.session("key;'==").KeyspaceMetadata("shop")
	if err != nil {
		t.Fatal(err)
	}
	lines := meta.Tables["lines"]
	if lines == nil || len(lines.PartitionKey) != 1 || lines.PartitionKey[0].Name != "o" || len(lines.ClusteringColumns) != 1 {
		t.Errorf("metadata %+v", lines)
	}
	var dc string
	if err := s.Query(`SELECT data_center FROM system.local WHERE key = 'local'`).Scan(&dc); err != nil || dc != "West Europe" {
		t.Errorf("data centre %q, %v", dc, err)
	}
}

func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var said gocql.RequestError
	if !errors.As(err, &said) || said.Code() != code {
		t.Errorf("%s: %v, want code %x", what, err, code)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.session("key;'==")
	if err := s.Query(`CREATE TABLE x (id int PRIMARY KEY, a text)`).Exec(); err != nil {
		t.Fatal(err)
	}
	for text, code := range map[string]int{
		`SELEC * FROM x`: errSyntax, `SELECT * FROM x ORDER BY a`: errSyntax, `SELECT * FROM x WHERE a > 'x'`: errSyntax, `SELECT a FROM x; SELECT a FROM x`: errSyntax,
		`SELECT * FROM y`: errInvalid, `SELECT b FROM x`: errInvalid, `SELECT * FROM x WHERE a = 'x'`: errInvalid, `SELECT * FROM x WHERE id = 'x'`: errInvalid,
		`SELECT * FROM x WHERE id = 1 AND id = 2`: errInvalid, `SELECT * FROM nope.x`: errInvalid,
		`INSERT INTO x (a) VALUES ('x')`: errInvalid, `INSERT INTO x (id, a) VALUES (1)`: errInvalid, `INSERT INTO x (id) VALUES (99999999999)`: errInvalid,
		`UPDATE x SET a = 'x' WHERE a = 'x'`: errInvalid, `CREATE TABLE x (id int PRIMARY KEY)`: errExists, `CREATE TABLE z (id int)`: errInvalid,
		`CREATE TABLE z (id number PRIMARY KEY)`: errInvalid, `DROP TABLE z`: errConfig, `DROP KEYSPACE system`: errUnauthorized,
		`CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`: errExists,
	} {
		wantCode(t, text, s.Query(text).Exec(), code)
	}
	if err := s.Query(`SELECT * FROM x WHERE a = 'x' ALLOW FILTERING`).Exec(); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wantCode(t, "create", b.session("reader").Query(`CREATE TABLE x (id int PRIMARY KEY)`).Exec(), errUnauthorized)
}

func TestKeyAndNetworkChangeUnderASession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.session("key;'==")
	b.host.mu.Lock()
	b.host.secrets = []Secret{{Password: "fresh"}}
	b.host.mu.Unlock()
	wantCode(t, "after rotation", s.Query(`SELECT key FROM system.local`).Exec(), errCredentials)
	b.host.mu.Lock()
	b.host.closed = true
	b.host.mu.Unlock()
	c, err := b.connect("acc", "fresh")
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "Request originated from IP 127.") {
		t.Errorf("firewall: %v", err)
	}
}

// FuzzParse holds that no text makes the parser panic, and that what it takes has a verb.
func FuzzParse(f *testing.F) {
	f.Add(`SELECT * FROM a.b WHERE c = 'd' AND "e" = ? LIMIT 3 ALLOW FILTERING`)
	f.Add(`CREATE TABLE a (b int, c text, PRIMARY KEY ((b), c)) WITH x = {'a': 1}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err == nil && s.verb == "" {
			t.Errorf("%q has no verb", text)
		}
	})
}

// FuzzFrame holds that no bytes make a session panic.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x01\x05\x00\x00\x00\x00"))
	f.Add([]byte("\x04\x00\x00\x01\x07\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		host := &account{secrets: []Secret{{Password: "p"}}}
		server := &Server{config: Config{Host: host}, tables: newTables(host)}
		for _, user := range []string{"", "acc"} {
			s := &session{server: server, started: user != "", user: user, secret: Secret{Password: "p"}, keyspace: "system", prepared: map[string]prepared{}}
			if frame, err := readFrame(strings.NewReader(string(b))); err == nil && s.answer(frame) == nil {
				t.Error("no answer")
			}
		}
	})
}
