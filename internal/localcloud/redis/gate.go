package redis

import (
	"crypto/subtle"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// databases is how many logical databases a cache has.
const databases = 16

// publicAudience is what tokens for Azure's caches are made for.
const publicAudience = "https://redis.azure.com"

// VerifyToken checks an Entra token that stands for a password: it must be made for
// caches, and for the principal that is named as the user.
func VerifyToken(cloud provider.Cloud, user, token string) (Login, bool) {
	base := strings.TrimSuffix(cloud.URL(), "/") + "/redis"
	claims, err := cloud.Directory().Verify(token, publicAudience, publicAudience+"/", base, base+"/")
	if err != nil || !strings.EqualFold(claims.ObjectID, user) {
		return Login{}, false
	}
	return Login{ObjectID: claims.ObjectID, Expires: claims.Expires}, true
}

// IsKey tells whether a text is one of the keys kept under these names.
func IsKey(keys map[string]string, text string, names ...string) bool {
	match := 0
	for _, name := range names {
		if keys[name] != "" {
			match |= subtle.ConstantTimeCompare([]byte(keys[name]), []byte(text))
		}
	}
	return match == 1
}

// gate lets into one cache what its documents say.
type gate struct {
	cloud provider.Cloud
	id    string
}

// Databases implements Gate.
func (g gate) Databases() int { return databases }

// Admits implements Gate.
func (g gate) Admits(from netip.Addr) bool {
	doc, _ := g.cloud.Store().Get(g.id)
	return admits(doc, g.cloud.Store().Children(g.id, firewallType), from)
}

// SignIn implements Gate.
func (g gate) SignIn(user, secret string) (Login, bool) {
	doc, ok := g.cloud.Store().Get(g.id)
	if !ok {
		return Login{}, false
	}
	if user == "default" {
		off := flag(doc, "properties", "disableAccessKeyAuthentication")
		return Login{}, !off && IsKey(g.cloud.Store().Private(g.id), secret, "primary", "secondary")
	}
	if !flag(doc, "properties", "redisConfiguration", "aad-enabled") {
		return Login{}, false
	}
	who, ok := VerifyToken(g.cloud, user, secret)
	if !ok {
		return Login{}, false
	}
	_, assigned := g.policy(who.ObjectID)
	return who, assigned
}

// policy finds what a principal is assigned now.
func (g gate) policy(objectID string) (policy, bool) {
	for _, doc := range g.cloud.Store().Children(g.id, assignmentType) {
		if strings.EqualFold(provider.Text(doc, "properties", "objectId"), objectID) && provider.Text(doc, "properties", "provisioningState") == succeeded {
			found, ok := policies[provider.Text(doc, "properties", "accessPolicyName")]
			return found, ok
		}
	}
	return policy{}, false
}

// May implements Gate.
func (g gate) May(objectID, command string, readOnly bool) bool {
	found, ok := g.policy(objectID)
	return ok && found.allows(command, readOnly)
}
