package cosmos

import (
	"context"
	"net"
	"slices"

	"github.com/patchbay/patchbay/internal/localcloud/gremlin"
)

// gremlinHost is an account as the protocol's peer sees it.
type gremlinHost struct{ Account }

// Keys implements gremlin.Host.
func (h gremlinHost) Keys() []gremlin.Key {
	var out []gremlin.Key
	for _, k := range h.Account.Keys() {
		out = append(out, gremlin.Key{Secret: k.Secret, ReadOnly: k.ReadOnly})
	}
	return out
}

// Has implements gremlin.Host.
func (h gremlinHost) Has(database, graph string) bool {
	return slices.Contains(h.Collections(database), graph)
}

// OpenGremlin is the Opener of the API for Gremlin.
func OpenGremlin(_ context.Context, a Account, l net.Listener) (Plane, error) {
	return gremlin.Serve(l, a.TLS(), gremlinHost{a}), nil
}
