package redis

import (
	"crypto/subtle"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// databases is how many logical databases a cache has.
const databases = 16

// publicAudience is what tokens for Azure's caches are made for.
const publicAudience = "https://redis.azure.com"

// Answers in a server's own words.
const (
	errNoAuth    = "NOAUTH Authentication required."
	errWrongPass = "WRONGPASS invalid username-password pair or user is disabled."
	errHello     = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errIndex     = "ERR DB index is out of range"
)

// session is what one connection has shown.
type session struct {
	signedIn bool
	objectID string    // of an Entra sign-in; "" for a key
	expires  time.Time // of an Entra sign-in: the token's end, which ends the session
}

// judge runs before every command and tells whether it has answered it.
func (c *cache) judge(peer *server.Peer, command string, args ...string) bool {
	s, nested := c.session(peer)
	if nested {
		return false // part of a script whose right was checked
	}
	switch command {
	case "AUTH":
		return c.auth(peer, s, args)
	case "HELLO":
		return c.hello(peer, s, args)
	}
	if beforeSignIn[command] {
		return false
	}
	if s.objectID != "" && !c.cloud.Now().Before(s.expires) {
		*s = session{}
		peer.Close() // after this answer
	}
	if !s.signedIn {
		peer.WriteError(errNoAuth)
		return true
	}
	if !c.may(s, command) {
		peer.WriteError("NOPERM this user has no permissions to run the '" + strings.ToLower(command) + "' command or its subcommand")
		return true
	}
	if n, err := strconv.Atoi(first(args)); command == "SELECT" && err == nil && n >= databases {
		peer.WriteError(errIndex)
		return true
	}
	return false
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// session finds what a connection has shown. A peer that the engine has given a
// context before we saw it is not a connection but a script calling commands.
func (c *cache) session(peer *server.Peer) (s *session, nested bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.sessions[peer]; ok {
		return s, false
	}
	if peer.Ctx != nil {
		return nil, true
	}
	s = &session{}
	c.sessions[peer] = s
	peer.OnDisconnect(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sessions, peer)
	})
	return s, false
}

func (c *cache) auth(peer *server.Peer, s *session, args []string) bool {
	user, secret := "default", ""
	switch len(args) {
	case 1:
		secret = args[0]
	case 2:
		user, secret = args[0], args[1]
	default:
		peer.WriteError("ERR wrong number of arguments for 'auth' command")
		return true
	}
	if c.signIn(s, user, secret) {
		peer.WriteOK()
	} else {
		peer.WriteError(errWrongPass)
	}
	return true
}

// hello checks the credentials inside HELLO and lets the engine answer the rest.
func (c *cache) hello(peer *server.Peer, s *session, args []string) bool {
	n := slices.IndexFunc(args, func(a string) bool { return strings.EqualFold(a, "AUTH") })
	if n >= 0 && n+2 < len(args) {
		if !c.signIn(s, args[n+1], args[n+2]) {
			peer.WriteError(errWrongPass)
			return true
		}
		rest := append([]string{"HELLO"}, args[:n]...)
		c.serves.Dispatch(peer, append(rest, args[n+3:]...))
		return true
	}
	if !s.signedIn {
		peer.WriteError(errHello)
		return true
	}
	return false
}

// signIn checks a user and a secret; a failure leaves the session as it was.
func (c *cache) signIn(s *session, user, secret string) bool {
	doc, ok := c.cloud.Store().Get(c.id)
	if !ok {
		return false
	}
	if user == "default" {
		if flag(doc, "properties", "disableAccessKeyAuthentication") || !c.isKey(secret) {
			return false
		}
		*s = session{signedIn: true}
		return true
	}
	if !flag(doc, "properties", "redisConfiguration", "aad-enabled") {
		return false
	}
	base := strings.TrimSuffix(c.cloud.URL(), "/") + "/redis"
	claims, err := c.cloud.Directory().Verify(secret, publicAudience, publicAudience+"/", base, base+"/")
	if err != nil || !strings.EqualFold(claims.ObjectID, user) {
		return false
	}
	if _, assigned := c.policy(claims.ObjectID); !assigned {
		return false
	}
	*s = session{signedIn: true, objectID: claims.ObjectID, expires: claims.Expires}
	return true
}

func (c *cache) isKey(secret string) bool {
	keys := c.cloud.Store().Private(c.id)
	match := 0
	for _, name := range []string{"primary", "secondary"} {
		if keys[name] != "" {
			match |= subtle.ConstantTimeCompare([]byte(keys[name]), []byte(secret))
		}
	}
	return match == 1
}

// policy finds what a principal is assigned now.
func (c *cache) policy(objectID string) (policy, bool) {
	for _, doc := range c.cloud.Store().Children(c.id, assignmentType) {
		if strings.EqualFold(provider.Text(doc, "properties", "objectId"), objectID) && provider.Text(doc, "properties", "provisioningState") == succeeded {
			found, ok := policies[provider.Text(doc, "properties", "accessPolicyName")]
			return found, ok
		}
	}
	return policy{}, false
}

func (c *cache) may(s *session, command string) bool {
	if s.objectID == "" {
		return true
	}
	found, ok := c.policy(s.objectID)
	return ok && found.allows(command, c.engine.IsReadOnlyCommand(command))
}
