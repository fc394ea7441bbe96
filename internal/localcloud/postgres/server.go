package postgres

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	enabled  = "Enabled"
	disabled = "Disabled"

	// rootKey remembers the data folder beside the server's document.
	rootKey = "root"
)

// server is what runs behind one flexible server.
type server struct {
	provider  *Provider
	id, realm string

	op      sync.Mutex // held by each operation from beginning to end
	cluster *cluster   // guarded by op
	gate    *gate      // guarded by op
	live    atomic.Pointer[endpoint]
}

func (s *server) document() (provider.Document, bool) { return s.provider.cloud.Store().Get(s.id) }

func (s *server) authConfig(member string) string {
	doc, _ := s.document()
	return provider.Text(doc, "properties", "authConfig", member)
}

// create builds the server from nothing. What it made is gone when it fails.
func (s *server) create(ctx context.Context, doc provider.Document, password string) (err error) {
	if err := s.provision(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.destroy()
		}
	}()
	if err := s.cluster.initialise(ctx); err != nil {
		return err
	}
	if err := s.run(ctx, doc, func(ctx context.Context) error { return s.cluster.bootstrap(ctx) }); err != nil {
		return err
	}
	if login := provider.Text(doc, "properties", "administratorLogin"); login != "" {
		if err := s.cluster.setAdmin(ctx, login, password); err != nil {
			return err
		}
	}
	if err := s.cluster.setTenant(ctx, provider.Text(doc, "properties", "authConfig", "tenantId")); err != nil {
		return err
	}
	v, err := s.cluster.version(ctx)
	if err != nil {
		return err
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"minorVersion": v, "state": "Ready"})
	store := s.provider.cloud.Store()
	store.Put(s.id, doc)
	store.SetPrivate(s.id, map[string]string{rootKey: s.cluster.root})
	s.provider.recordDatabase(s.id, "postgres", "UTF8", "en_US.utf8")
	return nil
}

// provision finds programs, user and folder.
func (s *server) provision() error {
	bin, err := findBinaries(os.Getenv("PATH"), packaged)
	if err != nil {
		return &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	who, err := identity(os.Getuid())
	if err != nil {
		return &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	root := s.provider.cloud.Store().Private(s.id)[rootKey]
	if root == "" {
		if root, err = prepareRoot(who, filepath.Join(s.provider.cloud.Dir("postgres"), s.realm)); err != nil {
			return err
		}
	}
	s.cluster = &cluster{bin: bin, owner: who, root: root}
	return nil
}

// run starts the process, prepares it and only then opens the gate.
func (s *server) run(ctx context.Context, doc provider.Document, prepare func(context.Context) error) error {
	address := s.provider.cloud.Address(s.id)
	if err := s.furnish(doc, address); err != nil {
		return err
	}
	if err := s.cluster.start(ctx); err != nil {
		return err
	}
	err := prepare(ctx)
	if err == nil {
		s.gate, err = openGate(ctx, address, s.cluster.port, s.provider.cloud.ServerTLS(), s.decide)
	}
	if err != nil {
		s.cluster.stop()
		return err
	}
	inside := s.cluster.endpoint
	s.live.Store(&inside)
	return nil
}

// furnish writes the files the server reads: its key pair and its host rules.
func (s *server) furnish(doc provider.Document, address string) error {
	cert, key, _ := s.provider.cloud.CertFiles()
	if err := s.cluster.copyIn(cert, "server.crt"); err != nil {
		return err
	}
	if err := s.cluster.copyIn(key, "server.key"); err != nil {
		return err
	}
	port, err := s.provider.responder()
	if err != nil {
		return err
	}
	rules := hostRules{
		gate: address, realm: s.realm, ldapPort: port,
		admin:      provider.Text(doc, "properties", "administratorLogin"),
		password:   provider.Text(doc, "properties", "authConfig", "passwordAuth") != disabled,
		entra:      provider.Text(doc, "properties", "authConfig", "activeDirectoryAuth") == enabled,
		requireTLS: s.provider.requiresTLS(s.id),
	}
	return s.cluster.write("hba.conf", []byte(rules.render()))
}

func (s *server) decide(from netip.Addr) verdict {
	doc, ok := s.document()
	if !ok {
		return closed
	}
	return admit(doc, s.provider.cloud.Store().Children(s.id, firewallType), from)
}

// halt stops gate and process; the data stays.
func (s *server) halt() {
	s.live.Store(nil)
	if s.gate != nil {
		s.gate.close()
		s.gate = nil
	}
	if s.cluster != nil {
		s.cluster.stop()
	}
}

// destroy stops everything and deletes the data.
func (s *server) destroy() {
	s.halt()
	if s.cluster == nil {
		return
	}
	if err := s.cluster.remove(); err != nil {
		s.provider.cloud.Logf("remove PostgreSQL server %s: %v", s.id, err)
	}
	s.cluster = nil
}

func (s *server) powerOn(ctx context.Context) error {
	if s.live.Load() != nil {
		return nil
	}
	doc, ok := s.document()
	if !ok {
		return notFound(s.id)
	}
	if err := s.provision(); err != nil {
		return err
	}
	if !s.cluster.exists() {
		return fmt.Errorf("start server: its data folder %s is gone", s.cluster.root)
	}
	return s.run(ctx, doc, func(context.Context) error { return nil })
}

func (s *server) powerOff(context.Context) error {
	s.halt()
	return nil
}

func (s *server) restart(ctx context.Context) error {
	s.halt()
	return s.powerOn(ctx)
}

// rules writes the host rules anew and makes a running server read them.
func (s *server) rules(ctx context.Context) error {
	inside := s.live.Load()
	if inside == nil {
		return nil // written at the next start
	}
	doc, ok := s.document()
	if !ok {
		return notFound(s.id)
	}
	if err := s.furnish(doc, s.provider.cloud.Address(s.id)); err != nil {
		return err
	}
	return inside.reload(ctx)
}

func (s *server) setState(state string) {
	doc, ok := s.document()
	if !ok {
		return
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"state": state})
	s.provider.cloud.Store().Put(s.id, doc)
}

// running returns the inside of a server that is up, or ARM's refusal.
func (s *server) running() (*endpoint, error) {
	if inside := s.live.Load(); inside != nil {
		return inside, nil
	}
	return nil, &provider.Fault{Status: http.StatusConflict, Code: "ServerIsNotReady",
		Message: "The server is not in the Ready state; start it first."}
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}
