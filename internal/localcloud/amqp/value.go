package amqp

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The types of the wire that Go has no own type for. The others are nil, bool,
// uint8 to uint64, int8 to int64, float32, float64, string, []byte and []any.
type (
	// Symbol is a word out of an agreed vocabulary.
	Symbol string
	// UUID is sixteen bytes in network order.
	UUID [16]byte
	// Char is one Unicode code point.
	Char uint32
	// Array is a list on the wire whose members have one type.
	Array []any
	// Pair is one entry of a map.
	Pair struct{ Key, Value any }
	// Map keeps its entries in the order they came in.
	Map []Pair
	// Described is a value with what it means in front.
	Described struct{ Descriptor, Value any }
)

// Get finds the entry of a key, whether it is spelled as string or as symbol.
func (m Map) Get(key string) any {
	for _, p := range m {
		if text(p.Key) == key {
			return p.Value
		}
	}
	return nil
}

// Text is Get for words; "" where there is none.
func (m Map) Text(key string) string { return text(m.Get(key)) }

// text reads a string or a symbol.
func text(v any) string {
	switch s := v.(type) {
	case string:
		return s
	case Symbol:
		return string(s)
	}
	return ""
}

// number reads any unsigned integer of the wire; ok is false for everything else.
func number(v any) (n uint64, ok bool) {
	switch u := v.(type) {
	case uint8:
		return uint64(u), true
	case uint16:
		return uint64(u), true
	case uint32:
		return uint64(u), true
	case uint64:
		return u, true
	}
	return 0, false
}

// Format codes of the wire.
const (
	codeDescribed  = 0x00
	codeNull       = 0x40
	codeTrue       = 0x41
	codeFalse      = 0x42
	codeUint0      = 0x43
	codeUlong0     = 0x44
	codeList0      = 0x45
	codeUbyte      = 0x50
	codeByte       = 0x51
	codeSmallUint  = 0x52
	codeSmallUlong = 0x53
	codeSmallInt   = 0x54
	codeSmallLong  = 0x55
	codeBool       = 0x56
	codeUshort     = 0x60
	codeShort      = 0x61
	codeUint       = 0x70
	codeInt        = 0x71
	codeFloat      = 0x72
	codeChar       = 0x73
	codeUlong      = 0x80
	codeLong       = 0x81
	codeDouble     = 0x82
	codeTimestamp  = 0x83
	codeUUID       = 0x98
	codeBinary8    = 0xa0
	codeString8    = 0xa1
	codeSymbol8    = 0xa3
	codeBinary32   = 0xb0
	codeString32   = 0xb1
	codeSymbol32   = 0xb3
	codeList8      = 0xc0
	codeMap8       = 0xc1
	codeList32     = 0xd0
	codeMap32      = 0xd1
	codeArray8     = 0xe0
	codeArray32    = 0xf0
)

// Append writes a value in the wire format. It panics on a Go type the format has
// no place for, which is a mistake in this program and never a client's.
func Append(b []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, codeNull)
	case bool:
		if x {
			return append(b, codeTrue)
		}
		return append(b, codeFalse)
	case string:
		return appendBytes(b, codeString8, codeString32, []byte(x))
	case Symbol:
		return appendBytes(b, codeSymbol8, codeSymbol32, []byte(x))
	case []byte:
		return appendBytes(b, codeBinary8, codeBinary32, x)
	case UUID:
		return append(append(b, codeUUID), x[:]...)
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, codeTimestamp), uint64(x.UnixMilli()))
	case []any:
		return appendCompound(b, codeList32, len(x), appendAll(nil, x))
	case Array:
		return appendArray(b, x)
	case Map:
		var body []byte
		for _, p := range x {
			body = Append(Append(body, p.Key), p.Value)
		}
		return appendCompound(b, codeMap32, 2*len(x), body)
	case Described:
		return Append(Append(append(b, codeDescribed), x.Descriptor), x.Value)
	}
	return appendNumber(b, v)
}

func appendNumber(b []byte, v any) []byte {
	switch x := v.(type) {
	case uint8:
		return append(b, codeUbyte, x)
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, codeUshort), x)
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, codeUint), x)
	case uint64:
		if x < 256 {
			return append(b, codeSmallUlong, byte(x))
		}
		return binary.BigEndian.AppendUint64(append(b, codeUlong), x)
	case int8:
		return append(b, codeByte, byte(x))
	case int16:
		return binary.BigEndian.AppendUint16(append(b, codeShort), uint16(x))
	case int32:
		return binary.BigEndian.AppendUint32(append(b, codeInt), uint32(x))
	case int64:
		return binary.BigEndian.AppendUint64(append(b, codeLong), uint64(x))
	case float32:
		return binary.BigEndian.AppendUint32(append(b, codeFloat), math.Float32bits(x))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, codeDouble), math.Float64bits(x))
	case Char:
		return binary.BigEndian.AppendUint32(append(b, codeChar), uint32(x))
	}
	panic(fmt.Sprintf("amqp: %T has no place in the wire format", v))
}

func appendAll(b []byte, values []any) []byte {
	for _, v := range values {
		b = Append(b, v)
	}
	return b
}

func appendBytes(b []byte, short, long byte, data []byte) []byte {
	if len(data) < 256 {
		return append(append(b, short, byte(len(data))), data...)
	}
	return append(binary.BigEndian.AppendUint32(append(b, long), uint32(len(data))), data...)
}

func appendCompound(b []byte, code byte, count int, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, code), uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	return append(b, body...)
}

// appendArray writes symbols and strings, the only arrays this side sends, and
// whatever else came in as an array as a list.
func appendArray(b []byte, members Array) []byte {
	var body []byte
	code := byte(codeSymbol32)
	for n, m := range members {
		if _, isText := m.(string); isText && n == 0 {
			code = codeString32
		}
		if !sameText(members[0], m) {
			return Append(b, []any(members))
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(text(m)))), text(m)...)
	}
	return appendCompound(b, codeArray32, len(members), append([]byte{code}, body...))
}

func sameText(a, b any) bool {
	switch a.(type) {
	case string:
		_, ok := b.(string)
		return ok
	case Symbol:
		_, ok := b.(Symbol)
		return ok
	}
	return false
}
