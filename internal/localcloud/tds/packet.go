package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Kinds of packets.
const (
	kindBatch       = 0x01
	kindRPC         = 0x03
	kindReply       = 0x04
	kindAttention   = 0x06
	kindToken       = 0x08
	kindTransaction = 0x0E
	kindLogin       = 0x10
	kindPrelogin    = 0x12
)

// Bits of a packet's status.
const (
	statusEnd   = 0x01
	statusReset = 0x08 | 0x10
)

const (
	headerSize  = 8
	defaultSize = 4096
	minSize     = 512
	maxSize     = 32767
	maxMessage  = 4 << 20
)

var errProtocol = errors.New("not what the protocol allows here")

// message is one request: the payload of its packets together.
type message struct {
	kind  byte
	reset bool // the session starts afresh with it
	body  []byte
}

// wire frames messages into packets. It reads no byte ahead, because the channel
// below it changes when TLS takes over.
type wire struct {
	rw   io.ReadWriter
	size int // of an outgoing packet
}

// packet reads one packet.
func (w *wire) packet() (kind, status byte, body []byte, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(w.rw, head[:]); err != nil {
		return 0, 0, nil, fmt.Errorf("read packet: %w", err)
	}
	length := int(binary.BigEndian.Uint16(head[2:4]))
	if length < headerSize || length > maxSize {
		return 0, 0, nil, fmt.Errorf("packet of %d bytes: %w", length, errProtocol)
	}
	body = make([]byte, length-headerSize)
	if _, err := io.ReadFull(w.rw, body); err != nil {
		return 0, 0, nil, fmt.Errorf("read packet: %w", err)
	}
	return head[0], head[1], body, nil
}

// read reads one message.
func (w *wire) read() (message, error) {
	var m message
	for first := true; ; first = false {
		kind, status, body, err := w.packet()
		switch {
		case err != nil:
			return message{}, err
		case first:
			m.kind, m.reset = kind, status&statusReset != 0
		case kind != m.kind:
			return message{}, fmt.Errorf("packet of kind %d inside a message of kind %d: %w", kind, m.kind, errProtocol)
		}
		if m.body = append(m.body, body...); len(m.body) > maxMessage {
			return message{}, fmt.Errorf("message of more than %d bytes: %w", maxMessage, errProtocol)
		}
		if status&statusEnd != 0 {
			return m, nil
		}
	}
}

// write sends one message.
func (w *wire) write(kind byte, body []byte) error {
	room := w.size - headerSize
	for sequence := byte(1); ; sequence++ {
		n := min(room, len(body))
		status := byte(0)
		if n == len(body) {
			status = statusEnd
		}
		out := make([]byte, headerSize, headerSize+n)
		out[0], out[1], out[6] = kind, status, sequence
		binary.BigEndian.PutUint16(out[2:4], uint16(headerSize+n))
		if _, err := w.rw.Write(append(out, body[:n]...)); err != nil {
			return fmt.Errorf("write packet: %w", err)
		}
		if body = body[n:]; status == statusEnd {
			return nil
		}
	}
}

// handshake is the channel TLS shakes hands over: its records travel inside prelogin
// packets until it is done, and bare afterwards.
type handshake struct {
	net.Conn
	wire *wire
	rest []byte
	done bool
}

func (h *handshake) Read(p []byte) (int, error) {
	if h.done && len(h.rest) == 0 {
		return h.Conn.Read(p)
	}
	for len(h.rest) == 0 {
		kind, _, body, err := h.wire.packet()
		if err != nil {
			return 0, err
		}
		if kind != kindPrelogin {
			return 0, fmt.Errorf("packet of kind %d in the handshake: %w", kind, errProtocol)
		}
		h.rest = body
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

func (h *handshake) Write(p []byte) (int, error) {
	if h.done {
		return h.Conn.Write(p)
	}
	if err := h.wire.write(kindPrelogin, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
