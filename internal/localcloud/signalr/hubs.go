package signalr

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// hubs are the open client connections of one service.
type hubs struct {
	mu   sync.Mutex
	open map[*client]bool
}

// client is one open connection.
type client struct {
	id, hub, user string
	socket        *websocket.Conn
	groups        map[string]bool // under the lock of hubs
}

func newHubs() *hubs { return &hubs{open: map[*client]bool{}} }

func (h *hubs) add(hub, user string, socket *websocket.Conn) *client {
	c := &client{id: uuid.NewString(), hub: hub, user: user, socket: socket, groups: map[string]bool{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[c] = true
	return c
}

func (h *hubs) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// audience picks connections of a hub; an empty member picks all.
type audience struct{ hub, group, user, connection string }

func (a audience) holds(c *client) bool {
	return c.hub == a.hub && (a.group == "" || c.groups[a.group]) && (a.user == "" || c.user == a.user) && (a.connection == "" || c.id == a.connection)
}

func (h *hubs) find(a audience) []*client {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*client
	for c := range h.open {
		if a.holds(c) {
			found = append(found, c)
		}
	}
	return found
}

// join puts the connections of an audience into a group, or takes them out of it.
func (h *hubs) join(a audience, group string, in bool) (found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		if a.holds(c) {
			found = true
			if in {
				c.groups[group] = true
			} else {
				delete(c.groups, group)
			}
		}
	}
	return found
}

// sendTimeout bounds what a client that does not read can hold up.
const sendTimeout = 5 * time.Second

func (h *hubs) send(ctx context.Context, a audience, kind websocket.MessageType, message []byte) {
	for _, c := range h.find(a) {
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		_ = c.socket.Write(ctx, kind, message) // a client that has gone misses it
		cancel()
	}
}
