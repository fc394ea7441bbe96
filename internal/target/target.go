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
	"slices"

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
	// ConnectionStrings is the resource that connection strings are entries of, "" when the
	// source keeps none apart from its settings.
	ConnectionStrings string
	// NotInNames are characters that the names of its settings cannot hold.
	NotInNames string
	// Scopes are the places its settings can go to, the one for who names none first; none
	// where the source is the only one.
	Scopes []Scope
	// Triggers tells that the platform has to be told of new settings: a function app's.
	Triggers bool
	// Sticky is the resource whose list of sticky names keeps settings where they are when
	// slots are swapped, "" when the source's settings have nowhere to go.
	Sticky string
}

// Identity is the principal the engine works as.
type Identity struct {
	PrincipalID string // object id
	Login       string // the name it has as administrator of a database server
	TenantID    string
	Type        string // User where it is a person, empty for everything else
}

// Reader answers what a connection needs of its target. It satisfies the
// engine's Targets and is safe for many goroutines. Every member but Place is required.
type Reader struct {
	Catalog *catalog.Catalog
	Client  Client
	Cloud   arm.Cloud
	// Source reads the source; SOURCE_NOT_FOUND when it is not there.
	Source func(ctx context.Context, id string) (Source, error)
	// Place moves settings to where the source keeps them, and adds what makes it read them;
	// nil leaves them on the source itself. It is pure.
	Place func(c *connection.Connection, facets []connection.Facet) ([]connection.Facet, error)
	// Cluster reads a source that is a Kubernetes cluster, and the place in it that the
	// connection uses; errors as of Source, and those of a cluster.
	Cluster func(ctx context.Context, c *connection.Connection) (Cluster, error)
	// Engine tells who the engine is and which tenant it lives in: a service principal is
	// given without one, and is taken to be of the same.
	Engine func(ctx context.Context) (Identity, error)
	// Address is where the engine's traffic comes from, "" when nobody knows; asked
	// only when the target may have to let the engine in for a while.
	Address func(ctx context.Context) (string, error)
	// VaultSecret reads a secret by its address, with the engine's own rights in that vault;
	// asked only when a request says that a password lies there.
	VaultSecret func(ctx context.Context, vault, uri string) (string, error)
}

// Facts of the engine's own side.
const (
	factEnginePrincipal = "engine.principalId"
	factEngineLogin     = "engine.login"
	factEngineType      = "engine.type"
	factEngineAddress   = "engine.address"
)

// Type is the catalog's word for the kind of target, "" when it has none.
func (r *Reader) Type(c *connection.Connection) string {
	m, err := r.match(c)
	if err != nil {
		return ""
	}
	return m.Type()
}

// match finds the catalog's target of a connection.
func (r *Reader) match(c *connection.Connection) (*catalog.Match, error) {
	return r.Catalog.MatchTarget(c.Properties.Target)
}

// settled is match once facts are read: an account's kind tells which target it is.
func (r *Reader) settled(c *connection.Connection, facts connection.Facts) (*catalog.Match, error) {
	m, err := r.match(c)
	if err != nil {
		return nil, err
	}
	copied := *m
	if t, ok := r.Catalog.Get(facts.Text(connection.FactTarget)); ok {
		copied.Target = t
	}
	return &copied, nil
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
	identity := p.Auth != nil && !byKey(p.Auth.Type)
	return ways{
		network:  p.PublicNetwork == nil || p.PublicNetwork.Action != optOut,
		settings: p.Configuration == nil || p.Configuration.Action != optOut,
		grants:   identity && p.Auth.Mode != authOptOut,
	}
}

// authType is how the app signs in: the request's word, none where a target asks for no
// sign-in and the request names none, "" where nothing is known.
func authType(c *connection.Connection, t *catalog.Target) string {
	if a := c.Properties.Auth; a != nil {
		return a.Type
	}
	if _, open := t.Auth[catalog.AuthNone]; open {
		return catalog.AuthNone
	}
	return ""
}

// byKey tells whether the app signs in with what the target itself gave out, so that
// nobody is granted anything.
func byKey(auth string) bool {
	return auth == connection.AuthSecret || auth == connection.AuthAccessKey
}

// isPrincipal tells whether the request says who signs in, by object id.
func isPrincipal(auth string) bool {
	return auth == connection.AuthServicePrincipalSecret || auth == connection.AuthServicePrincipalCertificate || auth == connection.AuthUserAccount
}

// bearsSecret tells whether the app signs in with something that can be handed on: the
// token of a managed identity only the app itself can get.
func bearsSecret(auth string) bool {
	return byKey(auth) || auth == connection.AuthServicePrincipalSecret || auth == connection.AuthServicePrincipalCertificate
}

// secretSlot tells which secret a person has to give, if any.
func secretSlot(c *connection.Connection, t *catalog.Target) (slot string, needed bool) {
	a := c.Properties.Auth
	switch {
	case a == nil || !waysOf(c).settings || confided(c):
	case a.Type == connection.AuthServicePrincipalSecret:
		return connection.SecretSlot, true
	case a.Type == connection.AuthServicePrincipalCertificate:
		return connection.CertificateSlot, true
	case t.Auth[a.Type].Given:
		return connection.SecretSlot, true
	}
	return "", false
}

// wantsIdentity tells whether a user-assigned identity must be found.
func wantsIdentity(c *connection.Connection) bool {
	return waysOf(c).grants && c.Properties.Auth.Type == connection.AuthUserIdentity
}

// keysOf are the facts that the settings need of an action of the target, and where it
// gives them; none where the app signs in otherwise.
func keysOf(c *connection.Connection, t *catalog.Target) map[string]catalog.KeyPlace {
	a := c.Properties.Auth
	if a == nil || !waysOf(c).settings {
		return nil
	}
	how := t.Auth[a.Type]
	if len(how.Permissions) > 0 {
		return permitted(a, how).Keys
	}
	if how.Key == "" {
		return nil
	}
	out := map[string]catalog.KeyPlace{}
	for _, name := range append([]string{how.Key}, how.With...) {
		out[name] = t.Keys[name]
	}
	return out
}

// permitted is the narrowest key that holds what is asked for, and the last where nothing is.
func permitted(a *connection.Auth, how catalog.Auth) catalog.Permission {
	chosen := how.Permissions[len(how.Permissions)-1]
	if len(a.Permissions) == 0 {
		return chosen
	}
	for _, p := range slices.Backward(how.Permissions) {
		if p.Covers(a.Permissions) {
			chosen = p
		}
	}
	return chosen
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
