package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

const tokenPath = "/msi/token"

// Tokens is where the apps get access tokens for their identities. As on the
// real service it speaks plain http on loopback; the header is a secret that only
// the one app has.
type Tokens struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
	answer   func(site string, q Query) (map[string]any, error)

	mu      sync.Mutex
	headers map[string]string // by site
	sites   map[string]string // by header
}

// Query is what an app asks for: a resource, and perhaps one of its identities.
type Query struct{ Resource, ClientID, ObjectID, Identity string }

// NewTokens opens an endpoint. answer makes the body of an answer to an app, by its key.
func NewTokens(answer func(string, Query) (map[string]any, error), logf func(string, ...any)) (*Tokens, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tokens{listener: l, answer: answer, done: make(chan struct{}), headers: map[string]string{}, sites: map[string]string{}}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(t.done)
		if err := t.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logf("serve app tokens: %v", err)
		}
	}()
	return t, nil
}

// URL is what an app is told as IDENTITY_ENDPOINT.
func (t *Tokens) URL() string { return "http://" + t.listener.Addr().String() + tokenPath }

// Header returns the secret of an app, the same for as long as the cloud runs.
func (t *Tokens) Header(site string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.headers[site]; ok {
		return h
	}
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // crypto/rand does not fail
	h := hex.EncodeToString(raw)
	t.headers[site], t.sites[h] = h, site
	return h
}

// Forget makes an app's secret worthless.
func (t *Tokens) Forget(site string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sites, t.headers[site])
	delete(t.headers, site)
}

func (t *Tokens) siteOf(header string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	site, ok := t.sites[header]
	return site, ok
}

// Close ends the endpoint.
func (t *Tokens) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if t.server.Shutdown(ctx) != nil {
		_ = t.server.Close() // connections that outlive their app are cut
	}
	<-t.done
	return nil
}

// ServeHTTP answers GET /msi/token.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	site, known := t.siteOf(r.Header.Get("X-IDENTITY-HEADER"))
	q := r.URL.Query()
	version := q.Get("api-version")
	switch {
	case r.URL.Path != tokenPath || r.Method != http.MethodGet:
		writeTokenError(w, http.StatusNotFound, "There is nothing here.")
	case !known:
		writeTokenError(w, http.StatusUnauthorized, "The X-IDENTITY-HEADER header is missing or wrong.")
	case version != "2019-08-01":
		writeTokenError(w, http.StatusBadRequest, "The api-version '"+version+"' is not supported.")
	case q.Get("resource") == "":
		writeTokenError(w, http.StatusBadRequest, "The resource parameter is required.")
	default:
		body, err := t.answer(site, Query{q.Get("resource"), q.Get("client_id"), first(q.Get("principal_id"), q.Get("object_id")), q.Get("mi_res_id")})
		if err != nil {
			writeTokenError(w, http.StatusBadRequest, err.Error())
			return
		}
		writeToken(w, http.StatusOK, body)
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func writeTokenError(w http.ResponseWriter, status int, message string) {
	writeToken(w, status, map[string]any{"statusCode": status, "message": message})
}

func writeToken(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the app has gone: nobody to tell
}
