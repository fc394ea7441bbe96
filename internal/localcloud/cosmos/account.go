package cosmos

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

const closeTimeout = 5 * time.Second

// account is one running account: an endpoint for documents, which every account has,
// and one for its API where that is another.
type account struct {
	p        *Provider
	id, name string
	feature  feature
	dir      string

	documents *documents
	entities  *tables.Entities
	planes    []Plane
	hosts     map[string]string // endpoints by member of the account's document
	ports     map[string]string // to be remembered, by the same
}

var _ Account = (*account)(nil)

func (p *Provider) openAccount(ctx context.Context, resourceID string) (*account, error) {
	i, err := id.Parse(resourceID)
	if err != nil {
		return nil, err
	}
	doc, _ := p.cloud.Store().Get(resourceID)
	sum := sha256.Sum256([]byte(i.Fold()))
	a := &account{p: p, id: resourceID, name: i.Name(), feature: featureOf(doc), hosts: map[string]string{}, ports: map[string]string{},
		dir: filepath.Join(p.cloud.Dir("cosmos"), hex.EncodeToString(sum[:8]))}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open account folder: %w", err)
	}
	if a.documents, err = openDocuments(filepath.Join(a.dir, "documents.json"), p.cloud.Now); err != nil {
		return nil, err
	}
	if a.entities, err = tables.OpenEntities(filepath.Join(a.dir, "tables.json"), p.cloud.Now); err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.remember()
	return a, nil
}

// open starts the endpoints.
func (a *account) open(ctx context.Context) error {
	l, err := a.listen(ctx, "documentEndpoint", "443", a.id)
	if err != nil {
		return err
	}
	a.planes = append(a.planes, a.serveHTTP(l, &documentPlane{a}))
	f := a.feature
	if f.api == NoSQL {
		a.hosts[f.endpoint] = a.hosts["documentEndpoint"]
		return nil
	}
	open := a.p.openers[f.api]
	if f.api == Table {
		open = a.openTable
	}
	if open == nil {
		a.hosts[f.endpoint] = "https://" + a.p.cloud.Address(a.id+"/"+f.endpoint) + ":443/"
		return nil
	}
	if l, err = a.listen(ctx, f.endpoint, f.port, a.id+"/"+f.endpoint); err != nil {
		return err
	}
	plane, err := open(ctx, a, l)
	if err != nil {
		return errors.Join(fmt.Errorf("open %s endpoint: %w", f.api, err), l.Close())
	}
	a.planes = append(a.planes, plane)
	return nil
}

// remember keeps ports beside the keys: an endpoint stays.
func (a *account) remember() {
	secret := a.p.cloud.Store().Private(a.id)
	for member, port := range a.ports {
		secret["port-"+member] = port
	}
	a.p.cloud.Store().SetPrivate(a.id, secret)
}

// listen takes the remembered port, or the API's, or any where that is not ours to take.
func (a *account) listen(ctx context.Context, member, port, owner string) (net.Listener, error) {
	ports := []string{port, "0"}
	if remembered := a.p.cloud.Store().Private(a.id)["port-"+member]; remembered != "" {
		ports = []string{remembered}
	}
	var lc net.ListenConfig
	var errs []error
	for _, port := range ports {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(a.p.cloud.Address(owner), port))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.ports[member] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		a.hosts[member] = endpointOf(a.p.cloud.Address(owner), a.ports[member], a.feature.port, member)
		return l, nil
	}
	return nil, fmt.Errorf("open %s: %w", member, errors.Join(errs...))
}

// endpointOf writes an endpoint as Azure does: with port 443 even where the protocol's
// own is another, which clients know.
func endpointOf(host, port, usual, member string) string {
	if port == usual && member != "documentEndpoint" {
		port = "443"
	}
	return "https://" + net.JoinHostPort(host, port) + "/"
}

// endpoints are the members of the account's document that say where it is reached.
func (a *account) endpoints() map[string]any {
	out := map[string]any{}
	for member, host := range a.hosts {
		out[member] = host
	}
	doc, _ := a.p.cloud.Store().Get(a.id)
	location := map[string]any{"id": a.name + "-0", "locationName": provider.Text(doc, "location"), "documentEndpoint": a.hosts["documentEndpoint"],
		"provisioningState": succeeded, "failoverPriority": 0.0, "isZoneRedundant": false}
	for _, member := range []string{"readLocations", "writeLocations", "locations"} {
		out[member] = []any{location}
	}
	return out
}

// httpPlane is an endpoint that speaks HTTP.
type httpPlane struct {
	server *http.Server
	done   chan struct{}
}

func (a *account) serveHTTP(l net.Listener, h http.Handler) *httpPlane {
	p := &httpPlane{done: make(chan struct{})}
	p.server = &http.Server{
		Handler: h, TLSConfig: a.TLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(p.done)
		_ = p.server.ServeTLS(l, "", "") // ends by Close
	}()
	return p
}

// Close implements Plane.
func (p *httpPlane) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.server.Close()
	}
	<-p.done
	return err
}

func (a *account) close() error {
	var errs []error
	for _, p := range a.planes {
		errs = append(errs, p.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close Cosmos DB account: %w", err)
	}
	return nil
}

func (a *account) destroy() error {
	if err := os.RemoveAll(a.dir); err != nil {
		return fmt.Errorf("remove account folder: %w", err)
	}
	return nil
}

func (a *account) document() provider.Document {
	doc, _ := a.p.cloud.Store().Get(a.id)
	return doc
}

// Name implements Account.
func (a *account) Name() string { return a.name }

// TLS implements Account.
func (a *account) TLS() *tls.Config { return a.p.cloud.ServerTLS() }

// Logf implements Account.
func (a *account) Logf(format string, args ...any) { a.p.cloud.Logf(format, args...) }

// Allow implements Account.
func (a *account) Allow(remote netip.Addr) error {
	if !admits(a.document(), remote) {
		return ErrNetwork
	}
	return nil
}

// keysOff tells whether the account takes tokens only.
func (a *account) keysOff() bool {
	off, _ := provider.At(a.document(), "properties", "disableLocalAuth").(bool)
	return off
}

// Keys implements Account.
func (a *account) Keys() []Key {
	if a.keysOff() {
		return nil
	}
	secret := a.p.cloud.Store().Private(a.id)
	var out []Key
	for _, k := range keyNames {
		if secret[k.name] != "" {
			out = append(out, Key{secret[k.name], k.readOnly})
		}
	}
	return out
}

// SignIn implements Account.
func (a *account) SignIn(token string) (string, error) {
	var audiences []string
	for _, audience := range []string{"https://cosmos.azure.com", "https://" + a.name + ".documents.azure.com", strings.TrimSuffix(a.p.cloud.URL(), "/") + "/cosmos",
		a.hosts["documentEndpoint"], a.hosts[a.feature.endpoint]} {
		audience = strings.TrimSuffix(audience, "/")
		short := strings.TrimSuffix(audience, ":443") // clients leave the port out at times
		audiences = append(audiences, audience, audience+"/", short, short+"/")
	}
	claims, err := a.p.cloud.Directory().Verify(token, audiences...)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	return claims.ObjectID, nil
}

// May implements Account.
func (a *account) May(objectID, action string, scope ...string) bool {
	return a.p.may(a.id, a.feature, objectID, action, scope)
}

// childID is the id of a database or collection.
func (a *account) childID(names ...string) (id.ID, error) {
	f, i := a.feature, id.MustParse(a.id)
	if len(names) == 0 || len(names) > 2 || len(names) == 2 && f.collection == "" {
		return i, fmt.Errorf("%d names are no database or collection", len(names))
	}
	for n, kind := range []string{f.database, f.collection}[:len(names)] {
		if names[n] == "" || strings.ContainsAny(names[n], "/\\#?") {
			return i, fmt.Errorf("the name %q is not usable", names[n])
		}
		i = i.Child(kind, names[n])
	}
	return i, nil
}

// Databases implements Account.
func (a *account) Databases() []string {
	return a.p.names(a.id, accountType+"/"+a.feature.database)
}

// Collections implements Account.
func (a *account) Collections(database string) []string {
	i, err := a.childID(database)
	if err != nil || a.feature.collection == "" {
		return nil
	}
	return a.p.names(i.String(), accountType+"/"+a.feature.database+"/"+a.feature.collection)
}

// Create implements Account.
func (a *account) Create(names ...string) error {
	_, err := a.create(map[string]any{"id": names[len(names)-1]}, names...)
	return err
}

// create makes a database or a collection and tells whether it was not there.
func (a *account) create(resource map[string]any, names ...string) (bool, error) {
	i, err := a.childID(names...)
	if err != nil {
		return false, err
	}
	a.p.writes.Lock()
	defer a.p.writes.Unlock()
	if _, exists := a.p.cloud.Store().Get(i.String()); exists {
		return false, nil
	}
	a.p.keepChild(i, resource)
	return true, nil
}

// Drop implements Account.
func (a *account) Drop(names ...string) error {
	i, err := a.childID(names...)
	if err != nil {
		return err
	}
	return a.p.dropChild(i)
}

// forget drops what is kept of a database or collection that is gone.
func (a *account) forget(child id.ID) error {
	names := child.Names()[1:]
	if a.feature.api == Table {
		return a.entities.Forget(names[0])
	}
	return a.documents.forget(names...)
}
