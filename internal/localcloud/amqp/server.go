package amqp

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Mechanisms of signing in.
const (
	Anonymous = "ANONYMOUS"
	Plain     = "PLAIN"
	External  = "EXTERNAL"
)

// Peer decides about one connection. Its methods are called one at a time.
type Peer interface {
	// SignIn checks what the client shows. User and secret are empty unless the mechanism is PLAIN.
	SignIn(mechanism, user, secret string) bool
	// Admit is asked when the connection opens; an error closes it.
	Admit() *Error
	// Attach finds what a link of the client's leads to. Exactly one member of the
	// node must be set; it is the one that the link's direction asks for, or Answer.
	Attach(l Link) (Node, *Error)
}

// Link is what a client asks for.
type Link struct {
	Name       string
	Address    string
	Sends      bool   // the client sends
	Settled    bool   // deliveries count as settled when they are sent
	ReplyTo    string // of a receiving link: the client's own address
	Filters    Map    // of a receiving link, by name
	Properties Map
}

// Node is what stands behind a link.
type Node struct {
	Target Target
	Source Source
	// Answer makes a pair of links request and answer; it serves both directions.
	Answer func(request *Message) Reply
}

// Target takes what a client sends.
type Target interface {
	// Put takes one transfer; an error rejects it.
	Put(m *Message, format uint32) *Error
}

// Outcome is what a client did with a delivery.
type Outcome int

// Outcomes.
const (
	Accepted Outcome = iota
	Rejected
	Released
	Modified
)

// Delivery is one message on its way to a client. Tag names it on the link.
type Delivery struct {
	Tag     []byte
	Message *Message
}

// Source gives messages to a client.
type Source interface {
	// Take returns the next message that is there now; nil when there is none.
	Take() *Delivery
	// Wake gets a value whenever there may be more to take. It is never closed.
	Wake() <-chan struct{}
	// Settle ends a delivery; an error tells that it was no longer the client's.
	Settle(tag []byte, o Outcome) *Error
	// Close gives back what was taken and not settled.
	Close()
}

// Options say how a server listens.
type Options struct {
	Name       string // of this container, as it calls itself
	Mechanisms []string
	TLS        *tls.Config
	// Accept makes the peer of a new connection.
	Accept func(remote net.Addr) Peer
}

// Server is a listener and the connections that came in through it.
type Server struct {
	options Options
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

// Serve takes connections from a listener, which it owns from now on, until Close.
func Serve(l net.Listener, o Options) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{options: o, cancel: cancel, listener: l, open: map[net.Conn]bool{}}
	s.work.Go(func() { s.accept(ctx, l) })
	return s
}

func (s *Server) accept(ctx context.Context, l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return // closed
		}
		if !s.keep(raw) {
			_ = raw.Close()
			return
		}
		s.work.Go(func() {
			defer s.drop(raw)
			s.serve(ctx, raw)
		})
	}
}

// keep remembers a connection so that Close can end it.
func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return false
	}
	s.open[c] = true
	return true
}

func (s *Server) drop(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// signInTime bounds everything before a connection is open.
const signInTime = 30 * time.Second

func (s *Server) serve(ctx context.Context, raw net.Conn) {
	wire := raw
	if s.options.TLS != nil {
		wire = tls.Server(raw, s.options.TLS)
	}
	_ = wire.SetDeadline(time.Now().Add(signInTime)) // a broken connection says so on first use
	c := &conn{wire: wire, options: s.options, peer: s.options.Accept(raw.RemoteAddr()),
		sessions: map[uint16]*session{}, answers: map[string]*outgoing{}, frameLimit: maxFrame}
	if c.negotiate() {
		c.run(ctx)
	}
	_ = wire.Close()
}

// Close stops listening, ends every connection and waits.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.work.Wait()
	return err
}
