// Package provider is the contract between the local cloud's front door and the
// resource providers behind it.
//
// The front door owns HTTP, sign-in, rights, api-versions, long-running answers,
// faults and the request log; a provider owns what one resource type means. A
// provider never writes to a socket, never checks a caller's management rights
// and never sees another provider's documents except through Cloud.
package provider

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// Document is one stored resource: the ARM body as clients read it, including
// id, name and type. Members are JSON values (map[string]any, []any, string,
// float64, bool, nil).
type Document map[string]any

// Request is one call that the front door has authenticated, authorised and
// matched to a type and an api-version.
type Request struct {
	Method     string
	ID         id.ID // the resource; for a list, the parent's id
	Action     string
	APIVersion string
	Body       Document // nil when the request had none
	Query      map[string]string
	Header     http.Header
	Caller     Principal
}

// Answer is what a provider wants said. When Later is set the front door answers
// in the long-running way the type declares and runs Later in the background:
// the effect becomes visible when Later returns, its error becomes the
// operation's error.
type Answer struct {
	Status int
	Body   any
	Header http.Header
	Later  func(ctx context.Context) error
}

// Fault is an ARM error: an HTTP status, a code and a sentence.
type Fault struct {
	Status  int
	Code    string
	Message string
	Details []*Fault // inner errors, if any
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Handler serves one method of one type.
type Handler func(ctx context.Context, r *Request) (*Answer, error)

// Action is one POST verb of a type, such as listKeys. Right is the RBAC action
// the caller needs; empty means "{type}/{name}/action".
type Action struct {
	Handle Handler
	Right  string
}

// Type is one resource type and everything it answers to. A nil handler is a
// 405. Get and List may be nil when the stored document is the answer.
type Type struct {
	Name        string // such as Microsoft.Web/sites, Microsoft.Web/sites/config
	APIVersions []string
	// Singleton children (config/appsettings, blobServices/default) exist with their parent.
	Get, List, Put, Patch, Delete Handler
	Actions                       map[string]Action // key folded; may hold a slash: "appsettings/list"
	// Async202 makes a write with Later answer 202 with Azure-AsyncOperation and Location;
	// otherwise 201/200 with a non-terminal provisioningState.
	Async202 bool
	// Extension types sit on any existing scope: tenant, subscription, group or resource.
	Extension bool
	// ActionName replaces Name in the names of RBAC actions, where those differ.
	ActionName string
	// OpenRead lets every signed-in caller read, whatever roles it has.
	OpenRead bool
	// IgnoresLocks exempts writes and deletes from management locks.
	IgnoresLocks bool
}

// Provider is one resource provider namespace.
type Provider interface {
	Types() []Type
	// Resume rebuilds what runs outside the store (servers, processes) after a restart.
	Resume(ctx context.Context) error
	// Close stops everything the provider started and waits for it.
	Close() error
}

// Principal is a user, a service principal or a managed identity of the directory.
type Principal struct {
	ObjectID, ClientID, DisplayName string
	Kind                            string // User, ServicePrincipal, ManagedIdentity
	ResourceID                      string // of a managed identity: the resource that carries it
}

// Claims are the facts of a token that the directory has verified.
type Claims struct {
	ObjectID, ClientID, Audience string
	Expires                      time.Time
}

// Store keeps documents. Ids compare folded; documents are copied in and out.
type Store interface {
	Get(id string) (Document, bool)
	// Put stores a whole document under its id; a member named etag gets a new value.
	Put(id string, d Document)
	// Delete removes a document, its private values and everything beneath it. A type's
	// Delete handler calls it; the front door does not.
	Delete(id string)
	// Children lists documents of one type directly under parent, ordered by id.
	Children(parent, kind string) []Document
	// Under lists every document of one type anywhere under scope.
	Under(scope, kind string) []Document
	// Private keeps provider-only state (keys, passwords) beside a document; it never
	// shows in an ARM answer and goes when the document goes.
	Private(id string) map[string]string
	SetPrivate(id string, values map[string]string)
}

// Directory is sign-in: it makes principals and tokens and checks tokens.
type Directory interface {
	// NewManagedIdentity makes a principal with a fresh object id for a resource.
	NewManagedIdentity(resourceID, displayName string) Principal
	// Remove deletes a principal; its tokens stop verifying, its role assignments stay as orphans.
	Remove(objectID string)
	Lookup(objectID string) (Principal, bool)
	// Token signs an access token for a principal.
	Token(objectID, audience string) (token string, expires time.Time, err error)
	// Verify checks signature, issuer, expiry and that the audience is one of audiences.
	Verify(token string, audiences ...string) (Claims, error)
}

// Authorizer evaluates role assignments, propagation delay included.
type Authorizer interface {
	Allowed(objectID, action, scope string, dataAction bool) bool
}

// Cloud is what a provider may use of the rest.
type Cloud interface {
	Store() Store
	Directory() Directory
	Authorizer() Authorizer
	// URL is the public base, such as https://127.0.0.1:8443.
	URL() string
	// Dir is a folder of the provider's own under the data folder.
	Dir(name string) string
	// ServerTLS is a configuration whose certificate holds every loopback address in use.
	ServerTLS() *tls.Config
	// CertFiles returns certificate, key and CA as files, for child processes.
	CertFiles() (cert, key, ca string)
	// Address hands out a loopback address of its own (127.77.x.y) for a resource and
	// keeps it across restarts. Where such addresses cannot be bound it returns 127.0.0.1.
	Address(resourceID string) string
	Suffix(kind string) string // host suffix by kind: postgres, redis, blob
	Now() time.Time
	Logf(format string, args ...any)
}
