package keyvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const vaultID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.KeyVault/vaults/Vault-1"

// bench is a vault and somebody who speaks to it.
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

func vaultBody(properties map[string]any) provider.Document {
	all := map[string]any{"tenantId": providertest.Tenant, "sku": map[string]any{"name": "standard", "family": "A"}, "accessPolicies": []any{}}
	for k, v := range properties {
		all[k] = v
	}
	return provider.Document{"location": "West Europe", "properties": all}
}

func policy1(objectID string, rights ...string) map[string]any {
	return map[string]any{"tenantId": providertest.Tenant, "objectId": objectID, "permissions": map[string]any{"secrets": anys(rights)}}
}

// withVault makes a vault whose policies let the bench's principal do everything.
func withVault(t *testing.T) *bench {
	b := newBench(t)
	b.run("PUT", "", vaultBody(map[string]any{"accessPolicies": []any{policy1(b.who.ObjectID, "all")}}))
	return b
}

func (b *bench) run(method, path string, d provider.Document) provider.Document {
	b.t.Helper()
	r, err := b.front.Run(b.t.Context(), method, vaultID+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r.Body
}

func (b *bench) refused(status int, code, method, path string, d provider.Document) {
	b.t.Helper()
	_, err := b.front.Run(b.t.Context(), method, vaultID+path, d)
	var f *provider.Fault
	if !errors.As(err, &f) || f.Status != status || f.Code != code {
		b.t.Errorf("%s %s: %v, want %d %s", method, path, err, status, code)
	}
}

func (b *bench) endpoint() string {
	b.t.Helper()
	return provider.Text(b.run("GET", "", nil), "properties", "vaultUri")
}

// http is a client that trusts the cloud and comes from an address.
func (b *bench) http(source string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	tr := &http.Transport{TLSClientConfig: b.cloud.ClientTLS(), DialContext: d.DialContext}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// GetToken makes the bench a credential: it signs in for whatever the challenge names.
func (b *bench) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if o.TenantID != providertest.Tenant {
		return azcore.AccessToken{}, errors.New("the challenge names another tenant: " + o.TenantID)
	}
	token, expires, err := b.cloud.Directory().Token(b.who.ObjectID, strings.TrimSuffix(o.Scopes[0], "/.default"))
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, err
}

// sdk is the client of Azure's own library.
func (b *bench) sdk(source string) *azsecrets.Client {
	b.t.Helper()
	c, err := azsecrets.NewClient(b.endpoint(), b, &azsecrets.ClientOptions{
		DisableChallengeResourceVerification: true, // an address has no domain to compare
		ClientOptions:                        azcore.ClientOptions{Transport: b.http(source), Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// call is one plain request with a token of the given audience, "" for none.
func (b *bench) call(method, path, aud string, body any) (int, http.Header, map[string]any) {
	b.t.Helper()
	raw, _ := json.Marshal(body)
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.endpoint()+path, bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	if aud != "" {
		token, _, err := b.cloud.Directory().Token(b.who.ObjectID, aud)
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.http("127.0.0.1").Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	text, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(text, &answer)
	return resp.StatusCode, resp.Header, answer
}

// want holds an SDK error to a status and a code; 0 means none.
func want(t *testing.T, err error, status int, code string) {
	t.Helper()
	var said *azcore.ResponseError
	switch {
	case status == 0 && err == nil:
	case status == 0 || !errors.As(err, &said) || said.StatusCode != status || said.ErrorCode != code:
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
}
