package mongo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Codes of operations on the wire.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013

	headerSize = 16
	// maxMessage is what hello announces.
	maxMessage = 48000000
)

// Flags of OP_MSG.
const (
	flagChecksum   = 1 << 0
	flagMoreToCome = 1 << 1
	flagExhaust    = 1 << 16
	knownRequired  = flagChecksum | flagMoreToCome // the low 16 bits must be known
)

var errProtocol = errors.New("malformed message")

// message is one request.
type message struct {
	id      int32
	op      int32
	silent  bool   // no answer is wanted
	body    bson.D // the command, with the documents of its sequences as arrays
	legacy  bool   // came by OP_QUERY
	dbField string // database of a legacy command
}

func readMessage(r io.Reader) (*message, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	size := int32(binary.LittleEndian.Uint32(head[:]))
	if size < headerSize || size > maxMessage {
		return nil, fmt.Errorf("length %d: %w", size, errProtocol)
	}
	body := make([]byte, size-headerSize)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	m := &message{id: int32(binary.LittleEndian.Uint32(head[4:])), op: int32(binary.LittleEndian.Uint32(head[12:]))}
	switch m.op {
	case opMsg:
		return m, m.readMsg(body)
	case opQuery:
		return m, m.readQuery(body)
	}
	return nil, fmt.Errorf("operation %d: %w", m.op, errProtocol)
}

// readMsg takes OP_MSG apart: flags, one document, sequences of documents.
func (m *message) readMsg(body []byte) error {
	if len(body) < 4 {
		return errProtocol
	}
	flags := binary.LittleEndian.Uint32(body)
	if flags&0xffff&^knownRequired != 0 {
		return fmt.Errorf("flags %x: %w", flags, errProtocol)
	}
	body = body[4:]
	if flags&flagChecksum != 0 {
		if len(body) < 4 {
			return errProtocol
		}
		body = body[:len(body)-4] // TLS already vouches for the bytes
	}
	m.silent = flags&flagMoreToCome != 0
	bodies := 0
	for len(body) > 0 {
		kind := body[0]
		var err error
		switch kind {
		case 0:
			bodies++
			body, err = m.readBody(body[1:])
		case 1:
			body, err = m.readSequence(body[1:])
		default:
			err = fmt.Errorf("section %d: %w", kind, errProtocol)
		}
		if err != nil {
			return err
		}
	}
	if bodies != 1 {
		return fmt.Errorf("%d bodies: %w", bodies, errProtocol)
	}
	return nil
}

func (m *message) readBody(rest []byte) ([]byte, error) {
	raw, rest, err := takeDocument(rest)
	if err != nil {
		return nil, err
	}
	var d bson.D
	if err := bson.Unmarshal(raw, &d); err != nil {
		return nil, errProtocol
	}
	m.body = append(d, m.body...) // sequences may come first
	return rest, nil
}

func (m *message) readSequence(rest []byte) ([]byte, error) {
	if len(rest) < 4 {
		return nil, errProtocol
	}
	size := int(binary.LittleEndian.Uint32(rest))
	if size < 5 || size > len(rest) {
		return nil, errProtocol
	}
	section, rest := rest[4:size], rest[size:]
	end := bytes.IndexByte(section, 0)
	if end < 0 {
		return nil, errProtocol
	}
	name, section := string(section[:end]), section[end+1:]
	list := bson.A{}
	for len(section) > 0 {
		var raw []byte
		var err error
		if raw, section, err = takeDocument(section); err != nil {
			return nil, err
		}
		var d bson.D
		if err := bson.Unmarshal(raw, &d); err != nil {
			return nil, errProtocol
		}
		list = append(list, d)
	}
	m.body = append(m.body, bson.E{Key: name, Value: list})
	return rest, nil
}

// takeDocument cuts one BSON document off.
func takeDocument(b []byte) (bson.Raw, []byte, error) {
	if len(b) < 5 {
		return nil, nil, errProtocol
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size < 5 || size > len(b) {
		return nil, nil, errProtocol
	}
	raw := bson.Raw(b[:size])
	if raw.Validate() != nil {
		return nil, nil, errProtocol
	}
	return raw, b[size:], nil
}

// readQuery takes the legacy OP_QUERY apart; drivers open a connection with it.
func (m *message) readQuery(body []byte) error {
	m.legacy = true
	if len(body) < 4 {
		return errProtocol
	}
	body = body[4:]
	end := bytes.IndexByte(body, 0)
	if end < 0 || len(body) < end+9 {
		return errProtocol
	}
	name, ok := bytes.CutSuffix(body[:end], []byte(".$cmd"))
	if !ok {
		return fmt.Errorf("a query of a collection: %w", errProtocol)
	}
	m.dbField = string(name)
	raw, _, err := takeDocument(body[end+9:])
	if err != nil {
		return err
	}
	if err := bson.Unmarshal(raw, &m.body); err != nil {
		return errProtocol
	}
	return nil
}

// encode is the answer to a message on the wire.
func (m *message) encode(answer bson.D) ([]byte, error) {
	raw, err := bson.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("write answer: %w", err)
	}
	var body []byte
	op := int32(opMsg)
	if m.legacy {
		op = opReply
		body = binary.LittleEndian.AppendUint32(body, 8) // await-capable
		body = append(body, make([]byte, 12)...)         // no cursor, from the beginning
		body = binary.LittleEndian.AppendUint32(body, 1) // one document
	} else {
		body = binary.LittleEndian.AppendUint32(body, 0)
		body = append(body, 0)
	}
	body = append(body, raw...)
	var out []byte
	out = binary.LittleEndian.AppendUint32(out, uint32(headerSize+len(body)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(m.id))
	out = binary.LittleEndian.AppendUint32(out, uint32(op))
	return append(out, body...), nil
}
