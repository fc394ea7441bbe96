package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// publicAudience is what tokens for Azure's open-source databases are made for.
const publicAudience = "https://ossrdbms-aad.database.windows.net"

// bindTimeout bounds one sign-in check.
const bindTimeout = 15 * time.Second

func audiences(base string) []string {
	out := make([]string, 0, 4)
	for _, a := range []string{strings.TrimSuffix(base, "/") + "/ossrdbms", publicAudience} {
		out = append(out, a, a+"/")
	}
	return out
}

// checkSignIn decides whether secret opens role. A mapped role takes its own
// principal's token and nothing else. A role without a mapping gets here only by
// being granted a mapped one; it keeps signing in with its password.
func checkSignIn(d provider.Directory, base string, c credential, secret string) error {
	if secret == "" {
		return errors.New("no password")
	}
	if c.objectID == "" {
		if !verifierMatches(c.verifier, secret) {
			return errors.New("wrong password")
		}
		return nil
	}
	claims, err := d.Verify(secret, audiences(base)...)
	if err != nil {
		return err
	}
	if !strings.EqualFold(claims.ObjectID, c.objectID) {
		return errors.New("the token is another principal's")
	}
	return nil
}

// verifierMatches checks a password against a stored SCRAM-SHA-256 verifier:
// SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, base64 throughout.
func verifierMatches(verifier, password string) bool {
	parts := strings.Split(verifier, "$")
	if len(parts) != 3 || parts[0] != "SCRAM-SHA-256" {
		return false
	}
	count, salt64, ok := strings.Cut(parts[1], ":")
	if !ok {
		return false
	}
	stored64, _, ok := strings.Cut(parts[2], ":")
	if !ok {
		return false
	}
	rounds, err1 := strconv.Atoi(count)
	salt, err2 := base64.StdEncoding.DecodeString(salt64)
	stored, err3 := base64.StdEncoding.DecodeString(stored64)
	if errors.Join(err1, err2, err3) != nil || rounds < 1 || rounds > 1_000_000 {
		return false
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	key := sha256.Sum256(mac.Sum(nil))
	return hmac.Equal(key[:], stored)
}

// signIn is the LDAP responder every server of this provider asks.
type signIn struct {
	server *gldap.Server
	port   int
	ended  chan error
}

// bindCheck judges one bind: a role of the server that realm names.
type bindCheck func(ctx context.Context, realm, role, secret string) error

func startSignIn(check bindCheck) (*signIn, error) {
	var last error
	for range 3 { // the library binds the port itself; a free one may be lost meanwhile
		s, err := listenSignIn(check)
		if err == nil {
			return s, nil
		}
		last = err
	}
	return nil, fmt.Errorf("start sign-in check: %w", last)
}

func listenSignIn(check bindCheck) (*signIn, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	server, err := gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return nil, err
	}
	mux, err := gldap.NewMux()
	if err != nil {
		return nil, err
	}
	if err := mux.Bind(bindHandler(check)); err != nil {
		return nil, err
	}
	if err := server.Router(mux); err != nil {
		return nil, err
	}
	s := &signIn{server: server, port: port, ended: make(chan error, 1)}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	go func() { s.ended <- server.Run(addr) }()
	return s, s.awaitListening(addr)
}

func (s *signIn) awaitListening(addr string) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("listen on %s: %w", addr, err)
		case <-tick.C:
		}
	}
}

func (s *signIn) close() error {
	err := s.server.Stop()
	return errors.Join(err, <-s.ended)
}

func bindHandler(check bindCheck) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		answer := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
		defer func() { _ = w.Write(answer) }() // a client that has gone needs no answer
		m, err := r.GetSimpleBindMessage()
		if err != nil {
			return
		}
		role, realm, ok := bindName(m.UserName)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), bindTimeout)
		defer cancel()
		if check(ctx, realm, role, string(m.Password)) == nil {
			answer.SetResultCode(gldap.ResultSuccess)
		}
	}
}
