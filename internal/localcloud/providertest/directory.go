package providertest

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Tenant is the tenant of every token.
const Tenant = "11111111-2222-3333-4444-555555555555"

// tokenLife is how long a token is good for.
const tokenLife = time.Hour

// Directory is a provider.Directory with one signing key.
type Directory struct {
	key    *rsa.PrivateKey
	issuer string
	now    func() time.Time

	mu         sync.Mutex
	principals map[string]provider.Principal
}

var _ provider.Directory = (*Directory)(nil)

func newDirectory(base string, now func() time.Time) (*Directory, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return &Directory{key: key, issuer: base + "/" + Tenant + "/v2.0", now: now, principals: map[string]provider.Principal{}}, nil
}

// NewManagedIdentity implements provider.Directory.
func (d *Directory) NewManagedIdentity(resourceID, displayName string) provider.Principal {
	p := provider.Principal{
		ObjectID: uuid.NewString(), ClientID: uuid.NewString(), DisplayName: displayName,
		Kind: "ManagedIdentity", ResourceID: resourceID,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.principals[p.ObjectID] = p
	return p
}

// Remove implements provider.Directory.
func (d *Directory) Remove(objectID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.principals, objectID)
}

// Lookup implements provider.Directory.
func (d *Directory) Lookup(objectID string) (provider.Principal, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.principals[objectID]
	return p, ok
}

// Token implements provider.Directory.
func (d *Directory) Token(objectID, audience string) (string, time.Time, error) {
	p, ok := d.Lookup(objectID)
	if !ok {
		return "", time.Time{}, fmt.Errorf("no principal %s", objectID)
	}
	expires := d.now().Add(tokenLife)
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": d.issuer, "aud": audience, "oid": p.ObjectID, "appid": p.ClientID, "tid": Tenant,
		"exp": expires.Unix(), "nbf": d.now().Add(-time.Minute).Unix(),
		// Real tokens are long; a short one would hide limits on passwords.
		"xms_pad": strings.Repeat("p", 1200),
	}).SignedString(d.key)
	return token, expires, err
}

// Verify implements provider.Directory.
func (d *Directory) Verify(token string, audiences ...string) (provider.Claims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return &d.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(d.issuer), jwt.WithExpirationRequired(), jwt.WithTimeFunc(d.now))
	if err != nil {
		return provider.Claims{}, fmt.Errorf("verify token: %w", err)
	}
	aud, _ := claims["aud"].(string)
	if !slices.Contains(audiences, aud) {
		return provider.Claims{}, fmt.Errorf("verify token: audience %q", aud)
	}
	oid, _ := claims["oid"].(string)
	if _, ok := d.Lookup(oid); !ok {
		return provider.Claims{}, errors.New("verify token: principal is gone")
	}
	appid, _ := claims["appid"].(string)
	exp, _ := claims.GetExpirationTime()
	return provider.Claims{ObjectID: oid, ClientID: appid, Audience: aud, Expires: exp.Time}, nil
}

// Grants is a provider.Authorizer: a list of what is allowed.
type Grants struct {
	mu   sync.Mutex
	rows []grant
}

type grant struct {
	objectID, action, scope string
	data                    bool
}

var _ provider.Authorizer = (*Grants)(nil)

// Allow adds a data action (exact name) for a principal at and below scope.
func (g *Grants) Allow(objectID, scope string, dataActions ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range dataActions {
		g.rows = append(g.rows, grant{objectID, strings.ToLower(a), strings.ToLower(scope), true})
	}
}

// Clear removes every grant.
func (g *Grants) Clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rows = nil
}

// Allowed implements provider.Authorizer.
func (g *Grants) Allowed(objectID, action, scope string, dataAction bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	action, scope = strings.ToLower(action), strings.ToLower(scope)
	return slices.ContainsFunc(g.rows, func(r grant) bool {
		return r.objectID == objectID && r.action == action && r.data == dataAction &&
			(scope == r.scope || strings.HasPrefix(scope, r.scope+"/"))
	})
}
