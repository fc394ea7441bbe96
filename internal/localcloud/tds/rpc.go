package tds

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Procedures that have a number.
const (
	procExecuteSQL = 10
	procPrepare    = 11
	procExecute    = 12
	procPrepExec   = 13
	procUnprepare  = 15
)

// call is one remote procedure call.
type call struct {
	number int    // 0: it goes by its name
	name   string // folded, without the schema sys
	params []param
}

// param is one argument; name is "" for one that goes by its place.
type param struct {
	name  string
	value any
}

// cursor takes a message apart. The first mistake sticks; what is read after it is empty.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.rest)) {
		c.err = fmt.Errorf("message cut short: %w", errProtocol)
	}
	if c.err != nil {
		return nil
	}
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out
}

// number reads an unsigned number of n bytes, low byte first.
func (c *cursor) number(n int) uint64 {
	var v uint64
	for i, b := range c.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (c *cursor) text(units int) string { return fromUCS2(c.take(2 * units)) }

// headers skips what stands before every request.
func (c *cursor) headers() {
	if len(c.rest) < 4 {
		c.take(4)
		return
	}
	c.take(int(binary.LittleEndian.Uint32(c.rest)))
}

// parseBatch reads the text of a batch.
func parseBatch(body []byte) (string, error) {
	c := &cursor{rest: body}
	c.headers()
	return fromUCS2(c.rest), c.err
}

// parseCall reads a remote procedure call; several in one message are refused.
func parseCall(body []byte) (call, error) {
	c := &cursor{rest: body}
	c.headers()
	var out call
	if n := int(c.number(2)); n == 0xFFFF {
		out.number = int(c.number(2))
	} else {
		out.name = strings.TrimPrefix(strings.ToLower(c.text(n)), "sys.")
	}
	c.number(2) // options
	for c.err == nil && len(c.rest) > 0 {
		p := param{name: strings.ToLower(c.text(int(c.number(1))))}
		c.number(1) // by reference, default
		p.value = c.argument()
		out.params = append(out.params, p)
	}
	return out, c.err
}

// argument reads a type and a value of it.
func (c *cursor) argument() any {
	kind := byte(c.number(1))
	switch kind {
	case typeNull:
		return nil
	case typeTinyInt:
		return int64(c.number(1))
	case typeBit:
		return c.number(1) != 0
	case typeSmallInt:
		return signed(c.number(2), 2)
	case typeInt:
		return signed(c.number(4), 4)
	case typeBigInt:
		return signed(c.number(8), 8)
	case typeIntN, typeBitN, typeGUID:
		c.number(1) // the longest it may be
		return sizedValue(kind, c.take(int(c.number(1))))
	case typeVarBinary, typeBinary, typeVarChar, typeChar, typeNVarChar, typeNChar:
		return c.variable(kind)
	}
	if c.err == nil {
		c.err = fmt.Errorf("argument of type %#x: %w", kind, errProtocol)
	}
	return nil
}

func sizedValue(kind byte, raw []byte) any {
	switch {
	case len(raw) == 0:
		return nil
	case kind == typeBitN:
		return raw[0] != 0
	case kind == typeGUID:
		return raw
	}
	c := &cursor{rest: raw}
	if len(raw) == 1 {
		return int64(raw[0]) // tinyint has no sign
	}
	return signed(c.number(len(raw)), len(raw))
}

func signed(v uint64, size int) int64 {
	shift := 64 - 8*size
	return int64(v<<shift) >> shift
}

func (c *cursor) variable(kind byte) any {
	longest := c.number(2)
	if kind != typeVarBinary && kind != typeBinary {
		c.take(len(collation))
	}
	raw, absent := c.bytes(longest == chunked)
	switch {
	case absent || c.err != nil:
		return nil
	case kind == typeNVarChar || kind == typeNChar:
		return fromUCS2(raw)
	case kind == typeVarChar || kind == typeChar:
		return fromLatin1(raw)
	}
	return append([]byte{}, raw...)
}

// bytes reads a value behind its length, or in chunks.
func (c *cursor) bytes(chunks bool) (raw []byte, absent bool) {
	if !chunks {
		n := c.number(2)
		if n == 0xFFFF {
			return nil, true
		}
		return c.take(int(n)), false
	}
	if total := c.number(8); total == 1<<64-1 {
		return nil, true
	}
	for c.err == nil {
		n := c.number(4)
		if n == 0 {
			break
		}
		raw = append(raw, c.take(int(n))...)
	}
	return raw, false
}

func fromLatin1(raw []byte) string {
	runes := make([]rune, len(raw))
	for n, b := range raw {
		runes[n] = rune(b)
	}
	return string(runes)
}
