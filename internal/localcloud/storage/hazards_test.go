package storage

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

func listContainers(b *bench, c *service.Client) error {
	_, err := c.NewListContainersPager(nil).NextPage(b.ctx)
	return err
}

func TestAccountLife(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, err := b.front.Do(b.ctx, "PUT", accountID, accountBody(map[string]any{"allowSharedKeyAccess": true}))
	if err != nil || r.Status != 202 || r.Body != nil {
		t.Fatalf("create answered %+v, %v", r, err)
	}
	var f *provider.Fault
	if _, err := b.front.Do(b.ctx, "GET", accountID, nil); !errors.As(err, &f) || f.Status != 404 {
		t.Errorf("before it is done: %v", err)
	}
	if err := r.Finish(b.ctx); err != nil {
		t.Fatal(err)
	}
	doc := b.run("GET", "", nil).Body
	if u, err := url.Parse(b.endpoint()); err != nil || u.Scheme != "https" || u.Hostname() != b.cloud.Address(accountID) || u.Path != "/" {
		t.Errorf("endpoint %q", b.endpoint())
	}
	if provider.Text(doc, "properties", "provisioningState") != "Succeeded" || provider.Text(doc, "sku", "tier") != "Standard" || provider.Text(doc, "kind") != "StorageV2" {
		t.Errorf("reads as %v", doc)
	}
	if k := b.key(0); len(k) != 88 || k == b.key(1) || strings.Contains(fmt.Sprint(doc), k) {
		t.Error("keys are not two secrets of 64 bytes")
	}
	other := strings.Replace(accountID, "/Rg/", "/Other/", 1)
	if _, err := b.front.Do(b.ctx, "PUT", other, accountBody(nil)); !errors.As(err, &f) || f.Code != "StorageAccountAlreadyTaken" {
		t.Errorf("a name in use: %v", err)
	}
	client := b.byKey(b.key(0), "127.0.0.1")
	_, err = client.CreateContainer(b.ctx, "c", nil)
	want(t, err, 400, "InvalidResourceName")
	_, err = client.CreateContainer(b.ctx, "abc", nil)
	want(t, err, 0, "")
	b.run("DELETE", "", nil)
	if listContainers(b, client) == nil {
		t.Error("a deleted account answers")
	}
	b.run("PUT", "", accountBody(nil))
	if n := len(b.run("GET", "/blobServices/default/containers/", nil).Body["value"].([]any)); n != 0 {
		t.Errorf("%d containers in a new account", n)
	}
	if s := b.run("PUT", "", accountBody(nil)).Status; s != 200 {
		t.Errorf("second PUT: %d", s)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	first, second := b.key(0), b.key(1)
	for _, key := range []string{first, second} {
		want(t, listContainers(b, b.byKey(key, "127.0.0.1")), 0, "")
	}
	want(t, listContainers(b, b.byKey("AAAA"+first[4:], "127.0.0.1")), 403, "AuthenticationFailed")
	b.run("POST", "/regenerateKey", provider.Document{"keyName": "key1"})
	want(t, listContainers(b, b.byKey(first, "127.0.0.1")), 403, "AuthenticationFailed")
	want(t, listContainers(b, b.byKey(second, "127.0.0.1")), 0, "")
	want(t, listContainers(b, b.byKey(b.key(0), "127.0.0.1")), 0, "")
	b.patch(map[string]any{"allowSharedKeyAccess": false})
	want(t, listContainers(b, b.byKey(second, "127.0.0.1")), 403, "KeyBasedAuthenticationNotPermitted")
	b.patch(map[string]any{"allowSharedKeyAccess": nil}) // absent means true
	want(t, listContainers(b, b.byKey(second, "127.0.0.1")), 0, "")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	_, err := b.byKey(b.key(0), "127.0.0.1").CreateContainer(b.ctx, "data", nil)
	want(t, err, 0, "")
	put := func(audience string) error {
		_, err := b.byToken(b.token(app, audience)).NewContainerClient("data").NewBlockBlobClient("x").UploadBuffer(b.ctx, []byte("hi"), nil)
		return err
	}
	get := func() error {
		_, err := b.byToken(b.token(app, publicAudience)).NewContainerClient("data").NewBlobClient("x").DownloadStream(b.ctx, nil)
		return err
	}
	want(t, put(publicAudience), 403, "AuthorizationPermissionMismatch")
	b.cloud.Grants().Allow(app.ObjectID, accountID, rightBlobRead, rightBlobWrite)
	for _, audience := range []string{publicAudience, publicAudience + "/", b.cloud.URL() + "/storage", "https://" + name + ".blob.core.windows.net", b.endpoint()} {
		want(t, put(audience), 0, "")
	}
	want(t, put("https://vault.azure.net"), 401, "InvalidAuthenticationInfo")
	want(t, get(), 0, "")
	// Blob rights are no container rights.
	want(t, listContainers(b, b.byToken(b.token(app, publicAudience))), 403, "AuthorizationPermissionMismatch")
	_, err = b.byToken(b.token(app, publicAudience)).NewContainerClient("data").NewBlobClient("x").Delete(b.ctx, nil)
	want(t, err, 403, "AuthorizationPermissionMismatch")

	// Rights on one container do not reach another.
	b.cloud.Grants().Clear()
	want(t, get(), 403, "AuthorizationPermissionMismatch")
	b.cloud.Grants().Allow(app.ObjectID, accountID+"/blobServices/default/containers/other", rightBlobRead)
	want(t, get(), 403, "AuthorizationPermissionMismatch")
	b.cloud.Grants().Allow(app.ObjectID, accountID+"/blobServices/default/containers/data", rightBlobRead)
	want(t, get(), 0, "")

	old := b.byToken(b.token(app, publicAudience))
	b.cloud.Advance(2 * time.Hour)
	_, err = old.NewContainerClient("data").NewBlobClient("x").DownloadStream(b.ctx, nil)
	want(t, err, 401, "InvalidAuthenticationInfo")
	want(t, listContainers(b, b.byToken("nonsense")), 401, "InvalidAuthenticationInfo")
	// Keys sign by the machine's clock, whatever the cloud's clock says.
	want(t, listContainers(b, b.byKey(b.key(0), "127.0.0.1")), 0, "")
}

func TestNetworkRules(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	key := b.key(0)
	from := func(source string) error { return listContainers(b, b.byKey(key, source)) }
	want(t, from("127.0.0.9"), 0, "")
	acls := func(doc provider.Document, member string) []any {
		list, _ := provider.At(doc, "properties", "networkAcls", member).([]any)
		return list
	}
	doc := b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny",
		"ipRules":             []any{map[string]any{"value": "127.0.0.9"}, map[string]any{"value": "127.0.1.0/30", "action": "Allow"}},
		"virtualNetworkRules": []any{map[string]any{"id": "/subscriptions/0000/x/subnets/s"}},
	}})
	if provider.Text(doc, "properties", "networkAcls", "bypass") != "AzureServices" || provider.Text(acls(doc, "ipRules")[0].(map[string]any), "action") != "Allow" ||
		provider.Text(acls(doc, "virtualNetworkRules")[0].(map[string]any), "state") != "Succeeded" {
		t.Errorf("rules read as %v", provider.At(doc, "properties", "networkAcls"))
	}
	want(t, from("127.0.0.9"), 0, "")
	want(t, from("127.0.1.3"), 0, "")
	want(t, from("127.0.1.4"), 403, "AuthorizationFailure")
	want(t, from("127.0.0.8"), 403, "AuthorizationFailure")
	doc = b.patch(map[string]any{"networkAcls": map[string]any{"ipRules": []any{map[string]any{"value": "127.0.0.8"}}}})
	if len(acls(doc, "ipRules")) != 1 || len(acls(doc, "virtualNetworkRules")) != 1 || provider.Text(doc, "properties", "networkAcls", "defaultAction") != "Deny" {
		t.Errorf("one array was given, others changed: %v", provider.At(doc, "properties", "networkAcls"))
	}
	want(t, from("127.0.0.9"), 403, "AuthorizationFailure")
	want(t, from("127.0.0.8"), 0, "")
	b.patch(map[string]any{"publicNetworkAccess": "Disabled"})
	want(t, from("127.0.0.8"), 403, "AuthorizationFailure")
}

// raw sends one request without the SDK and returns status and error code.
func (b *bench) raw(method, path string, header map[string]string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.ctx, method, b.endpoint()+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := b.http("127.0.0.1").Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	code := resp.Header.Get("x-ms-error-code")
	if method != "HEAD" && code != "" && !strings.Contains(string(body), "<Code>"+code+"</Code>") {
		b.t.Errorf("%s %s: body %q does not say %s", method, path, body, code)
	}
	if resp.StatusCode == 401 && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") {
		b.t.Errorf("%s %s: 401 without a challenge", method, path)
	}
	return resp.StatusCode, code
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	key := b.key(0)
	client := b.byKey(key, "127.0.0.1")
	_, err := client.CreateContainer(b.ctx, "open", &container.CreateOptions{Access: to.Ptr(container.PublicAccessTypeBlob)})
	want(t, err, 409, "PublicAccessNotPermitted")
	b.patch(map[string]any{"allowBlobPublicAccess": true})
	for name, access := range map[string]*container.PublicAccessType{"open": to.Ptr(container.PublicAccessTypeBlob), "wide": to.Ptr(container.PublicAccessTypeContainer), "shut": nil} {
		_, err := client.CreateContainer(b.ctx, name, &container.CreateOptions{Access: access})
		want(t, err, 0, "")
		_, err = client.NewContainerClient(name).NewBlockBlobClient("x").UploadBuffer(b.ctx, []byte("hi"), &blockblob.UploadBufferOptions{})
		want(t, err, 0, "")
	}
	fresh := map[string]string{"x-ms-version": "2021-12-02"}
	for _, c := range []struct {
		method, path string
		header       map[string]string
		status       int
		code         string
	}{
		{"GET", "open/x", nil, 200, ""},
		{"GET", "wide/x", nil, 200, ""},
		{"GET", "wide?restype=container&comp=list", nil, 200, ""},
		{"GET", "open?restype=container&comp=list", fresh, 401, "NoAuthenticationInformation"},
		{"GET", "shut/x", fresh, 401, "NoAuthenticationInformation"},
		{"GET", "shut/x", nil, 404, "ResourceNotFound"},
		{"HEAD", "shut/x", nil, 404, "ResourceNotFound"},
		{"PUT", "wide/y", fresh, 401, "NoAuthenticationInformation"},
		{"DELETE", "wide/x", fresh, 401, "NoAuthenticationInformation"},
		{"GET", "?comp=list", fresh, 401, "NoAuthenticationInformation"},
		{"GET", "?comp=list&sig=x", fresh, 403, "AuthenticationFailed"},
		{"GET", "?comp=list", map[string]string{"Authorization": "Basic eA=="}, 403, "AuthenticationFailed"},
		{"GET", "?comp=list", map[string]string{"Authorization": "SharedKey " + name}, 403, "AuthenticationFailed"},
		{"GET", "?comp=strange", fresh, 401, "NoAuthenticationInformation"},
		{"GET", "..%2f..%2fetc/x", fresh, 400, "InvalidResourceName"},
	} {
		if status, code := b.raw(c.method, c.path, c.header); status != c.status || code != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, code, c.status, c.code)
		}
	}
	b.patch(map[string]any{"allowBlobPublicAccess": false})
	if status, code := b.raw("GET", "open/x", nil); status != 409 || code != "PublicAccessNotPermitted" {
		t.Errorf("switched off: %d %s", status, code)
	}
}

// TestSignatureCovers changes a signed request on its way: each part counts.
func TestSignatureCovers(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	client := b.byKey(b.key(0), "127.0.0.1")
	_, err := client.CreateContainer(b.ctx, "data", nil)
	want(t, err, 0, "")
	for name, change := range map[string]func(*http.Request){
		"method":  func(r *http.Request) { r.Method = "DELETE" },
		"path":    func(r *http.Request) { r.URL.Path = "/other" },
		"query":   func(r *http.Request) { r.URL.RawQuery += "&timeout=1" },
		"header":  func(r *http.Request) { r.Header.Set("x-ms-meta-a", "b") },
		"account": func(r *http.Request) { swap(r, "SharedKey "+name, "SharedKey other") },
	} {
		t.Run(name, func(t *testing.T) {
			tampered := b.byKeyThrough(b.key(0), change)
			_, err := tampered.NewContainerClient("data").GetProperties(b.ctx, nil)
			want(t, err, 403, "AuthenticationFailed")
		})
	}
	_, err = client.NewContainerClient("data").GetProperties(b.ctx, nil)
	want(t, err, 0, "")
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: true, 14 * time.Minute: true, 16 * time.Minute: false, -16 * time.Minute: false} {
		for _, header := range []string{"x-ms-date", "Date"} {
			r := &http.Request{Header: http.Header{}}
			r.Header.Set(header, now.Add(-age).Format(http.TimeFormat))
			if got := fresh(r, now); got != want {
				t.Errorf("%s %s old: %v", header, age, got)
			}
		}
	}
	if fresh(&http.Request{Header: http.Header{}}, now) {
		t.Error("a request without a date is fresh")
	}
}

func swap(r *http.Request, old, with string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
}

type tamper struct {
	next   *http.Client
	change func(*http.Request)
}

func (t tamper) Do(r *http.Request) (*http.Response, error) {
	t.change(r)
	return t.next.Do(r)
}

func (b *bench) byKeyThrough(key string, change func(*http.Request)) *service.Client {
	b.t.Helper()
	cred, err := service.NewSharedKeyCredential(name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	opt := b.options("127.0.0.1")
	opt.Transport = tamper{b.http("127.0.0.1"), change}
	c, err := service.NewClientWithSharedKeyCredential(b.endpoint(), cred, opt)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func TestContainersInARM(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	if s := b.run("PUT", "/blobServices/default/containers/made", provider.Document{"properties": map[string]any{"metadata": map[string]any{"a": "b"}}}).Status; s != 201 {
		t.Errorf("new container: %d", s)
	}
	_, err := b.byKey(b.key(0), "127.0.0.1").CreateContainer(b.ctx, "other", nil)
	want(t, err, 0, "")
	var names []string
	for _, v := range b.run("GET", "/blobServices/default/containers/", nil).Body["value"].([]any) {
		names = append(names, provider.Text(v.(map[string]any), "name"))
	}
	if strings.Join(names, " ") != "made other" {
		t.Errorf("listed %q", names)
	}
	doc := b.run("GET", "/blobServices/default/containers/made", nil).Body
	if provider.Text(doc, "properties", "metadata", "a") != "b" || provider.Text(doc, "properties", "publicAccess") != "None" || provider.Text(doc, "etag") == "" {
		t.Errorf("reads as %v", doc)
	}
	b.run("DELETE", "/blobServices/default/containers/made", nil)
	if s := b.run("DELETE", "/blobServices/default/containers/made", nil).Status; s != 204 {
		t.Errorf("second delete: %d", s)
	}
	if got := provider.Text(b.run("GET", "/blobServices/default", nil).Body, "name"); got != "default" {
		t.Errorf("service %q", got)
	}
	for path, status := range map[string]int{"/blobServices/other": 404, "/blobServices/default/containers/made": 404} {
		var f *provider.Fault
		if _, err := b.front.Run(b.ctx, "GET", accountID+path, nil); !errors.As(err, &f) || f.Status != status {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestContainerPages(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	client := b.byKey(b.key(0), "127.0.0.1")
	for _, name := range []string{"one", "two", "three", "other"} {
		_, err := client.CreateContainer(b.ctx, name, nil)
		want(t, err, 0, "")
	}
	var names []string
	pager := client.NewListContainersPager(&service.ListContainersOptions{MaxResults: to.Ptr[int32](1), Prefix: to.Ptr("t")})
	for pager.More() && len(names) < 9 {
		page, err := pager.NextPage(b.ctx)
		want(t, err, 0, "")
		for _, c := range page.ContainerItems {
			names = append(names, *c.Name)
		}
	}
	if strings.Join(names, " ") != "three two" {
		t.Errorf("listed %q", names)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.boot()
	b.run("PUT", "", accountBody(nil))
	endpoint := b.endpoint()
	_, err := b.byKey(b.key(0), "127.0.0.1").CreateContainer(b.ctx, "data", nil)
	want(t, err, 0, "")
	_, err = b.byKey(b.key(0), "127.0.0.1").NewContainerClient("data").NewBlockBlobClient("x").UploadBuffer(b.ctx, []byte("kept"), nil)
	want(t, err, 0, "")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if listContainers(b, b.byKey(b.key(0), "127.0.0.1")) == nil {
		t.Error("the endpoint outlived its cloud")
	}
	if err := b.boot().Resume(b.ctx); err != nil {
		t.Fatal(err)
	}
	if b.endpoint() != endpoint {
		t.Errorf("endpoint moved to %s", b.endpoint())
	}
	got, err := b.byKey(b.key(0), "127.0.0.1").NewContainerClient("data").NewBlobClient("x").DownloadStream(b.ctx, nil)
	want(t, err, 0, "")
	if raw, _ := io.ReadAll(got.Body); string(raw) != "kept" {
		t.Errorf("content %q", raw)
	}
}

func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	acls := func(rule string) provider.Document {
		return provider.Document{"properties": map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"value": rule}}}}}
	}
	rows := map[string]struct {
		method, path string
		body         provider.Document
		status       int
	}{
		"key name":       {"POST", "/regenerateKey", provider.Document{"keyName": "key3"}, 400},
		"default action": {"PATCH", "", provider.Document{"properties": map[string]any{"networkAcls": map[string]any{"defaultAction": "Maybe"}}}, 400},
		"/32":            {"PATCH", "", acls("1.2.3.4/32"), 400},
		"no address":     {"PATCH", "", acls("x"), 400},
		"no rule value":  {"PATCH", "", acls(""), 400},
		"container name": {"PUT", "/blobServices/default/containers/A_B", nil, 400},
		"no kind":        {"PUT", "", provider.Document{"location": "x", "sku": map[string]any{"name": "Standard_LRS"}}, 400},
	}
	for name, c := range rows {
		t.Run(name, func(t *testing.T) {
			var f *provider.Fault
			if _, err := b.front.Run(b.ctx, c.method, accountID+c.path, c.body); !errors.As(err, &f) || f.Status != c.status {
				t.Errorf("got %v, want %d", err, c.status)
			}
		})
	}
	var f *provider.Fault
	if _, err := b.front.Do(b.ctx, "PUT", strings.Replace(accountID, name, "Bad-Name", 1), accountBody(nil)); !errors.As(err, &f) || f.Code != "AccountNameInvalid" {
		t.Errorf("account name: %v", err)
	}
	empty := &bench{t: t, ctx: b.ctx, cloud: providertest.New(t)}
	empty.boot()
	for _, call := range []string{"POST /listKeys", "PATCH ", "GET /blobServices/default", "PUT /blobServices/default/containers/abc"} {
		method, path, _ := strings.Cut(call, " ")
		if _, err := empty.front.Run(b.ctx, method, accountID+path, nil); !errors.As(err, &f) || f.Status != 404 {
			t.Errorf("%s without an account: %v", call, err)
		}
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for header, c := range map[string]struct {
		first, length int64
		partial       bool
		err           bool
	}{
		"":                             {0, 10, false, false},
		"bytes=0-9":                    {0, 10, true, false},
		"bytes=3-5":                    {3, 3, true, false},
		"bytes=3-":                     {3, 7, true, false},
		"bytes=0-33554431":             {0, 10, true, false},
		"bytes=10-":                    {0, 0, false, true},
		"bytes=5-3":                    {0, 10, false, false},
		"bytes=-3":                     {0, 10, false, false},
		"items=0-1":                    {0, 10, false, false},
		"bytes=0-99999999999999999999": {0, 10, false, false},
	} {
		first, length, partial, err := parseRange(header, 10)
		if first != c.first || length != c.length || partial != c.partial || (err != nil) != c.err {
			t.Errorf("%q: %d %d %v %v", header, first, length, partial, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-5", int64(3))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		first, length, _, err := parseRange(header, size)
		if err == nil && (first < 0 || length < 0 || first+length > size) {
			t.Errorf("%q of %d: %d+%d", header, size, first, length)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.0/24", "1.2.3.4-1.2.3.9", "::1", "0.0.0.0/0", "1.2.3.4/31"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, err := parseRule(value)
		if err != nil {
			return
		}
		if r.last.Less(r.first) || !r.holds(r.first) || !r.holds(r.last) {
			t.Errorf("%q became %v", value, r)
		}
		if p, err := netip.ParsePrefix(value); err == nil && (!p.Contains(r.first) || !p.Contains(r.last)) {
			t.Errorf("%q became %v", value, r)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/", "/abc", "/abc/d/e", "/..%2f..", "/abc/%00", "/$root/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parseTarget(path)
		if err == nil && (strings.ContainsAny(got.container, "/\\") || strings.Contains(got.container, "..")) {
			t.Errorf("%q names container %q", path, got.container)
		}
	})
}

// TestContentOnDisk: a replaced blob leaves no file behind, a refused one neither.
func TestContentOnDisk(t *testing.T) {
	t.Parallel()
	v, err := openVault(filepath.Join(t.TempDir(), "v"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.putContainer("abc", "", nil); err != nil {
		t.Fatal(err)
	}
	fine := func(blobInfo, bool, []byte) error { return nil }
	for range 3 {
		if _, err := v.putBlob("abc", blobInfo{Name: "../../x"}, strings.NewReader("hi"), fine); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.putBlob("abc", blobInfo{Name: "y"}, strings.NewReader("no"), func(blobInfo, bool, []byte) error { return errCondition }); !errors.Is(err, errCondition) {
		t.Errorf("refused write: %v", err)
	}
	if _, err := v.change("abc", "../../x", map[string]string{"a": "b"}, func(blobInfo, bool) error { return nil }); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(v.path("abc"))
	if err != nil || len(entries) != 2 { // the index and one content
		t.Errorf("%v, %v", entries, err)
	}
	again, err := openVault(v.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := again.blob("abc", "../../x"); err != nil || b.Size != 2 || b.Metadata["a"] != "b" {
		t.Errorf("read again: %+v, %v", b, err)
	}
}
