package mysql

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	enabled  = "Enabled"
	disabled = "Disabled"

	// rootKey and secretKey remember the data folder, and what the passwords of Entra
	// accounts are made from, beside the server's document.
	rootKey   = "root"
	secretKey = "key"
)

// server is what runs behind one flexible server.
type server struct {
	provider  *Provider
	id, realm string

	op     sync.Mutex // held by each operation from beginning to end
	daemon *daemon    // guarded by op
	gate   *gate      // guarded by op
	live   atomic.Pointer[inside]
}

// inside is a server that is up.
type inside struct {
	accounts
	daemon *daemon
}

func (s *server) document() (provider.Document, bool) { return s.provider.cloud.Store().Get(s.id) }

// create builds the server from nothing. What it made is gone when it fails.
func (s *server) create(ctx context.Context, doc provider.Document, password string) (err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, as documented
	if err := s.provision(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.destroy()
		}
	}()
	if err := s.daemon.initialise(ctx); err != nil {
		return err
	}
	store := s.provider.cloud.Store()
	login := provider.Text(doc, "properties", "administratorLogin")
	err = s.run(ctx, key, func(a accounts) error {
		if err := a.prepare(ctx); err != nil {
			return err
		}
		return a.setAdmin(ctx, login, password)
	})
	if err != nil {
		return err
	}
	doc["properties"] = provider.Merge(doc["properties"].(map[string]any), map[string]any{"state": "Ready"})
	store.Put(s.id, doc)
	store.SetPrivate(s.id, map[string]string{rootKey: s.daemon.root, secretKey: hex.EncodeToString(key)})
	return nil
}

// provision finds programs, user and folder.
func (s *server) provision() error {
	if s.provider.closed.Load() {
		return errors.New("the local cloud is closing")
	}
	bin, err := findBinaries(os.Getenv("PATH"), packaged)
	if err != nil {
		return &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	who, err := runAs(os.Getuid())
	if err != nil {
		return &provider.Fault{Status: http.StatusBadRequest, Code: "LocalServerUnavailable", Message: err.Error()}
	}
	root := s.provider.cloud.Store().Private(s.id)[rootKey]
	if root == "" {
		if root, err = prepareRoot(who, filepath.Join(s.provider.cloud.Dir("mysql"), s.realm)); err != nil {
			return err
		}
	}
	s.daemon = &daemon{bin: bin, owner: who, root: root}
	return nil
}

// run starts the process, prepares it and only then opens the gate.
func (s *server) run(ctx context.Context, key []byte, prepare func(accounts) error) error {
	if err := s.daemon.start(ctx); err != nil {
		return err
	}
	in := &inside{accounts{s.daemon.db, key}, s.daemon}
	err := prepare(in.accounts)
	if err == nil {
		s.live.Store(in)
		s.gate, err = openGate(ctx, s.provider.cloud.Address(s.id), s.provider.cloud.ServerTLS(), s)
	}
	if err != nil {
		s.live.Store(nil)
		s.daemon.stop()
	}
	return err
}

// halt stops gate and process; the data stays.
func (s *server) halt() {
	s.live.Store(nil)
	if s.gate != nil {
		s.gate.close()
		s.gate = nil
	}
	if s.daemon != nil {
		s.daemon.stop()
	}
}

// destroy stops everything and deletes the data.
func (s *server) destroy() {
	s.halt()
	if s.daemon == nil {
		return
	}
	if err := s.daemon.remove(); err != nil {
		s.provider.cloud.Logf("remove MySQL server %s: %v", s.id, err)
	}
	s.daemon = nil
}

func (s *server) powerOn(ctx context.Context) error {
	if s.live.Load() != nil {
		return nil
	}
	if _, ok := s.document(); !ok {
		return notFound(s.id)
	}
	if err := s.provision(); err != nil {
		return err
	}
	if !s.daemon.exists() {
		return fmt.Errorf("start server: its data folder %s is gone", s.daemon.root)
	}
	key, err := hex.DecodeString(s.provider.cloud.Store().Private(s.id)[secretKey])
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	return s.run(ctx, key, func(accounts) error { return nil })
}

func (s *server) powerOff(context.Context) error {
	s.halt()
	return nil
}

func (s *server) restart(ctx context.Context) error {
	s.halt()
	return s.powerOn(ctx)
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
func (s *server) running() (*inside, error) {
	if in := s.live.Load(); in != nil {
		return in, nil
	}
	return nil, &provider.Fault{Status: http.StatusConflict, Code: "ServerIsNotReady",
		Message: "The server is not in the Ready state; start it first."}
}

func notFound(resourceID string) error {
	return &provider.Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The resource '" + resourceID + "' was not found."}
}

// The methods below are the host the gate asks.

var errDown = errors.New("the server is stopped")

func (s *server) decide(from netip.Addr) verdict {
	doc, ok := s.document()
	if !ok { // it is being created: nobody has a rule yet
		return closed
	}
	return admit(doc, s.provider.cloud.Store().Children(s.id, firewallType), from)
}

func (s *server) dial(ctx context.Context, from, to net.Addr) (net.Conn, error) {
	in := s.live.Load()
	if in == nil {
		return nil, errDown
	}
	return in.daemon.dial(ctx, from, to)
}

func (s *server) rules() rules {
	return rules{requireTLS: s.provider.switchedOn(s.id, secureTransport), entraOnly: s.provider.switchedOn(s.id, entraOnly)}
}

func (s *server) entry(ctx context.Context, user string) (entry, error) {
	in := s.live.Load()
	if in == nil {
		return entry{}, errDown
	}
	return in.entry(ctx, user)
}

func (s *server) checkToken(e entry, token string) error {
	claims, err := s.provider.cloud.Directory().Verify(token, audiences(s.provider.cloud.URL())...)
	if err != nil {
		return err
	}
	is := claims.ObjectID
	if who, ok := s.provider.cloud.Directory().Lookup(claims.ObjectID); e.kind == kindUser && ok && who.Kind != "User" {
		is = claims.ClientID // an application is known by its client id, not by its object id
	}
	if !strings.EqualFold(is, e.principal) {
		return errors.New("the token is another principal's")
	}
	return nil
}

func (s *server) createEntra(ctx context.Context, st statement, validate bool) error {
	in := s.live.Load()
	if in == nil {
		return errDown
	}
	if utf8.RuneCountInString(st.name) > maxUserName {
		return &refusal{1470, "HY000", fmt.Sprintf("String '%s' is too long for user name (should be no longer than %d)", st.name, maxUserName)}
	}
	there, err := in.exists(ctx, st.name)
	switch {
	case err != nil:
		return err
	case there && st.ifNotExists:
		return nil
	case there:
		return &refusal{1396, "HY000", fmt.Sprintf("Operation CREATE USER failed for '%s'@'%%'", st.name)}
	}
	if err := s.checkPrincipal(st, validate); err != nil {
		return err
	}
	return in.createEntra(ctx, st.name, kindUser, strings.ToLower(st.id))
}

// checkPrincipal judges what stands after IDENTIFIED BY. Names are not looked up: the
// local directory has no Graph permissions to grant.
func (s *server) checkPrincipal(st statement, validate bool) error {
	if _, err := uuid.Parse(st.id); err != nil {
		return &refusal{1105, "HY000", fmt.Sprintf("The principal of '%s' was not found in Microsoft Entra ID.", st.name)}
	}
	if _, known := s.provider.cloud.Directory().Lookup(strings.ToLower(st.id)); validate && !known {
		return &refusal{1105, "HY000", fmt.Sprintf("The object id '%s' was not found in the tenant; set %s to OFF for client ids.", st.id, validateVariable)}
	}
	return nil
}

func (s *server) logf(format string, args ...any) { s.provider.cloud.Logf(format, args...) }

// publicAudience is what tokens for Azure's open-source databases are made for.
const publicAudience = "https://ossrdbms-aad.database.windows.net"

func audiences(base string) []string {
	out := make([]string, 0, 4)
	for _, a := range []string{strings.TrimSuffix(base, "/") + "/ossrdbms", publicAudience} {
		out = append(out, a, a+"/")
	}
	return out
}
