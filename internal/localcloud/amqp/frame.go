package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kinds of frames, and of protocol headers.
const (
	frameAMQP = 0
	frameSASL = 1

	headerAMQP = 0
	headerSASL = 3
)

// Descriptors of what frames carry.
const (
	kindOpen        = 0x10
	kindBegin       = 0x11
	kindAttach      = 0x12
	kindFlow        = 0x13
	kindTransfer    = 0x14
	kindDisposition = 0x15
	kindDetach      = 0x16
	kindEnd         = 0x17
	kindClose       = 0x18
	kindError       = 0x1d

	kindMechanisms = 0x40
	kindInit       = 0x41
	kindOutcome    = 0x44

	kindAccepted = 0x24
	kindRejected = 0x25
	kindReleased = 0x26
	kindModified = 0x27
)

// frameHead is how long a frame's header is.
const frameHead = 8

// frame is one frame as it came in.
type frame struct {
	kind    byte   // frameAMQP or frameSASL
	channel uint16 // of the sender
	body    performative
	payload []byte // of a transfer
	empty   bool   // only a sign of life
}

// performative is what a frame says: a list under a numeric descriptor. Members
// the sender left out at the end read as nil.
type performative struct {
	kind   uint64
	fields []any
}

func (p performative) at(n int) any {
	if n < len(p.fields) {
		return p.fields[n]
	}
	return nil
}

func (p performative) text(n int) string { return text(p.at(n)) }

func (p performative) flag(n int) bool {
	on, _ := p.at(n).(bool)
	return on
}

// number is an unsigned member, or another value where it is left out.
func (p performative) number(n int, other uint32) uint32 {
	if u, ok := number(p.at(n)); ok {
		return uint32(u)
	}
	return other
}

// part is a composite value inside a performative, such as a link's source.
func part(v any) (p performative, ok bool) {
	d, ok := v.(Described)
	if !ok {
		return performative{}, false
	}
	kind, ok := number(d.Descriptor)
	if !ok {
		return performative{}, false
	}
	fields, ok := d.Value.([]any)
	return performative{kind, fields}, ok
}

// lengths are how many members each performative has. Members at the end may be left
// out, but some clients (Azure's for Python) read them by position all the same.
var lengths = map[uint64]int{
	kindOpen: 10, kindBegin: 8, kindAttach: 14, kindFlow: 11, kindTransfer: 11, kindDisposition: 6, kindDetach: 3, kindEnd: 1, kindClose: 1,
}

// whole fills a performative up to its full length.
func whole(d Described) Described {
	fields, _ := d.Value.([]any)
	kind, _ := number(d.Descriptor)
	for len(fields) < lengths[kind] {
		fields = append(fields, nil)
	}
	return Described{d.Descriptor, fields}
}

// composite builds what part reads.
func composite(kind uint64, fields ...any) Described { return Described{kind, fields} }

// readFrame reads one frame of no more than limit bytes.
func readFrame(r io.Reader, limit uint32) (frame, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < frameHead || size > limit {
		return frame{}, fmt.Errorf("a frame of %d bytes", size)
	}
	data := make([]byte, size-frameHead)
	if _, err := io.ReadFull(r, data); err != nil {
		return frame{}, err
	}
	skip := int(head[4])*4 - frameHead
	if skip < 0 || skip > len(data) {
		return frame{}, errors.New("a frame's data offset lies outside of it")
	}
	f := frame{kind: head[5], channel: binary.BigEndian.Uint16(head[6:])}
	return f, f.parse(data[skip:])
}

func (f *frame) parse(data []byte) error {
	if len(data) == 0 {
		f.empty = true
		return nil
	}
	v, rest, err := Decode(data)
	if err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	body, ok := part(v)
	if !ok {
		return errors.New("a frame carries no performative")
	}
	f.body, f.payload = body, rest
	return nil
}

// writeFrame writes a whole frame in one call.
func writeFrame(w io.Writer, kind byte, channel uint16, body any, payload []byte) error {
	b := make([]byte, frameHead, frameHead+64+len(payload))
	if d, ok := body.(Described); ok {
		body = whole(d)
	}
	if body != nil {
		b = Append(b, body)
	}
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	b[4], b[5] = 2, kind
	binary.BigEndian.PutUint16(b[6:], channel)
	_, err := w.Write(b)
	return err
}

// protocolHeader is what both sides say first.
func protocolHeader(kind byte) []byte { return []byte{'A', 'M', 'Q', 'P', kind, 1, 0, 0} }
