// Package armtest is a small strict ARM for tests of drivers: documents by
// resource id, api-versions, merge patches, long-running writes and faults.
//
// It promises to fail the test when it is asked something ARM would refuse for
// its form: a missing token, an unknown type or api-version, a body that is not
// JSON. It knows no resource type but what a test declares, and is no model of a
// service's behaviour beyond that.
package armtest

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
)

// Object is a JSON object.
type Object = map[string]any

// recordEnv names a file that every request is appended to, one JSON object per
// line with method, path, apiVersion and body: input for a judge of requests.
const recordEnv = "PATCHBAY_RECORD_ARM"

const bearer = "armtest-token"

// Async is how a type's writes answer.
type Async int

// The ways of answering a write.
const (
	Sync     Async = iota // 200 or 201, done
	Async202              // 202 with Azure-AsyncOperation, invisible until done
	Async201              // 200 or 201 and a provisioningState that passes
)

// Type declares one resource type.
type Type struct {
	Name     string // Microsoft.Cache/redis/firewallRules
	Versions []string
	Async    Async
	// Put and Patch see the document as it would be stored; they may change it or refuse it.
	Put, Patch func(resource string, before, after Object) error
	// List replaces the answer of a collection; nil lists the children. It gets all documents
	// by folded id and must not change them.
	List func(docs map[string]Object, parent string, query map[string]string) []Object
	// Actions are POST verbs; they get the resource's document.
	Actions map[string]func(resource string, doc Object) any
	// ListedOnly hides the document from GET: it is read by its list action.
	ListedOnly bool
}

// Fault makes matching requests fail instead of being served.
type Fault struct {
	Method  string // "" any
	Path    string // part of the path, case aside
	Status  int
	Code    string
	Message string
	Header  map[string]string
	Drop    bool // cut the connection
	After   bool // do the work first
	Times   int  // 0: for ever
}

// Refusal is an ARM error a Type's function may return.
type Refusal struct {
	Status        int
	Code, Message string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// Request is one request as it arrived.
type Request struct {
	Method, Path, APIVersion string
	Body                     json.RawMessage
	Header                   http.Header
}

// Server is the fake. Its methods may be called from any goroutine.
type Server struct {
	t    testing.TB
	http *httptest.Server

	mu       sync.Mutex
	types    map[string]Type
	docs     map[string]Object // by folded id
	pending  map[string]func()
	faults   []Fault
	requests []Request
	serial   int
}

// New starts a server that ends with the test.
func New(t testing.TB, types ...Type) *Server {
	t.Helper()
	s := &Server{t: t, types: map[string]Type{}, docs: map[string]Object{}, pending: map[string]func(){}}
	for _, one := range types {
		s.types[strings.ToLower(one.Name)] = one
	}
	s.http = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.http.Close)
	return s
}

// URL is the server's endpoint.
func (s *Server) URL() string { return s.http.URL }

// Roots verify the server's certificate.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.http.Certificate())
	return pool
}

type staticToken struct{}

func (staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: bearer, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// Client makes a client of the server that waits for nothing longer than
// milliseconds. change may adjust its options.
func (s *Server) Client(change ...func(*arm.Options)) *arm.Client {
	s.t.Helper()
	o := arm.Options{
		Endpoint: s.http.URL, Audience: "https://arm.test", Credential: staticToken{}, HTTP: arm.HTTPClient(s.Roots()),
		RetryDelay: time.Millisecond, MaxRetryDelay: 2 * time.Second, PollInterval: time.Millisecond, MaxPollInterval: time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := arm.New(o)
	if err != nil {
		s.t.Fatalf("make client: %v", err)
	}
	return c
}

// Set stores a document as if it had always been there.
func (s *Server) Set(resource string, doc Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(resource, doc)
}

// Remove takes a resource and everything under it away.
func (s *Server) Remove(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(resource)
}

// Doc returns a copy of a document, nil when there is none.
func (s *Server) Doc(resource string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copyObject(s.docs[id.Fold(resource)])
}

// DocsUnlocked returns the documents themselves, for a Type's functions: those run
// while the server is locked. They must not change anything.
func (s *Server) DocsUnlocked() map[string]Object { return s.docs }

// Snapshot returns a copy of all documents by folded id.
func (s *Server) Snapshot() map[string]Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Object{}
	for key, doc := range s.docs {
		all[key] = copyObject(doc)
	}
	return all
}

// Fail adds faults; the first that matches applies.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Heal forgets all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Requests returns what arrived so far, polls included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Writes counts the requests that changed or meant to change something.
func (s *Server) Writes() int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == http.MethodPut || r.Method == http.MethodPatch || r.Method == http.MethodDelete {
			n++
		}
	}
	return n
}

// Forget empties the list of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) store(resource string, doc Object) {
	at := id.MustParse(resource)
	doc = copyObject(doc)
	if doc == nil {
		doc = Object{}
	}
	doc["id"], doc["name"], doc["type"] = at.String(), at.Name(), at.Type()
	s.docs[at.Fold()] = doc
}

func (s *Server) drop(resource string) {
	prefix := id.Fold(resource)
	maps.DeleteFunc(s.docs, func(key string, _ Object) bool { return key == prefix || strings.HasPrefix(key, prefix+"/") })
}

func copyObject(o Object) Object {
	if o == nil {
		return nil
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("armtest: document is not JSON: %v", err))
	}
	var out Object
	if err := json.Unmarshal(text, &out); err != nil {
		panic(fmt.Sprintf("armtest: read own JSON: %v", err))
	}
	return out
}

func (s *Server) record(r Request) {
	s.requests = append(s.requests, r)
	file := os.Getenv(recordEnv)
	if file == "" || strings.HasPrefix(r.Path, operations) {
		return
	}
	entry := Object{"method": r.Method, "path": r.Path, "apiVersion": r.APIVersion}
	if len(r.Body) > 0 {
		entry["body"] = r.Body
	}
	line, err := json.Marshal(entry)
	if err != nil {
		s.t.Errorf("record request: %v", err)
		return
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Errorf("record request: %v", err)
		return
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		s.t.Errorf("record request: %v", err)
	}
}
