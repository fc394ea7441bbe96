package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	thingType = "Microsoft.Test/things"
	thingID   = "/subscriptions/0000/resourceGroups/Rg/providers/" + thingType + "/thing1"
)

// things is a provider of one type with an endpoint, keys and secrets.
type things struct {
	*Accounts
	set *Set
}

func (p things) Types() []provider.Type {
	return []provider.Type{p.Type([]string{"2024-01-01"}, p.KeyActions(
		func(id string) any { return map[string]any{"one": p.Keys(id)["one"], "two": p.Keys(id)["two"]} },
		func(d provider.Document) string { return provider.Text(d, "keyName") }))}
}
func (p things) Resume(ctx context.Context) error { return p.set.Resume(ctx, thingType) }
func (p things) Close() error                     { return p.set.Close() }

func newThings(cloud *providertest.Cloud, handler http.HandlerFunc) things {
	set := NewSet(cloud, func(string) http.Handler { return handler })
	return things{NewAccounts(cloud, Kind{
		Type: thingType, Platform: []string{"url"}, Keys: []string{"one", "two"}, NewKey: HexKey, Global: true,
		Defaults: func() map[string]any { return map[string]any{"colour": "grey", "nested": map[string]any{"a": 1.0}} },
		Check: func(d provider.Document) error {
			if provider.Text(d, "properties", "colour") == "none" {
				return provider.BadRequest("NoColour", "no colour")
			}
			return nil
		},
		Fill: func(_ provider.Document, e *Endpoint) map[string]any { return map[string]any{"url": e.URL()} },
	}, set), set}
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, thingID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) get(url string) (string, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", url, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return string(raw), err
}

func made(properties map[string]any) provider.Document {
	return provider.Document{"location": "x", "tags": map[string]any{"a": "b"}, "properties": properties}
}

func TestLife(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, cloud: providertest.New(t)}
	p := newThings(b.cloud, hello)
	b.front = providertest.NewFront(b.cloud, p)
	pending, err := b.front.Do(t.Context(), "PUT", thingID, made(map[string]any{"colour": "red", "url": "mine"}))
	if err != nil || !pending.Async {
		t.Fatalf("%+v, %v", pending, err)
	}
	if _, err := b.front.Run(t.Context(), "GET", thingID, nil); err == nil {
		t.Error("it is there before it is made")
	}
	if err := pending.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := provider.Text(b.run("GET", "", nil).Body, "properties", "url")
	if said, err := b.get(url); said != "hello" {
		t.Errorf("%s: %q, %v", url, said, err)
	}
	keys := b.run("POST", "/listKeys", nil).Body
	patched := b.run("PATCH", "", provider.Document{"properties": map[string]any{"nested": map[string]any{"b": 2.0}, "url": "mine"}}).Body
	if provider.Text(patched, "properties", "colour") != "red" || provider.At(patched, "properties", "nested", "a") != 1.0 || provider.Text(patched, "properties", "url") != url || provider.Text(patched, "tags", "a") != "b" {
		t.Errorf("patched %v", patched)
	}
	put := b.run("PUT", "", made(nil)).Body
	if provider.Text(put, "properties", "colour") != "grey" || provider.At(put, "properties", "nested", "b") != nil || provider.Text(put, "properties", "url") != url {
		t.Errorf("put %v", put)
	}
	if again := b.run("POST", "/listKeys", nil).Body; provider.Text(again, "one") != provider.Text(keys, "one") {
		t.Error("a write replaced the keys")
	}
	var f *provider.Fault
	if _, err := b.front.Run(t.Context(), "PATCH", thingID, provider.Document{"properties": map[string]any{"colour": "none"}}); !errors.As(err, &f) || f.Code != "NoColour" {
		t.Errorf("a bad write: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = newThings(b.cloud, hello)
	t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	if err := p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said, err := b.get(url); said != "hello" {
		t.Errorf("after a restart: %q, %v", said, err)
	}
	b.run("DELETE", "", nil)
	if _, err := b.get(url); err == nil {
		t.Error("a deleted thing answers")
	}
	if r := b.run("DELETE", "", nil); r.Status != 204 {
		t.Errorf("a second delete: %d", r.Status)
	}
}

// Close waits for requests that hang on until they are told to go.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, cloud: providertest.New(t)}
	var left atomic.Bool
	inside := make(chan struct{})
	p := newThings(b.cloud, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack() // as a web socket does
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		close(inside)
		<-r.Context().Done()
		time.Sleep(50 * time.Millisecond) // the work that Close must wait for
		left.Store(true)
	})
	b.front = providertest.NewFront(b.cloud, p)
	b.run("PUT", "", made(nil))
	url := provider.Text(b.run("GET", "", nil).Body, "properties", "url")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.get(url) // ends with the connection
	}()
	<-inside
	if err := p.Close(); err != nil || !left.Load() {
		t.Errorf("closed with a request inside: %v", err)
	}
	<-done
	if _, err := p.set.Serve(t.Context(), thingID); err == nil {
		t.Error("a closed set opens")
	}
}

func TestParseAddresses(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct{ in, out string }{
		"192.0.2.7":             {"192.0.2.7", "192.0.2.8"},
		"192.0.2.7/32":          {"192.0.2.7", "192.0.2.6"},
		"192.0.2.9/24":          {"192.0.2.255", "192.0.3.0"},
		"0.0.0.0/0":             {"255.255.255.255", "::1"},
		"192.0.2.7-192.0.2.9":   {"192.0.2.9", "192.0.2.10"},
		"127.0.0.0/8":           {"127.200.0.1", "128.0.0.0"},
		"255.255.255.255/1":     {"128.0.0.0", "127.255.255.255"},
		"10.0.0.0-10.255.255.1": {"::ffff:10.9.9.9", "10.255.255.2"},
	} {
		r, err := ParseAddresses(text)
		if err != nil || !r.Holds(netip.MustParseAddr(c.in)) || r.Holds(netip.MustParseAddr(c.out)) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "x", "192.0.2", "192.0.2.1/33", "::1", "::/0", "192.0.2.9-192.0.2.7", "192.0.2.7-", "192.0.2.7-::1"} {
		if r, err := ParseAddresses(text); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, text := range []string{"192.0.2.7", "10.0.0.0/8", "192.0.2.7-192.0.2.9", "::1", "1.2.3.4-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseAddresses(text)
		if err == nil && (!r.first.Is4() || !r.last.Is4() || r.last.Less(r.first) || !r.Holds(r.first) || !r.Holds(r.last)) {
			t.Errorf("%q is %v", text, r)
		}
	})
}
