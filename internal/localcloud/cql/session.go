package cql

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Codes of errors.
const (
	errServer       = 0x0000
	errProtocol     = 0x000A
	errCredentials  = 0x0100
	errSyntax       = 0x2000
	errUnauthorized = 0x2100
	errInvalid      = 0x2200
	errConfig       = 0x2300
	errExists       = 0x2400
	errUnprepared   = 0x2500
)

// authenticator is what drivers know as user name and password.
const authenticator = "org.apache.cassandra.auth.PasswordAuthenticator"

// refusal is an error a client sees.
type refusal struct {
	code    int
	message string
	names   []string // of what exists already
	id      []byte   // of what was never prepared
}

func (r *refusal) Error() string { return r.message }

func refuse(code int, format string, args ...any) error {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

func (r *refusal) frame() *frame {
	w := &writer{}
	w.int(int32(r.code))
	w.string(r.message)
	for _, name := range r.names {
		w.string(name)
	}
	if r.id != nil {
		w.shortBytes(r.id)
	}
	return w.frame(opError)
}

// bound is a value that came with a request; set is false where it was left out.
type bound struct {
	bytes []byte
	set   bool
}

// prepared is a statement kept under its id.
type prepared struct{ text, keyspace string }

// session is one connection: what it has shown so far.
type session struct {
	server   *Server
	remote   netip.Addr
	started  bool
	user     string // signed in as; "" before
	secret   Secret // signed in with
	keyspace string // of USE
	prepared map[string]prepared
}

// answer never fails: what goes wrong is an answer too.
func (s *session) answer(f *frame) *frame {
	out, err := s.run(f)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refused.frame()
	case err != nil:
		return (&refusal{code: errServer, message: err.Error()}).frame()
	}
	return out
}

func (s *session) run(f *frame) (*frame, error) {
	const compressed, payload = 0x01, 0x04
	switch {
	case f.version != version:
		return nil, refuse(errProtocol, "Invalid or unsupported protocol version (%d); the lowest supported version is %d and the greatest is %d", f.version, version, version)
	case f.flags&(compressed|payload) != 0:
		return nil, refuse(errProtocol, "compression and custom payloads are not supported")
	}
	r := &reader{rest: f.body}
	handle, open := map[byte]func(*reader) (*frame, error){
		opOptions: s.options, opStartup: s.startup, opAuthResponse: s.signIn,
	}[f.op]
	if !open {
		known := false
		handle, known = map[byte]func(*reader) (*frame, error){
			opRegister: s.register, opQuery: s.query, opPrepare: s.prepare, opExecute: s.execute,
		}[f.op]
		if !known {
			return nil, refuse(errProtocol, "opcode %d is not supported", f.op)
		}
		if err := s.admit(); err != nil {
			return nil, err
		}
	}
	out, err := handle(r)
	if r.bad || err == nil && len(r.rest) > 0 {
		return nil, refuse(errProtocol, "the body of opcode %d is malformed", f.op)
	}
	return out, err
}

// admit checks sign-in; a password that no longer works ends what was signed in with it.
func (s *session) admit() error {
	if s.user == "" {
		return refuse(errProtocol, "Unexpected message, expecting AUTH_RESPONSE: the connection is not signed in")
	}
	if err := s.allowed(); err != nil {
		return err
	}
	if !slices.Contains(s.server.config.Host.Secrets(s.user), s.secret) {
		s.user = ""
		return refuse(errCredentials, "Provided username and password are no longer valid")
	}
	return nil
}

func (s *session) allowed() error {
	if err := s.server.config.Host.Allow(s.remote); err != nil {
		return refuse(errUnauthorized, "Request originated from IP %s through public internet. This is blocked by the server's firewall settings.", s.remote)
	}
	return nil
}

func (s *session) options(*reader) (*frame, error) {
	w := &writer{}
	w.short(2)
	w.string("CQL_VERSION")
	w.strings([]string{"3.4.4"})
	w.string("COMPRESSION")
	w.strings(nil)
	return w.frame(opSupported), nil
}

func (s *session) startup(r *reader) (*frame, error) {
	given := r.stringMap()
	switch {
	case s.started:
		return nil, refuse(errProtocol, "Unexpected message STARTUP")
	case !strings.HasPrefix(given["CQL_VERSION"], "3."):
		return nil, refuse(errProtocol, "CQL_VERSION %q is not supported", given["CQL_VERSION"])
	case given["COMPRESSION"] != "":
		return nil, refuse(errProtocol, "Unknown compression algorithm: %s", given["COMPRESSION"])
	}
	s.started = true
	w := &writer{}
	w.string(authenticator)
	return w.frame(opAuthenticate), nil
}

// signIn takes a PLAIN token: identity, user and password between NULs.
func (s *session) signIn(r *reader) (*frame, error) {
	token, _ := r.bytes()
	if !s.started || s.user != "" {
		return nil, refuse(errProtocol, "Unexpected message AUTH_RESPONSE")
	}
	if err := s.allowed(); err != nil {
		return nil, err
	}
	parts := bytes.Split(token, []byte{0})
	if len(parts) != 3 {
		return nil, refuse(errCredentials, "Provided token is not a user name and a password")
	}
	for _, secret := range s.server.config.Host.Secrets(string(parts[1])) {
		if subtle.ConstantTimeCompare([]byte(secret.Password), parts[2]) == 1 {
			s.user, s.secret = string(parts[1]), secret
		}
	}
	if s.user == "" {
		return nil, refuse(errCredentials, "Provided username %s and/or password are incorrect", parts[1])
	}
	w := &writer{}
	w.bytes(nil)
	return w.frame(opAuthSuccess), nil
}

// register takes the wish for events. A cluster of one has none of its topology; changes of
// the schema are not told, drivers read it when they connect.
func (s *session) register(r *reader) (*frame, error) {
	for range int(r.short()) {
		switch event := r.string(); event {
		case "TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE":
		default:
			return nil, refuse(errProtocol, "Invalid value '%s' for Type", event)
		}
	}
	return (&writer{}).frame(opReady), nil
}

// parameters are what follows a query.
type parameters struct {
	values       []bound
	skipMetadata bool
}

func readParameters(r *reader) (parameters, error) {
	const hasValues, skip, pageSize, paging, serial, timestamp, named = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
	if level := r.short(); level > 0x0A {
		return parameters{}, refuse(errProtocol, "Unknown consistency level %d", level)
	}
	flags := r.byte()
	out := parameters{skipMetadata: flags&skip != 0}
	if flags&named != 0 {
		return out, refuse(errProtocol, "named values are not supported")
	}
	if flags&hasValues != 0 {
		for range int(r.short()) {
			if r.bad {
				break
			}
			value, set := r.bytes()
			out.values = append(out.values, bound{bytes: value, set: set})
		}
	}
	if flags&pageSize != 0 {
		r.int()
	}
	if flags&paging != 0 {
		return out, refuse(errProtocol, "Invalid value for the paging state")
	}
	if flags&serial != 0 {
		r.short()
	}
	if flags&timestamp != 0 {
		r.long()
	}
	return out, nil
}

func (s *session) query(r *reader) (*frame, error) {
	text := r.longString()
	p, err := readParameters(r)
	if err != nil || r.bad {
		return nil, err
	}
	return s.runText(prepared{text: text, keyspace: s.keyspace}, p)
}

func (s *session) execute(r *reader) (*frame, error) {
	id := r.sized(int(r.short()))
	p, err := readParameters(r)
	if err != nil || r.bad {
		return nil, err
	}
	kept, ok := s.prepared[string(id)]
	if !ok {
		return nil, &refusal{code: errUnprepared, message: "Prepared query with ID " + fmt.Sprintf("%x", id) + " not found", id: id}
	}
	return s.runText(kept, p)
}

func (s *session) prepare(r *reader) (*frame, error) {
	kept := prepared{text: r.longString(), keyspace: s.keyspace}
	if r.bad {
		return nil, nil
	}
	st, err := s.parse(kept)
	if err != nil {
		return nil, err
	}
	t, err := s.shape(st)
	if err != nil {
		return nil, err
	}
	id := md5.Sum([]byte(kept.keyspace + "\x00" + kept.text))
	s.prepared[string(id[:])] = kept
	w := &writer{}
	w.int(4)
	w.shortBytes(id[:])
	if err := t.writeBinds(w, st); err != nil {
		return nil, err
	}
	if st.verb != verbSelect {
		w.int(4) // no metadata
		w.int(0)
		return w.frame(opResult), nil
	}
	columns, err := t.selected(st)
	if err != nil {
		return nil, err
	}
	t.writeColumns(w, columns, false)
	return w.frame(opResult), nil
}
