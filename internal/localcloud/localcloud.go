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
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
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

var errNotBuilt = errors.New("not wired yet")

// Cloud is one running local cloud.
type Cloud struct{}

// Start opens the state under cfg.Data and resumes what ran there. The caller
// owns the listener: it serves Handler over ServerTLS and calls Close when done.
func Start(ctx context.Context, cfg Config) (*Cloud, error) { return nil, errNotBuilt }

// Handler answers everything under the endpoint: sign-in, management, levers.
func (c *Cloud) Handler() http.Handler { return nil }

// ServerTLS is the configuration for the endpoint's listener.
func (c *Cloud) ServerTLS() *tls.Config { return nil }

// Ready returns the endpoint with the seeded principal "patchbay-user", which
// owns the subscription.
func (c *Cloud) Ready() ReadyInfo { return ReadyInfo{} }

// NewServicePrincipal returns the service principal of that display name, making
// it first when there is none. It has no rights until Assign gives it some.
func (c *Cloud) NewServicePrincipal(displayName string) (Credentials, error) {
	return Credentials{}, errNotBuilt
}

// Assign gives a principal a built-in or custom role, by role name or GUID, at a
// scope, at once and without propagation delay. Repeating it changes nothing.
func (c *Cloud) Assign(role, objectID, scope string) error { return errNotBuilt }

// AddSubscription makes one more, empty subscription and returns its id.
func (c *Cloud) AddSubscription(displayName string) string { return "" }

// Reset deletes every resource group, lock, custom role, fault and log entry, and
// all principals and role assignments that were not made by Start,
// NewServicePrincipal or Assign.
func (c *Cloud) Reset(ctx context.Context) error { return errNotBuilt }

// Close stops every process and server the cloud runs and waits for them.
func (c *Cloud) Close() error { return nil }
