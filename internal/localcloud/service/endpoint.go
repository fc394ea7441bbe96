// Package service is what the HTTPS services of the local cloud have in common: an
// endpoint of a resource's own, the life of its document, access keys, rules that
// tell addresses apart, and a system-assigned identity.
//
// It promises that an endpoint answers before its resource can be read, keeps its
// port across restarts and has ended, with every request in flight, when Close
// returns. It knows no resource type and must never write a key or a token to a log
// or a document.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// portKey remembers an endpoint's port beside the document: an address stays.
const portKey = "port"

const closeTimeout = 5 * time.Second

// Endpoint is one running HTTPS data plane.
type Endpoint struct {
	listener net.Listener
	server   *http.Server
	end      context.CancelFunc
	served   chan struct{}
	requests sync.WaitGroup
}

func open(ctx context.Context, cloud provider.Cloud, resourceID string, handler http.Handler) (*Endpoint, error) {
	l, err := listen(ctx, cloud.Address(resourceID), cloud.Store().Private(resourceID)[portKey])
	if err != nil {
		return nil, err
	}
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	e := &Endpoint{listener: l, end: end, served: make(chan struct{})}
	e.server = &http.Server{
		Handler: e.counted(handler), TLSConfig: cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(e.served)
		_ = e.server.ServeTLS(l, "", "") // ends by Close
	}()
	return e, nil
}

// counted lets Close wait for requests that have taken over their connection, which
// the server itself forgets.
func (e *Endpoint) counted(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.requests.Add(1)
		defer e.requests.Done()
		handler.ServeHTTP(w, r)
	})
}

// listen takes the remembered port, or 443, or any port where 443 is not ours to take.
func listen(ctx context.Context, address, remembered string) (net.Listener, error) {
	ports := []string{"443", "0"}
	if remembered != "" {
		ports = []string{remembered}
	}
	var lc net.ListenConfig
	var errs []error
	for _, port := range ports {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, port))
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("open endpoint: %w", errors.Join(errs...))
}

func (e *Endpoint) port() string { return strconv.Itoa(e.listener.Addr().(*net.TCPAddr).Port) }

// Host is where the endpoint answers, with a port only when it is not 443.
func (e *Endpoint) Host() string {
	host, _, _ := net.SplitHostPort(e.listener.Addr().String())
	if e.port() == "443" {
		return host
	}
	return net.JoinHostPort(host, e.port())
}

// URL is the endpoint's address with a slash at its end.
func (e *Endpoint) URL() string { return "https://" + e.Host() + "/" }

func (e *Endpoint) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = e.server.Close()
	}
	e.end() // ends what has taken over its connection
	<-e.served
	e.requests.Wait()
	if err != nil {
		return fmt.Errorf("close endpoint: %w", err)
	}
	return nil
}

// Set holds the running endpoints of a provider.
type Set struct {
	cloud   provider.Cloud
	handler func(resourceID string) http.Handler

	mu   sync.Mutex
	open map[string]*Endpoint // by folded id; nil once closed
}

// NewSet makes an empty set; handler makes what answers for a resource.
func NewSet(cloud provider.Cloud, handler func(resourceID string) http.Handler) *Set {
	return &Set{cloud: cloud, handler: handler, open: map[string]*Endpoint{}}
}

// Serve opens a resource's endpoint unless it is open.
func (s *Set) Serve(ctx context.Context, resourceID string) (*Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil, errors.New("the local cloud is closing")
	}
	key := id.Fold(resourceID)
	if e, ok := s.open[key]; ok {
		return e, nil
	}
	e, err := open(ctx, s.cloud, resourceID, s.handler(resourceID))
	if err != nil {
		return nil, err
	}
	s.open[key] = e
	return e, nil
}

// find is an open endpoint, nil when there is none.
func (s *Set) find(resourceID string) *Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id.Fold(resourceID)]
}

// End closes a resource's endpoint if there is one.
func (s *Set) End(resourceID string) error {
	s.mu.Lock()
	key := id.Fold(resourceID)
	e := s.open[key]
	delete(s.open, key)
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.close()
}

// Resume opens the endpoints of every stored resource of a type again.
func (s *Set) Resume(ctx context.Context, kind string) error {
	var errs []error
	for _, doc := range s.cloud.Store().Under("", kind) {
		if _, err := s.Serve(ctx, provider.Text(doc, "id")); err != nil {
			s.cloud.Logf("resume %s: %v", provider.Text(doc, "id"), err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close closes every endpoint; none opens after it.
func (s *Set) Close() error {
	s.mu.Lock()
	running := s.open
	s.open = nil
	s.mu.Unlock()
	var errs []error
	for _, e := range running {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}
