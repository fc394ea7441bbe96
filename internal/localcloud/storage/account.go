package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

// portKey remembers the port of an account's blobs beside its document, because an
// endpoint stays; the other services' keys carry their names.
const portKey = "port"

const closeTimeout = 5 * time.Second

// services are an account's data planes, each on a loopback address of its own.
var services = []string{"blob", "queue", "table", "file"}

// account is one running account: its data planes and what they keep.
type account struct {
	cloud    provider.Cloud
	id, name string
	vault    *vault
	queues   *queues
	shares   *shares
	entities *tables.Entities
	planes   map[string]*plane

	writes sync.Mutex // held while a thing below a service is looked for and written
}

// plane is one data plane that listens.
type plane struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func openAccount(ctx context.Context, cloud provider.Cloud, resourceID string) (*account, error) {
	i, err := id.Parse(resourceID)
	if err != nil {
		return nil, err
	}
	a := &account{cloud: cloud, id: resourceID, name: i.Name(), planes: map[string]*plane{}}
	if err := a.openFolders(i); err != nil {
		return nil, err
	}
	for _, service := range services {
		if a.planes[service], err = a.openPlane(ctx, service); err != nil {
			delete(a.planes, service)
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

// openFolders reads what the account held before. Containers are folders by name; what
// the other services keep lies where no container's name reaches.
func (a *account) openFolders(i id.ID) error {
	sum := sha256.Sum256([]byte(i.Fold()))
	dir := filepath.Join(a.cloud.Dir("storage"), hex.EncodeToString(sum[:8]))
	var err error
	if a.vault, err = openVault(dir, a.cloud.Now); err != nil {
		return err
	}
	if a.queues, err = openQueues(filepath.Join(dir, "_queues.json"), a.cloud.Now); err != nil {
		return err
	}
	if a.entities, err = tables.OpenEntities(filepath.Join(dir, "_tables.json"), a.cloud.Now); err != nil {
		return err
	}
	a.shares, err = openShares(filepath.Join(dir, "_files"), a.cloud.Now)
	return err
}

func (a *account) handler(service string) http.Handler {
	switch service {
	case "queue":
		return queuePlane{a}
	case "table":
		return a.tableServer()
	case "file":
		return filePlane{a}
	}
	return a
}

// servicePath is a service's id below its account's, as addresses and rights use it.
func servicePath(service string) string { return "/" + service + "Services/default" }

func (a *account) openPlane(ctx context.Context, service string) (*plane, error) {
	address, key := a.cloud.Address(a.id), portKey
	if service != "blob" {
		address, key = a.cloud.Address(a.id+servicePath(service)), portKey+"-"+service
	}
	l, err := listen(ctx, address, a.cloud.Store().Private(a.id)[key])
	if err != nil {
		return nil, fmt.Errorf("open %s endpoint: %w", service, err)
	}
	p := &plane{listener: l, done: make(chan struct{})}
	p.server = &http.Server{
		Handler: a.handler(service), TLSConfig: a.cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(p.done)
		_ = p.server.ServeTLS(l, "", "") // ends by close
	}()
	return p, nil
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
	return nil, errors.Join(errs...)
}

func (p *plane) port() string { return strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port) }

// endpoint is the public URL, with a slash at its end as Azure writes it.
func (p *plane) endpoint() string {
	host, _, _ := net.SplitHostPort(p.listener.Addr().String())
	if p.port() != "443" {
		host = net.JoinHostPort(host, p.port())
	}
	return "https://" + host + "/"
}

// endpoint is the URL of the blob service.
func (a *account) endpoint() string { return a.planes["blob"].endpoint() }

// endpoints are the URLs of all services, as the account's document carries them.
func (a *account) endpoints() map[string]any {
	out := map[string]any{}
	for service := range a.planes {
		out[service] = a.serviceEndpoint(service)
	}
	return out
}

// serviceEndpoint is the URL of one service. A queue's clients look for its name behind
// the account's where the host is an address, as storage emulators have it; those of the
// other services take the account's name from elsewhere.
func (a *account) serviceEndpoint(service string) string {
	if service == "queue" {
		return a.planes[service].endpoint() + a.name + "/"
	}
	return a.planes[service].endpoint()
}

// ports are what is remembered of the endpoints.
func (a *account) ports() map[string]string {
	out := map[string]string{}
	for service, p := range a.planes {
		key := portKey
		if service != "blob" {
			key += "-" + service
		}
		out[key] = p.port()
	}
	return out
}

func (a *account) close() error {
	var errs []error
	for service, p := range a.planes {
		if err := p.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s endpoint: %w", service, err))
		}
	}
	return errors.Join(errs...)
}

func (p *plane) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.server.Close()
	}
	<-p.done
	return err
}
