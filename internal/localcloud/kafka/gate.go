package kafka

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxRequest = 16 << 20
	signInTime = 30 * time.Second
)

// Mechanisms of signing in.
const (
	plain  = "PLAIN"
	bearer = "OAUTHBEARER"
)

// Keys of the requests that the gate answers itself or treats in a way of its own.
const (
	keyHandshake    = 17
	keyVersions     = 18
	keyAuthenticate = 36
)

// client is one connection at the gate.
type client struct {
	broker  *Broker
	wire    net.Conn
	in      *bufio.Reader
	inner   net.Conn
	session *Session

	mechanism string
	bare      bool // the next message is a token without a request around it
}

func (b *Broker) serve(raw net.Conn) {
	wire := raw
	if b.options.TLS != nil {
		wire = tls.Server(raw, b.options.TLS)
	}
	inner, err := b.inside.dial()
	if err != nil {
		return
	}
	defer inner.Close()
	_ = wire.SetDeadline(time.Now().Add(signInTime)) // a broken connection says so on first use
	c := &client{broker: b, wire: wire, in: bufio.NewReader(wire), inner: inner}
	for c.exchange() == nil {
	}
	_ = wire.Close()
}

// request is one request as it came in.
type request struct {
	raw     []byte
	key     int16
	version int16
	number  int32
	body    []byte // behind the header; nil where the gate does not know the key
	kind    kmsg.Request
}

func parseRequest(raw []byte) (*request, error) {
	r := kbin.Reader{Src: raw}
	q := &request{raw: raw, key: r.Int16(), version: r.Int16(), number: r.Int32()}
	_ = r.NullableString() // the client's name for itself
	if q.kind = kmsg.RequestForKey(q.key); q.kind == nil {
		return q, r.Complete()
	}
	q.kind.SetVersion(q.version)
	if q.kind.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if !r.Ok() {
		return nil, errors.New("the request's header is too short")
	}
	q.body = r.Src
	return q, nil
}

// decode reads the request itself.
func (q *request) decode() error {
	if q.kind == nil || q.version < 0 || q.version > q.kind.MaxVersion() {
		return fmt.Errorf("request %d has no version %d", q.key, q.version)
	}
	return q.kind.ReadFrom(q.body)
}

func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxRequest {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

func writeMessage(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
	return err
}

// answer writes a response of the gate's own.
func (c *client) answer(q *request, response kmsg.Response) error {
	response.SetVersion(q.version)
	b := binary.BigEndian.AppendUint32(nil, uint32(q.number))
	if response.IsFlexible() {
		b = append(b, 0) // no tags
	}
	return writeMessage(c.wire, response.AppendTo(b))
}

// exchange takes one request and answers it; an error ends the connection.
func (c *client) exchange() error {
	raw, err := readMessage(c.in)
	if err != nil {
		return err
	}
	if c.bare {
		return c.bareToken(raw)
	}
	q, err := parseRequest(raw)
	if err != nil {
		return err
	}
	switch {
	case q.key == keyVersions:
		return c.forward(q)
	case q.key == keyHandshake:
		return c.handshake(q)
	case q.key == keyAuthenticate:
		return c.authenticate(q)
	case c.session == nil:
		return errors.New("nobody has signed in")
	case !c.session.Expires.IsZero() && !time.Now().Before(c.session.Expires):
		return errors.New("the token has ended")
	}
	response, err := c.broker.judge(c.session, q)
	switch {
	case err != nil:
		return err
	case response == nil:
		return c.forward(q)
	case q.silent():
		return nil
	}
	return c.answer(q, response)
}

// silent tells of a request that has no answer, whatever becomes of it.
func (q *request) silent() bool {
	p, ok := q.kind.(*kmsg.ProduceRequest)
	return ok && p.Acks == 0
}

// forward lets the broker answer.
func (c *client) forward(q *request) error {
	if err := writeMessage(c.inner, q.raw); err != nil {
		return err
	}
	if q.silent() {
		return nil
	}
	answer, err := readMessage(c.inner)
	if err != nil {
		return err
	}
	return writeMessage(c.wire, answer)
}

func (c *client) mechanisms() []string {
	var names []string
	if c.broker.options.Plain != nil {
		names = append(names, plain)
	}
	if c.broker.options.Token != nil {
		names = append(names, bearer)
	}
	return names
}

func (c *client) handshake(q *request) error {
	if err := q.decode(); err != nil {
		return err
	}
	wanted := q.kind.(*kmsg.SASLHandshakeRequest).Mechanism
	response := kmsg.NewPtrSASLHandshakeResponse()
	response.SupportedMechanisms = c.mechanisms()
	response.ErrorCode = kerr.UnsupportedSaslMechanism.Code
	for _, name := range response.SupportedMechanisms {
		if name == wanted {
			response.ErrorCode, c.mechanism, c.bare = 0, wanted, q.version == 0
		}
	}
	return c.answer(q, response)
}

// bareToken signs in the way clients did that only know the first handshake.
func (c *client) bareToken(token []byte) error {
	c.bare = false
	if err := c.signIn(token); err != nil {
		return err
	}
	return writeMessage(c.wire, nil)
}

func (c *client) authenticate(q *request) error {
	if err := q.decode(); err != nil {
		return err
	}
	response := kmsg.NewPtrSASLAuthenticateResponse()
	if c.mechanism == "" {
		response.ErrorCode = kerr.IllegalSaslState.Code
		return c.answer(q, response)
	}
	if err := c.signIn(q.kind.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes); err != nil {
		text := err.Error()
		response.ErrorCode, response.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &text
		return errors.Join(c.answer(q, response), err)
	}
	if end := c.session.Expires; !end.IsZero() {
		response.SessionLifetimeMillis = max(time.Until(end).Milliseconds(), 1)
	}
	return c.answer(q, response)
}

// signIn checks what the client shows. A session that is there stays until another
// takes its place.
func (c *client) signIn(token []byte) error {
	s, err := c.check(string(token))
	if err != nil {
		return err
	}
	c.session = &s
	return c.wire.SetDeadline(time.Time{})
}

func (c *client) check(token string) (Session, error) {
	if c.mechanism == bearer {
		for _, member := range strings.Split(token, "\x01") {
			if text, ok := strings.CutPrefix(member, "auth=Bearer "); ok {
				return c.broker.options.Token(text)
			}
		}
		return Session{}, errors.New("there is no bearer token")
	}
	parts := strings.Split(token, "\x00") // authorization id, user, password
	if len(parts) != 3 {
		return Session{}, errors.New("user name and password are malformed")
	}
	return c.broker.options.Plain(parts[1], parts[2])
}
