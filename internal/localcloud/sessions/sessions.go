// Package sessions owns the connections of a listener: it accepts them, shakes
// hands over TLS, gives each to a handler and, when closed, ends them all and waits.
//
// It knows no protocol and no resource type.
package sessions

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// handshakeTimeout bounds TLS for one connection: a client that says nothing is let go.
const handshakeTimeout = 10 * time.Second

// Handler serves one connection until it returns; the connection is closed then.
// remote is the client's address. ctx ends when the server closes.
type Handler func(ctx context.Context, conn net.Conn, remote netip.Addr)

// Server is a listener with the sessions it took. Make one with Serve.
type Server struct {
	listener net.Listener
	tls      *tls.Config
	handle   Handler
	ctx      context.Context
	cancel   context.CancelFunc

	work  sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

// Serve begins to accept. The server owns the listener; nil for cfg means no TLS.
func Serve(l net.Listener, cfg *tls.Config, handle Handler) *Server {
	s := &Server{listener: l, tls: cfg, handle: handle, conns: map[net.Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s
}

// Close stops listening, ends every session and waits for them.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close() // its session ends with an error that says so
	}
	s.conns = nil
	s.mu.Unlock()
	s.work.Wait()
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		if !s.track(conn) {
			_ = conn.Close()
			return
		}
		s.work.Go(func() {
			defer s.forget(conn)
			s.serve(conn)
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) forget(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) serve(raw net.Conn) {
	from, err := netip.ParseAddrPort(raw.RemoteAddr().String())
	if err != nil {
		return
	}
	conn := raw
	if s.tls != nil {
		secure := tls.Server(raw, s.tls)
		ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
		err := secure.HandshakeContext(ctx)
		cancel()
		if err != nil {
			return
		}
		defer secure.Close() // says goodbye before the socket goes
		conn = secure
	}
	s.handle(s.ctx, conn, from.Addr().Unmap())
}
