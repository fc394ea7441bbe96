package mysql

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Capability flags of the protocol that the gate looks at.
const (
	capMySQL        = 1 << 0 // clear on a MariaDB server, whose own extensions follow
	capWithDB       = 1 << 3
	capCompress     = 1 << 5
	capProtocol41   = 1 << 9
	capSSL          = 1 << 11
	capSecure       = 1 << 15
	capPluginAuth   = 1 << 19
	capAttributes   = 1 << 20
	capLengthAuth   = 1 << 21
	capZstd         = 1 << 26
	nativePlugin    = "mysql_native_password"
	clearPlugin     = "mysql_clear_password"
	sslRequestSize  = 32
	maxPacket       = 1<<24 - 1
	maxHandshake    = 64 << 10 // bytes of a packet before somebody is signed in
	markOK          = 0x00
	markMore        = 0x01
	markError       = 0xff
	markSwitch      = 0xfe
	commandQuery    = 0x03
	commandChange   = 0x11
	commandPrepare  = 0x16
	statusDefault   = 0x0002 // autocommit
	charsetFallback = 45     // utf8mb4_general_ci
)

var errPacket = errors.New("malformed packet")

// packet is one message of the protocol.
type packet struct {
	seq     byte
	payload []byte
}

func readPacket(r io.Reader, limit int) (packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size > limit {
		return packet{}, fmt.Errorf("%d bytes: %w", size, errPacket)
	}
	p := packet{head[3], make([]byte, size)}
	_, err := io.ReadFull(r, p.payload)
	return p, err
}

func (p packet) bytes() []byte {
	n := len(p.payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), p.seq}, p.payload...)
}

func (p packet) mark() byte {
	if len(p.payload) == 0 {
		return markOK
	}
	return p.payload[0]
}

// refusal is a server's error.
type refusal struct {
	code    uint16
	state   string
	message string
}

func (r *refusal) Error() string { return r.message }

func (r *refusal) packet(seq byte) packet {
	p := []byte{markError}
	p = binary.LittleEndian.AppendUint16(p, r.code)
	p = append(p, '#')
	p = append(p, r.state...)
	return packet{seq, append(p, r.message...)}
}

// greetingRefusal is the form an error has before any handshake: it has no state.
func (r *refusal) greetingRefusal() packet {
	p := binary.LittleEndian.AppendUint16([]byte{markError}, r.code)
	return packet{0, append(p, r.message...)}
}

func okPacket(seq byte) packet {
	p := []byte{markOK, 0, 0}
	p = binary.LittleEndian.AppendUint16(p, statusDefault)
	return packet{seq, append(p, 0, 0)}
}

// greeting is a server's first packet.
type greeting struct {
	raw      []byte
	capsLow  int // offset of the lower capability bytes
	salt     []byte
	reserved int
	capsHigh int
}

func parseGreeting(raw []byte) (greeting, error) {
	g := greeting{raw: raw}
	end := bytes.IndexByte(raw, 0)
	if len(raw) == 0 || raw[0] != 10 || end < 0 {
		return g, errPacket
	}
	at := end + 1 + 4 // connection id
	g.capsLow = at + 8 + 1
	g.capsHigh = g.capsLow + 2 + 1 + 2
	g.reserved = g.capsHigh + 2 + 1
	second := g.reserved + 10
	if len(raw) < second+12 {
		return g, errPacket
	}
	g.salt = append(append([]byte{}, raw[at:at+8]...), raw[second:second+12]...)
	return g, nil
}

func (g greeting) capabilities() uint32 {
	return uint32(binary.LittleEndian.Uint16(g.raw[g.capsLow:])) | uint32(binary.LittleEndian.Uint16(g.raw[g.capsHigh:]))<<16
}

// shown is the greeting a client gets: with TLS, without compression, and without
// MariaDB's extensions.
func (g greeting) shown() []byte {
	out := bytes.Clone(g.raw)
	caps := g.capabilities()&^(capCompress|capZstd) | capSSL | capMySQL
	binary.LittleEndian.PutUint16(out[g.capsLow:], uint16(caps))
	binary.LittleEndian.PutUint16(out[g.capsHigh:], uint16(caps>>16))
	clear(out[g.reserved : g.reserved+10])
	return out
}

// login is a client's answer to the greeting.
type login struct {
	caps      uint32
	maxPacket uint32
	charset   byte
	user      string
	auth      []byte
	database  string
	plugin    string
	rest      []byte // connection attributes and what may follow
}

func parseLogin(raw []byte) (l login, err error) {
	if len(raw) < sslRequestSize {
		return l, errPacket
	}
	l.caps, l.maxPacket, l.charset = binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:]), raw[8]
	if l.caps&capProtocol41 == 0 || l.caps&capSecure == 0 && l.caps&capLengthAuth == 0 {
		return l, errPacket
	}
	raw = raw[sslRequestSize:]
	if l.user, raw, err = cutText(raw); err != nil {
		return l, err
	}
	if l.auth, raw, err = cutAuth(raw, l.caps); err != nil {
		return l, err
	}
	if l.caps&capWithDB != 0 && len(raw) > 0 {
		if l.database, raw, err = cutText(raw); err != nil {
			return l, err
		}
	}
	if l.caps&capPluginAuth != 0 && len(raw) > 0 {
		if l.plugin, raw, err = cutText(raw); err != nil {
			return l, err
		}
	}
	l.rest = raw
	return l, nil
}

func cutText(raw []byte) (string, []byte, error) {
	text, rest, ok := bytes.Cut(raw, []byte{0})
	if !ok {
		return "", nil, errPacket
	}
	return string(text), rest, nil
}

// cutAuth takes the answer to the salt: its length stands in one byte, or, with the
// capability for it, in a length-encoded number.
func cutAuth(raw []byte, caps uint32) (auth, rest []byte, err error) {
	if len(raw) == 0 {
		return nil, nil, errPacket
	}
	size, at := int(raw[0]), 1
	if caps&capLengthAuth != 0 && raw[0] > 250 {
		if raw[0] != 0xfc || len(raw) < 3 { // longer ones do not fit a handshake
			return nil, nil, errPacket
		}
		size, at = int(binary.LittleEndian.Uint16(raw[1:])), 3
	}
	if len(raw) < at+size {
		return nil, nil, errPacket
	}
	return raw[at : at+size], raw[at+size:], nil
}

// inner is the login as the server inside gets it: no TLS, no compression.
func (l login) inner() []byte {
	caps := l.caps&^(capSSL|capCompress|capZstd|capLengthAuth) | capSecure | capPluginAuth | capMySQL
	if l.database == "" {
		caps &^= capWithDB
	}
	if len(l.rest) == 0 {
		caps &^= capAttributes
	}
	out := binary.LittleEndian.AppendUint32(nil, caps)
	out = binary.LittleEndian.AppendUint32(out, l.maxPacket)
	out = append(out, l.charset)
	out = append(out, make([]byte, 23)...)
	out = append(append(out, l.user...), 0)
	auth := l.auth
	if len(auth) > 250 {
		auth = nil // no plugin of the server inside wants that much: it will ask again
	}
	out = append(append(out, byte(len(auth))), auth...)
	if l.database != "" {
		out = append(append(out, l.database...), 0)
	}
	plugin := l.plugin
	if plugin == "" {
		plugin = nativePlugin
	}
	return append(append(append(out, plugin...), 0), l.rest...)
}

// scramble answers a salt as mysql_native_password does.
func scramble(password string, salt []byte) []byte {
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	h := sha1.New()
	h.Write(salt)
	h.Write(second[:])
	out := h.Sum(nil)
	for n := range out {
		out[n] ^= first[n]
	}
	return out
}

func switchPacket(seq byte, plugin string) packet {
	return packet{seq, append(append([]byte{markSwitch}, plugin...), 0, 0)}
}
