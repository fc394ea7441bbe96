// Package mongo is a small, strict peer of the MongoDB wire protocol: it signs
// clients in by SCRAM (SHA-256 and SHA-1) or PLAIN, keeps documents in memory and
// answers the commands that drivers send to connect, look around, and read and
// write by equality.
//
// It promises to refuse what a server refuses, in a server's codes: a command before
// sign-in (13), a wrong password (18), a command it does not know (59), a filter or
// stage it does not do (2, 115). It never answers a query it did not understand. It
// knows nothing of resource management; who may sign in is asked of its Host each time.
package mongo

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

// Names are the databases and collections there are. Both lists are in order.
type Names interface {
	Databases() []string
	Collections(database string) []string
	// Create makes a database, or a collection where two names are given; Drop removes one.
	Create(names ...string) error
	Drop(names ...string) error
}

// Host is what a server asks its surroundings, anew for each command.
type Host interface {
	Names
	// Secrets are the passwords with which a user may sign in, none when there is no such user.
	Secrets(user string) []Secret
	// Allow says why an address may not speak to the server; nil lets it in.
	Allow(remote netip.Addr) error
}

// Config says how a server behaves.
type Config struct {
	TLS  *tls.Config // nil means plain TCP
	Host Host
	// Address is what the server calls itself in a replica set: host:port as clients reach it.
	Address string
	// ReplicaSet is the name of the set; every server here is the primary of one.
	ReplicaSet string
	// RetryableWrites are writes with a transaction number; without them such a write
	// is refused, as some services do.
	RetryableWrites bool
	// Plain offers the PLAIN mechanism beside SCRAM.
	Plain bool
}

// Server is a running peer.
type Server struct {
	config   Config
	data     *data
	sessions *sessions.Server
}

// Serve answers on a listener until Close. The server owns the listener.
func Serve(l net.Listener, c Config) *Server {
	s := &Server{config: c, data: newData()}
	s.sessions = sessions.Serve(l, c.TLS, s.serve)
	return s
}

// Close stops listening, ends every session and waits for them. What was kept is gone.
func (s *Server) Close() error { return s.sessions.Close() }

func (s *Server) serve(_ context.Context, conn net.Conn, remote netip.Addr) {
	each := &session{server: s, remote: remote, conn: conn}
	for {
		m, err := readMessage(conn)
		if err != nil {
			return // gone, or not the protocol: a server hangs up too
		}
		if err := each.answer(m); err != nil {
			return
		}
	}
}
