package appconfig

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azappconfig"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const storeID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.AppConfiguration/configurationStores/Store-1"

// bench is a store and somebody who speaks to it.
type bench struct {
	t     *testing.T
	cloud *providertest.Cloud
	front *providertest.Front
	who   provider.Principal
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, cloud: providertest.New(t)}
	b.who = b.cloud.Directory().NewManagedIdentity("/x", "app")
	b.boot()
	return b
}

func (b *bench) boot() provider.Provider {
	p := New(b.cloud)
	b.t.Cleanup(func() { _ = p.Close() })
	b.front = providertest.NewFront(b.cloud, p)
	return p
}

func storeBody(properties map[string]any) provider.Document {
	return provider.Document{"location": "West Europe", "sku": map[string]any{"name": "standard"}, "properties": properties}
}

func withStore(t *testing.T) *bench {
	b := newBench(t)
	b.run("PUT", "", storeBody(nil))
	return b
}

func (b *bench) run(method, path string, d provider.Document) provider.Document {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, storeID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r.Body
}

func (b *bench) patch(properties map[string]any) {
	b.t.Helper()
	b.run("PATCH", "", provider.Document{"properties": properties})
}

func (b *bench) refused(status int, code, method, path string, d provider.Document) {
	b.t.Helper()
	_, err := b.front.Run(b.t.Context(), method, storeID+path, d)
	var f *provider.Fault
	if !errors.As(err, &f) || f.Status != status || f.Code != code {
		b.t.Errorf("%s %s: %v, want %d %s", method, path, err, status, code)
	}
}

func (b *bench) endpoint() string {
	b.t.Helper()
	return provider.Text(b.run("GET", "", nil), "properties", "endpoint")
}

// key is one of the store's keys, by its name.
func (b *bench) key(name string) map[string]any {
	b.t.Helper()
	keys, _ := b.run("POST", "/listKeys", nil)["value"].([]any)
	for _, k := range keys {
		if one := k.(map[string]any); provider.Text(one, "name") == name {
			return one
		}
	}
	b.t.Fatalf("no key %s", name)
	return nil
}

func (b *bench) options() *azappconfig.ClientOptions {
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS()}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &azappconfig.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: tr}, Retry: policy.RetryOptions{MaxRetries: -1}}}
}

// byKey is the client of Azure's own library with one of the store's keys.
func (b *bench) byKey(name string) *azappconfig.Client {
	b.t.Helper()
	c, err := azappconfig.NewClientFromConnectionString(provider.Text(b.key(name), "connectionString"), b.options())
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// GetToken makes the bench a credential: it signs in for whatever the library asks for.
func (b *bench) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, expires, err := b.cloud.Directory().Token(b.who.ObjectID, strings.TrimSuffix(o.Scopes[0], "/.default"))
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, err
}

func (b *bench) byToken() *azappconfig.Client {
	b.t.Helper()
	c, err := azappconfig.NewClient(b.endpoint(), b, b.options())
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// request is a plain signed request that a test may spoil before it goes.
type request struct {
	method, path, body string
	date               time.Time
	spoil              func(*http.Request)
}

func (b *bench) send(r request) (int, http.Header, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), r.method, b.endpoint()+r.path, strings.NewReader(r.body))
	if err != nil {
		b.t.Fatal(err)
	}
	key := b.key("Primary")
	sum := sha256.Sum256([]byte(r.body))
	if r.date.IsZero() {
		r.date = time.Now()
	}
	req.Header.Set("x-ms-date", r.date.UTC().Format(http.TimeFormat))
	req.Header.Set("x-ms-content-sha256", base64.StdEncoding.EncodeToString(sum[:]))
	secret, _ := base64.StdEncoding.DecodeString(provider.Text(key, "value"))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.method + "\n" + req.URL.RequestURI() + "\n" + req.Header.Get("x-ms-date") + ";" + req.URL.Host + ";" + req.Header.Get("x-ms-content-sha256")))
	req.Header.Set("Authorization", "HMAC-SHA256 Credential="+provider.Text(key, "id")+"&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if r.spoil != nil {
		r.spoil(req)
	}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS()}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_, _ = io.Copy(&text, resp.Body)
	return resp.StatusCode, resp.Header, text.String()
}

// want holds an SDK error to a status; 0 means none.
func want(t *testing.T, err error, status int) {
	t.Helper()
	var said *azcore.ResponseError
	switch {
	case status == 0 && err == nil:
	case status == 0 || !errors.As(err, &said) || said.StatusCode != status:
		t.Fatalf("got %v, want %d", err, status)
	}
}
