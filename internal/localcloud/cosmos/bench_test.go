package cosmos

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	name      = "acct-1"
	accountID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.DocumentDB/databaseAccounts/" + name
)

type bench struct {
	t     *testing.T
	ctx   context.Context
	cloud *providertest.Cloud
	front *providertest.Front
}

func newBench(t *testing.T, planes Planes) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), cloud: providertest.New(t)}
	b.boot(planes)
	return b
}

func (b *bench) boot(planes Planes) provider.Provider {
	p := New(b.cloud, planes)
	b.t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	return p
}

// body is an account of an API: a capability, or a kind with "kind=" before it.
func body(capability string) provider.Document {
	d := provider.Document{"location": "westeurope", "kind": "GlobalDocumentDB", "properties": map[string]any{
		"databaseAccountOfferType": "Standard", "locations": []any{map[string]any{"locationName": "westeurope", "failoverPriority": 0.0}},
	}}
	switch capability {
	case "":
	case "MongoDB":
		d["kind"] = "MongoDB"
	default:
		d["properties"].(map[string]any)["capabilities"] = []any{map[string]any{"name": capability}}
	}
	return d
}

func withAccount(t *testing.T, capability string) *bench {
	t.Helper()
	b := newBench(t, nil)
	b.run("PUT", "", body(capability))
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

// refused makes a call and returns the code it is refused with.
func (b *bench) refused(method, path string, d provider.Document) string {
	b.t.Helper()
	_, err := b.front.Run(b.ctx, method, accountID+path, d)
	var f *provider.Fault
	if !errors.As(err, &f) {
		b.t.Fatalf("%s %s: %v, want a refusal", method, path, err)
	}
	return f.Code
}

func (b *bench) patch(properties map[string]any) {
	b.t.Helper()
	b.run("PATCH", "", provider.Document{"properties": properties})
}

func (b *bench) property(names ...string) string {
	b.t.Helper()
	return provider.Text(b.run("GET", "", nil).Body, append([]string{"properties"}, names...)...)
}

func (b *bench) key(member string) string {
	b.t.Helper()
	return provider.Text(b.run("POST", "/listKeys", nil).Body, member)
}

// child puts a database or a collection.
func (b *bench) child(path, id string, more map[string]any) {
	b.t.Helper()
	resource := map[string]any{"id": id}
	for k, v := range more {
		resource[k] = v
	}
	b.run("PUT", path+"/"+id, provider.Document{"properties": map[string]any{"resource": resource}})
}

func (b *bench) options(source string) azcore.ClientOptions {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext}
	b.t.Cleanup(tr.CloseIdleConnections)
	return azcore.ClientOptions{Transport: &http.Client{Transport: tr}, Retry: policy.RetryOptions{MaxRetries: -1}}
}

func (b *bench) byKey(key, source string) *azcosmos.Client {
	b.t.Helper()
	cred, err := azcosmos.NewKeyCredential(key)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := azcosmos.NewClientWithKey(b.property("documentEndpoint"), cred, &azcosmos.ClientOptions{ClientOptions: b.options(source)})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

type staticToken string

func (s staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (b *bench) token(p provider.Principal, audience string) string {
	b.t.Helper()
	t, _, err := b.cloud.Directory().Token(p.ObjectID, audience)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) byToken(token string) *azcosmos.Client {
	b.t.Helper()
	c, err := azcosmos.NewClient(b.property("documentEndpoint"), staticToken(token), &azcosmos.ClientOptions{ClientOptions: b.options("127.0.0.1")})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) tables(key, source string) *aztables.ServiceClient {
	b.t.Helper()
	cred, err := aztables.NewSharedKeyCredential(name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := aztables.NewServiceClientWithSharedKey(b.property("tableEndpoint"), cred, &aztables.ClientOptions{ClientOptions: b.options(source)})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// want checks an error of an SDK: status 0 means none.
func want(t *testing.T, err error, status int) {
	t.Helper()
	var e *azcore.ResponseError
	switch {
	case status == 0 && err != nil:
		t.Fatalf("got %v, want success", err)
	case status != 0 && (!errors.As(err, &e) || e.StatusCode != status):
		t.Fatalf("got %v, want %d", err, status)
	}
}
