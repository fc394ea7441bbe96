package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	sasl "github.com/twmb/franz-go/pkg/sasl/plain"
)

// broker opens one where user NAME may do what the table says, whose password is "word".
func broker(t *testing.T, may map[string][]Right) *Broker {
	t.Helper()
	b, err := Open(t.Context(), Options{
		Address: "127.0.0.1:0", Topics: map[string]int{"orders": 2},
		Plain: func(user, secret string) (Session, error) {
			if secret != "word" {
				return Session{}, errors.New("it is another word")
			}
			return Session{May: func(r Right, topic string) bool { return slices.Contains(may[user+"/"+topic], r) }}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func as(t *testing.T, b *Broker, user, word string, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.outside.Addr().String()), kgo.SASL(sasl.Auth{User: user, Pass: word}.AsMechanism()),
		kgo.RequestRetries(0), kgo.RecordRetries(0), kgo.RetryTimeout(2 * time.Second), kgo.DisableIdempotentWrite()}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *kgo.Client) error {
	return c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr()
}

func TestRights(t *testing.T) {
	t.Parallel()
	b := broker(t, map[string][]Right{
		"writer/orders": {Write}, "reader/orders": {Read}, "reader/": {Read}, "loner/orders": {Read},
		"boss/orders": {Read, Write, Manage}, "boss/": {Read, Write, Manage},
	})
	if err := produce(t, as(t, b, "writer", "word")); err != nil {
		t.Errorf("writing with Write: %v", err)
	}
	for _, user := range []string{"reader", "nobody"} {
		if err := produce(t, as(t, b, user, "word")); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("writing as %s: %v", user, err)
		}
	}
	got := as(t, b, "reader", "word", kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g")).PollFetches(t.Context())
	if got.Err() != nil || got.NumRecords() != 1 {
		t.Errorf("reading with Read: %d, %v", got.NumRecords(), got.Err())
	}
	for _, user := range []string{"loner", "writer"} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		got := as(t, b, user, "word", kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("h"), kgo.RetryTimeout(time.Second)).PollFetches(ctx)
		cancel()
		if got.NumRecords() != 0 {
			t.Errorf("%s reads in a group", user)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if got := as(t, b, "writer", "word", kgo.ConsumeTopics("orders")).PollFetches(ctx); !errors.Is(got.Err(), kerr.TopicAuthorizationFailed) {
		t.Errorf("reading with Write: %v", got.Err())
	}
	made, err := kadm.NewClient(as(t, b, "writer", "word")).CreateTopic(t.Context(), 1, 1, nil, "mine")
	if !errors.Is(errors.Join(err, made.Err), kerr.TopicAuthorizationFailed) {
		t.Errorf("making a topic with Write: %v, %v", made, err)
	}
	admin := kadm.NewClient(as(t, b, "boss", "word"))
	if made, err := admin.CreateTopic(t.Context(), 1, 1, nil, "mine"); err != nil || made.Err != nil {
		t.Errorf("making a topic with Manage: %v, %v", made.Err, err)
	}
	gone, err := kadm.NewClient(as(t, b, "reader", "word")).DeleteTopic(t.Context(), "mine")
	if !errors.Is(errors.Join(err, gone.Err), kerr.TopicAuthorizationFailed) {
		t.Errorf("deleting a topic with Read: %v, %v", gone, err)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := broker(t, map[string][]Right{"me/orders": {Write}})
	if err := produce(t, as(t, b, "me", "wrong")); !errors.Is(err, kerr.SaslAuthenticationFailed) || !strings.Contains(err.Error(), "another word") {
		t.Errorf("a wrong password: %v", err)
	}
	token := oauth.Auth{Token: "x"}.AsMechanism()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.outside.Addr().String()), kgo.SASL(token), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ping(t.Context()); err == nil {
		t.Error("a mechanism that is switched off signs in")
	}
	naked, err := kgo.NewClient(kgo.SeedBrokers(b.outside.Addr().String()), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer naked.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := naked.Ping(ctx); err == nil {
		t.Error("somebody who has not signed in gets answers")
	}
}

// A session ends with its token, and its holder signs in again on the same connection.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	var signedIn atomic.Int32
	b, err := Open(t.Context(), Options{Address: "127.0.0.1:0", Topics: map[string]int{"orders": 1},
		Token: func(string) (Session, error) {
			signedIn.Add(1)
			return Session{Expires: time.Now().Add(3 * time.Second), May: func(Right, string) bool { return true }}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.outside.Addr().String()), kgo.SASL(oauth.Auth{Token: "x"}.AsMechanism()), kgo.DisableIdempotentWrite())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); signedIn.Load() < 4; {
		if err := produce(t, c); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("signed in %d times only", signedIn.Load())
		}
	}
}

// Clients that know the first handshake only send the token without a request around it.
func TestBareToken(t *testing.T) {
	t.Parallel()
	b := broker(t, map[string][]Right{})
	for word, want := range map[string]bool{"word": true, "wrong": false} {
		c, err := net.Dial("tcp", b.outside.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		q := kmsg.NewPtrSASLHandshakeRequest()
		q.Mechanism = "PLAIN"
		if err := writeMessage(c, kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)[4:]); err != nil {
			t.Fatal(err)
		}
		if _, err := readMessage(c); err != nil {
			t.Fatal(err)
		}
		if err := writeMessage(c, []byte("\x00me\x00"+word)); err != nil {
			t.Fatal(err)
		}
		if _, err := readMessage(c); (err == nil) != want {
			t.Errorf("with %s: %v", word, err)
		}
		_ = c.Close()
	}
}

// A produce request that asks for no answer gets none, refused or not.
func TestSilentProduce(t *testing.T) {
	t.Parallel()
	b := broker(t, map[string][]Right{"me/orders": {Write}})
	for _, user := range []string{"me", "nobody"} {
		c := as(t, b, user, "word", kgo.RequiredAcks(kgo.NoAck()))
		for range 3 {
			if err := produce(t, c); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("%s, afterwards: %v", user, err)
		}
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	b := broker(t, nil)
	if err := errors.Join(b.Create("orders", 1), b.Create("new", 3), b.Create("new", 3), b.Drop("orders"), b.Drop("orders")); err != nil {
		t.Fatal(err)
	}
	told, err := kadm.NewClient(as(t, b, "x", "word")).ListTopics(t.Context())
	if err != nil || fmt.Sprint(told.Names()) != "[new]" || len(told["new"].Partitions) != 3 {
		t.Errorf("topics %v, %v", told.Names(), err)
	}
}

func FuzzParseRequest(f *testing.F) {
	q := kmsg.NewPtrProduceRequest()
	f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, q, 7)[4:])
	f.Add(binary.BigEndian.AppendUint16(nil, 9999))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if q, err := parseRequest(raw); err == nil && !bytes.HasSuffix(raw, q.body) {
			t.Fatal("a request's body is not its end")
		}
	})
}
