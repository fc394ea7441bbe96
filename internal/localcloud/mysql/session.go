package mysql

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
)

type tlsConfig = *tls.Config

// rules are the settings that sign-ins are judged by.
type rules struct {
	requireTLS bool
	entraOnly  bool // no passwords
}

// session is one client's connection and the one inside that serves it.
type session struct {
	gate           *gate
	client, server net.Conn
	from           netip.Addr
	secure         bool
	seq            byte // of the last packet the client sent
	who            entry
	user           string
	validate       bool // aad_auth_validate_oids_in_tenant

	writing sync.Mutex // towards the client: answers of the server and of the gate
}

var errRefused = errors.New("refused")

// signIn brings a client to where it may send commands.
func (s *session) signIn() error {
	s.validate = true
	first, err := readPacket(s.server, maxHandshake)
	if err != nil {
		return err
	}
	g, err := parseGreeting(first.payload)
	if err != nil { // too many connections, or another refusal: the client shall read it
		return errors.Join(s.send(first), err)
	}
	if err := s.send(packet{0, g.shown()}); err != nil {
		return err
	}
	l, err := s.readLogin()
	if err != nil {
		return err
	}
	s.user = l.user
	if s.user == superuser || s.user == "" {
		return s.deny()
	}
	if s.who, err = s.gate.host.entry(s.gate.ctx, s.user); err != nil {
		s.gate.host.logf("MySQL sign-in of %q: %v", s.user, err)
		return s.deny()
	}
	if s.who.kind == "" {
		return s.signInByPassword(l)
	}
	return s.signInByToken(l, g.salt)
}

// readLogin reads the client's answer to the greeting, over TLS when it asks for it.
func (s *session) readLogin() (login, error) {
	p, err := s.receive()
	if err != nil {
		return login{}, err
	}
	if len(p.payload) == sslRequestSize && p.payload[1]&(capSSL>>8) != 0 {
		secure := tls.Server(s.client, s.gate.tls)
		if err := secure.HandshakeContext(s.gate.ctx); err != nil {
			return login{}, err
		}
		s.client, s.secure = secure, true
		if p, err = s.receive(); err != nil {
			return login{}, err
		}
	}
	if !s.secure && s.gate.host.rules().requireTLS {
		return login{}, s.refuse(&refusal{3159, "HY000", "Connections using insecure transport are prohibited while --require_secure_transport=ON."})
	}
	l, err := parseLogin(p.payload)
	if err != nil {
		return login{}, s.refuse(&refusal{1043, "08S01", "Bad handshake"})
	}
	return l, nil
}

// signInByPassword lets client and server settle it between them.
func (s *session) signInByPassword(l login) error {
	if s.gate.host.rules().entraOnly {
		return s.deny()
	}
	shift := s.seq - 1 // the client has sent a packet more, for TLS
	if _, err := s.server.Write(packet{1, l.inner()}.bytes()); err != nil {
		return err
	}
	for {
		answer, err := readPacket(s.server, maxHandshake)
		if err != nil {
			return err
		}
		answer.seq += shift
		if err := s.send(answer); err != nil {
			return err
		}
		switch answer.mark() {
		case markOK:
			return nil
		case markSwitch, markMore:
		default:
			return errRefused
		}
		reply, err := s.receive()
		if err != nil {
			return err
		}
		reply.seq -= shift
		if _, err := s.server.Write(reply.bytes()); err != nil {
			return err
		}
	}
}

// signInByToken asks for the token in clear, which TLS protects, and opens the account
// inside with the platform's own password.
func (s *session) signInByToken(l login, salt []byte) error {
	if !s.secure { // a token never crosses in the clear
		return s.deny()
	}
	token := l.auth
	if l.plugin != clearPlugin {
		if err := s.send(switchPacket(s.seq+1, clearPlugin)); err != nil {
			return err
		}
		reply, err := s.receive()
		if err != nil {
			return err
		}
		token = reply.payload
	}
	if err := s.gate.host.checkToken(s.who, string(bytes.TrimRight(token, "\x00"))); err != nil {
		s.gate.host.logf("MySQL sign-in of %q refused: %v", s.user, err)
		return s.deny()
	}
	l.auth, l.plugin = scramble(s.who.password, salt), nativePlugin
	if _, err := s.server.Write(packet{1, l.inner()}.bytes()); err != nil {
		return err
	}
	answer, err := readPacket(s.server, maxHandshake)
	if err != nil {
		return err
	}
	answer.seq = s.seq + 1
	if err := s.send(answer); err != nil {
		return err
	}
	if answer.mark() != markOK {
		return errRefused
	}
	return nil
}

func (s *session) receive() (packet, error) {
	p, err := readPacket(s.client, maxHandshake)
	s.seq = p.seq
	return p, err
}

func (s *session) send(p packet) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.client.Write(p.bytes())
	return err
}

// refuse tells the client and ends the session.
func (s *session) refuse(r *refusal) error {
	return errors.Join(errRefused, s.send(r.packet(s.seq+1)))
}

func (s *session) deny() error {
	return s.refuse(&refusal{1045, "28000", fmt.Sprintf("Access denied for user '%s'@'%s' (using password: YES)", s.user, s.from)})
}

// relay passes commands and answers until either end goes.
func (s *session) relay() {
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(lockedWriter{s}, s.server)
		_, _ = s.client.Close(), s.server.Close()
	})
	for {
		p, err := readPacket(s.client, maxPacket)
		if err == nil {
			err = s.command(p)
		}
		if err != nil {
			break
		}
	}
	_, _ = s.client.Close(), s.server.Close()
	answers.Wait()
}

// lockedWriter keeps the server's answers and the gate's own from mixing.
type lockedWriter struct{ *session }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.client.Write(p)
}

// command answers the platform's own statements and passes on everything else.
func (s *session) command(p packet) error {
	if p.seq == 0 && len(p.payload) > 0 {
		switch p.payload[0] {
		case commandChange:
			// Who is signed in is settled once a connection: by its token.
			return s.send((&refusal{1047, "08S01", "Unknown command"}).packet(1))
		case commandQuery, commandPrepare:
			if statement, ours, ok := parseStatement(string(p.payload[1:])); ours {
				return s.send(s.answer(statement, ok, p.payload[0] == commandPrepare))
			}
		}
	}
	_, err := s.server.Write(p.bytes())
	return err
}

// answer runs one of the platform's own statements.
func (s *session) answer(st statement, ok, prepared bool) packet {
	err := s.run(st, ok, prepared)
	var r *refusal
	switch {
	case err == nil:
		return okPacket(1)
	case errors.As(err, &r):
		return r.packet(1)
	}
	s.gate.host.logf("MySQL statement of %q: %v", s.user, err)
	return (&refusal{1105, "HY000", "Unknown error"}).packet(1)
}

func (s *session) run(st statement, ok, prepared bool) error {
	switch {
	case prepared:
		return &refusal{1295, "HY000", "This command is not supported in the prepared statement protocol yet"}
	case !ok:
		return &refusal{1064, "42000", "You have an error in your SQL syntax near a statement of Microsoft Entra authentication"}
	case !st.create:
		s.validate = st.on
		return nil
	case s.who.kind != kindAdmin:
		return &refusal{1227, "42000", "Access denied; you need to be the Microsoft Entra administrator for this operation"}
	}
	// The session may have outlived its being administrator.
	now, err := s.gate.host.entry(s.gate.ctx, s.user)
	if err != nil {
		return err
	}
	if now.kind != kindAdmin || now.principal != s.who.principal {
		return &refusal{1227, "42000", "Access denied; you need to be the Microsoft Entra administrator for this operation"}
	}
	return s.gate.host.createEntra(s.gate.ctx, st, s.validate)
}
