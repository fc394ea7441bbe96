package cosmos

import (
	"context"
	"net"

	"github.com/patchbay/patchbay/internal/localcloud/mongo"
)

// replicaSet is what every account's set is called.
const replicaSet = "globaldb"

// mongoHost is an account as the protocol's peer sees it. The user name is the
// account's; each of its keys is a password.
type mongoHost struct{ Account }

// Secrets implements mongo.Host.
func (h mongoHost) Secrets(user string) []mongo.Secret {
	if user != h.Name() {
		return nil
	}
	var out []mongo.Secret
	for _, k := range h.Keys() {
		out = append(out, mongo.Secret{Password: k.Secret, ReadOnly: k.ReadOnly})
	}
	return out
}

// OpenMongo is the Opener of the API for MongoDB. Like the service it takes no
// retryable writes.
func OpenMongo(_ context.Context, a Account, l net.Listener) (Plane, error) {
	return mongo.Serve(l, mongo.Config{TLS: a.TLS(), Host: mongoHost{a}, Address: l.Addr().String(), ReplicaSet: replicaSet}), nil
}
