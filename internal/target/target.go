// Package target reads the facts of a backing service and derives from them the
// facets of a connection, both as the service's catalog file says.
//
// Check and Derive are pure. Facts reads each ARM path at most once, all of them
// in parallel, and writes nothing. No name of a service stands in this package:
// what differs between services is data in package catalog. Secrets pass through
// as Hidden values and never enter an error.
package target

import (
	"context"
	"encoding/json"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
)

// Client is what the reader needs of package arm. Errors are *problem.Error.
type Client interface {
	Get(ctx context.Context, path, apiVersion string, out any) error
	Post(ctx context.Context, path, apiVersion string, body, out any) error
	// List reads a collection page by page.
	List(ctx context.Context, path, apiVersion string, visit func(item json.RawMessage) error) error
}

// Source is what is known of the app's side.
type Source struct {
	Location  string
	Addresses []string // outbound IPv4 addresses
}

// Identity is the principal the engine works as.
type Identity struct {
	PrincipalID string // object id
	Login       string // the name it has as administrator of a database server
	TenantID    string
}

// Reader answers what a connection needs of its target. It satisfies the
// engine's Targets and is safe for many goroutines. Every member is required.
type Reader struct {
	Catalog *catalog.Catalog
	Client  Client
	Cloud   arm.Cloud
	// Source reads the source; SOURCE_NOT_FOUND when it is not there.
	Source func(ctx context.Context, id string) (Source, error)
	// Engine tells who the engine is and which tenant it lives in: a service principal is
	// given without one, and is taken to be of the same.
	Engine func(ctx context.Context) (Identity, error)
	// Address is where the engine's traffic comes from, "" when nobody knows; asked
	// only when the target may have to let the engine in for a while.
	Address func(ctx context.Context) (string, error)
}

// Facts of the engine's own side.
const (
	factEnginePrincipal = "engine.principalId"
	factEngineLogin     = "engine.login"
	factEngineAddress   = "engine.address"
)

// Type is the catalog's name of the target, "" when it has none.
func (r *Reader) Type(c *connection.Connection) string {
	m, err := r.Catalog.Match(c.Properties.Target.ID)
	if err != nil {
		return ""
	}
	return m.Target.Name
}

// audience is what an identity's token for the target is made for: a data plane's, or
// that of ARM, where the app asks for keys with it.
func (r *Reader) audience(kind string) string {
	if kind == "management" {
		return r.Cloud.Audience
	}
	return r.Cloud.Audiences[kind]
}

// ways tells what the user took out of a connection, and what is left.
type ways struct{ network, settings, grants bool }

// optOut is the word that takes a step out; authOptOut takes out identity and grants.
const (
	optOut     = "optOut"
	authOptOut = "optOutAllAuth"
)

func waysOf(c *connection.Connection) ways {
	p := c.Properties
	identity := p.Auth != nil && p.Auth.Type != connection.AuthSecret
	return ways{
		network:  p.PublicNetwork == nil || p.PublicNetwork.Action != optOut,
		settings: p.Configuration == nil || p.Configuration.Action != optOut,
		grants:   identity && p.Auth.Mode != authOptOut,
	}
}

// bearsSecret tells whether the app signs in with something that can be handed on: the
// token of a managed identity only the app itself can get.
func bearsSecret(auth string) bool {
	return auth == connection.AuthSecret || auth == connection.AuthServicePrincipalSecret
}

// wantsIdentity tells whether a user-assigned identity must be found.
func wantsIdentity(c *connection.Connection) bool {
	return waysOf(c).grants && c.Properties.Auth.Type == connection.AuthUserIdentity
}

// wantsKey tells whether the settings hold a key that is fetched from the target.
func wantsKey(c *connection.Connection, t *catalog.Target) (key string, ok bool) {
	if c.Properties.Auth == nil || !waysOf(c).settings {
		return "", false
	}
	key = t.Auth[c.Properties.Auth.Type].Key
	return key, key != ""
}

// entersDatabase tells whether the engine itself must work inside the target.
func entersDatabase(c *connection.Connection, t *catalog.Target) bool {
	return t.DBUser != nil && waysOf(c).grants
}

// provesLogin tells whether a validation signs in as the app, for which the engine
// must get through a firewall of named rules. Entries of an array are too slow to
// work to be opened for a look.
func provesLogin(c *connection.Connection, t *catalog.Target) bool {
	a := c.Properties.Auth
	return a != nil && bearsSecret(a.Type) && waysOf(c).settings &&
		t.Firewall != nil && t.Firewall.Style == catalog.StyleRules
}
