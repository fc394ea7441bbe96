// Package gremlin is a small, strict peer of the Gremlin protocol: scripts over
// WebSocket in GraphSON 2 or 3, sign-in by SASL PLAIN with the path of a graph as the
// user name, and a property graph in memory.
//
// It promises to answer only traversals it understood (see parse.go for all of them);
// bytecode and every other step are refused, as is everything before sign-in. It knows
// nothing of resource management; keys, graphs and addresses are asked of its Host
// each time.
package gremlin

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Key is one password that works at this moment.
type Key struct {
	Secret   string
	ReadOnly bool
}

// Host is what a server asks its surroundings, anew for each request.
type Host interface {
	// Keys are the keys that may sign in.
	Keys() []Key
	// Has tells whether a database holds a graph.
	Has(database, graph string) bool
	// Allow says why an address may not speak to the server; nil lets it in.
	Allow(remote netip.Addr) error
}

const (
	headerTimeout = 10 * time.Second
	// maxMessage is what one request may hold.
	maxMessage = 1 << 20
)

// Server is a running peer.
type Server struct {
	host   Host
	http   *http.Server
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup // the listener, and sessions that left HTTP behind

	mu     sync.Mutex
	graphs map[string]*graph // by path
}

// Serve answers on a listener until Close. The server owns the listener; nil for cfg
// means no TLS.
func Serve(l net.Listener, cfg *tls.Config, host Host) *Server {
	s := &Server{host: host, graphs: map[string]*graph{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: http.HandlerFunc(s.upgrade), ReadHeaderTimeout: headerTimeout, ErrorLog: log.New(io.Discard, "", 0)}
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.NextProtos = []string{"http/1.1"} // WebSocket begins there
		l = tls.NewListener(l, cfg)
	}
	s.work.Go(func() { _ = s.http.Serve(l) }) // ends when Close closes the listener
	return s
}

// Close stops listening, ends every session and waits for them. What was kept is gone.
func (s *Server) Close() error {
	s.cancel()
	err := s.http.Close()
	s.work.Wait()
	return err
}

// upgrade admits an address and turns its request into a session.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || s.host.Allow(from.Addr().Unmap()) != nil {
		// mem: the service refuses the handshake itself.
		http.Error(w, "Request originated from IP "+from.Addr().Unmap().String()+" through public internet. This is blocked by the account's firewall settings.", http.StatusForbidden)
		return
	}
	if r.URL.Path != "/" && r.URL.Path != "/gremlin" {
		http.NotFound(w, r)
		return
	}
	s.work.Add(1)
	defer s.work.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // browsers' origins do not matter: every session signs in
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	each := &session{server: s, conn: conn, remote: from.Addr().Unmap()}
	each.run(s.ctx)
}

// graph returns the contents of one graph, making them on first sight.
func (s *Server) graph(path string) *graph {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.graphs[path] == nil {
		s.graphs[path] = &graph{}
	}
	return s.graphs[path]
}
