package amqp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxFrame  = 1 << 16 // bytes of one frame, both ways at most
	maxTarget = 1 << 20 // bytes of one message
	idleTime  = 4 * time.Minute
	writeTime = 30 * time.Second
)

// conn is one connection. Everything below mu belongs to it, sessions and links
// included: frames are handled one at a time.
type conn struct {
	options Options
	wire    net.Conn
	in      *bufio.Reader
	peer    Peer
	work    sync.WaitGroup

	mu         sync.Mutex
	frameLimit uint32 // what the client takes
	sessions   map[uint16]*session
	answers    map[string]*outgoing // links that answers go to, by the client's address
	closing    bool
}

// negotiate does protocol headers and signing in.
func (c *conn) negotiate() bool {
	c.in = bufio.NewReader(c.wire)
	kind, ok := c.header()
	if !ok {
		return false
	}
	if kind == headerSASL {
		if !c.signIn() {
			return false
		}
		kind, ok = c.header()
	} else if !c.peer.SignIn(Anonymous, "", "") {
		return false
	}
	return ok && kind == headerAMQP
}

// header reads the client's protocol header and answers it. A version this side
// does not speak is answered with the one it does, as the protocol asks for.
func (c *conn) header() (kind byte, ok bool) {
	var head [8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, false
	}
	kind = head[4]
	known := (kind == headerAMQP || kind == headerSASL) && bytes.Equal(head[:], protocolHeader(kind))
	if !known {
		kind = headerSASL
	}
	_, err := c.wire.Write(protocolHeader(kind))
	return kind, known && err == nil
}

func (c *conn) signIn() bool {
	mechanisms := Array{}
	for _, m := range c.options.Mechanisms {
		mechanisms = append(mechanisms, Symbol(m))
	}
	if writeFrame(c.wire, frameSASL, 0, composite(kindMechanisms, mechanisms), nil) != nil {
		return false
	}
	f, err := readFrame(c.in, maxFrame)
	if err != nil || f.kind != frameSASL || f.body.kind != kindInit {
		return false
	}
	mechanism := f.body.text(0)
	first, _ := f.body.at(1).([]byte)
	user, secret, wellFormed := credentials(mechanism, first)
	const good, refused = uint8(0), uint8(1)
	outcome := refused
	if wellFormed && slices.Contains(c.options.Mechanisms, mechanism) && c.peer.SignIn(mechanism, user, secret) {
		outcome = good
	}
	return writeFrame(c.wire, frameSASL, 0, composite(kindOutcome, outcome), nil) == nil && outcome == good
}

// credentials takes the first answer of a mechanism apart.
func credentials(mechanism string, first []byte) (user, secret string, ok bool) {
	if mechanism != Plain {
		return "", "", true
	}
	parts := strings.Split(string(first), "\x00") // authorization id, user, password
	if len(parts) != 3 {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// run serves an open connection to its end.
func (c *conn) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer c.work.Wait()
	defer c.endSessions()
	defer cancel()
	f, err := readFrame(c.in, maxFrame)
	if err != nil || f.body.kind != kindOpen {
		return
	}
	c.opened(ctx, f.body)
	for !c.closed() {
		_ = c.wire.SetReadDeadline(time.Now().Add(2 * idleTime)) // as above
		f, err := readFrame(c.in, maxFrame)
		if err != nil {
			c.garbled(err)
			return
		}
		c.handle(ctx, f)
	}
}

func (c *conn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// garbled tells the client what this side could not read, unless the line is dead.
func (c *conn) garbled(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, broken := err.(net.Error); !broken && err != io.EOF && err != io.ErrUnexpectedEOF {
		c.shut(&Error{framingError, err.Error()})
	}
}

// opened answers the client's open. The service closes at once whom it does not let in.
func (c *conn) opened(ctx context.Context, open performative) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.wire.SetDeadline(time.Time{}) // as above
	c.frameLimit = min(max(open.number(2, maxFrame), 512), maxFrame)
	c.send(0, composite(kindOpen, c.options.Name, nil, uint32(maxFrame), uint16(4999), uint32(idleTime.Milliseconds())), nil)
	if refused := c.peer.Admit(); refused != nil {
		c.shut(refused)
		return
	}
	if idle := time.Duration(open.number(4, 0)) * time.Millisecond; idle > 0 {
		c.work.Go(func() { c.beat(ctx, idle/2) })
	}
}

// beat gives signs of life as often as the client asked for.
func (c *conn) beat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(max(every, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.mu.Lock()
			c.send(0, nil, nil)
			c.mu.Unlock()
		}
	}
}

// send writes one frame; a connection that takes none any more ends in its reader.
func (c *conn) send(channel uint16, body any, payload []byte) {
	_ = c.wire.SetWriteDeadline(time.Now().Add(writeTime)) // as above
	if writeFrame(c.wire, frameAMQP, channel, body, payload) != nil {
		_ = c.wire.Close()
	}
}

// shut closes the connection with a reason.
func (c *conn) shut(why *Error) {
	if !c.closing {
		c.closing = true
		c.send(0, composite(kindClose, why.wire()), nil)
	}
}

// handle takes one frame of the client's.
func (c *conn) handle(ctx context.Context, f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.empty || c.closing {
		return
	}
	s := c.sessions[f.channel]
	switch {
	case f.kind != frameAMQP:
		c.shut(&Error{framingError, "a frame of another protocol"})
	case f.body.kind == kindClose:
		c.shut(nil)
	case f.body.kind == kindBegin && s == nil:
		c.sessions[f.channel] = beginSession(c, f.channel, f.body)
	case f.body.kind == kindEnd && s != nil:
		s.end()
		c.send(f.channel, composite(kindEnd), nil)
	case s == nil:
		c.shut(&Error{NotAllowed, "the session has not begun"})
	default:
		s.handle(ctx, f)
	}
}

func (c *conn) endSessions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		s.end()
	}
}
