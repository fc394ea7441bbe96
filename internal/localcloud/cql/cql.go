// Package cql is a small, strict peer of Cassandra's native protocol, version 4: it
// signs clients in with user name and password, shows itself as a cluster of one node,
// and keeps tables in memory that are written and read by key.
//
// It promises to refuse what it does not understand in the protocol's own errors: a
// query before sign-in, bad credentials, syntax beyond its subset, a value whose bytes
// do not fit its column's type, a read that would need filtering. It knows nothing of
// resource management; who may sign in is asked of its Host each time.
package cql

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/patchbay/patchbay/internal/localcloud/sessions"
)

// Secret is one password of a user that works at this moment.
type Secret struct {
	Password string
	ReadOnly bool
}

// Names are the keyspaces and tables there are. Both lists are in order.
type Names interface {
	Databases() []string
	Collections(keyspace string) []string
	// Create makes a keyspace, or a table where two names are given; Drop removes one.
	Create(names ...string) error
	Drop(names ...string) error
}

// Host is what a server asks its surroundings, anew for each request.
type Host interface {
	Names
	// Secrets are the passwords with which a user may sign in, none when there is no such user.
	Secrets(user string) []Secret
	// Allow says why an address may not speak to the server; nil lets it in.
	Allow(remote netip.Addr) error
}

// Config says how a server behaves.
type Config struct {
	TLS        *tls.Config // nil means plain TCP
	Host       Host
	Address    netip.AddrPort // as clients reach it
	Datacenter string
}

// Server is a running peer.
type Server struct {
	config   Config
	tables   *tables
	sessions *sessions.Server
}

// Serve answers on a listener until Close. The server owns the listener.
func Serve(l net.Listener, c Config) *Server {
	s := &Server{config: c, tables: newTables(c.Host)}
	s.sessions = sessions.Serve(l, c.TLS, s.serve)
	return s
}

// Close stops listening, ends every session and waits for them. What was kept is gone.
func (s *Server) Close() error { return s.sessions.Close() }

func (s *Server) serve(_ context.Context, conn net.Conn, remote netip.Addr) {
	each := &session{server: s, remote: remote, prepared: map[string]prepared{}}
	for {
		f, err := readFrame(conn)
		if err != nil {
			return // gone, or not the protocol: a server hangs up too
		}
		stream := f.stream
		if f.version != version {
			stream = 0 // servers of this age refuse before they have read the stream
		}
		if _, err := conn.Write(each.answer(f).encode(stream)); err != nil {
			return
		}
	}
}
