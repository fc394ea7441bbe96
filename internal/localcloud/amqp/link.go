package amqp

import (
	"context"
	"slices"
)

// attach makes a link, or refuses it the way the protocol wants: an answer that
// leads nowhere, and a detach that says why.
func (s *session) attach(ctx context.Context, p performative) {
	handle := p.number(1, 0)
	if s.links[handle] != nil {
		s.conn.shut(&Error{NotAllowed, "the handle is in use"})
		return
	}
	l := describe(p)
	node, refused := s.conn.peer.Attach(l)
	if refused != nil {
		s.answer(p, l, true)
		s.send(composite(kindDetach, handle, true, refused.wire()), nil)
		return
	}
	s.answer(p, l, false)
	if l.Sends {
		in := &incoming{session: s, handle: handle, address: l.Address, node: node}
		s.links[handle] = in
		in.grant()
		return
	}
	s.links[handle] = s.outgoing(ctx, handle, l, node)
}

func (s *session) outgoing(ctx context.Context, handle uint32, l Link, node Node) *outgoing {
	ctx, cancel := context.WithCancel(ctx)
	out := &outgoing{session: s, handle: handle, source: node.Source, settled: l.Settled, tags: map[uint32][]byte{}, cancel: cancel}
	if node.Answer != nil {
		out.answers = []string{l.ReplyTo, nodeOf(l.Address)}
		out.source = &replies{}
		for _, name := range out.answers {
			s.conn.answers[name] = out
		}
	}
	s.conn.work.Go(func() { out.wait(ctx) })
	return out
}

// describe reads what a client asks for.
func describe(p performative) Link {
	l := Link{Name: p.text(0), Sends: !p.flag(2), Settled: p.number(3, 2) == 1}
	l.Properties, _ = p.at(13).(Map)
	source, _ := part(p.at(5))
	target, _ := part(p.at(6))
	if l.Sends {
		l.Address = target.text(0)
		return l
	}
	l.Address, l.ReplyTo = source.text(0), target.text(0)
	l.Filters, _ = source.at(7).(Map)
	return l
}

// answer attaches this side's end.
func (s *session) answer(p performative, l Link, refused bool) {
	source, target := p.at(5), p.at(6)
	if refused && l.Sends {
		target = nil
	} else if refused {
		source = nil
	}
	var count any
	if !l.Sends {
		count = uint32(0)
	}
	s.send(composite(kindAttach, p.text(0), p.number(1, 0), l.Sends, p.at(3), p.at(4), source, target,
		nil, nil, count, uint64(maxTarget), p.at(12), nil, p.at(13)), nil)
}

// incoming is the receiving end of a link the client sends on.
type incoming struct {
	session *session
	handle  uint32
	address string
	node    Node

	count, credit uint32
	partial       []byte // of a message that comes in several transfers
	started       bool
	id, format    uint32
	settled       bool
}

// grant gives the client credit, and again when half of it is used up.
func (l *incoming) grant() {
	if l.credit <= givenCredit/2 {
		l.credit = givenCredit
		l.session.sendFlow(l.handle, l.count, l.credit)
	}
}

func (l *incoming) flow(p performative) {
	if p.flag(9) {
		l.session.sendFlow(l.handle, l.count, l.credit)
	}
}

func (l *incoming) end() {}

func (l *incoming) transfer(p performative, payload []byte) {
	if !l.started {
		l.started, l.id, l.format, l.settled = true, p.number(1, 0), p.number(3, 0), false
	}
	l.settled = l.settled || p.flag(4)
	l.partial = append(l.partial, payload...)
	aborted := p.flag(9)
	if p.flag(5) && !aborted && len(l.partial) <= maxTarget {
		return // there is more
	}
	body := l.partial
	l.partial, l.started = nil, false
	l.count++
	l.credit--
	switch {
	case len(body) > maxTarget:
		l.session.send(composite(kindDetach, l.handle, true, (&Error{tooLarge, "the message is too large"}).wire()), nil)
		delete(l.session.links, l.handle)
		return
	case !aborted:
		err := l.deliver(body)
		if !l.settled {
			l.session.send(disposition(true, l.id, composite(kindAccepted), err), nil)
		}
	}
	l.grant()
}

func (l *incoming) deliver(body []byte) *Error {
	m, err := ParseMessage(body)
	if err != nil {
		return &Error{DecodeError, err.Error()}
	}
	if l.node.Answer == nil {
		return l.node.Target.Put(m, l.format)
	}
	out := l.session.conn.answers[text(m.ReplyTo)]
	if out == nil { // some clients name no address; they have one pair of links per node
		out = l.session.conn.answers[nodeOf(l.address)]
	}
	if out != nil {
		out.reply(l.node.Answer(m).message(m))
	}
	return nil
}

// nodeOf is a name for a node that no client can give to an address of its own.
func nodeOf(address string) string { return "\x00" + address }

// outgoing is the sending end of a link the client receives on.
type outgoing struct {
	session *session
	handle  uint32
	source  Source
	settled bool
	answers []string // names a link for answers is found by
	cancel  context.CancelFunc

	count, credit uint32
	drain         bool
	tags          map[uint32][]byte // of deliveries under way, by id
	ended         bool
}

// wait pumps whenever the source has more.
func (l *outgoing) wait(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.source.Wake():
			l.session.conn.mu.Lock()
			l.pump()
			l.session.conn.mu.Unlock()
		}
	}
}

func (l *outgoing) flow(p performative) {
	l.credit = p.number(5, l.count) + p.number(6, 0) - l.count
	l.drain = p.flag(8)
	l.pump()
	if p.flag(9) && !l.drain {
		l.session.sendFlow(l.handle, l.count, l.credit)
	}
}

// pump sends what there is, as far as credit and window reach. A client that
// drains gets told that nothing more comes.
func (l *outgoing) pump() {
	dry := l.credit == 0
	for !l.ended && !dry && l.session.room > 0 {
		d := l.source.Take()
		if d != nil {
			l.transfer(d)
		}
		dry = d == nil || l.credit == 0
	}
	if l.drain && dry && !l.ended {
		l.count, l.credit, l.drain = l.count+l.credit, 0, false
		s := l.session
		s.send(composite(kindFlow, s.nextIncoming, uint32(window), s.nextOutgoing, uint32(window), l.handle, l.count, uint32(0), uint32(0), true), nil)
	}
}

func (l *outgoing) transfer(d *Delivery) {
	s := l.session
	id := s.nextDelivery
	s.nextDelivery++
	l.count++
	l.credit--
	tag := d.Tag
	if tag == nil {
		tag = tagFor(id)
	}
	if !l.settled {
		s.unsettled[id], l.tags[id] = l, tag
	}
	body := d.Message.Bytes()
	size := int(s.conn.frameLimit) - 64 - len(tag) // what a frame has room for beside the transfer itself
	for chunk := range slices.Chunk(body, max(size, 1)) {
		body = body[len(chunk):]
		s.send(composite(kindTransfer, l.handle, id, tag, uint32(0), l.settled, len(body) > 0), chunk)
		s.nextOutgoing++
		if s.room > 0 {
			s.room--
		}
	}
	if l.settled {
		_ = l.source.Settle(tag, Accepted) // the client does not hear what became of it
	}
}

func (l *outgoing) settle(id uint32, o Outcome) *Error {
	tag := l.tags[id]
	delete(l.tags, id)
	return l.source.Settle(tag, o)
}

func (l *outgoing) end() {
	l.ended = true
	l.cancel()
	for id := range l.tags {
		delete(l.session.unsettled, id)
	}
	for _, name := range l.answers {
		if l.session.conn.answers[name] == l {
			delete(l.session.conn.answers, name)
		}
	}
	l.source.Close()
}

// reply queues an answer. Answers of one connection are made under its lock.
func (l *outgoing) reply(m *Message) {
	if r, ok := l.source.(*replies); ok {
		r.waiting = append(r.waiting, m)
		l.pump()
	}
}

// replies is the source of a link for answers.
type replies struct{ waiting []*Message }

func (r *replies) Take() *Delivery {
	if len(r.waiting) == 0 {
		return nil
	}
	m := r.waiting[0]
	r.waiting = r.waiting[1:]
	return &Delivery{Message: m}
}

func (r *replies) Wake() <-chan struct{}         { return nil }
func (r *replies) Settle([]byte, Outcome) *Error { return nil }
func (r *replies) Close()                        {}
