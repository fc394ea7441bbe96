package storage

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// files speaks the file protocol by hand, signing as its documentation says.
type files struct {
	b     *bench
	key   string // signs, unless token is set
	token string
	from  string
}

func (f files) do(method, path string, body []byte, headers ...string) (int, string, http.Header) {
	f.b.t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(f.b.ctx, method, strings.TrimSuffix(f.b.endpointOf("file"), "/")+path, reader)
	if err != nil {
		f.b.t.Fatal(err)
	}
	req.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat))
	req.Header.Set("x-ms-version", "2024-11-04")
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	} else {
		f.sign(req, len(body))
	}
	if f.from == "" {
		f.from = "127.0.0.1"
	}
	resp, err := f.b.http(f.from).Do(req)
	if err != nil {
		f.b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		f.b.t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// sign lists the headers our requests carry in the order their names sort.
func (f files) sign(req *http.Request, size int) {
	length := ""
	if size > 0 {
		length = strconv.Itoa(size)
	}
	text := req.Method + "\n\n\n" + length + "\n\n\n\n\n\n\n\n\n"
	for _, h := range []string{"x-ms-content-length", "x-ms-date", "x-ms-file-request-intent", "x-ms-meta-owner", "x-ms-range", "x-ms-type", "x-ms-version", "x-ms-write"} {
		if v := req.Header.Get(h); v != "" {
			text += h + ":" + v + "\n"
		}
	}
	text += "/" + name + req.URL.EscapedPath()
	for _, q := range []string{"comp", "restype"} {
		if v := req.URL.Query().Get(q); v != "" {
			text += "\n" + q + ":" + v
		}
	}
	key, err := base64.StdEncoding.DecodeString(f.key)
	if err != nil {
		f.b.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	req.Header.Set("Authorization", "SharedKey "+name+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func (f files) want(status int, contains, method, path string, body []byte, headers ...string) {
	f.b.t.Helper()
	got, text, h := f.do(method, path, body, headers...)
	if got != status || !strings.Contains(text+h.Get("x-ms-error-code"), contains) {
		f.b.t.Errorf("%s %s: %d %s %s, want %d %s", method, path, got, h.Get("x-ms-error-code"), text, status, contains)
	}
}

func TestFilesByKey(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	f := files{b: b, key: b.key(0)}
	f.want(201, "", "PUT", "/team?restype=share", nil, "x-ms-meta-owner", "me")
	f.want(409, "ShareAlreadyExists", "PUT", "/team?restype=share", nil)
	f.want(200, "<Name>team</Name>", "GET", "/?comp=list", nil)
	f.want(404, "ShareNotFound", "GET", "/other?restype=share", nil)
	f.want(404, "ParentNotFound", "PUT", "/team/a%20b/notes.txt", nil, "x-ms-type", "file", "x-ms-content-length", "10")
	f.want(201, "", "PUT", "/team/a%20b?restype=directory", nil)
	f.want(201, "", "PUT", "/team/a%20b/notes.txt", nil, "x-ms-type", "file", "x-ms-content-length", "10")
	f.want(201, "", "PUT", "/team/a%20b/notes.txt?comp=range", []byte("hello"), "x-ms-write", "update", "x-ms-range", "bytes=2-6")
	f.want(416, "InvalidRange", "PUT", "/team/a%20b/notes.txt?comp=range", []byte("hello"), "x-ms-write", "update", "x-ms-range", "bytes=8-12")
	f.want(200, "\x00\x00hello\x00\x00\x00", "GET", "/team/A%20B/notes.txt", nil)
	f.want(206, "hell", "GET", "/team/a%20b/notes.txt", nil, "x-ms-range", "bytes=2-5")
	f.want(201, "", "PUT", "/team/a%20b/notes.txt?comp=range", nil, "x-ms-write", "clear", "x-ms-range", "bytes=2-3")
	f.want(200, "\x00\x00\x00\x00llo\x00\x00\x00", "GET", "/team/a%20b/notes.txt", nil)
	if status, _, h := f.do("HEAD", "/team/a%20b/notes.txt", nil); status != 200 || h.Get("Content-Length") != "10" || h.Get("x-ms-type") != "File" {
		t.Errorf("HEAD: %d %v", status, h)
	}
	f.want(200, "<Directory><Name>a b</Name></Directory>", "GET", "/team?restype=directory&comp=list", nil)
	f.want(200, "<File><Name>notes.txt</Name>", "GET", "/team/a%20b?restype=directory&comp=list", nil)
	f.want(409, "DirectoryNotEmpty", "DELETE", "/team/a%20b?restype=directory", nil)
	f.want(202, "", "DELETE", "/team/a%20b/notes.txt", nil)
	f.want(404, "ResourceNotFound", "GET", "/team/a%20b/notes.txt", nil)
	f.want(400, "InvalidResourceName", "PUT", "/team/../x", nil, "x-ms-type", "file", "x-ms-content-length", "1")
	f.want(202, "", "DELETE", "/team?restype=share", nil)
	f.want(404, "ShareNotFound", "GET", "/team/a%20b/notes.txt", nil)
	f.key = "AAAA" + f.key[4:]
	f.want(403, "AuthenticationFailed", "GET", "/?comp=list", nil)
}

// A token opens files only to privileged principals that say they mean it.
func TestFilesByToken(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	b.run("PUT", "/fileServices/default/shares/team", provider.Document{"properties": map[string]any{"shareQuota": 5.0}})
	app := b.cloud.Directory().NewManagedIdentity("/subscriptions/0000/app", "app")
	f := files{b: b, token: b.token(app, publicAudience)}
	create := []string{"x-ms-type", "file", "x-ms-content-length", "1"}
	meant := append([]string{"x-ms-file-request-intent", "backup"}, create...)
	f.want(403, "AuthorizationPermissionMismatch", "PUT", "/team/x", nil, meant...)
	b.cloud.Grants().Allow(app.ObjectID, accountID, fileRight+"/write")
	f.want(403, "AuthorizationPermissionMismatch", "PUT", "/team/x", nil, meant...)
	b.cloud.Grants().Allow(app.ObjectID, accountID, writePrivilege)
	f.want(400, "MissingRequiredHeader", "PUT", "/team/x", nil, create...)
	f.want(201, "", "PUT", "/team/x", nil, meant...)
	f.want(403, "AuthorizationPermissionMismatch", "GET", "/team/x", nil, meant...)
}

func TestFileDoors(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	f := files{b: b, key: b.key(1)}
	b.patch(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "ipRules": []any{map[string]any{"value": "127.0.0.9"}}}})
	f.want(403, "AuthorizationFailure", "GET", "/?comp=list", nil)
	f.from = "127.0.0.9"
	f.want(200, "EnumerationResults", "GET", "/?comp=list", nil)
	b.patch(map[string]any{"allowSharedKeyAccess": false})
	f.want(403, "KeyBasedAuthenticationNotPermitted", "GET", "/?comp=list", nil)
}
