package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

// account is a Host with one user.
type account struct {
	Memory
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
	return a.secrets
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
	at   string
	tls  *providertest.Cloud
}

// newBench serves with two keys, the second for reading only.
func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, tls: providertest.New(t), host: &account{secrets: []Secret{{Password: "key/One+=="}, {Password: "pä ss'", ReadOnly: true}}}}
	address := b.tls.Address("/x")
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.at = l.Addr().String()
	c := Config{TLS: b.tls.ServerTLS(), Host: b.host, Address: b.at, ReplicaSet: "globaldb"}
	if change != nil {
		change(&c)
	}
	s := Serve(l, c)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// client connects as an app does: by URL.
func (b *bench) client(user, password, more string) *driver.Client {
	b.t.Helper()
	at := url.UserPassword(user, password).String() + "@"
	if user == "" {
		at = "" // the driver then takes the @ of the app's name for the end of a password
		more += "&appName=x"
	} else {
		more += "&appName=@acc@"
	}
	o := options.Client().ApplyURI(fmt.Sprintf("mongodb://%s%s/?ssl=true&replicaSet=globaldb&maxIdleTimeMS=120000&serverSelectionTimeoutMS=5000%s", at, b.at, more))
	o.SetTLSConfig(b.tls.ClientTLS())
	c, err := driver.Connect(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(b.t.Context())) })
	return c
}

func (b *bench) context() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 15*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var said driver.ServerError
	if !errors.As(err, &said) || !said.HasErrorCode(code) {
		t.Errorf("%s: %v, want code %d", what, err, code)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"", "&authMechanism=SCRAM-SHA-1", "&authMechanism=SCRAM-SHA-256", "&authMechanism=PLAIN&authSource=$external"} {
		b := newBench(t, func(c *Config) { c.Plain = true })
		for _, password := range []string{"key/One+==", "pä ss'"} {
			if err := b.client("acc", password, mechanism+"&retrywrites=false").Ping(b.context(), nil); err != nil {
				t.Errorf("%s: %v", mechanism, err)
			}
		}
		for _, wrong := range [][2]string{{"acc", "key/One+="}, {"other", "key/One+=="}, {"acc", " "}} {
			err := b.client(wrong[0], wrong[1], mechanism).Ping(b.context(), nil)
			wantCode(t, mechanism+" with "+wrong[0], err, codeAuthFailed)
		}
	}
}

func TestPlainIsOffUnlessOffered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	err := b.client("acc", "key/One+==", "&authMechanism=PLAIN&authSource=$external").Ping(b.context(), nil)
	wantCode(t, "PLAIN", err, codeMechanism)
}

func TestNothingWithoutSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := b.client("", "", "&retrywrites=false")
	wantCode(t, "ping", c.Ping(b.context(), nil), codeUnauthorized)
	for name := range commands() {
		if !commands()[name].open {
			wantCode(t, name, c.Database("db").RunCommand(b.context(), bson.D{{Key: name, Value: "x"}}).Err(), codeUnauthorized)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ctx := b.context()
	c := b.client("acc", "key/One+==", "&retrywrites=false")
	orders := c.Database("shop").Collection("orders")
	for n := range 3 {
		if _, err := orders.InsertOne(ctx, bson.D{{Key: "_id", Value: n}, {Key: "of", Value: "tée"}, {Key: "n", Value: n}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := orders.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}})
	if !driver.IsDuplicateKeyError(err) {
		t.Errorf("a second _id: %v", err)
	}
	var got bson.M
	if err := orders.FindOne(ctx, bson.D{{Key: "n", Value: int64(2)}}).Decode(&got); err != nil || got["of"] != "tée" {
		t.Errorf("found %v, %v", got, err)
	}
	if r, err := orders.UpdateOne(ctx, bson.D{{Key: "_id", Value: 2}}, bson.D{{Key: "$set", Value: bson.D{{Key: "of", Value: "x"}}}}); err != nil || r.ModifiedCount != 1 {
		t.Errorf("update: %+v, %v", r, err)
	}
	if r, err := orders.ReplaceOne(ctx, bson.D{{Key: "_id", Value: 9}}, bson.D{{Key: "of", Value: "new"}}, options.Replace().SetUpsert(true)); err != nil || r.UpsertedID != int32(9) {
		t.Errorf("upsert: %+v, %v", r, err)
	}
	if r, err := orders.DeleteMany(ctx, bson.D{{Key: "of", Value: "tée"}}); err != nil || r.DeletedCount != 2 {
		t.Errorf("delete: %+v, %v", r, err)
	}
	if n, err := orders.EstimatedDocumentCount(ctx); err != nil || n != 2 {
		t.Errorf("count %d, %v", n, err)
	}
	if names, err := c.ListDatabaseNames(ctx, bson.D{}); err != nil || strings.Join(names, " ") != "shop" {
		t.Errorf("databases %v, %v", names, err)
	}
	if names, err := c.Database("shop").ListCollectionNames(ctx, bson.D{}); err != nil || strings.Join(names, " ") != "orders" {
		t.Errorf("collections %v, %v", names, err)
	}
	if err := c.Database("shop").Drop(ctx); err != nil {
		t.Error(err)
	}
	if err := orders.FindOne(ctx, bson.D{}).Err(); !errors.Is(err, driver.ErrNoDocuments) {
		t.Errorf("after drop: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ctx := b.context()
	c := b.client("acc", "key/One+==", "&retrywrites=false")
	x := c.Database("db").Collection("x")
	one := func(key string, value any) bson.D { return bson.D{{Key: key, Value: value}} }
	for what, row := range map[string]struct {
		err  error
		code int
	}{
		"unknown command":  {c.Database("db").RunCommand(ctx, one("shutdown", 1)).Err(), codeNoCommand},
		"unknown argument": {c.Database("db").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}, {Key: "sudo", Value: true}}).Err(), codeUnknownField},
		"operator":         {x.FindOne(ctx, one("a", one("$gt", 1))).Err(), codeBadValue},
		"top operator":     {x.FindOne(ctx, one("$where", "1")).Err(), codeBadValue},
		"dotted":           {x.FindOne(ctx, one("a.b", 1)).Err(), codeBadValue},
		"namespace":        {c.Database("db").RunCommand(ctx, one("create", "a$b")).Err(), codeBadNamespace},
		"sort":             {x.FindOne(ctx, bson.D{}, options.FindOne().SetSort(one("a", 1))).Err(), codeNotSupported},
		"list elsewhere":   {c.Database("db").RunCommand(ctx, one("listDatabases", 1)).Err(), codeUnauthorized},
	} {
		wantCode(t, what, row.err, row.code)
	}
	_, err := x.UpdateOne(ctx, bson.D{}, one("$inc", one("a", 1)))
	wantCode(t, "modifier", err, codeFailedParse)
}

// TestRetryableWrites holds what apps trip over: drivers retry writes unless told not to.
func TestRetryableWrites(t *testing.T) {
	t.Parallel()
	for _, retryable := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.RetryableWrites = retryable })
		_, err := b.client("acc", "key/One+==", "").Database("db").Collection("x").InsertOne(b.context(), bson.D{{Key: "a", Value: 1}})
		if retryable && err != nil {
			t.Error(err)
		}
		if !retryable {
			wantCode(t, "retryable write", err, codeIllegal)
		}
	}
}

func TestReadOnlyKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	x := b.client("acc", "pä ss'", "&retrywrites=false").Database("db").Collection("x")
	_, err := x.InsertOne(b.context(), bson.D{{Key: "a", Value: 1}})
	wantCode(t, "write", err, codeUnauthorized)
	if err := x.FindOne(b.context(), bson.D{}).Err(); !errors.Is(err, driver.ErrNoDocuments) {
		t.Errorf("read: %v", err)
	}
}

func TestKeyAndNetworkChangeUnderASession(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := b.client("acc", "key/One+==", "&retrywrites=false")
	if err := c.Ping(b.context(), nil); err != nil {
		t.Fatal(err)
	}
	b.host.mu.Lock()
	b.host.secrets = []Secret{{Password: "fresh"}}
	b.host.mu.Unlock()
	wantCode(t, "after rotation", c.Ping(b.context(), nil), codeUnauthorized)
	b.host.mu.Lock()
	b.host.closed = true
	b.host.mu.Unlock()
	err := b.client("acc", "fresh", "").Ping(b.context(), nil)
	wantCode(t, "firewall", err, codeUnauthorized)
	if err == nil || !strings.Contains(err.Error(), "Request originated from IP 127.") {
		t.Errorf("the refusal does not name the address: %v", err)
	}
}

// FuzzMessage holds that no bytes make the reader panic or take more than it may.
func FuzzMessage(f *testing.F) {
	m := &message{id: 7}
	out, _ := m.encode(bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}})
	f.Add(out)
	f.Add([]byte("\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(strings.NewReader(string(b)))
		if err == nil && m.op == opMsg && m.body == nil {
			t.Error("a message without a body")
		}
	})
}
