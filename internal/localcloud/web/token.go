package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const tokenPath = "/msi/token"

// tokenEndpoint is where the apps get access tokens for their identities. As on the
// real service it speaks plain http on loopback; the header is a secret that only
// the one app has.
type tokenEndpoint struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
	answer   func(site string, q tokenQuery) (map[string]any, error)

	mu      sync.Mutex
	headers map[string]string // by site
	sites   map[string]string // by header
}

type tokenQuery struct{ resource, clientID, objectID, identity string }

func newTokenEndpoint(answer func(string, tokenQuery) (map[string]any, error), logf func(string, ...any)) (*tokenEndpoint, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tokenEndpoint{listener: l, answer: answer, done: make(chan struct{}), headers: map[string]string{}, sites: map[string]string{}}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(t.done)
		if err := t.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logf("serve app tokens: %v", err)
		}
	}()
	return t, nil
}

func (t *tokenEndpoint) url() string { return "http://" + t.listener.Addr().String() + tokenPath }

// header returns the secret of a site, the same for as long as the cloud runs.
func (t *tokenEndpoint) header(site string) string {
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

func (t *tokenEndpoint) forget(site string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sites, t.headers[site])
	delete(t.headers, site)
}

func (t *tokenEndpoint) siteOf(header string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	site, ok := t.sites[header]
	return site, ok
}

func (t *tokenEndpoint) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if t.server.Shutdown(ctx) != nil {
		_ = t.server.Close() // connections that outlive their app are cut
	}
	<-t.done
	return nil
}

// ServeHTTP answers GET /msi/token.
func (t *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		body, err := t.answer(site, tokenQuery{q.Get("resource"), q.Get("client_id"), first(q.Get("principal_id"), q.Get("object_id")), q.Get("mi_res_id")})
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

// tokenFor makes the token that a site's app asks for.
func (s *Sites) tokenFor(site string, q tokenQuery) (map[string]any, error) {
	doc, _ := s.cloud.Store().Get(site)
	who, ok := s.identities.Principal(doc["identity"], q.clientID, q.objectID, q.identity)
	if !ok {
		//lint:ignore ST1005 the real endpoint's own sentence
		return nil, errors.New("No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
	}
	return s.token(who, q.resource)
}

func (s *Sites) token(who provider.Principal, resource string) (map[string]any, error) {
	token, expires, err := s.cloud.Directory().Token(who.ObjectID, resource)
	if err != nil {
		return nil, err
	}
	return map[string]any{"access_token": token, "expires_on": strconv.FormatInt(expires.Unix(), 10), "resource": resource,
		"token_type": "Bearer", "client_id": who.ClientID}, nil
}
