package amqp

import (
	"errors"
	"fmt"
)

// Descriptors of a message's sections.
const (
	sectionHeader      = 0x70
	sectionDelivery    = 0x71
	sectionAnnotations = 0x72
	sectionProperties  = 0x73
	sectionApplication = 0x74
	sectionData        = 0x75
	sectionSequence    = 0x76
	sectionValue       = 0x77
	sectionFooter      = 0x78
)

// FormatBatch marks a message whose data sections are messages themselves.
const FormatBatch = 0x80013700

// Message is one message. Bare is everything from the properties on, byte by byte
// as it came; what stands in front of it may change on the way.
type Message struct {
	Header      []any
	Annotations Map
	Bare        []byte

	// Read out of Bare.
	ID, ReplyTo, SessionID any
	Subject                string
	Application            Map
	Data                   [][]byte
	Value                  any
}

// ParseMessage reads a message.
func ParseMessage(b []byte) (*Message, error) {
	m := &Message{}
	for last := uint64(0); len(b) > 0; {
		v, rest, err := Decode(b)
		if err != nil {
			return nil, fmt.Errorf("read message: %w", err)
		}
		d, ok := v.(Described)
		kind, isNumber := number(d.Descriptor)
		if !ok || !isNumber || kind < max(last, sectionHeader) || kind > sectionFooter {
			return nil, errors.New("read message: a section is unknown or out of order")
		}
		if kind >= sectionProperties && m.Bare == nil {
			m.Bare = b
		}
		m.take(kind, d.Value)
		last, b = kind, rest
	}
	return m, nil
}

func (m *Message) take(kind uint64, v any) {
	switch kind {
	case sectionHeader:
		m.Header, _ = v.([]any)
	case sectionAnnotations:
		m.Annotations, _ = v.(Map)
	case sectionProperties:
		p := performative{}
		p.fields, _ = v.([]any)
		m.ID, m.Subject, m.ReplyTo, m.SessionID = p.at(0), p.text(3), p.at(4), p.at(10)
	case sectionApplication:
		m.Application, _ = v.(Map)
	case sectionData:
		data, _ := v.([]byte)
		m.Data = append(m.Data, data)
	case sectionValue:
		m.Value = v
	}
}

// Bytes is the message on the wire.
func (m *Message) Bytes() []byte {
	var b []byte
	if m.Header != nil {
		b = Append(b, Described{uint64(sectionHeader), m.Header})
	}
	if m.Annotations != nil {
		b = Append(b, Described{uint64(sectionAnnotations), m.Annotations})
	}
	return append(b, m.Bare...)
}

// Unpack returns the messages of a batch, or the message itself.
func (m *Message) Unpack(format uint32) ([]*Message, error) {
	if format != FormatBatch {
		return []*Message{m}, nil
	}
	var all []*Message
	for _, data := range m.Data {
		one, err := ParseMessage(data)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Reply is the answer of a request-and-answer node.
type Reply struct {
	Status      int32
	Description string
	Value       any // nil answers with an empty map
}

// message builds the answer to a request, in the two spellings clients look for.
func (r Reply) message(to *Message) *Message {
	value := r.Value
	if value == nil {
		value = Map{}
	}
	application := Map{
		{"status-code", r.Status}, {"status-description", r.Description},
		{"statusCode", r.Status}, {"statusDescription", r.Description},
	}
	m := &Message{}
	m.Bare = Append(m.Bare, composite(sectionProperties, nil, nil, nil, nil, nil, to.ID))
	m.Bare = Append(m.Bare, Described{uint64(sectionApplication), application})
	m.Bare = Append(m.Bare, Described{uint64(sectionValue), value})
	return m
}

// Error is an error condition of the protocol, or of the service behind it.
type Error struct{ Condition, Description string }

func (e *Error) Error() string { return e.Condition + ": " + e.Description }

func (e *Error) wire() any {
	if e == nil {
		return nil
	}
	return composite(kindError, Symbol(e.Condition), e.Description, Map{})
}

// Conditions that the protocol names.
const (
	NotFound     = "amqp:not-found"
	Unauthorized = "amqp:unauthorized-access"
	NotAllowed   = "amqp:not-allowed"
	DecodeError  = "amqp:decode-error"
	Internal     = "amqp:internal-error"
	framingError = "amqp:connection:framing-error"
	tooLarge     = "amqp:link:message-size-exceeded"
)
