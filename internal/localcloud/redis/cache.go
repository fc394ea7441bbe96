package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Plane is one running data plane: an engine and the listeners in front of it.
type Plane struct {
	cloud  provider.Cloud
	id     string
	gate   Gate
	engine *miniredis.Miniredis
	serves *server.Server

	work sync.WaitGroup

	mu        sync.Mutex
	listeners map[int]net.Listener // by port
	sessions  map[*server.Peer]*session
}

// Gate decides what a data plane lets in. It is asked again for every connection,
// sign-in and command, so that a change counts at once.
type Gate interface {
	// Databases is how many logical databases there are.
	Databases() int
	// Admits tells whether an address may connect.
	Admits(from netip.Addr) bool
	// SignIn checks a user and a secret.
	SignIn(user, secret string) (Login, bool)
	// May tells whether a principal may run a command; whoever has a key may run all.
	May(objectID, command string, readOnly bool) bool
}

// Login is who has signed in.
type Login struct {
	ObjectID string    // of an Entra sign-in; "" for a key
	Expires  time.Time // of an Entra sign-in: the token's end, which ends the session
}

// NewPlane starts an engine with an empty database. It listens on the address of the
// resource, nowhere before Listen says so.
func NewPlane(cloud provider.Cloud, resourceID string, gate Gate) (*Plane, error) {
	engine := miniredis.NewMiniRedis()
	first, err := engine.Dial() // starts the engine without a listener of its own
	if err != nil {
		return nil, fmt.Errorf("start cache engine: %w", err)
	}
	_ = first.Close()
	engine.ClockTTL(true)
	c := &Plane{
		cloud: cloud, id: resourceID, gate: gate, engine: engine, serves: engine.Server(),
		listeners: map[int]net.Listener{}, sessions: map[*server.Peer]*session{},
	}
	c.serves.SetPreHook(c.judge)
	return c, nil
}

// Unlisten closes a port if it is open.
func (c *Plane) Unlisten(port int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.listeners[port]; l != nil {
		delete(c.listeners, port)
		return l.Close()
	}
	return nil
}

// Listen opens a port, with TLS unless cfg is nil.
func (c *Plane) Listen(ctx context.Context, port int, cfg *tls.Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners[port] != nil {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(c.cloud.Address(c.id), strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("open cache: %w", err)
	}
	c.listeners[port] = l
	c.work.Go(func() { c.accept(l, cfg) })
	return nil
}

func (c *Plane) accept(l net.Listener, cfg *tls.Config) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		if !c.admits(conn) {
			_ = conn.Close()
			continue
		}
		if cfg != nil {
			conn = tls.Server(conn, cfg) // shakes hands on first use, not here
		}
		c.serves.ServeConn(conn)
	}
}

func (c *Plane) admits(conn net.Conn) bool {
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return false
	}
	return c.gate.Admits(from.Addr())
}

// Close stops listening, ends every session and waits.
func (c *Plane) Close() {
	c.mu.Lock()
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.listeners = map[int]net.Listener{}
	c.mu.Unlock()
	c.work.Wait()
	c.engine.Close()
}
