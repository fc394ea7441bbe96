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

// badSubscriptions: a target that one of the two cannot see, and ones nobody can.
func (s *connector) badSubscriptions(t *testing.T) {
	c := s.cloud
	made := c.call(c.ready.Endpoint, c.token, "POST", "/_local/subscriptions", map[string]any{"displayName": "theirs"}).text("subscriptionId")
	in := func(subscription string) map[string]any {
		return body(strings.Replace(c.account(), c.ready.SubscriptionID, subscription, 1)+"/blobServices/default", identity())
	}
	before := s.operations()
	for name, k := range map[string]struct{ subscription, code string }{
		"that the engine cannot read": {made, "TARGET_UNREADABLE"},
		"that is not there":           {"00000000-0000-0000-0000-00000000dead", "TARGET_UNREADABLE"},
		"that is no GUID":             {"mine", "TARGET_UNREADABLE"},
	} {
		a := s.call("PUT", s.linker("app1", "x"), in(k.subscription))
		if p := problemOf(a); p["code"] == "CALLER_LACKS_RIGHT" && a.Status == 403 {
			continue // the caller cannot see it either, and is told first
		}
		sentence(t, "a subscription "+name, a, 403, k.code)
	}
	c.assign(reader, s.engine.ObjectID, "/subscriptions/"+made)
	other := c.signIn(c.newPrincipal("someone", contributor, userAccessAdmin), c.ready.Endpoint)
	sentence(t, "a subscription the caller cannot read", s.callAs(other, "PUT", s.linker("app1", "x"), in(made)), 403, "CALLER_LACKS_RIGHT")
	s.quiet(t, "bad subscriptions", before)
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
	claims := jwt.MapClaims{}
	was, _, err := jwt.NewParser().ParseUnverified(c.token, claims)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(claims)
	}
	made := jwt.NewWithClaims(method, claims)
	made.Header["kid"] = was.Header["kid"]
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
	c.token = c.signIn(c.user(), c.ready.Endpoint)
	s.quiet(t, "a withdrawn token", before)
}
