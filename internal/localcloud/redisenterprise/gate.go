package redisenterprise

import (
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/redis"
)

// gate lets into one database what its documents say.
type gate struct {
	cloud    provider.Cloud
	database id.ID
}

// Databases implements redis.Gate.
func (g gate) Databases() int { return 1 }

// Admits implements redis.Gate: there is no firewall, only the switch of the cluster.
func (g gate) Admits(netip.Addr) bool {
	cluster, exists := g.cloud.Store().Get(g.database.Parent().String())
	return exists && provider.Text(cluster, "properties", "publicNetworkAccess") != "Disabled"
}

// SignIn implements redis.Gate.
func (g gate) SignIn(user, secret string) (redis.Login, bool) {
	doc, exists := g.cloud.Store().Get(g.database.String())
	if !exists {
		return redis.Login{}, false
	}
	if user == "default" {
		on := provider.Text(doc, "properties", "accessKeysAuthentication") == "Enabled"
		return redis.Login{}, on && redis.IsKey(g.cloud.Store().Private(g.database.String()), secret, primary, secondary)
	}
	who, ok := redis.VerifyToken(g.cloud, user, secret)
	if !ok || !g.assigned(who.ObjectID) {
		return redis.Login{}, false
	}
	return who, true
}

// May implements redis.Gate.
func (g gate) May(objectID, _ string, _ bool) bool { return g.assigned(objectID) }

func (g gate) assigned(objectID string) bool {
	for _, doc := range g.cloud.Store().Children(g.database.String(), assignmentType) {
		if strings.EqualFold(provider.Text(doc, "properties", "user", "objectId"), objectID) && provider.Text(doc, "properties", "provisioningState") == succeeded {
			return true
		}
	}
	return false
}
