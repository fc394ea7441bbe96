package directory

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Verification failures that a front door tells apart.
var (
	ErrExpired   = errors.New("token has expired")
	ErrWithdrawn = fmt.Errorf("%w before its time", ErrExpired)
	ErrInvalid   = errors.New("token is not valid")
)

const (
	keyBits  = 2048
	padBytes = 600 // real access tokens are about two kilobytes; data planes must carry that
)

type claims struct {
	jwt.RegisteredClaims
	TenantID    string `json:"tid"`
	ObjectID    string `json:"oid"`
	AppID       string `json:"appid,omitempty"`
	AppIDACR    string `json:"appidacr,omitempty"`
	IDType      string `json:"idtyp"`
	IDP         string `json:"idp"`
	DisplayName string `json:"app_displayname,omitempty"`
	UniqueName  string `json:"unique_name,omitempty"`
	MIRID       string `json:"xms_mirid,omitempty"`
	Version     string `json:"ver"`
	Epoch       string `json:"xms_ep"`
	Padding     string `json:"aio"`
}

// Token signs an access token for a principal.
func (d *Directory) Token(objectID, audience string) (string, time.Time, error) {
	p, ok := d.Lookup(objectID)
	if !ok {
		return "", time.Time{}, d.missing(objectID)
	}
	now := d.opts.Now().Truncate(time.Second)
	expires := now.Add(d.opts.Lifetime)
	c := d.claimsOf(p, audience, now, expires)
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	t.Header["kid"] = d.keyID
	signed, err := t.SignedString(d.key)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return signed, expires, nil
}

func (d *Directory) claimsOf(p provider.Principal, audience string, now, expires time.Time) claims {
	pad := make([]byte, padBytes)
	_, _ = rand.Read(pad) // crypto/rand does not fail
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: d.Issuer(), Subject: p.ObjectID, Audience: jwt.ClaimStrings{audience}, ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		TenantID: d.tenant, ObjectID: p.ObjectID, AppID: p.ClientID, IDType: "app", IDP: d.Issuer(),
		DisplayName: p.DisplayName, Version: "1.0", Epoch: d.currentEpoch(),
		Padding: base64.RawURLEncoding.EncodeToString(pad),
	}
	switch p.Kind {
	case ManagedIdentity:
		c.MIRID, c.AppIDACR = p.ResourceID, "2"
	case User:
		c.IDType, c.UniqueName, c.DisplayName = "user", p.DisplayName, ""
	default:
		c.AppIDACR = "1"
	}
	return c
}

// Verify checks a token; a trailing slash of an audience makes no difference. The
// error wraps ErrExpired (ErrWithdrawn when its time had not come) or ErrInvalid.
func (d *Directory) Verify(token string, audiences ...string) (provider.Claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return d.key.Public(), nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(d.Issuer()), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(d.opts.Now))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return provider.Claims{}, ErrExpired
	case err != nil:
		return provider.Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case !audienceIn(c.Audience, audiences):
		return provider.Claims{}, fmt.Errorf("%w: made for another audience", ErrInvalid)
	case c.Epoch != d.currentEpoch():
		return provider.Claims{}, ErrWithdrawn
	}
	if _, ok := d.Lookup(c.ObjectID); !ok {
		return provider.Claims{}, fmt.Errorf("%w: %w", ErrInvalid, d.missing(c.ObjectID))
	}
	return provider.Claims{ObjectID: c.ObjectID, ClientID: c.AppID, Audience: c.Audience[0], Expires: c.ExpiresAt.Time}, nil
}

func audienceIn(have, want []string) bool {
	for _, h := range have {
		for _, w := range want {
			if strings.TrimRight(h, "/") == strings.TrimRight(w, "/") {
				return true
			}
		}
	}
	return false
}

func signingKey(file string) (*rsa.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newSigningKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("read signing key %s: no PEM block", file)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	return key, nil
}

func newSigningKey(file string) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	raw := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, fmt.Errorf("write signing key: %w", err)
	}
	return key, nil
}

func keyID(key *rsa.PrivateKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// keySet is the JSON web key set that verifies the tokens.
func (d *Directory) keySet() map[string]any {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": d.keyID, "x5t": d.keyID,
		"n": number(d.key.N), "e": number(big.NewInt(int64(d.key.E))), "issuer": d.Issuer(),
	}}}
}
