// Package tds is a server peer of the Tabular Data Stream protocol, version 7.4,
// with just enough Transact-SQL behind it for the life of a connection: users,
// role members, schemas, grants, and plain tables for an app to work with.
//
// It stands in where no SQL Server can run. It promises to be strict: what it does
// not know it refuses with the number and the words a real server would use, it
// never guesses. Real: the prelogin with TLS inside the protocol, sign-in with user
// name and password or with a federated token (both ways of handing it over),
// error numbers, batches, sp_executesql and prepared statements, permissions of the
// fixed database roles.
//
// Not real: isolation (a transaction that is rolled back takes everybody's changes
// since its begin with it), collations other than the default one, plans, locks,
// procedures, views, and every statement that is not in the parser.
//
// The package must not know where it is used: who may sign in, and what a principal
// of the directory is, its Host decides. No password or token reaches a log or an error.
package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Error is a server message as clients see it. It satisfies error.
type Error struct {
	Number  int32
	State   byte
	Class   byte
	Message string
	// More are messages sent after this one, such as the refusal of the login itself.
	More []*Error

	abort bool // ends the whole batch, not only its statement
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Number, e.Message) }

// Refuse makes an error of the class that ends a login.
func Refuse(number int32, format string, args ...any) *Error {
	return &Error{Number: number, State: 1, Class: 14, Message: fmt.Sprintf(format, args...)}
}

func failure(number int32, format string, args ...any) *Error {
	return &Error{Number: number, State: 1, Class: 16, Message: fmt.Sprintf(format, args...)}
}

// fatal is a failure that ends the batch.
func fatal(number int32, format string, args ...any) *Error {
	e := failure(number, format, args...)
	e.abort = true
	return e
}

// Login is what a client said about itself.
type Login struct {
	From     netip.Addr
	Server   string // as the client named it
	Database string
	App      string
	User     string
	Password string
	Token    string // of a federated sign-in; User and Password are empty then
}

// Account is a session that was let in.
type Account struct {
	Login    string // what SUSER_SNAME() says
	User     string // user in the database; Owner for administrators
	Database *Database
	// Resolve finds a principal of the directory for CREATE USER ... FROM EXTERNAL
	// PROVIDER, by name or by object id. nil: the session is none of the directory's.
	Resolve func(name, objectID string) (External, error)
}

// External is a principal of the directory as a database keeps it.
type External struct {
	SID   []byte
	Group bool
}

// Host decides who comes in. Refusals are *Error; any other error ends the
// connection without a word.
type Host interface {
	Judge(ctx context.Context, l Login) (Account, error)
	// Authority is where clients that fetch their own token are sent: the sign-in
	// endpoint, and the resource the token is for.
	Authority() (signIn, resource string)
	// Name is what the server calls itself in messages.
	Name() string
}

// Server answers the connections of one listener. Make one with Listen.
type Server struct {
	host     Host
	tls      *tls.Config
	listener net.Listener

	work  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

// Listen answers on an address until Close. Sessions are encrypted with cfg, always:
// a client that cannot is refused.
func Listen(ctx context.Context, address string, cfg *tls.Config, h Host) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for TDS: %w", err)
	}
	s := &Server{host: h, tls: withoutTickets(cfg), listener: l, conns: map[net.Conn]struct{}{}}
	s.work.Add(1)
	go s.accept()
	return s, nil
}

// withoutTickets keeps the handshake to what fits inside the prelogin: TDS 7.4 is
// spoken over TLS 1.2, and nothing may follow the server's last flight.
func withoutTickets(cfg *tls.Config) *tls.Config {
	c := cfg.Clone()
	c.MinVersion, c.MaxVersion, c.SessionTicketsDisabled = tls.VersionTLS12, tls.VersionTLS12, true
	return c
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close stops listening, ends every session and waits for both.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	defer s.work.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		open := s.conns != nil
		if open {
			s.conns[conn] = struct{}{}
			s.work.Add(1)
		}
		s.mu.Unlock()
		if !open {
			_ = conn.Close()
			return
		}
		go func() {
			defer s.work.Done()
			defer s.forget(conn)
			s.serve(conn)
		}()
	}
}

func (s *Server) forget(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
