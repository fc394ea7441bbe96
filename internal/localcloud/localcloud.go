// Package localcloud is a small Azure on loopback: sign-in, resource management
// with enforced rights, template deployments and the data planes its resource
// providers run.
//
// It promises to behave like Azure where Azure bites (whole-map settings writes,
// delayed role propagation, fresh principal ids, throttling, long-running
// answers) and to keep its state in one folder across restarts. It must never
// know what any client of it wants: nothing here may depend on, or special-case,
// the tools that talk to it.
package localcloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/authority"
	"github.com/patchbay/patchbay/internal/localcloud/containerapp"
	"github.com/patchbay/patchbay/internal/localcloud/deployment"
	"github.com/patchbay/patchbay/internal/localcloud/directory"
	"github.com/patchbay/patchbay/internal/localcloud/front"
	"github.com/patchbay/patchbay/internal/localcloud/identity"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/rbac"
	"github.com/patchbay/patchbay/internal/localcloud/store"
	"github.com/patchbay/patchbay/internal/localcloud/web"
)

// Config says how a cloud starts. URL is required; everything else has a default.
type Config struct {
	// Data is the folder that holds all state; empty means a temporary folder that
	// Close removes.
	Data string
	// URL is the public base without a trailing slash, such as https://127.0.0.1:8443.
	// Everything the cloud says about itself uses it.
	URL string
	// TLSHosts are further host names and addresses the server certificate holds.
	TLSHosts []string
	// RecordBodies keeps request and answer bodies in the request log. They hold secrets.
	RecordBodies bool
	// AsyncDelay is how long a long-running operation takes before its work starts;
	// zero means 50 ms, negative means none.
	AsyncDelay time.Duration
	// RoleDelay is how long a new or removed role assignment takes to count; zero means at once.
	RoleDelay time.Duration
	// TokenLifetime is how long access tokens live; zero means one hour.
	TokenLifetime time.Duration
	// Throttle limits management calls per caller; nil means no limit.
	Throttle *Throttle
	// Logf receives the cloud's own log lines, never secrets; nil discards them.
	Logf func(format string, args ...any)
	// Providers makes the resource providers beside the built-in ones.
	Providers func(provider.Cloud) []provider.Provider
}

// Throttle is a token bucket per caller and per kind of call.
type Throttle struct {
	Reads, Writes, Deletes int           // bucket sizes; zero means unlimited
	Refill                 time.Duration // time after which one call is given back
}

// ReadyInfo is what a client needs to use the cloud, as the ready file carries it.
type ReadyInfo struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile"`
	SubscriptionID string `json:"subscriptionId"`
	TenantID       string `json:"tenantId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
}

// Credentials are a service principal's sign-in facts.
type Credentials struct {
	ObjectID     string `json:"objectId"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	TenantID     string `json:"tenantId"`
}

const (
	defaultAsyncDelay = 50 * time.Millisecond
	seededUser        = "patchbay-user"
	subscriptionDoc   = "/_cloud/settings/subscription"
	subscriptionName  = "Patchbay local"
)

// ErrInUse is wrapped by the error of Start when another cloud runs on the folder.
var ErrInUse = errors.New("another local cloud runs on it")

// suffixes are the host suffixes of the data planes, by kind.
var suffixes = map[string]string{
	"postgres": "postgres.local", "mysql": "mysql.local", "sql": "sql.local", "redis": "redis.local", "blob": "blob.core.local",
	"storage": "core.local", "keyvault": "vault.local", "registry": "registry.local",
}

// Cloud is one running local cloud. Make one with Start.
type Cloud struct {
	cfg       Config
	dir       string
	folder    *flock.Flock // nil for a temporary folder
	temporary bool

	store     *store.Store
	addresses *addresses
	authority *authority.Authority
	directory *directory.Directory
	rights    *rbac.Rights
	front     *front.Front
	sites     *web.Sites
	templates *deployment.Deployments
	providers []provider.Provider

	subscription string
	user         Credentials
}

var _ provider.Cloud = (*Cloud)(nil)

// Start opens the state under cfg.Data and resumes what ran there. The caller
// owns the listener: it serves Handler over ServerTLS and calls Close when done.
func Start(ctx context.Context, cfg Config) (*Cloud, error) {
	c := &Cloud{cfg: withDefaults(cfg)}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func withDefaults(cfg Config) Config {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.AsyncDelay == 0 {
		cfg.AsyncDelay = defaultAsyncDelay
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	return cfg
}

func (c *Cloud) start(ctx context.Context) error {
	if c.cfg.URL == "" {
		return errors.New("start local cloud: the public URL is missing")
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.register(); err != nil {
		return err
	}
	if err := c.seed(); err != nil {
		return err
	}
	for _, p := range c.providers {
		if err := p.Resume(ctx); err != nil {
			return fmt.Errorf("resume local cloud: %w", err)
		}
	}
	return nil
}

// open makes what the front door stands on: folder, store, network, certificates,
// sign-in and rights.
func (c *Cloud) open() error {
	if err := c.openFolder(); err != nil {
		return err
	}
	var err error
	if c.store, err = store.Open(c.dir, c.cfg.Logf); err != nil {
		return err
	}
	c.addresses = openAddresses(c.store, c.dir, c.cfg.Logf)
	if c.authority, err = authority.Open(c.Dir("tls"), append(c.addresses.all(), c.cfg.TLSHosts...)); err != nil {
		return err
	}
	c.directory, err = directory.Open(directory.Options{
		Store: c.store, URL: c.cfg.URL, KeyFile: filepath.Join(c.Dir("tls"), "token-key.pem"),
		Lifetime: c.cfg.TokenLifetime, Now: time.Now, Suffixes: metadataSuffixes(),
	})
	if err != nil {
		return err
	}
	c.rights = rbac.New(c.store, c.directory, c.cfg.RoleDelay, time.Now)
	return nil
}

// openFolder makes the data folder. Others may pass through it, because servers
// that refuse to run as root work in folders below; its files are the owner's.
func (c *Cloud) openFolder() error {
	c.dir = c.cfg.Data
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "patchbay-local-")
		if err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
		c.dir, c.temporary = dir, true
		return os.Chmod(dir, 0o711)
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	c.dir = dir
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	return c.lock()
}

// lock keeps a second cloud out of the folder; a killed one's lock goes with it.
func (c *Cloud) lock() error {
	l := flock.New(filepath.Join(c.dir, "lock"))
	ok, err := l.TryLock()
	if err != nil {
		return fmt.Errorf("lock data folder: %w", err)
	}
	if !ok {
		return fmt.Errorf("lock data folder %s: %w", c.dir, ErrInUse)
	}
	c.folder = l
	return nil
}

func metadataSuffixes() map[string]string {
	return map[string]string{
		"postgresqlServerEndpoint": suffixes["postgres"], "mysqlServerEndpoint": suffixes["mysql"], "mariadbServerEndpoint": suffixes["mysql"],
		"sqlServerHostname": suffixes["sql"], "storage": suffixes["storage"], "keyVaultDns": suffixes["keyvault"],
		"acrLoginServer": suffixes["registry"], "mhsmDns": "managedhsm.local", "azureDataLakeStoreFileSystem": "datalake.local",
		"azureDataLakeAnalyticsCatalogAndJob": "analytics.local", "azureFrontDoorEndpointSuffix": "frontdoor.local",
		"storageSyncEndpointSuffix": "afs.local", "synapseAnalytics": "synapse.local", "attestationEndpoint": "attest.local",
	}
}

// register puts every provider behind the front door.
func (c *Cloud) register() error {
	var limits front.Throttle
	if t := c.cfg.Throttle; t != nil {
		limits = front.Throttle(*t)
	}
	c.front = front.New(front.Options{
		Store: c.store, Directory: c.directory, Rights: c.rights, URL: c.cfg.URL, AsyncDelay: max(0, c.cfg.AsyncDelay),
		RecordBodies: c.cfg.RecordBodies, Throttle: limits, Logf: c.cfg.Logf, Now: time.Now, Levers: c.levers(), Local: c.localPaths(),
	})
	identities := identity.New(c, c.directory.Tenant())
	sites, err := web.New(c, identities)
	if err != nil {
		return fmt.Errorf("open app tokens: %w", err)
	}
	c.sites = sites
	apps, err := containerapp.New(c, identities)
	if err != nil {
		return fmt.Errorf("open app tokens: %w", err)
	}
	c.templates = deployment.New(c, c.invoke)
	c.providers = []provider.Provider{c.rights, identities, c.templates}
	if c.cfg.Providers != nil {
		c.providers = append(c.providers, c.cfg.Providers(c)...)
	}
	// What runs apps comes last: they find the data planes running.
	c.providers = append(c.providers, c.sites, apps)
	for _, p := range c.providers {
		if err := c.front.Register(p); err != nil {
			return err
		}
		if m, ok := p.(mounter); ok {
			c.front.Mount(m.Mount())
		}
		if l, ok := p.(leverer); ok {
			name, serve := l.Lever()
			c.front.AddLocal(name, serve)
		}
	}
	return nil
}

// mounter is a provider with an interface of its own below the cloud's endpoint.
type mounter interface {
	Mount() (prefix string, h http.Handler)
}

// leverer is a provider with a path under /_local.
type leverer interface {
	Lever() (name string, serve func(ctx context.Context, method, rest string, body map[string]any) (int, any, error))
}

func (c *Cloud) invoke(ctx context.Context, caller provider.Principal, method, path, apiVersion string, body provider.Document) (any, error) {
	return c.front.Invoke(ctx, front.Invocation{Caller: caller, Method: method, Path: path, APIVersion: apiVersion, Body: body})
}

// seed makes the subscription and the principal that owns it, once.
func (c *Cloud) seed() error {
	doc, ok := c.store.Get(subscriptionDoc)
	if !ok {
		doc = provider.Document{"type": "_settings", "subscriptionId": uuid.NewString()}
		c.store.Put(subscriptionDoc, doc)
	}
	c.subscription, _ = doc["subscriptionId"].(string)
	c.front.AddSubscription(c.subscription, subscriptionName)
	var err error
	if c.user, err = c.NewServicePrincipal(seededUser); err != nil {
		return err
	}
	return c.Assign("Owner", c.user.ObjectID, "/subscriptions/"+c.subscription)
}

// Handler answers everything under the endpoint: sign-in, management, levers.
func (c *Cloud) Handler() http.Handler { return c.front }

// Ready returns the endpoint with the seeded principal "patchbay-user", which
// owns the subscription.
func (c *Cloud) Ready() ReadyInfo {
	_, _, ca := c.CertFiles()
	return ReadyInfo{Endpoint: c.cfg.URL, CAFile: ca, SubscriptionID: c.subscription, TenantID: c.user.TenantID,
		ClientID: c.user.ClientID, ClientSecret: c.user.ClientSecret}
}

// seededDocs marks the principals that Reset keeps.
const seededDocs = "/_cloud/seeded/"

// NewServicePrincipal returns the service principal of that display name, making
// it first when there is none. It has no rights until Assign gives it some.
func (c *Cloud) NewServicePrincipal(displayName string) (Credentials, error) {
	if displayName == "" || strings.ContainsAny(displayName, "/?#\\") {
		return Credentials{}, fmt.Errorf("make service principal: the name %q is not usable", displayName)
	}
	doc, ok := c.store.Get(seededDocs + displayName)
	objectID, _ := doc["objectId"].(string)
	p, known := c.directory.Lookup(objectID)
	if !ok || !known {
		p, _ = c.directory.NewServicePrincipal(displayName)
		c.store.Put(seededDocs+displayName, provider.Document{"type": "_seeded", "objectId": p.ObjectID})
	}
	return c.credentials(p), nil
}

func (c *Cloud) credentials(p provider.Principal) Credentials {
	return Credentials{ObjectID: p.ObjectID, ClientID: p.ClientID, ClientSecret: c.directory.Secret(p.ObjectID), TenantID: c.directory.Tenant()}
}

// Assign gives a principal a built-in or custom role, by role name or GUID, at a
// scope, at once and without propagation delay. Repeating it changes nothing.
func (c *Cloud) Assign(role, objectID, scope string) error {
	if err := c.rights.Grant(role, objectID, scope); err != nil {
		return fmt.Errorf("assign %s: %w", role, err)
	}
	return nil
}

// AddSubscription makes one more, empty subscription and returns its id.
func (c *Cloud) AddSubscription(displayName string) string {
	sub := uuid.NewString()
	c.front.AddSubscription(sub, displayName)
	return sub
}

// Reset deletes every resource group, lock, custom role, fault and log entry, and
// all principals and role assignments that were not made by Start,
// NewServicePrincipal or Assign.
func (c *Cloud) Reset(ctx context.Context) error {
	if err := c.front.DeleteGroups(ctx); err != nil {
		return fmt.Errorf("reset local cloud: %w", err)
	}
	c.rights.Clear()
	c.rights.SetDelay(c.cfg.RoleDelay)
	c.front.Forget()
	c.front.SetAsyncDelay(max(0, c.cfg.AsyncDelay))
	c.addresses.forget()
	kept := map[string]bool{}
	c.store.View("_seeded", func(_ string, d provider.Document, _ map[string]string) {
		objectID, _ := d["objectId"].(string)
		kept[objectID] = true
	})
	for _, p := range c.directory.List() {
		if !kept[p.ObjectID] {
			c.directory.Remove(p.ObjectID)
		}
	}
	return nil
}

// Close stops every process and server the cloud runs and waits for them.
func (c *Cloud) Close() error {
	var failed []error
	if c.front != nil {
		c.front.Close()
	}
	for n := len(c.providers) - 1; n >= 0; n-- {
		failed = append(failed, c.providers[n].Close())
	}
	if c.addresses != nil {
		c.addresses.close()
	}
	if c.folder != nil {
		failed = append(failed, c.folder.Unlock())
	}
	if c.temporary {
		failed = append(failed, os.RemoveAll(c.dir))
	}
	return errors.Join(failed...)
}
