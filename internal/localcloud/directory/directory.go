// Package directory is sign-in for the local cloud: one tenant, its principals,
// the tokens it signs for them, and the endpoints clients get them from.
//
// It promises that a token verifies only while its signature, issuer, audience and
// expiry hold and its principal exists. It must not decide what a principal may
// do, and client secrets never leave it except to the caller that made them.
package directory

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/store"
)

// The kinds of principal.
const (
	User             = "User"
	ServicePrincipal = "ServicePrincipal"
	ManagedIdentity  = "ManagedIdentity"
)

const (
	root          = "/_directory"
	settings      = root + "/settings/tenant"
	principalKind = "_principal"
	settingsKind  = "_settings"
	secretBytes   = 30
)

// Options says how a directory opens. All fields are required except Lifetime,
// which defaults to an hour.
type Options struct {
	Store *store.Store
	// URL is the cloud's public base; the issuer and every endpoint start with it.
	URL string
	// KeyFile holds the signing key and is made when missing.
	KeyFile  string
	Lifetime time.Duration
	Now      func() time.Time
	// Suffixes are the host suffixes that the cloud's metadata announces, by their metadata name.
	Suffixes map[string]string
}

// Directory is a provider.Directory. Make one with Open.
type Directory struct {
	opts   Options
	tenant string
	key    *rsa.PrivateKey
	keyID  string

	mu    sync.Mutex
	epoch int // tokens of an earlier epoch have been expired by hand
}

var _ provider.Directory = (*Directory)(nil)

// Open reads the directory from its store, or makes the tenant and the key.
func Open(opts Options) (*Directory, error) {
	if opts.Lifetime == 0 {
		opts.Lifetime = time.Hour
	}
	key, err := signingKey(opts.KeyFile)
	if err != nil {
		return nil, err
	}
	d := &Directory{opts: opts, key: key, keyID: keyID(key)}
	doc, ok := opts.Store.Get(settings)
	if !ok {
		doc = provider.Document{"type": settingsKind, "tenantId": uuid.NewString(), "epoch": 0}
		opts.Store.Put(settings, doc)
	}
	d.tenant, _ = doc["tenantId"].(string)
	if n, ok := doc["epoch"].(float64); ok {
		d.epoch = int(n)
	}
	return d, nil
}

// Tenant returns the tenant's id.
func (d *Directory) Tenant() string { return d.tenant }

// Issuer returns the iss claim of every token.
func (d *Directory) Issuer() string { return d.opts.URL + "/" + d.tenant + "/v2.0" }

// NewManagedIdentity makes a principal with a fresh object id for a resource.
func (d *Directory) NewManagedIdentity(resourceID, displayName string) provider.Principal {
	return d.add(provider.Principal{Kind: ManagedIdentity, ResourceID: resourceID, DisplayName: displayName}, "")
}

// NewServicePrincipal makes a service principal and its client secret.
func (d *Directory) NewServicePrincipal(displayName string) (p provider.Principal, secret string) {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // crypto/rand does not fail
	raw[0] &= 0x7f        // none starts with a dash, which command lines take for an option
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return d.add(provider.Principal{Kind: ServicePrincipal, DisplayName: displayName}, secret), secret
}

// NewUser makes a user. Users have no way to sign in here; they can hold roles.
func (d *Directory) NewUser(displayName string) provider.Principal {
	return d.add(provider.Principal{Kind: User, DisplayName: displayName}, "")
}

func (d *Directory) add(p provider.Principal, secret string) provider.Principal {
	p.ObjectID = uuid.NewString()
	if p.Kind != User {
		p.ClientID = uuid.NewString()
	}
	docID := principalID(p.ObjectID)
	d.opts.Store.Put(docID, provider.Document{
		"type": principalKind, "objectId": p.ObjectID, "clientId": p.ClientID,
		"displayName": p.DisplayName, "kind": p.Kind, "resourceId": p.ResourceID,
	})
	if secret != "" {
		d.opts.Store.SetPrivate(docID, map[string]string{"clientSecret": secret})
	}
	return p
}

func principalID(objectID string) string { return root + "/principals/" + objectID }

// Remove deletes a principal; its tokens stop verifying.
func (d *Directory) Remove(objectID string) { d.opts.Store.Delete(principalID(objectID)) }

// Lookup finds a principal by object id.
func (d *Directory) Lookup(objectID string) (provider.Principal, bool) {
	doc, ok := d.opts.Store.Get(principalID(objectID))
	if !ok || objectID == "" {
		return provider.Principal{}, false
	}
	return fromDocument(doc), true
}

func fromDocument(doc provider.Document) provider.Principal {
	text := func(k string) string { s, _ := doc[k].(string); return s }
	return provider.Principal{
		ObjectID: text("objectId"), ClientID: text("clientId"), DisplayName: text("displayName"),
		Kind: text("kind"), ResourceID: text("resourceId"),
	}
}

// List returns every principal, in no particular order.
func (d *Directory) List() []provider.Principal {
	var all []provider.Principal
	d.opts.Store.View(principalKind, func(_ string, doc provider.Document, _ map[string]string) {
		all = append(all, fromDocument(doc))
	})
	return all
}

// Find returns the first principal that matches.
func (d *Directory) Find(match func(provider.Principal) bool) (provider.Principal, bool) {
	for _, p := range d.List() {
		if match(p) {
			return p, true
		}
	}
	return provider.Principal{}, false
}

// Secret returns a service principal's client secret, or "" when it has none.
func (d *Directory) Secret(objectID string) string {
	return d.opts.Store.Private(principalID(objectID))["clientSecret"]
}

// signIn checks a client's credentials.
func (d *Directory) signIn(clientID, secret string) (provider.Principal, error) {
	p, ok := d.Find(func(p provider.Principal) bool {
		return p.Kind == ServicePrincipal && strings.EqualFold(p.ClientID, clientID)
	})
	if !ok {
		return p, errUnknownClient
	}
	want := d.Secret(p.ObjectID)
	if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(secret)) != 1 {
		return p, errWrongSecret
	}
	return p, nil
}

// ExpireTokens makes every token signed so far an expired one.
func (d *Directory) ExpireTokens() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.opts.Store.Put(settings, provider.Document{"type": settingsKind, "tenantId": d.tenant, "epoch": d.epoch})
}

func (d *Directory) currentEpoch() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strconv.Itoa(d.epoch)
}

func (d *Directory) missing(objectID string) error {
	return fmt.Errorf("principal %s does not exist in the directory %s", objectID, d.tenant)
}
