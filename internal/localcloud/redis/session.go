package redis

import (
	"slices"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
)

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
	Login
}

// judge runs before every command and tells whether it has answered it.
func (c *Plane) judge(peer *server.Peer, command string, args ...string) bool {
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
	if s.ObjectID != "" && !c.cloud.Now().Before(s.Expires) {
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
	if n, err := strconv.Atoi(first(args)); command == "SELECT" && err == nil && n >= c.gate.Databases() {
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
func (c *Plane) session(peer *server.Peer) (s *session, nested bool) {
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

func (c *Plane) auth(peer *server.Peer, s *session, args []string) bool {
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
func (c *Plane) hello(peer *server.Peer, s *session, args []string) bool {
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
func (c *Plane) signIn(s *session, user, secret string) bool {
	who, ok := c.gate.SignIn(user, secret)
	if ok {
		*s = session{signedIn: true, Login: who}
	}
	return ok
}

func (c *Plane) may(s *session, command string) bool {
	return s.ObjectID == "" || c.gate.May(s.ObjectID, command, c.engine.IsReadOnlyCommand(command))
}
