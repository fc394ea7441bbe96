package storage

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	name      = "acct1"
	accountID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.Storage/storageAccounts/" + name
)

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

func accountBody(properties map[string]any) provider.Document {
	return provider.Document{"location": "westeurope", "kind": "StorageV2", "sku": map[string]any{"name": "Standard_LRS"}, "properties": properties}
}

func withAccount(t *testing.T) *bench {
	b := newBench(t)
	b.run("PUT", "", accountBody(nil))
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, accountID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (b *bench) patch(properties map[string]any) provider.Document {
	b.t.Helper()
	return b.run("PATCH", "", provider.Document{"properties": properties}).Body
}

func (b *bench) endpoint() string {
	b.t.Helper()
	return provider.Text(b.run("GET", "", nil).Body, "properties", "primaryEndpoints", "blob")
}

func (b *bench) key(n int) string {
	b.t.Helper()
	keys, _ := b.run("POST", "/listKeys", nil).Body["keys"].([]any)
	return provider.Text(keys[n].(map[string]any), "value")
}

// http is a client that trusts the cloud and comes from an address.
func (b *bench) http(source string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (b *bench) options(source string) *service.ClientOptions {
	return &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: b.http(source), Retry: policy.RetryOptions{MaxRetries: -1}}}
}

func (b *bench) byKey(key, source string) *service.Client {
	b.t.Helper()
	cred, err := service.NewSharedKeyCredential(name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := service.NewClientWithSharedKeyCredential(b.endpoint(), cred, b.options(source))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

type staticToken string

func (s staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (b *bench) byToken(token string) *service.Client {
	b.t.Helper()
	c, err := service.NewClient(b.endpoint(), staticToken(token), b.options("127.0.0.1"))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) token(p provider.Principal, audience string) string {
	b.t.Helper()
	t, _, err := b.cloud.Directory().Token(p.ObjectID, audience)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// want checks an error of the SDK: code "" means none.
func want(t *testing.T, err error, status int, code string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Fatalf("got %v, want success", err)
		}
		return
	}
	var e *azcore.ResponseError
	if !errors.As(err, &e) || e.StatusCode != status || !bloberror.HasCode(err, bloberror.Code(code)) {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
}
