package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	loginTimeout  = 30 * time.Second
	serverVersion = "Microsoft SQL Azure (RTM) - 12.0.2000.8 \n\tPatchbay local cloud, a peer of the TDS protocol\n"
	spid          = 51
	tooLongToken  = 64 << 10
)

// session is one connection, from its first byte on.
type session struct {
	server  *Server
	conn    net.Conn
	wire    *wire
	account Account
	db      *Database

	prepared map[uint32]string
	handles  uint32
	saved    []byte // the database before the open transaction
}

func (s *Server) serve(conn net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	c := &session{server: s, conn: conn, wire: &wire{rw: conn, size: defaultSize}, prepared: map[uint32]string{}}
	_ = conn.SetDeadline(time.Now().Add(loginTimeout)) // one that stays silent would hold its place
	if err := c.open(ctx); err != nil {
		return // the client has its answer, or speaks something else
	}
	_ = conn.SetDeadline(time.Time{})
	for {
		m, err := c.wire.read()
		if err != nil || c.answer(m) != nil {
			break
		}
	}
	if c.saved != nil { // the connection goes, and its transaction with it
		c.rollback()
	}
}

func (c *session) rollback() {
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	if c.db.restore(c.saved) == nil {
		c.db.changed()
	}
}

// open goes from the first byte to a session that is let in.
func (c *session) open(ctx context.Context) error {
	if err := c.prelogin(ctx); err != nil {
		return err
	}
	m, err := c.wire.read()
	if err != nil {
		return err
	}
	if m.kind != kindLogin {
		return fmt.Errorf("message of kind %d instead of a login: %w", m.kind, errProtocol)
	}
	l, err := parseLogin(m.body)
	if err != nil {
		return err
	}
	if l.fetches {
		if l.token, err = c.awaitToken(); err != nil {
			return err
		}
	}
	return c.login(ctx, l)
}

// prelogin settles encryption and puts TLS under the session.
func (c *session) prelogin(ctx context.Context) error {
	m, err := c.wire.read()
	if err != nil {
		return err
	}
	if m.kind != kindPrelogin {
		return fmt.Errorf("message of kind %d instead of a prelogin: %w", m.kind, errProtocol)
	}
	asked, err := parsePrelogin(m.body)
	if err != nil {
		return err
	}
	wish := asked[optionEncryption]
	if len(wish) == 0 {
		return fmt.Errorf("prelogin without a word on encryption: %w", errProtocol)
	}
	answer := byte(encryptRequired)
	if wish[0] == encryptOn {
		answer = encryptOn
	}
	if err := c.wire.write(kindReply, preloginAnswer(asked, answer)); err != nil {
		return err
	}
	if wish[0] == encryptNone {
		return errors.New("the client cannot encrypt")
	}
	channel := &handshake{Conn: c.conn, wire: &wire{rw: c.conn, size: defaultSize}}
	secure := tls.Server(channel, c.server.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shake hands: %w", err)
	}
	channel.done = true
	c.wire.rw = secure
	return nil
}

// awaitToken tells the client where to get a token and waits for it.
func (c *session) awaitToken() (string, error) {
	r := &reply{server: c.server.host.Name()}
	r.fedAuthInfo(c.server.host.Authority())
	if err := c.wire.write(kindReply, r.out); err != nil {
		return "", err
	}
	m, err := c.wire.read()
	if err != nil {
		return "", err
	}
	if m.kind != kindToken || len(m.body) > 2*tooLongToken {
		return "", fmt.Errorf("message of kind %d instead of a token: %w", m.kind, errProtocol)
	}
	return parseTokenMessage(m.body)
}

// login has the host judge and answers.
func (c *session) login(ctx context.Context, l login7) error {
	asked := Login{From: peer(c.conn), Server: l.server, Database: l.database, App: l.app, User: l.user, Password: l.password, Token: l.token}
	account, err := Account{}, error(Refuse(18452, "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."))
	if !l.integrated {
		account, err = c.server.host.Judge(ctx, asked)
	}
	r := &reply{server: c.server.host.Name()}
	if err != nil {
		var refusal *Error
		if !errors.As(err, &refusal) {
			return err
		}
		r.refuse(refusal)
		r.done(tokenDone, doneError, 0)
		return errors.Join(err, c.wire.write(kindReply, r.out), c.conn.Close())
	}
	c.account, c.db = account, account.Database
	if size := l.packetSize; size >= minSize && size <= maxSize {
		c.wire.size = min(size, 16383) // the longest an encrypted packet may be
	}
	c.welcome(r)
	if l.federated {
		r.fedAuthAck()
	}
	r.done(tokenDone, 0, 0)
	old := c.wire.size
	c.wire.size = defaultSize // the new size counts from the next packet on
	err = c.wire.write(kindReply, r.out)
	c.wire.size = old
	return err
}

func (c *session) welcome(r *reply) {
	r.env(envDatabase, c.db.name, "master")
	r.message(tokenInfo, &Error{Number: 5701, State: 2, Message: "Changed database context to '" + c.db.name + "'."})
	r.envBytes(envCollation, collation[:], nil)
	r.env(envLanguage, "us_english", "")
	r.message(tokenInfo, &Error{Number: 5703, State: 1, Message: "Changed language setting to us_english."})
	r.loginAck()
	r.env(envPacketSize, strconv.Itoa(c.wire.size), strconv.Itoa(defaultSize))
}

func peer(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// answer carries one message out. An error of it ends the connection.
func (c *session) answer(m message) error {
	r := &reply{server: c.server.host.Name()}
	if m.reset {
		c.reset(r)
	}
	var err error
	switch m.kind {
	case kindBatch:
		err = c.batch(r, m.body)
	case kindRPC:
		err = c.procedure(r, m.body)
	case kindTransaction:
		err = c.transact(r, m.body)
	case kindAttention: // nothing runs any more when it is read
		r.done(tokenDone, doneAttention, 0)
	default:
		err = fmt.Errorf("message of kind %d: %w", m.kind, errProtocol)
	}
	if err != nil {
		return err
	}
	return c.wire.write(kindReply, r.out)
}

// reset makes a pooled session like a new one.
func (c *session) reset(r *reply) {
	if c.saved != nil {
		c.rollback()
		c.saved = nil
	}
	clear(c.prepared)
	r.envBytes(envReset, nil, nil)
}

func (c *session) batch(r *reply, body []byte) error {
	text, err := parseBatch(body)
	if err != nil {
		return err
	}
	c.execute(r, text, nil, tokenDone)
	return nil
}

// execute runs a batch and writes what its statements come to. It tells whether
// all went well.
func (c *session) execute(r *reply, text string, args map[string]any, done byte) bool {
	statements, err := parse(text)
	if err != nil {
		c.failed(r, err, done, false)
		return false
	}
	if len(statements) == 0 {
		r.done(done, 0, 0)
	}
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	before := c.db.save()
	well := true
	for n, s := range statements {
		more := n+1 < len(statements) || done == tokenDoneInProc
		out, err := s.run(c, args)
		if err != nil {
			well = false
			if c.failed(r, err, done, more) {
				break
			}
			continue
		}
		c.wrote(r, out, done, more)
	}
	if string(before) != string(c.db.save()) {
		c.db.changed()
	}
	return well
}

func (c *session) wrote(r *reply, out *result, done byte, more bool) {
	status, n := uint16(0), 0
	if more {
		status |= doneMore
	}
	if out != nil && out.rows != nil {
		r.rows(*out.rows)
	}
	if out != nil && out.counts {
		status, n = status|doneCount, out.changed
	}
	r.done(done, status, n)
}

// failed writes an error and tells whether the batch ends with it.
func (c *session) failed(r *reply, err error, done byte, more bool) (ends bool) {
	var said *Error
	if !errors.As(err, &said) {
		said = fatal(50000, "internal error")
	}
	r.refuse(said)
	status := uint16(doneError)
	if more && !said.abort || done == tokenDoneInProc {
		status |= doneMore
	}
	r.done(done, status, 0)
	return said.abort
}

// Requests of a transaction manager.
const (
	transactBegin    = 5
	transactCommit   = 7
	transactRollback = 8
)

func (c *session) transact(r *reply, body []byte) error {
	m := &cursor{rest: body}
	m.headers()
	kind := m.number(2)
	if m.err != nil {
		return m.err
	}
	verb, change := map[uint64]string{transactBegin: "begin", transactCommit: "commit", transactRollback: "rollback"}[kind], byte(0)
	if verb == "" {
		r.refuse(failure(3985, "An error occurred during the changing of transaction context: request %d is not supported here.", kind))
		r.done(tokenDone, doneError, 0)
		return nil
	}
	change = map[string]byte{"begin": envBegin, "commit": envCommit, "rollback": envRollback}[verb]
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	if _, err := (&transaction{verb}).run(c, nil); err != nil {
		c.failed(r, err, tokenDone, false)
		return nil
	}
	number := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	if change == envBegin {
		r.envBytes(change, number, nil)
	} else {
		c.db.changed()
		r.envBytes(change, nil, number)
	}
	r.done(tokenDone, 0, 0)
	return nil
}
