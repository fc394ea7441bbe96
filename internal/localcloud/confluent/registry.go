package confluent

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
	"strings"
	"sync"
	"time"
)

const (
	// namePath stands in front of every path for clients that look for Confluent's name in an address.
	namePath   = "/azure.confluent.cloud"
	portKey    = "port"
	maxSchema  = 1 << 20
	endingTime = 5 * time.Second
)

// registry is one schema registry.
type registry struct {
	holds  func(key, secret string) bool
	server *http.Server
	done   chan struct{}

	mu       sync.Mutex
	schemas  []string         // by id, beginning with 1
	subjects map[string][]int // ids of its versions
}

func (p *Provider) openRegistry(ctx context.Context, resource string) (io.Closer, error) {
	l, err := listen(ctx, p.cloud.Address(resource), p.cloud.Store().Private(resource)[portKey])
	if err != nil {
		return nil, err
	}
	p.cloud.Store().SetPrivate(resource, map[string]string{portKey: strconv.Itoa(l.Addr().(*net.TCPAddr).Port)})
	r := &registry{done: make(chan struct{}), subjects: map[string][]int{},
		holds: func(key, secret string) bool { return p.holds(resource, key, secret) }}
	r.server = &http.Server{
		Handler: r.handler(), TLSConfig: p.cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(r.done)
		_ = r.server.ServeTLS(l, "", "") // ends by Close
	}()
	return r, nil
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
	return nil, fmt.Errorf("open schema registry: %w", errors.Join(errs...))
}

// registryEndpoint is the address of an open registry.
func (p *Provider) registryEndpoint(resource string) string {
	host := p.cloud.Address(resource)
	if port := p.cloud.Store().Private(resource)[portKey]; port != "443" {
		host = net.JoinHostPort(host, port)
	}
	return "https://" + host
}

// Close implements io.Closer.
func (r *registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endingTime)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = r.server.Close()
	}
	<-r.done
	return err
}

func (r *registry) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, map[string]any{}) })
	mux.HandleFunc("GET /subjects", r.listSubjects)
	mux.HandleFunc("GET /subjects/{subject}/versions", r.listVersions)
	mux.HandleFunc("POST /subjects/{subject}/versions", r.register)
	mux.HandleFunc("GET /subjects/{subject}/versions/{version}", r.version)
	mux.HandleFunc("GET /schemas/ids/{id}", r.schema)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		key, secret, given := q.BasicAuth()
		if !given || !r.holds(key, secret) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Schema Registry"`)
			refuse(w, http.StatusUnauthorized, http.StatusUnauthorized, "Unauthorized")
			return
		}
		if q.URL.Path == namePath {
			q.URL.Path += "/"
		}
		if strings.HasPrefix(q.URL.Path, namePath+"/") {
			http.StripPrefix(namePath, mux).ServeHTTP(w, q)
			return
		}
		mux.ServeHTTP(w, q)
	})
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone hears nothing
}

// refuse answers with an error in the registry's shape.
func refuse(w http.ResponseWriter, status, code int, message string) {
	say(w, status, map[string]any{"error_code": code, "message": message})
}

const (
	noSubject = 40401
	noVersion = 40402
	noSchema  = 40403
	badSchema = 42201
)

func (r *registry) listSubjects(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for name := range r.subjects {
		names = append(names, name)
	}
	slices.Sort(names)
	say(w, http.StatusOK, names)
}

func (r *registry) listVersions(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := []int{}
	for n := range r.subjects[q.PathValue("subject")] {
		versions = append(versions, n+1)
	}
	if len(versions) == 0 {
		refuse(w, http.StatusNotFound, noSubject, "Subject '"+q.PathValue("subject")+"' not found.")
		return
	}
	say(w, http.StatusOK, versions)
}

// register adds a schema; the same text keeps its id.
func (r *registry) register(w http.ResponseWriter, q *http.Request) {
	var body struct {
		Schema string `json:"schema"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxSchema)).Decode(&body)
	if err != nil || body.Schema == "" {
		refuse(w, http.StatusUnprocessableEntity, badSchema, "Either the input schema or one its references is invalid")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := slices.Index(r.schemas, body.Schema) + 1
	if n == 0 {
		r.schemas = append(r.schemas, body.Schema)
		n = len(r.schemas)
	}
	if subject := q.PathValue("subject"); !slices.Contains(r.subjects[subject], n) {
		r.subjects[subject] = append(r.subjects[subject], n)
	}
	say(w, http.StatusOK, map[string]any{"id": n})
}

func (r *registry) version(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := q.PathValue("subject")
	ids := r.subjects[subject]
	n, err := strconv.Atoi(q.PathValue("version"))
	if q.PathValue("version") == "latest" {
		n, err = len(ids), nil
	}
	switch {
	case len(ids) == 0:
		refuse(w, http.StatusNotFound, noSubject, "Subject '"+subject+"' not found.")
	case err != nil || n < 1 || n > len(ids):
		refuse(w, http.StatusNotFound, noVersion, "Version "+q.PathValue("version")+" not found.")
	default:
		say(w, http.StatusOK, map[string]any{"subject": subject, "version": n, "id": ids[n-1], "schema": r.schemas[ids[n-1]-1]})
	}
}

func (r *registry) schema(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := strconv.Atoi(q.PathValue("id"))
	if err != nil || n < 1 || n > len(r.schemas) {
		refuse(w, http.StatusNotFound, noSchema, "Schema "+q.PathValue("id")+" not found")
		return
	}
	say(w, http.StatusOK, map[string]any{"schema": r.schemas[n-1]})
}
