package cosmos

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/patchbay/patchbay/internal/localcloud/cql"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// cassandraHost is an account as the protocol's peer sees it.
type cassandraHost struct{ Account }

// Secrets implements cql.Host.
func (h cassandraHost) Secrets(user string) []cql.Secret {
	if user != h.Name() {
		return nil
	}
	var out []cql.Secret
	for _, k := range h.Keys() {
		out = append(out, cql.Secret{Password: k.Secret, ReadOnly: k.ReadOnly})
	}
	return out
}

// OpenCassandra is the Opener of the API for Cassandra. The data centre is called after
// the account's region, which drivers must name.
func OpenCassandra(_ context.Context, a Account, l net.Listener) (Plane, error) {
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("read the listener's address: %w", err)
	}
	return cql.Serve(l, cql.Config{TLS: a.TLS(), Host: cassandraHost{a}, Address: at, Datacenter: region(a)}), nil
}

func region(a Account) string {
	if located, ok := a.(interface{ document() provider.Document }); ok {
		return provider.Text(located.document(), "location")
	}
	return "datacenter1"
}
