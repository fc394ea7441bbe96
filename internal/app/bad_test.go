package app

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// raw sends a request as it is written here: target and body reach the server byte by
// byte, whatever a client library would make of them.
func (s *connector) raw(t *testing.T, method, target, token string, header map[string]string, body []byte) answer {
	t.Helper()
	roots := s.cloud.http.Transport.(*http.Transport).TLSClientConfig.RootCAs
	host := strings.TrimPrefix(s.ready.Endpoint, "https://")
	conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", method, target, host, len(body))
	if token != "" {
		fmt.Fprintf(&head, "Authorization: %s\r\n", token)
	}
	for k, v := range header {
		fmt.Fprintf(&head, "%s: %s\r\n", k, v)
	}
	sent := make(chan error, 1)
	go func() { _, err := conn.Write(append([]byte(head.String()+"\r\n"), body...)); sent <- err }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %.200s: %v", method, target, err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	conn.Close()
	<-sent // a server that has refused a body does not read it to its end
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: raw}
	_ = json.Unmarshal(raw, &a.Body)
	return a
}

// sentence holds an error answer to what a person must be able to act on: one of our
// codes, words, and a fix.
func sentence(t *testing.T, title string, a answer, status int, code string) {
	t.Helper()
	p := problemOf(a)
	if a.Status != status || p["code"] != code {
		t.Errorf("%s: answered %d %s, want %d %s: %s", title, a.Status, p["code"], status, code, tail(a.Raw, 600))
		return
	}
	readable(t, title, p["envelope"])
	readable(t, title, p["fix"])
}

// readable refuses what is no sentence, and what a program says to itself.
func readable(t *testing.T, title, words string) {
	t.Helper()
	if len(strings.Fields(words)) < 3 {
		t.Errorf("%s: %q is no sentence", title, words)
	}
	for _, noise := range []string{"%!", "<nil>", "goroutine", "panic", "runtime error", "0x", "\n"} {
		if strings.Contains(words, noise) {
			t.Errorf("%s: %q holds %q", title, words, noise)
		}
	}
}

// quiet tells that a case left no trace: no operation, no write by the engine.
func (s *connector) quiet(t *testing.T, title string, before int) {
	t.Helper()
	if now := s.operations(); now != before {
		t.Errorf("%s: an operation was accepted", title)
	}
	if got := s.writes(); len(got) > 0 {
		t.Errorf("%s: wrote %v", title, got)
	}
}

// TestBadRequests sends what people and programs get wrong to a server before a cloud.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	c.forget()
	t.Run("places", func(t *testing.T) { s.badPlaces(t) })
	t.Run("subscriptions", func(t *testing.T) { s.badSubscriptions(t) })
	t.Run("bodies", func(t *testing.T) { s.badBodies(t) })
	t.Run("tokens", func(t *testing.T) { s.badTokens(t) })
	t.Run("paths", func(t *testing.T) { s.badPaths(t) })
	t.Run("garbage", func(t *testing.T) { s.garbage(t) })
	t.Run("unknown members", func(t *testing.T) { s.unknownMembers(t) })
}

func identity() map[string]any { return map[string]any{"authType": "systemAssignedIdentity"} }

func (s *connector) badPlaces(t *testing.T) {
	c := s.cloud
	store := strings.Replace(c.account(), "store1", "nowhere", 1) + "/blobServices/default"
	cases := []struct {
		name, linker string
		body         map[string]any
		status       int
		code         string
	}{
		{"no such web app", s.linker("nowhere", "x"), blobByIdentity(c), 404, "SOURCE_NOT_FOUND"},
		{"no such slot", strings.Replace(s.linker("app1", "x"), "/sites/app1", "/sites/app1/slots/nowhere", 1), blobByIdentity(c), 404, "SOURCE_NOT_FOUND"},
		{"a source of another kind", c.account() + "/providers/Microsoft.ServiceLinker/linkers/x", blobByIdentity(c), 400, "SOURCE_UNSUPPORTED"},
		{"no such server", s.linker("app1", "x"), databaseByIdentity(c, "nowhere"), 404, "TARGET_NOT_FOUND"},
		{"no such server, with a password", s.linker("app1", "x"), databaseByPassword(c, "nowhere", "ann", "x"), 404, "TARGET_NOT_FOUND"},
		{"no such database", s.linker("app1", "x"), body(c.server("pg1")+"/databases/nowhere", identity()), 404, "TARGET_NOT_FOUND"},
		{"no such account", s.linker("app1", "x"), body(store, identity()), 404, "TARGET_NOT_FOUND"},
		{"no such cache", s.linker("app1", "x"), body(strings.Replace(c.cache(), "cache1", "nowhere", 1)+"/databases/0", map[string]any{"authType": "secret"}), 404, "TARGET_NOT_FOUND"},
		{"no such resource group", s.linker("app1", "x"), body(strings.Replace(c.account(), "/rg1/", "/nowhere/", 1)+"/blobServices/default", identity()), 404, "TARGET_NOT_FOUND"},
		{"a target of no known kind", s.linker("app1", "x"), body(c.group()+"/providers/Microsoft.Maps/accounts/m", identity()), 400, "TARGET_UNSUPPORTED"},
		{"a target that is no id", s.linker("app1", "x"), body("store1", identity()), 400, "TARGET_UNSUPPORTED"},
		{"a sign-in the target does not take", s.linker("app1", "x"), body(c.account()+"/blobServices/default", map[string]any{"authType": "accessKey"}), 400, "AUTH_UNSUPPORTED"},
		{"a password left out", s.linker("app1", "x"), body(c.server("pg1")+"/databases/db1", map[string]any{"authType": "secret", "name": "ann"}), 400, "SECRET_NEEDED"},
		{"a name no connection has", s.linker("app1", "a-b"), blobByIdentity(c), 400, "CONNECTION_NAME_INVALID"},
	}
	before := s.operations()
	for _, k := range cases {
		sentence(t, k.name, s.call("PUT", k.linker, k.body), k.status, k.code)
	}
	for _, method := range []string{"GET", "PATCH"} {
		sentence(t, method+" of no connection", s.call(method, s.linker("app1", "x"), map[string]any{}), 404, "CONNECTION_NOT_FOUND")
	}
	if a := s.call("DELETE", s.linker("app1", "x"), nil); a.Status != 204 {
		t.Errorf("DELETE of no connection: %d %s", a.Status, a.Raw)
	}
	s.quiet(t, "bad places", before)
}

// badSubscriptions: targets that only one of the two can see, and ones nobody can.
func (s *connector) badSubscriptions(t *testing.T) {
	c := s.cloud
	made := func(owner string) string {
		t.Helper()
		a := c.call(c.ready.Endpoint, c.token, "POST", "/_local/subscriptions", map[string]any{"displayName": "another", "owner": owner})
		if a.Status != 201 {
			t.Fatalf("make a subscription: %d %s", a.Status, a.Raw)
		}
		return a.text("subscriptionId")
	}
	in := func(subscription string) map[string]any {
		return body(strings.Replace(c.account(), c.ready.SubscriptionID, subscription, 1)+"/blobServices/default", identity())
	}
	before := s.operations()
	for _, k := range []struct{ name, subscription, code string }{
		{"only the caller can read", made(claimsOf(t, c.token)["oid"].(string)), "TARGET_UNREADABLE"},
		{"only the engine can read", made(s.engine.ObjectID), "CALLER_LACKS_RIGHT"},
		{"nobody can read", made(""), "CALLER_LACKS_RIGHT"},
		{"that is not there", "00000000-0000-4000-8000-00000000dead", "CALLER_LACKS_RIGHT"},
		{"that is no GUID", "mine", "CALLER_LACKS_RIGHT"},
	} {
		a := s.call("PUT", s.linker("app1", "x"), in(k.subscription))
		sentence(t, "a target in a subscription "+k.name, a, 403, k.code)
		if !bytes.Contains(a.Raw, []byte("Microsoft.Storage/storageAccounts/read")) || !bytes.Contains(a.Raw, []byte("/subscriptions/"+k.subscription+"/")) {
			t.Errorf("a target in a subscription %s: action and scope are not named: %s", k.name, a.Raw)
		}
	}
	s.quiet(t, "bad subscriptions", before)
}

func claimsOf(t *testing.T, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func (s *connector) badBodies(t *testing.T) {
	token := "Bearer " + s.cloud.token
	large := append(append([]byte(`{"properties":{"x":"`), bytes.Repeat([]byte("x"), 10<<20)...), `"}}`...)
	cases := []struct {
		name   string
		body   []byte
		status int
		code   string
	}{
		{"nothing", nil, 400, "BODY_NOT_JSON"},
		{"words", []byte("connect my app, please"), 400, "BODY_NOT_JSON"},
		{"a form", []byte("properties=1&target=2"), 400, "BODY_NOT_JSON"},
		{"half an object", []byte(`{"properties":{"clientType":"go"`), 400, "BODY_NOT_JSON"},
		{"two objects", []byte(`{}{}`), 400, "BODY_NOT_JSON"},
		{"a NUL", []byte("\x00"), 400, "BODY_NOT_JSON"},
		{"UTF-16", []byte("\xff\xfe{\x00}\x00"), 400, "BODY_NOT_JSON"},
		{"a hundred thousand brackets", bytes.Repeat([]byte("["), 100000), 400, "BODY_NOT_JSON"},
		{"an array", []byte(`[]`), 400, "BODY_INVALID"},
		{"a text", []byte(`"x"`), 400, "BODY_INVALID"},
		{"null", []byte(`null`), 400, "BODY_INVALID"},
		{"properties that are a number", []byte(`{"properties":1}`), 400, "BODY_INVALID"},
		{"a target that is an array", []byte(`{"properties":{"targetService":[]}}`), 400, "BODY_INVALID"},
		{"ten megabytes", large, 413, "BODY_TOO_LARGE"},
	}
	before := s.operations()
	for _, k := range cases {
		for _, to := range []struct{ method, path, version string }{
			{"PUT", s.linker("app1", "x"), linkerVersion},
			{"POST", s.cloud.site("app1") + "/providers/Patchbay/connections/x/plan", "2026-11-01"},
		} {
			if to.method == "POST" && k.body == nil {
				continue // there, nothing means the connection as it stands
			}
			a := s.raw(t, to.method, to.path+"?api-version="+to.version, token, map[string]string{"Content-Type": "application/json"}, k.body)
			sentence(t, to.method+" "+k.name, a, k.status, k.code)
		}
	}
	s.quiet(t, "bad bodies", before)
}

// signing is what the cloud signs tokens with; a test may sign what the cloud never would.
func (c *cloudUnderTest) signing(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "data", "*", "token-key.pem"))
	if err != nil || len(found) != 1 {
		t.Fatal("the cloud's signing key is not where it was:", found, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatal("the cloud's signing key is no PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forged is the owner's own token with claims changed, signed anew.
func (c *cloudUnderTest) forged(t *testing.T, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := claimsOf(t, c.token)
	if change != nil {
		change(claims)
	}
	made := jwt.NewWithClaims(method, claims)
	if was, _, err := jwt.NewParser().ParseUnverified(c.token, jwt.MapClaims{}); err == nil {
		made.Header["kid"] = was.Header["kid"]
	}
	signed, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + signed
}

func (s *connector) badTokens(t *testing.T) {
	c := s.cloud
	key := c.signing(t)
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	hour := float64(time.Now().Add(-time.Hour).Unix())
	claim := func(name string, value any) func(jwt.MapClaims) { return func(m jwt.MapClaims) { m[name] = value } }
	good := "Bearer " + c.token
	cases := []struct{ name, token, code string }{
		{"no token", "", "TOKEN_MISSING"},
		{"an empty one", "Bearer ", "TOKEN_MISSING"},
		{"a password", "Basic dXNlcjpwYXNz", "TOKEN_MISSING"},
		{"words", "Bearer let me in", "TOKEN_INVALID"},
		{"half of one", good[:len(good)/2], "TOKEN_INVALID"},
		{"a very long one", "Bearer " + strings.Repeat("a.", 20000), "TOKEN_INVALID"},
		{"one that is not signed", c.forged(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), "TOKEN_INVALID"},
		{"one signed with the public key", c.forged(t, jwt.SigningMethodHS256, public, nil), "TOKEN_INVALID"},
		{"one signed by somebody else", c.forged(t, jwt.SigningMethodRS256, another, nil), "TOKEN_INVALID"},
		{"one with its signature cut off", good[:strings.LastIndex(good, ".")+1], "TOKEN_INVALID"},
		{"one of another issuer", c.forged(t, jwt.SigningMethodRS256, key, claim("iss", "https://login.example.com/")), "TOKEN_INVALID"},
		{"one that has expired", c.forged(t, jwt.SigningMethodRS256, key, claim("exp", hour)), "TOKEN_EXPIRED"},
		{"one that never expires", c.forged(t, jwt.SigningMethodRS256, key, func(m jwt.MapClaims) { delete(m, "exp") }), "TOKEN_INVALID"},
		{"one of tomorrow", c.forged(t, jwt.SigningMethodRS256, key, claim("nbf", float64(time.Now().Add(24*time.Hour).Unix()))), "TOKEN_INVALID"},
		{"one for a storage account", "Bearer " + c.signIn(c.user(), "https://storage.azure.com"), "TOKEN_AUDIENCE"},
		{"one for nobody", c.forged(t, jwt.SigningMethodRS256, key, claim("aud", []string{})), "TOKEN_AUDIENCE"},
	}
	before := s.operations()
	raw, err := json.Marshal(blobByIdentity(c))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cases {
		for _, to := range []struct{ method, path, version string }{
			{"PUT", s.linker("app1", "x"), linkerVersion}, {"GET", s.linker("app1", "x"), linkerVersion}, {"GET", "/providers/Patchbay/operations", "2026-11-01"},
		} {
			a := s.raw(t, to.method, to.path+"?api-version="+to.version, k.token, nil, raw)
			sentence(t, to.method+" with "+k.name, a, 401, k.code)
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: there is no challenge", to.method, k.name)
			}
			if secret := strings.TrimPrefix(k.token, "Bearer "); len(secret) > 20 && bytes.Contains(a.Raw, []byte(secret[len(secret)/2:])) {
				t.Errorf("%s with %s: the answer repeats the token", to.method, k.name)
			}
		}
	}
	s.quiet(t, "bad tokens", before)
	c.call(c.ready.Endpoint, c.token, "POST", "/_local/advance", map[string]any{"action": "expireTokens"})
	a := s.call("PUT", s.linker("app1", "x"), blobByIdentity(c))
	sentence(t, "PUT with a token the cloud has withdrawn", a, 401, "TOKEN_INVALID")
	if challenge := a.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, "insufficient_claims") {
		t.Errorf("the cloud's own challenge is not passed on: %s", challenge)
	}
	c.token = c.signIn(c.user(), c.ready.Endpoint)
	s.quiet(t, "a withdrawn token", before)
}

func (s *connector) badPaths(t *testing.T) {
	c := s.cloud
	token := "Bearer " + c.token
	linkers := c.site("app1") + "/providers/Microsoft.ServiceLinker/linkers"
	encoded := strings.NewReplacer("/", "%2F")
	cases := []struct {
		target string
		status int
		code   string
	}{
		{linkers + "/a%2Fb", 400, "PATH_MALFORMED"},
		{linkers + "/a%2fb", 400, "PATH_MALFORMED"},
		{linkers + "/a%5Cb", 400, "PATH_MALFORMED"},
		{linkers + "/a%252Fb", 400, "PATH_MALFORMED"},
		{linkers + "/%2e%2e", 400, "PATH_MALFORMED"},
		{linkers + "/..", 400, "PATH_MALFORMED"},
		{linkers + "/.%2e/linkers/x", 400, "PATH_MALFORMED"},
		{linkers + "/%00", 400, "PATH_MALFORMED"},
		{linkers + "/x%00y", 400, "PATH_MALFORMED"},
		{linkers + "/x%0d%0aX-Evil:%201", 400, "PATH_MALFORMED"},
		{linkers + "/%ff%fe", 400, "PATH_MALFORMED"},
		{linkers + "/%3Fapi-version=1", 400, "PATH_MALFORMED"},
		{linkers + "/%23", 400, "PATH_MALFORMED"},
		{linkers + "/", 400, "PATH_MALFORMED"},
		{linkers + "//x", 400, "PATH_MALFORMED"},
		{c.site("app1") + "//providers/Microsoft.ServiceLinker/linkers/x", 400, "PATH_MALFORMED"},
		{c.site("app1") + "/../app1/providers/Microsoft.ServiceLinker/linkers/x", 400, "PATH_MALFORMED"},
		{c.site("app1") + "/providers%2FMicrosoft.ServiceLinker%2Flinkers/x", 400, "PATH_MALFORMED"},
		{c.site("app1") + encoded.Replace("/providers/Microsoft.ServiceLinker/linkers/x"), 400, "PATH_MALFORMED"},
		{c.site("app1") + strings.ReplaceAll(encoded.Replace("/providers/Microsoft.ServiceLinker/linkers/x"), "%", "%25"), 400, "PATH_MALFORMED"},
		{c.site("app1") + "/%70roviders/Microsoft.ServiceLinker/linkers/%2e%2e", 400, "PATH_MALFORMED"},
		{c.group() + "/providers/Microsoft.ServiceLinker/linkers/x", 400, "PATH_MALFORMED"},
		{"/providers/Microsoft.ServiceLinker/linkers/x", 404, "ROUTE_UNKNOWN"},
		{linkers + "/x/y/z", 404, "ROUTE_UNKNOWN"},
		{c.site("app1") + "/providers/Microsoft.ServiceLinker/dryruns/x", 400, "BODY_INVALID"},
		{c.site("app1") + "/providers/Microsoft.ServiceLinker/dryrun/x", 404, "ROUTE_UNKNOWN"},
		{linkers + "/%2D%2D", 400, "CONNECTION_NAME_INVALID"},
		{linkers + "/" + strings.Repeat("x", 4000), 400, "CONNECTION_NAME_INVALID"},
		{linkers + "/%C3%A9t%C3%A9", 400, "CONNECTION_NAME_INVALID"},
	}
	before := s.operations()
	raw, err := json.Marshal(blobByIdentity(c))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cases {
		a := s.raw(t, "PUT", k.target+"?api-version="+linkerVersion, token, nil, raw)
		sentence(t, fmt.Sprintf("PUT %.300s", k.target), a, k.status, k.code)
	}
	at := s.linker("app1", "x") + "?api-version="
	sentence(t, "no api-version", s.raw(t, "PUT", s.linker("app1", "x"), token, nil, raw), 400, "API_VERSION_MISSING")
	sentence(t, "an api-version of next year", s.raw(t, "PUT", at+"2099-01-01", token, nil, raw), 400, "API_VERSION_UNKNOWN")
	sentence(t, "an odd method", s.raw(t, "LINK", at+linkerVersion, token, nil, raw), 405, "METHOD_NOT_ALLOWED")
	s.quiet(t, "bad paths", before)
	// Real clients write these.
	for _, target := range []string{"/" + s.linker("app1", "x"), strings.ToUpper(s.linker("app1", "x")), strings.Replace(s.linker("app1", "x"), "app1", "%61pp1", 1)} {
		if a := s.raw(t, "GET", target+"?api-version="+linkerVersion, token, nil, nil); a.Status != 404 || problemOf(a)["code"] != "CONNECTION_NOT_FOUND" {
			t.Errorf("GET %s: %d %s", target, a.Status, a.Raw)
		}
	}
}

// pick takes one of several.
func pick[T any](r *mathrand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// litter makes requests that no table thinks of out of pieces.
type litter struct {
	*mathrand.Rand
	subscription, site, token string
}

func (l *litter) word() string {
	return pick(l.Rand, "", ".", "..", "%00", "%2F", "%zz", "%", "%c0%af", "é", "'", `"`, "<x>", "{", "a%20b", "*", "null", "-1", "providers", "Microsoft.ServiceLinker",
		"Patchbay", "linkers", "x", "connections", "subscriptions", l.subscription, "resourceGroups", "rg1", "app1", strings.Repeat("a", 300),
		"00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000*", "00000000-0000-4000-8000-000000000000*FF")
}

// route is an address of ours with a word where a name belongs, and a method it has.
func (l *litter) route() (method, target, version string) {
	linkers, ours := l.site+"/providers/Microsoft.ServiceLinker/linkers", l.site+"/providers/Patchbay"
	r := pick(l.Rand, [][3]string{
		{"GET", linkers, linkerVersion}, {"GET", linkers + "/~", linkerVersion}, {"PUT", linkers + "/~", linkerVersion}, {"PUT", linkers + "/x", linkerVersion},
		{"PATCH", linkers + "/~", linkerVersion}, {"DELETE", linkers + "/~", linkerVersion}, {"POST", linkers + "/~/validateLinker", linkerVersion},
		{"POST", linkers + "/~/listConfigurations", linkerVersion}, {"GET", "/providers/Microsoft.ServiceLinker/operations", linkerVersion},
		{"GET", "/subscriptions/" + l.subscription + "/providers/Microsoft.ServiceLinker/locations/~/operationStatuses/~", linkerVersion},
		{"GET", "/subscriptions/~/providers/Microsoft.ServiceLinker/locations/eastus/operationStatuses/~", linkerVersion},
		{"POST", ours + "/connections/~/plan", "2026-11-01"}, {"POST", ours + "/connections/x/plan", "2026-11-01"}, {"POST", ours + "/connections/~/drift", "2026-11-01"},
		{"POST", ours + "/connections/~/repair", "2026-11-01"}, {"POST", ours + "/drift", "2026-11-01"}, {"GET", "/providers/Patchbay/operations/~", "2026-11-01"},
		{"GET", "/providers/Patchbay/operations/~/events", "2026-11-01"}, {"POST", "/providers/Patchbay/operations/~/resume", "2026-11-01"},
		{"POST", "/providers/Patchbay/operations/~/undo", "2026-11-01"}, {"GET", "/providers/Patchbay/operations?source=~", "2026-11-01"}, {"GET", "/openapi/~/~", ""},
		{"PUT", l.site + "/config/~", siteVersion}, {"GET", l.site + "/~", siteVersion}, {"GET", "/subscriptions/~/resourceGroups/~", groupVersion},
	}...)
	target = r[1]
	for strings.Contains(target, "~") {
		target = strings.Replace(target, "~", l.word(), 1)
	}
	return r[0], target, r[2]
}

// request is a route with one thing or another wrong with it.
func (l *litter) request() (method, target, token string) {
	method, target, version := l.route()
	token = "Bearer " + l.token
	if l.IntN(4) == 0 {
		target += pick(l.Rand, "/", "//") + l.word()
	}
	if strings.Contains(target, "?") {
		target += "&api-version=" + version
	} else {
		target += "?api-version=" + version
	}
	switch l.IntN(8) {
	case 0:
		method = pick(l.Rand, "GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get")
	case 1:
		target = target[:strings.Index(target, "?")] + pick(l.Rand, "", "?", "?api-version=", "?api-version=%00", "?%zz", "?api-version=2022-05-01&api-version=1")
	case 2:
		token = pick(l.Rand, "Bearer x", "")
	case 3:
		target += pick(l.Rand, "&delete=true", "&force=true", "&force=maybe", "&%zz", "&$filter=%27")
	}
	return method, target, token
}

func (l *litter) body() string {
	values := []string{"", "null", "0", "1e999", `""`, "[]", "{}", "true", `"\u0000"`, `"\ud800"`, `{"type":"AzureResource"}`, `{"authType":"secret"}`, `{"authType":1}`,
		`{"type":"AzureResource","id":"/subscriptions"}`, `{"properties":{}}`, `[{}]`, `{"":""}`, strings.Repeat(`{"properties":`, 50)}
	names := []string{"targetService", "authInfo", "clientType", "secretInfo", "secretStore", "vNetSolution", "scope", "configurationInfo", "publicNetworkSolution", "id", "type", "authType"}
	body := pick(l.Rand, values...)
	for range l.IntN(3) {
		body = fmt.Sprintf(`{%q:%s,%q:%s}`, pick(l.Rand, names...), body, pick(l.Rand, names...), pick(l.Rand, values...))
	}
	if l.IntN(3) > 0 {
		body = `{"properties":` + body + `}`
	}
	return body
}

// garbage sends litter; the seed is in the message of a failure. Whatever it is, the
// answer is ARM's envelope and no accident.
func (s *connector) garbage(t *testing.T) {
	c := s.cloud
	seed := uint64(time.Now().UnixNano())
	l := &litter{Rand: mathrand.New(mathrand.NewPCG(seed, 1)), subscription: c.ready.SubscriptionID, site: c.site("app1"), token: c.token}
	for range 1500 {
		method, target, token := l.request()
		body := l.body()
		title := fmt.Sprintf("seed %d: %s %.300s with %.200s", seed, method, target, body)
		orderly(t, title, method, s.raw(t, method, target, token, map[string]string{"Content-Type": pick(l.Rand, "application/json", "application/json", "text/xml", "")}, []byte(body)))
	}
}

// orderly holds any answer to ARM's manners.
func orderly(t *testing.T, title, method string, a answer) {
	t.Helper()
	if a.Status >= 500 {
		t.Errorf("%s: answered %d %s", title, a.Status, tail(a.Raw, 500))
	}
	if a.Status < 400 || method == "HEAD" || strings.HasPrefix(string(a.Raw), "400 Bad Request") { // Go's server itself could not read it
		return
	}
	if a.text("error", "code") == "" || a.text("error", "message") == "" {
		t.Errorf("%s: answered %d without the envelope: %s", title, a.Status, tail(a.Raw, 500))
	}
}

// unknownMembers: what no api-version has is left out, as ARM does, and not kept. It
// comes after the tokens were withdrawn: the engine has got itself a new one.
func (s *connector) unknownMembers(t *testing.T) {
	c := s.cloud
	full := cacheByKey(c)
	full["tags"], full["sku"] = map[string]any{"a": "b"}, 7
	props := full["properties"].(map[string]any)
	props["color"], props["provisioningState"] = "blue", "Eternal"
	props["targetService"].(map[string]any)["shape"] = []any{1, map[string]any{"deep": nil}}
	props["authInfo"].(map[string]any)["mood"] = map[string]any{"good": true}
	if op := s.do("PUT", s.linker("app1", "cache")+"?color=blue", full); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	got := s.call("GET", s.linker("app1", "cache"), nil)
	for _, word := range []string{"color", "blue", "Eternal", "shape", "mood", "tags", "sku"} {
		if bytes.Contains(got.Raw, []byte(word)) {
			t.Errorf("%q was kept: %s", word, got.Raw)
		}
	}
	if op := s.do("DELETE", s.linker("app1", "cache"), nil); op.text("status") != "Succeeded" {
		t.Errorf("delete: %s", op.Raw)
	}
}
