package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// cache is one running data plane: an engine and the listeners in front of it.
type cache struct {
	cloud  provider.Cloud
	id     string
	engine *miniredis.Miniredis
	serves *server.Server

	work sync.WaitGroup

	mu        sync.Mutex
	listeners map[int]net.Listener // by port
	sessions  map[*server.Peer]*session
}

func newCache(cloud provider.Cloud, resourceID string) (*cache, error) {
	engine := miniredis.NewMiniRedis()
	first, err := engine.Dial() // starts the engine without a listener of its own
	if err != nil {
		return nil, fmt.Errorf("start cache engine: %w", err)
	}
	_ = first.Close()
	engine.ClockTTL(true)
	c := &cache{
		cloud: cloud, id: resourceID, engine: engine, serves: engine.Server(),
		listeners: map[int]net.Listener{}, sessions: map[*server.Peer]*session{},
	}
	c.serves.SetPreHook(c.judge)
	return c, nil
}

// listen opens the ports that should be open and closes those that should not.
func (c *cache) listen(ctx context.Context, plain bool) error {
	if err := c.open(ctx, tlsPort, c.cloud.ServerTLS()); err != nil {
		return err
	}
	if plain {
		return c.open(ctx, plainPort, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.listeners[plainPort]; l != nil {
		delete(c.listeners, plainPort)
		return l.Close()
	}
	return nil
}

func (c *cache) open(ctx context.Context, port int, cfg *tls.Config) error {
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

func (c *cache) accept(l net.Listener, cfg *tls.Config) {
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

func (c *cache) admits(conn net.Conn) bool {
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return false
	}
	doc, _ := c.cloud.Store().Get(c.id)
	return admits(doc, c.cloud.Store().Children(c.id, firewallType), from.Addr())
}

// close stops listening, ends every session and waits.
func (c *cache) close() {
	c.mu.Lock()
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.listeners = map[int]net.Listener{}
	c.mu.Unlock()
	c.work.Wait()
	c.engine.Close()
}
