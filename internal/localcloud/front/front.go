// Package front is the local cloud's HTTP front door: routing, sign-in checks,
// rights, locks, api-versions, existence of scopes, long-running answers,
// throttling, injected faults, the request log and the test levers.
//
// It promises that a provider only ever sees calls that are authenticated,
// authorised and well formed, that every refusal is an error envelope, and that no
// panic reaches a client. It must not know what any resource type means, apart
// from subscriptions, resource groups and provider registration, which are its own.
package front

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/directory"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/rbac"
	"github.com/patchbay/patchbay/internal/localcloud/store"
)

// Options says what a front door stands in front of. Store, Directory, Rights, URL,
// Logf and Now are required.
type Options struct {
	Store     *store.Store
	Directory *directory.Directory
	Rights    *rbac.Rights
	URL       string
	// AsyncDelay is how long an operation waits before its work runs.
	AsyncDelay   time.Duration
	RecordBodies bool
	Throttle     Throttle
	Logf         func(format string, args ...any)
	Now          func() time.Time
	// Levers are the actions of POST /_local/advance, by folded name.
	Levers map[string]Lever
	// Local answers further paths under /_local, by their first segment.
	Local map[string]LocalHandler
}

// Lever changes something no Azure client could. The arguments are the request's body.
type Lever func(ctx context.Context, args map[string]any) (any, error)

// LocalHandler answers one path under /_local; rest is what follows its first segment.
type LocalHandler func(ctx context.Context, method, rest string, body map[string]any) (status int, answer any, err error)

// Front is the front door. Make one with New, add providers with Register, serve it
// as an http.Handler and Close it.
type Front struct {
	opts       Options
	types      map[string]provider.Type // by folded name
	namespaces map[string]string        // as written, by folded name

	mounts map[string]http.Handler // further interfaces, by folded prefix of their paths

	log    *requestLog
	faults *faultList
	limits *limiter
	ops    *operations
	writes keyedLocks // one write handler at a time per top-level resource
}

var _ http.Handler = (*Front)(nil)

// New makes a front door that serves only its own types.
func New(o Options) *Front {
	f := &Front{
		opts: o, types: map[string]provider.Type{}, namespaces: map[string]string{}, mounts: map[string]http.Handler{},
		log: &requestLog{}, faults: &faultList{}, limits: newLimiter(o.Throttle, o.Now),
	}
	f.ops = newOperations(o)
	for _, ns := range furtherNamespaces {
		f.namespaces[id.Fold(ns.name)] = ns.name
	}
	f.addTypes(f.ownTypes())
	return f
}

// Register adds a provider's types. It is called before serving; a type that is
// already there is an error.
func (f *Front) Register(p provider.Provider) error {
	for _, t := range p.Types() {
		if _, taken := f.types[id.Fold(t.Name)]; taken {
			return fmt.Errorf("register %s: the type is already served", t.Name)
		}
		f.addTypes([]provider.Type{t})
	}
	return nil
}

func (f *Front) addTypes(types []provider.Type) {
	for _, t := range types {
		t.APIVersions = slices.Clone(t.APIVersions) // types may share one list
		sort.Sort(sort.Reverse(sort.StringSlice(t.APIVersions)))
		f.types[id.Fold(t.Name)] = t
		ns, _, _ := strings.Cut(t.Name, "/")
		f.namespaces[id.Fold(ns)] = ns
	}
}

// Mount puts an interface that is not resource management below a path of the endpoint; it
// checks its callers itself. AddLocal adds a path under /_local. Both are called before serving.
func (f *Front) Mount(prefix string, h http.Handler) { f.mounts[id.Fold(prefix)] = h }

// AddLocal adds a path under /_local by its first segment.
func (f *Front) AddLocal(name string, h LocalHandler) { f.opts.Local[name] = h }

// mounted finds the interface a path belongs to.
func (f *Front) mounted(path string) http.Handler {
	for prefix, h := range f.mounts {
		if strings.HasPrefix(id.Fold(path), prefix) {
			return h
		}
	}
	return nil
}

// SetAsyncDelay changes how long operations started from now on wait before their work.
func (f *Front) SetAsyncDelay(d time.Duration) { f.ops.setDelay(d) }

// Forget empties the request log and the fault list.
func (f *Front) Forget() {
	f.log.clear()
	_ = f.faults.set(nil) // an empty list has nothing wrong with it
}

// Close cancels running operations and waits for them.
func (f *Front) Close() { f.ops.close() }

// keyedLocks is a mutex per key. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock waits for a key's lock and returns what releases it.
func (k *keyedLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}

// topLevel is the folded id of the resource that a call is about, without children
// and extensions: the unit that writes are serialised by.
func topLevel(i id.ID) string {
	segments := strings.Split(strings.TrimPrefix(i.Fold(), "/"), "/")
	for n, s := range segments {
		if s == "providers" && len(segments) >= n+4 {
			return strings.Join(segments[:n+4], "/")
		}
	}
	return strings.Join(segments, "/")
}
