package server_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/server"
)

var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 3)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// authority is a sign-in server that publishes keys.
type authority struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]*rsa.PrivateKey
	fetches int
	down    bool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{keys: map[string]*rsa.PrivateKey{"k1": signingKeys()[0]}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case strings.HasSuffix(r.URL.Path, "/tenant/.well-known/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]string{"jwks_uri": a.URL + "/keys"})
	case r.URL.Path == "/keys":
		a.fetches++
		var keys []map[string]string
		for id, key := range a.keys {
			keys = append(keys, map[string]string{"kty": "RSA", "use": "sig", "kid": id,
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())})
		}
		keys = append(keys, map[string]string{"kty": "EC", "kid": "other"})
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

func (a *authority) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func verifier(a *authority, c *clock) *server.JWKS {
	return server.NewJWKS(server.JWKSConfig{
		Issuers:   []server.Issuer{{Name: "https://sts.test/tenant/", Authority: a.URL + "/tenant/"}},
		Audiences: []string{"https://arm.test/"}, OwnAudiences: []string{"https://patchbay.test"},
		HTTP: http.DefaultClient, SignInURL: "https://login.test/tenant", Refetch: time.Minute, Now: c.Now,
	})
}

func goodClaims(now time.Time) jwt.MapClaims {
	return jwt.MapClaims{"iss": "https://sts.test/tenant/", "aud": "https://arm.test", "oid": "oid-1", "upn": "ann@example.com", "appid": "app-1", "scp": "user_impersonation",
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
}

func sign(t *testing.T, key any, method jwt.SigningMethod, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTokens(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	v := verifier(a, now)
	key := signingKeys()[0]
	with := func(name string, value any) jwt.MapClaims {
		c := goodClaims(now.Now())
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	signed := func(c jwt.MapClaims) string { return sign(t, key, jwt.SigningMethodRS256, "k1", c) }
	good := signed(goodClaims(now.Now()))
	cut := good[:strings.LastIndex(good, ".")]
	for name, c := range map[string]struct {
		token string
		want  problem.Code
	}{
		"good":                     {good, ""},
		"audience with a slash":    {signed(with("aud", "https://arm.test/")), ""},
		"our own audience":         {signed(with("aud", "https://patchbay.test/")), ""},
		"one of many audiences":    {signed(with("aud", []string{"x", "https://arm.test"})), ""},
		"expired within the skew":  {signed(with("exp", now.Now().Add(-4*time.Minute).Unix())), ""},
		"without key id, one key":  {sign(t, key, jwt.SigningMethodRS256, "", goodClaims(now.Now())), ""},
		"missing":                  {"", problem.TokenMissing},
		"not a token":              {"canary-1", problem.TokenInvalid},
		"three dots":               {"a.b.c", problem.TokenInvalid},
		"far too long":             {strings.Repeat("a", 1<<20), problem.TokenInvalid},
		"expired":                  {signed(with("exp", now.Now().Add(-6*time.Minute).Unix())), problem.TokenExpired},
		"without expiry":           {signed(with("exp", nil)), problem.TokenInvalid},
		"not yet valid":            {signed(with("nbf", now.Now().Add(6*time.Minute).Unix())), problem.TokenInvalid},
		"for somebody else":        {signed(with("aud", "https://graph.test")), problem.TokenAudience},
		"for nobody":               {signed(with("aud", nil)), problem.TokenAudience},
		"another issuer":           {signed(with("iss", "https://evil.test/")), problem.TokenInvalid},
		"issuer without its slash": {signed(with("iss", "https://sts.test/tenant")), problem.TokenInvalid},
		"signed by another key":    {sign(t, signingKeys()[1], jwt.SigningMethodRS256, "k1", goodClaims(now.Now())), problem.TokenInvalid},
		"signature cut off":        {cut + ".", problem.TokenInvalid},
		"alg none":                 {sign(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, "k1", goodClaims(now.Now())), problem.TokenInvalid},
		"alg HS256 by public key":  {sign(t, key.N.Bytes(), jwt.SigningMethodHS256, "k1", goodClaims(now.Now())), problem.TokenInvalid},
		"alg RS512":                {sign(t, key, jwt.SigningMethodRS512, "k1", goodClaims(now.Now())), problem.TokenInvalid},
		"without a subject":        {signed(with("oid", nil)), problem.TokenInvalid},
	} {
		_, err := v.Verify(context.Background(), c.token)
		if c.want == "" && err != nil || c.want != "" && !problem.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		var challenge server.Challenge
		if err != nil && (!errors.As(err, &challenge) || !strings.HasPrefix(string(challenge), `Bearer authorization_uri="https://login.test/tenant", error="invalid_token"`)) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the token is repeated: %v", name, err)
		}
	}
}

func TestCallers(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), &clock{now: time.Now()}
	v := verifier(a, now)
	for name, c := range map[string]struct {
		change map[string]any
		want   server.Caller
	}{
		"person":       {nil, server.Caller{ObjectID: "oid-1", ClientID: "app-1", Name: "ann@example.com", Forwardable: true}},
		"application":  {map[string]any{"upn": nil, "scp": nil, "idtyp": "app"}, server.Caller{ObjectID: "oid-1", ClientID: "app-1", Name: "app-1", App: true, Forwardable: true}},
		"no idtyp":     {map[string]any{"upn": nil, "scp": nil}, server.Caller{ObjectID: "oid-1", ClientID: "app-1", Name: "app-1", App: true, Forwardable: true}},
		"our audience": {map[string]any{"aud": "https://patchbay.test", "appid": nil, "azp": "app-2"}, server.Caller{ObjectID: "oid-1", ClientID: "app-2", Name: "ann@example.com"}},
	} {
		claims := goodClaims(now.Now())
		for k, value := range c.change {
			if claims[k] = value; value == nil {
				delete(claims, k)
			}
		}
		token := sign(t, signingKeys()[0], jwt.SigningMethodRS256, "k1", claims)
		got, err := v.Verify(context.Background(), token)
		c.want.Token = token
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if strings.Contains(got.String(), token) {
			t.Errorf("%s: a caller prints its token", name)
		}
	}
}

func TestKeysAreFetchedSeldom(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), &clock{now: time.Now()}
	v := verifier(a, now)
	verify := func(kid string, key *rsa.PrivateKey) error {
		_, err := v.Verify(context.Background(), sign(t, key, jwt.SigningMethodRS256, kid, goodClaims(now.Now())))
		return err
	}
	fetched := func(want int, when string) {
		t.Helper()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.fetches != want {
			t.Errorf("%s: keys were fetched %d times, want %d", when, a.fetches, want)
		}
	}
	for range 3 {
		if err := verify("k1", signingKeys()[0]); err != nil {
			t.Error(err)
		}
	}
	fetched(1, "known key")
	for range 5 {
		if err := verify("k2", signingKeys()[1]); !problem.Is(err, problem.TokenInvalid) {
			t.Errorf("unknown key: %v", err)
		}
	}
	fetched(1, "unknown key at once")
	a.change(func() { a.keys["k2"] = signingKeys()[1] })
	now.advance(2 * time.Minute)
	if err := verify("k2", signingKeys()[1]); err != nil {
		t.Errorf("a new key: %v", err)
	}
	fetched(2, "unknown key later")
	a.change(func() { delete(a.keys, "k1") })
	now.advance(25 * time.Hour)
	if err := verify("k1", signingKeys()[0]); !problem.Is(err, problem.TokenInvalid) {
		t.Errorf("a withdrawn key: %v", err)
	}
	a.change(func() { a.down = true })
	now.advance(2 * time.Minute)
	if err := verify("k2", signingKeys()[1]); err != nil {
		t.Errorf("a known key while the issuer is down: %v", err)
	}
}

func TestIssuerDown(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), &clock{now: time.Now()}
	a.change(func() { a.down = true })
	v := verifier(a, now)
	token := sign(t, signingKeys()[0], jwt.SigningMethodRS256, "k1", goodClaims(now.Now()))
	if _, err := v.Verify(context.Background(), token); !problem.Is(err, problem.UpstreamUnreached) {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	now.advance(2 * time.Minute)
	if _, err := v.Verify(gone, token); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	a.change(func() { a.down = false })
	if _, err := v.Verify(context.Background(), token); err != nil {
		t.Errorf("after the issuer came back: %v", err)
	}
}

func TestTokenOnTheWire(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), &clock{now: time.Now()}
	secured := build(t, func(c *server.Config) { c.Tokens = verifier(a, now) })
	for name, c := range map[string]struct {
		header string
		status int
		code   string
	}{
		"none":          {"", 401, "AuthenticationFailed"},
		"basic":         {"Basic YTpi", 401, "AuthenticationFailed"},
		"rubbish":       {"Bearer x", 401, "InvalidAuthenticationToken"},
		"other party's": {"Bearer " + sign(t, signingKeys()[0], jwt.SigningMethodRS256, "k1", jwt.MapClaims{"iss": "https://sts.test/tenant/", "aud": "x", "exp": now.Now().Add(time.Hour).Unix()}), 401, "InvalidAuthenticationTokenAudience"},
		"old":           {"Bearer " + sign(t, signingKeys()[0], jwt.SigningMethodRS256, "k1", jwt.MapClaims{"iss": "https://sts.test/tenant/", "aud": "x", "exp": now.Now().Add(-time.Hour).Unix()}), 401, "ExpiredAuthenticationToken"},
		"good":          {"bearer  " + sign(t, signingKeys()[0], jwt.SigningMethodRS256, "k1", goodClaims(now.Now())), 200, ""},
	} {
		for _, path := range []string{source + "/providers/Microsoft.ServiceLinker/linkers?api-version=2024-04-01", "/providers/Patchbay/operations?api-version=2026-11-01", "/providers/Microsoft.ServiceLinker/operations?api-version=2024-04-01"} {
			r := newRequest(http.MethodGet, path, "")
			r.Header.Set("Authorization", c.header)
			got := secured.send(r)
			code, _ := got.at("error", "code").(string)
			if got.status != c.status || code != c.code || (c.status == 401) != strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s at %s: %d %v %s", name, path, got.status, got.header, got.raw)
			}
		}
	}
}
