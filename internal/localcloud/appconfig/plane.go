package appconfig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	closeTimeout = 5 * time.Second
	maxBody      = 64 << 10 // more than the largest key-value, 10 kB
)

// dataVersions are the api-versions of the data plane.
var dataVersions = []string{"1.0", "2022-11-01-preview", "2023-10-01", "2023-11-01", "2024-09-01", "2026-04-01"}

// plane is one running key-values data plane.
type plane struct {
	provider *Provider
	id, name string
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func (p *Provider) openPlane(ctx context.Context, resourceID string) (*plane, error) {
	i, err := id.Parse(resourceID)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, p.cloud.Address(resourceID), p.cloud.Store().Private(resourceID)[portKey])
	if err != nil {
		return nil, err
	}
	one := &plane{provider: p, id: resourceID, name: i.Name(), listener: l, done: make(chan struct{})}
	one.server = &http.Server{
		Handler: one, TLSConfig: p.cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(one.done)
		_ = one.server.ServeTLS(l, "", "") // ends by close
	}()
	return one, nil
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
	return nil, fmt.Errorf("open store endpoint: %w", errors.Join(errs...))
}

func (p *plane) port() string { return strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port) }

// endpoint is the store's address, without a slash at its end as Azure writes it.
func (p *plane) endpoint() string {
	host, _, _ := net.SplitHostPort(p.listener.Addr().String())
	if p.port() != "443" {
		host = net.JoinHostPort(host, p.port())
	}
	return "https://" + host
}

func (p *plane) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.server.Close()
	}
	<-p.done
	if err != nil {
		return fmt.Errorf("close store endpoint: %w", err)
	}
	return nil
}

// reply is what an operation answers; a nil body is none.
type reply struct {
	status      int
	contentType string
	body        any
	header      map[string]string
}

// ServeHTTP answers one call: sign-in and rights first, then the work.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // the client has gone
	}
	store, ok := p.provider.cloud.Store().Get(p.id)
	if !ok {
		p.fail(w, errNoStore)
		return
	}
	answer, refused := p.answer(r, store, body)
	if refused != nil {
		p.fail(w, refused)
		return
	}
	p.write(w, answer)
}

func (p *plane) answer(r *http.Request, store provider.Document, body []byte) (*reply, *planeError) {
	op, call, found := match(r)
	if refused := p.authorize(r, store, body, op.verb); refused != nil {
		return nil, refused
	}
	switch {
	case !found:
		return nil, errRoute
	case !slices.Contains(dataVersions, r.URL.Query().Get("api-version")):
		return nil, errVersion
	}
	if op.body {
		if err := json.Unmarshal(body, &call.body); err != nil {
			return nil, errBody
		}
	}
	p.provider.writes.Lock()
	defer p.provider.writes.Unlock()
	return op.serve(p, call)
}

func (p *plane) write(w http.ResponseWriter, a *reply) {
	h := w.Header()
	h.Set("Sync-Token", fmt.Sprintf("local=MQ==;sn=%d", p.provider.contents(p.name).Sequence))
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	h.Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // a client that has gone needs no answer
}

// planeError is an error in the data plane's terms: a problem document.
type planeError struct {
	status                     int
	kind, title, detail, named string
}

func (e planeError) of(name string) *planeError {
	e.named = name
	return &e
}

const problems = "https://azconfig.io/errors/"

// The data plane's errors. Those of sign-in carry what is wrong in the challenge.
var (
	errUnauthorized = &planeError{status: http.StatusUnauthorized, kind: "unauthorized", title: "Unauthorized"}
	errForbidden    = &planeError{status: http.StatusForbidden, kind: "forbidden", title: "Forbidden", detail: "The credential may not do this."}
	errPublic       = &planeError{status: http.StatusForbidden, kind: "public-network-access-disabled", title: "Forbidden", detail: "Public network access is disabled: the store is reached through private endpoints only."}
	errNoStore      = &planeError{status: http.StatusNotFound, kind: "not-found", title: "The store was not found."}
	errRoute        = &planeError{status: http.StatusNotFound, kind: "not-found", title: "The path is none of the operations that the local cloud serves."}
	errKeyValue     = &planeError{status: http.StatusNotFound}
	errVersion      = &planeError{status: http.StatusBadRequest, kind: "invalid-argument", title: "The api-version is missing or not supported.", named: "api-version"}
	errBody         = &planeError{status: http.StatusBadRequest, kind: "invalid-json", title: "The body is no JSON object, or larger than a key-value may be."}
	errKey          = &planeError{status: http.StatusBadRequest, kind: "invalid-argument", title: "The key is empty, '.' or '..', or holds '%'.", named: "key"}
	errFilter       = &planeError{status: http.StatusBadRequest, kind: "invalid-argument", title: "The filter is not valid."}
	errLocked       = &planeError{status: http.StatusConflict, kind: "key-locked", title: "Modifying the key is not allowed", detail: "The key is read-only. To allow modification unlock it first."}
	errCondition    = &planeError{status: http.StatusPreconditionFailed}
)

func (p *plane) fail(w http.ResponseWriter, e *planeError) {
	if e.status == http.StatusUnauthorized {
		why := ""
		if e.detail != "" {
			why = fmt.Sprintf(` error="invalid_token", error_description=%q`, e.detail)
		}
		w.Header().Add("WWW-Authenticate", "HMAC-SHA256"+why)
		w.Header().Add("WWW-Authenticate", "Bearer"+why)
	}
	if e.kind == "" {
		w.WriteHeader(e.status)
		return
	}
	body := map[string]any{"type": problems + e.kind, "title": e.title, "detail": e.detail, "status": e.status}
	if e.named != "" {
		body["name"] = e.named
	}
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone needs no answer
}
