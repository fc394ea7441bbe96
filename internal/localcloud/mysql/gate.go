package mysql

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// loginTimeout bounds the time from a connection to its being signed in.
const loginTimeout = 20 * time.Second

// host is what the gate asks of the server it stands before.
type host interface {
	// decide tells what becomes of a caller's connection.
	decide(from netip.Addr) verdict
	// dial reaches the server inside in the name of a caller.
	dial(ctx context.Context, from, to net.Addr) (net.Conn, error)
	// rules are the settings that sign-ins are judged by.
	rules() rules
	// entry finds how an account signs in.
	entry(ctx context.Context, user string) (entry, error)
	// checkToken judges a token given as an Entra account's password.
	checkToken(e entry, token string) error
	// createEntra makes an Entra user on behalf of an administrator's session.
	createEntra(ctx context.Context, s statement, validate bool) error
	logf(format string, args ...any)
}

// gate listens where clients connect and lets them through to the server inside, or
// refuses them as Azure does. TLS ends here; the rest of an admitted session passes
// through unchanged, but for the platform's own statements.
type gate struct {
	listener net.Listener
	host     host
	tls      tlsConfig

	ctx    context.Context // ends with the gate
	cancel context.CancelFunc
	work   sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]struct{} // nil once closed
}

// openGate listens on the real port of address.
func openGate(ctx context.Context, address string, cfg tlsConfig, h host) (*gate, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, "3306"))
	if err != nil {
		return nil, fmt.Errorf("open gate: %w", err)
	}
	g := &gate{listener: l, host: h, tls: cfg, conns: map[net.Conn]struct{}{}}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	g.work.Add(1)
	go g.accept()
	return g, nil
}

// close stops listening, ends every session and waits for both.
func (g *gate) close() {
	_ = g.listener.Close()
	g.cancel()
	g.mu.Lock()
	for c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
	g.mu.Unlock()
	g.work.Wait()
}

func (g *gate) accept() {
	defer g.work.Done()
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		if !g.track(conn) {
			_ = conn.Close()
			return
		}
		g.work.Add(1)
		go func() {
			defer g.work.Done()
			defer g.forget(conn)
			g.serve(conn)
		}()
	}
}

func (g *gate) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) forget(c net.Conn) {
	_ = c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

func (g *gate) serve(conn net.Conn) {
	var from netip.Addr
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = a.AddrPort().Addr().Unmap()
	}
	switch g.host.decide(from) {
	case open:
		g.admit(conn, from)
	case denied:
		// The words and the number are those of Azure's gateways (mem).
		r := &refusal{code: 9000, message: fmt.Sprintf("Client with IP address '%s' is not allowed to connect to this MySQL server.", from)}
		_, _ = conn.Write(r.greetingRefusal().bytes()) // a client that hangs up has its answer
	case closed:
	}
}

func (g *gate) admit(conn net.Conn, from netip.Addr) {
	server, err := g.host.dial(g.ctx, conn.RemoteAddr(), conn.LocalAddr())
	if err != nil {
		return // the server is down; hanging up is what a dead host does
	}
	if !g.track(server) {
		_ = server.Close()
		return
	}
	defer g.forget(server)
	deadline := time.Now().Add(loginTimeout)
	_, _ = conn.SetDeadline(deadline), server.SetDeadline(deadline)
	s := &session{gate: g, client: conn, server: server, from: from}
	if err := s.signIn(); err != nil {
		return // the client was told, or has gone
	}
	_, _ = s.client.SetDeadline(time.Time{}), server.SetDeadline(time.Time{})
	s.relay()
}
