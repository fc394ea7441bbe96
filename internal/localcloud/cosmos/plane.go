package cosmos

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
)

// API is one of the five protocols an account may speak.
type API string

// The APIs, by the words used in names of types and roles.
const (
	NoSQL     API = "sql"
	MongoDB   API = "mongo"
	Cassandra API = "cassandra"
	Gremlin   API = "gremlin"
	Table     API = "table"
)

// Planes are the protocol peers of the APIs that this package does not speak
// itself (it speaks NoSQL and Table). An API without an opener has an endpoint in
// its account's document and nothing that listens there.
type Planes map[API]Opener

// Opener starts one account's protocol endpoint on a listener that is open
// already. The plane owns the listener from then on and closes it. The listener is
// plain TCP; the protocol shakes hands itself with Account.TLS. Requests are served
// by goroutines that Close waits for; ctx bounds the start only.
type Opener func(ctx context.Context, account Account, listener net.Listener) (Plane, error)

// Plane is one running protocol endpoint.
type Plane interface {
	// Close stops listening, ends every session and waits for them.
	Close() error
}

// Errors of Account, to be told apart with errors.Is and said in the protocol's own words.
var (
	ErrNetwork = errors.New("the account's network rules do not let the address in")
	ErrToken   = errors.New("the token does not verify for this account")
)

// Key is one of an account's keys that works at this moment.
type Key struct {
	Secret   string // base64, as the app has it
	ReadOnly bool
}

// Account is what a plane may know of its account. Every answer is of the moment:
// rules, keys and roles change while sessions live, so ask again for each sign-in
// and, for May, for each operation.
type Account interface {
	// Name is the account's name: the user name of MongoDB and Cassandra clients.
	Name() string
	// TLS is the configuration for the listener.
	TLS() *tls.Config
	// Allow tells whether a client's address may speak to the account at all; its
	// error is ErrNetwork.
	Allow(remote netip.Addr) error
	// Keys are the keys that may sign in now: none while disableLocalAuth is set.
	Keys() []Key
	// SignIn verifies an Entra token's signature, expiry and audience and returns the
	// object id of its principal; its error wraps ErrToken. It grants nothing by itself.
	SignIn(token string) (objectID string, err error)
	// May tells whether a data role assigned on this account (of this plane's API) lets a
	// principal do an action below scope. The action is a full data action such as
	// "Microsoft.DocumentDB/databaseAccounts/readMetadata"; scope names the database and
	// its collection, keyspace and table, or database and graph, and is empty for the account.
	May(objectID, action string, scope ...string) bool
	// Databases are the databases (keyspaces, Gremlin databases, tables) the account has, in order.
	Databases() []string
	// Collections are the collections (graphs, tables) of a database, in order.
	Collections(database string) []string
	// Create makes a database, or a collection where two names are given, as a write over
	// the protocol does; Drop removes one with all below. Both are as good as ARM's own.
	Create(names ...string) error
	Drop(names ...string) error
	// Logf writes a line to the cloud's log; never a secret.
	Logf(format string, args ...any)
}
