package server

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	clockSkew     = 5 * time.Minute
	keysLast      = 24 * time.Hour
	documentLimit = 1 << 20
	tokenLimit    = 16 << 10
)

// Issuer is one signer of tokens that is trusted.
type Issuer struct {
	Name string // the iss claim, exactly
	// Authority is the address below which /.well-known/openid-configuration stands;
	// empty means Name.
	Authority string
}

// JWKSConfig is what a JWKS verifier trusts.
type JWKSConfig struct {
	Issuers []Issuer
	// Audiences are those of ARM: such tokens can be sent on. OwnAudiences are our own
	// addresses. A trailing slash makes no difference.
	Audiences, OwnAudiences []string
	HTTP                    api.Doer
	// SignInURL is told to clients that come without a token.
	SignInURL string
	// Refetch is how long keys are not fetched again for a key id nobody knows; 0
	// means 5 minutes.
	Refetch time.Duration
	Now     func() time.Time
}

// JWKS verifies tokens by the keys their issuers publish. It is safe for many goroutines.
type JWKS struct {
	config JWKSConfig
	sets   map[string]*keySet
}

// NewJWKS makes a verifier; keys are fetched when first needed.
func NewJWKS(c JWKSConfig) *JWKS {
	if c.Refetch == 0 {
		c.Refetch = 5 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	j := &JWKS{config: c, sets: map[string]*keySet{}}
	for _, i := range c.Issuers {
		authority := i.Authority
		if authority == "" {
			authority = i.Name
		}
		j.sets[i.Name] = &keySet{authority: strings.TrimRight(authority, "/"), http: c.HTTP, refetch: c.Refetch, now: c.Now}
	}
	return j
}

type claims struct {
	jwt.RegisteredClaims
	ObjectID  string `json:"oid"`
	AppID     string `json:"appid"`
	Party     string `json:"azp"`
	Kind      string `json:"idtyp"`
	Scopes    string `json:"scp"`
	UserName  string `json:"upn"`
	Preferred string `json:"preferred_username"`
	Unique    string `json:"unique_name"`
}

// Verify checks signature, issuer, audience and times, in that order.
func (j *JWKS) Verify(ctx context.Context, token string) (Caller, error) {
	if token == "" {
		return Caller{}, missingToken(j.challenge("the request carries no token"))
	}
	if len(token) > tokenLimit {
		return Caller{}, j.refused(problem.TokenInvalid, "the access token is longer than any token should be")
	}
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithLeeway(clockSkew), jwt.WithExpirationRequired(), jwt.WithTimeFunc(j.config.Now))
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		set, trusted := j.sets[c.Issuer]
		if !trusted {
			return nil, errUntrusted
		}
		kid, _ := t.Header["kid"].(string)
		return set.key(ctx, kid)
	})
	if err != nil {
		return Caller{}, j.explain(err)
	}
	return j.caller(token, c)
}

var (
	errUntrusted = errors.New("the issuer is not trusted")
	errNoKey     = errors.New("no published key fits")
)

// explain words why a token was refused without repeating any of it.
func (j *JWKS) explain(err error) error {
	var p *problem.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, jwt.ErrTokenExpired):
		return j.refused(problem.TokenExpired, "the access token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return j.refused(problem.TokenInvalid, "the access token is not valid yet; compare the clocks")
	case errors.Is(err, errUntrusted):
		return j.refused(problem.TokenInvalid, "the access token comes from an issuer that is not trusted here")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return j.refused(problem.TokenInvalid, "the access token is not a signed token")
	}
	return j.refused(problem.TokenInvalid, "the access token is not signed by a key its issuer publishes")
}

func (j *JWKS) refused(code problem.Code, why string) error {
	return problem.New(code, "", "%s", why).Because(j.challenge(why))
}

func (j *JWKS) challenge(why string) Challenge {
	return Challenge(fmt.Sprintf(`Bearer authorization_uri="%s", error="invalid_token", error_description="%s"`, j.config.SignInURL, why))
}

func (j *JWKS) caller(token string, c claims) (Caller, error) {
	forward, own := hasAudience(c.Audience, j.config.Audiences), hasAudience(c.Audience, j.config.OwnAudiences)
	if !forward && !own {
		return Caller{}, j.refused(problem.TokenAudience, "the access token was made for another audience")
	}
	object := firstText(c.ObjectID, c.Subject)
	if object == "" {
		return Caller{}, j.refused(problem.TokenInvalid, "the access token does not say whom it speaks for")
	}
	client := firstText(c.AppID, c.Party)
	app := c.Kind == "app" || c.Scopes == "" && c.Kind != "user"
	name := firstText(c.UserName, firstText(c.Preferred, firstText(c.Unique, firstText(client, object))))
	return Caller{ObjectID: object, ClientID: client, Name: name, App: app, Token: token, Forwardable: forward}, nil
}

func hasAudience(given jwt.ClaimStrings, wanted []string) bool {
	return slices.ContainsFunc(given, func(g string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return strings.TrimRight(g, "/") == strings.TrimRight(w, "/") })
	})
}

// keySet caches the keys of one issuer.
type keySet struct {
	authority string
	http      api.Doer
	refetch   time.Duration
	now       func() time.Time

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey
	fetched time.Time // when the keys were fetched
	tried   time.Time // when it was last tried
	failed  error
}

// key returns the key of an id. Keys are fetched when there are none or they are
// old, and for an unknown id at most once per refetch time.
func (s *keySet) key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if key := s.find(kid); key != nil && now.Sub(s.fetched) < keysLast {
		return key, nil
	}
	if now.Sub(s.tried) >= s.refetch || s.keys == nil && s.failed == nil {
		s.tried = now
		s.failed = s.fetch(ctx)
		if ctx.Err() != nil { // the client gave up: not the issuer's fault
			s.tried, s.failed = time.Time{}, nil
			return nil, ctx.Err()
		}
	}
	if key := s.find(kid); key != nil {
		return key, nil
	}
	if s.keys == nil && s.failed != nil {
		return nil, problem.New(problem.UpstreamUnreached, s.authority, "the signing keys of %s cannot be had", s.authority).Because(s.failed)
	}
	return nil, errNoKey
}

// find looks a key up; a token without an id is checked by the only key there is.
func (s *keySet) find(kid string) *rsa.PublicKey {
	if kid == "" && len(s.keys) == 1 {
		for _, key := range s.keys {
			return key
		}
	}
	return s.keys[kid]
}

func (s *keySet) fetch(ctx context.Context) error {
	var discovery struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := getDocument(ctx, s.http, s.authority+"/.well-known/openid-configuration", &discovery); err != nil {
		return err
	}
	if at, err := url.Parse(discovery.KeysURL); err != nil || at.Host == "" {
		return fmt.Errorf("find the keys of %s: jwks_uri is missing", s.authority)
	}
	var published struct {
		Keys []webKey `json:"keys"`
	}
	if err := getDocument(ctx, s.http, discovery.KeysURL, &published); err != nil {
		return err
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range published.Keys {
		if key := k.public(); key != nil {
			keys[k.ID] = key
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("read the keys of %s: there is no RSA key", s.authority)
	}
	s.keys, s.fetched = keys, s.now()
	return nil
}

// webKey is one published key.
type webKey struct {
	Type string `json:"kty"`
	Use  string `json:"use"`
	ID   string `json:"kid"`
	N    string `json:"n"`
	E    string `json:"e"`
}

// public returns the RSA key, nil for other keys and for weak ones.
func (k webKey) public() *rsa.PublicKey {
	n, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(k.N, "="))
	e, err2 := base64.RawURLEncoding.DecodeString(strings.TrimRight(k.E, "="))
	if k.Type != "RSA" || k.Use != "" && k.Use != "sig" || err != nil || err2 != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
}

func getDocument(ctx context.Context, client api.Doer, address string, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("read %s: answered %d", address, response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, documentLimit)).Decode(out); err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	return nil
}
