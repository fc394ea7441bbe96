package amqp

import (
	"context"
	"encoding/binary"
)

const (
	window      = 1<<31 - 1 // transfers this side takes before it says more
	givenCredit = 1000      // messages a sending link may have under way
)

// session is one session. The numbers of a client's handles and channels serve
// this side as well.
type session struct {
	conn    *conn
	channel uint16
	links   map[uint32]link

	nextIncoming uint32
	nextOutgoing uint32
	room         uint32 // transfers the client takes
	nextDelivery uint32
	unsettled    map[uint32]*outgoing // deliveries under way, by id
}

// link is one end of a link.
type link interface {
	flow(p performative)
	// end releases what the link holds.
	end()
}

func beginSession(c *conn, channel uint16, begin performative) *session {
	s := &session{conn: c, channel: channel, links: map[uint32]link{}, nextIncoming: begin.number(1, 0),
		room: begin.number(2, 0), unsettled: map[uint32]*outgoing{}}
	s.send(composite(kindBegin, channel, s.nextOutgoing, uint32(window), uint32(window), uint32(255)), nil)
	return s
}

func (s *session) send(body any, payload []byte) { s.conn.send(s.channel, body, payload) }

func (s *session) end() {
	for handle, l := range s.links {
		delete(s.links, handle)
		l.end()
	}
	delete(s.conn.sessions, s.channel)
}

func (s *session) handle(ctx context.Context, f frame) {
	switch f.body.kind {
	case kindAttach:
		s.attach(ctx, f.body)
	case kindDetach:
		s.detach(f.body)
	case kindFlow:
		s.flow(f.body)
	case kindTransfer:
		s.nextIncoming++
		if l, ok := s.links[f.body.number(0, 0)].(*incoming); ok {
			l.transfer(f.body, f.payload)
		}
	case kindDisposition:
		if f.body.flag(0) { // of the client as a receiver; what it says as a sender was settled here before
			s.dispose(f.body)
		}
	default:
		s.conn.shut(&Error{NotAllowed, "a frame that has no place in a session"})
	}
}

func (s *session) detach(p performative) {
	handle := p.number(0, 0)
	l, ok := s.links[handle]
	if !ok {
		return // answered when it was refused
	}
	delete(s.links, handle)
	l.end()
	s.send(composite(kindDetach, handle, p.flag(1)), nil)
}

func (s *session) flow(p performative) {
	s.room = p.number(0, 0) + p.number(1, 0) - s.nextOutgoing
	if handle, given := number(p.at(4)); given {
		if l := s.links[uint32(handle)]; l != nil {
			l.flow(p)
		}
	} else if p.flag(9) {
		s.sendFlow(nil, 0, 0)
	}
	for _, l := range s.links {
		if out, ok := l.(*outgoing); ok {
			out.pump()
		}
	}
}

// sendFlow tells the client how the session stands, and a link when handle is set.
func (s *session) sendFlow(handle any, count, credit uint32) {
	fields := []any{s.nextIncoming, uint32(window), s.nextOutgoing, uint32(window)}
	if handle != nil {
		fields = append(fields, handle, count, credit)
	}
	s.send(Described{uint64(kindFlow), fields}, nil)
}

// dispose settles deliveries the way the client wants it.
func (s *session) dispose(p performative) {
	first := p.number(1, 0)
	last := p.number(2, first)
	state, _ := part(p.at(4))
	outcome, known := map[uint64]Outcome{kindAccepted: Accepted, kindRejected: Rejected, kindReleased: Released, kindModified: Modified}[state.kind]
	if !known && !p.flag(3) {
		return // no outcome yet
	}
	if !known {
		outcome = Released // settled without a word
	}
	for id := first; id-first <= last-first; id++ {
		l := s.unsettled[id]
		if l == nil {
			continue
		}
		delete(s.unsettled, id)
		lost := l.settle(id, outcome)
		if !p.flag(3) {
			// Accepted is what was asked for: clients take another state for a failure.
			s.send(disposition(false, id, composite(kindAccepted), lost), nil)
		}
		if id == last {
			break // last may be the highest number there is
		}
	}
}

// disposition settles one delivery; an error takes the place of the state.
func disposition(receiver bool, id uint32, state any, err *Error) Described {
	if err != nil {
		state = composite(kindRejected, err.wire())
	}
	return composite(kindDisposition, receiver, id, id, true, state)
}

// tagFor is a tag where the service behind a link has none of its own.
func tagFor(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }
