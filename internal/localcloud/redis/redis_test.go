package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const cacheID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.Cache/redis/Cache1"

type bench struct {
	t     *testing.T
	ctx   context.Context
	cloud *providertest.Cloud
	front *providertest.Front
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), cloud: providertest.New(t)}
	b.boot()
	return b
}

func (b *bench) boot() provider.Provider {
	p := New(b.cloud)
	b.t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	return p
}

func cacheBody(more map[string]any) provider.Document {
	properties := map[string]any{"sku": map[string]any{"name": "Basic", "family": "C", "capacity": 0}}
	for k, v := range more {
		properties[k] = v
	}
	return provider.Document{"location": "westeurope", "properties": properties}
}

func withCache(t *testing.T) *bench {
	b := newBench(t)
	b.run("PUT", "", cacheBody(map[string]any{"redisConfiguration": map[string]any{"aad-enabled": "true"}}))
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, cacheID+path, d)
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

// client connects as an app would, over TLS unless port is the plain one.
func (b *bench) client(user, secret, source string, port, proto int) *client.Client {
	host := b.cloud.Address(cacheID)
	opt := &client.Options{Addr: fmt.Sprintf("%s:%d", host, port), Username: user, Password: secret, Protocol: proto, MaxRetries: -1, DialerRetries: 1}
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return d.DialContext(ctx, network, addr)
	}
	if port == tlsPort {
		opt.TLSConfig = b.cloud.ClientTLS()
		opt.TLSConfig.ServerName = host
		plain := opt.Dialer
		cfg := opt.TLSConfig
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := plain(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tlsClient(ctx, conn, cfg)
		}
	}
	c := client.NewClient(opt)
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) app(user, secret string) *client.Client {
	return b.client(user, secret, "127.0.0.1", tlsPort, 3)
}

func (b *bench) token(p provider.Principal, audience string) string {
	b.t.Helper()
	t, _, err := b.cloud.Directory().Token(p.ObjectID, audience)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) identity(name string) provider.Principal {
	return b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/"+name, name)
}

func (b *bench) assign(name, policy string, p provider.Principal) {
	b.t.Helper()
	b.run("PUT", "/accessPolicyAssignments/"+name, provider.Document{"properties": map[string]any{
		"accessPolicyName": policy, "objectId": p.ObjectID, "objectIdAlias": name,
	}})
}

func wantErr(t *testing.T, err error, prefix string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), prefix) {
		t.Fatalf("got %v, want %s", err, prefix)
	}
}

func TestCacheLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, err := b.front.Do(b.ctx, "PUT", cacheID, cacheBody(nil))
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != 201 || provider.Text(r.Body, "properties", "provisioningState") != "Creating" {
		t.Fatalf("create answered %d %v", r.Status, r.Body)
	}
	if got := provider.Text(b.run("GET", "", nil).Body, "properties", "provisioningState"); got != "Creating" {
		t.Errorf("visible at once as %q", got)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	doc := b.run("GET", "", nil).Body
	for name, want := range map[string]any{
		"hostName": b.cloud.Address(cacheID), "sslPort": 6380.0, "port": 6379.0, "provisioningState": "Succeeded", "enableNonSslPort": false,
	} {
		if got := provider.At(doc, "properties", name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	primary, secondary := b.keys()
	for _, key := range []string{primary, secondary} {
		for _, proto := range []int{2, 3} {
			c := b.client("", key, "127.0.0.1", tlsPort, proto)
			if err := c.Incr(b.ctx, "hits").Err(); err != nil {
				t.Fatalf("protocol %d: %v", proto, err)
			}
		}
	}
	if n, err := b.app("default", primary).Get(b.ctx, "hits").Int(); n != 4 || err != nil {
		t.Errorf("hits = %d, %v", n, err)
	}
	b.run("DELETE", "", nil)
	if err := b.app("", primary).Ping(b.ctx).Err(); err == nil {
		t.Error("a deleted cache answers")
	}
	if r := b.run("DELETE", "", nil); r.Status != 204 {
		t.Errorf("second delete: %d", r.Status)
	}
	var f *provider.Fault
	if _, err := b.front.Run(b.ctx, "GET", cacheID, nil); !errors.As(err, &f) || f.Status != 404 {
		t.Errorf("after delete: %v", err)
	}
}
