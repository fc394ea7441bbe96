package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// errShort is for bytes that end inside a value.
var errShort = errors.New("the value ends too early")

// maxDepth bounds how deep values may be nested.
const maxDepth = 32

// Decode reads one value and returns what follows it.
func Decode(b []byte) (v any, rest []byte, err error) { return decode(b, 0) }

func decode(b []byte, depth int) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if depth > maxDepth {
		return nil, nil, errors.New("values are nested too deep")
	}
	if b[0] != codeDescribed {
		return decodeAs(b[0], b[1:], depth)
	}
	descriptor, rest, err := decode(b[1:], depth+1)
	if err != nil {
		return nil, nil, err
	}
	value, rest, err := decode(rest, depth+1)
	return Described{descriptor, value}, rest, err
}

// decodeAs reads a value whose constructor was read before. The upper half of a
// code says how wide the value is.
func decodeAs(code byte, b []byte, depth int) (v any, rest []byte, err error) {
	switch code >> 4 {
	case 0x4:
		v, err = emptyValue(code)
		return v, b, err
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		return decodeFixed(code, b)
	case 0xa, 0xb:
		return decodeVariable(code, b)
	case 0xc, 0xd, 0xe, 0xf:
		return decodeCompound(code, b, depth)
	}
	return nil, nil, unknown(code)
}

func unknown(code byte) error { return fmt.Errorf("unknown format code %#02x", code) }

func emptyValue(code byte) (any, error) {
	switch code {
	case codeNull:
		return nil, nil
	case codeTrue, codeFalse:
		return code == codeTrue, nil
	case codeUint0:
		return uint32(0), nil
	case codeUlong0:
		return uint64(0), nil
	case codeList0:
		return []any{}, nil
	}
	return nil, unknown(code)
}

// width is how many bytes a fixed value takes.
func width(code byte) int { return 1 << (code>>4 - 5) }

func decodeFixed(code byte, b []byte) (v any, rest []byte, err error) {
	size := width(code)
	if len(b) < size {
		return nil, nil, errShort
	}
	if v, err = fixed(code, b[:size]); err != nil {
		return nil, nil, err
	}
	return v, b[size:], nil
}

func fixed(code byte, b []byte) (any, error) {
	order := binary.BigEndian
	switch code {
	case codeUbyte:
		return b[0], nil
	case codeByte:
		return int8(b[0]), nil
	case codeSmallUint:
		return uint32(b[0]), nil
	case codeSmallUlong:
		return uint64(b[0]), nil
	case codeSmallInt:
		return int32(int8(b[0])), nil
	case codeSmallLong:
		return int64(int8(b[0])), nil
	case codeBool:
		return b[0] != 0, nil
	case codeUshort:
		return order.Uint16(b), nil
	case codeShort:
		return int16(order.Uint16(b)), nil
	case codeUint:
		return order.Uint32(b), nil
	case codeInt:
		return int32(order.Uint32(b)), nil
	case codeFloat:
		return math.Float32frombits(order.Uint32(b)), nil
	case codeChar:
		return Char(order.Uint32(b)), nil
	}
	return wide(code, b)
}

func wide(code byte, b []byte) (any, error) {
	order := binary.BigEndian
	switch code {
	case codeUlong:
		return order.Uint64(b), nil
	case codeLong:
		return int64(order.Uint64(b)), nil
	case codeDouble:
		return math.Float64frombits(order.Uint64(b)), nil
	case codeTimestamp:
		return time.UnixMilli(int64(order.Uint64(b))).UTC(), nil
	case codeUUID:
		return UUID(b), nil
	}
	return nil, unknown(code) // decimals among them: no client of ours sends one
}

// sized reads a length of one or four bytes and the bytes it counts.
func sized(long bool, b []byte) (body, rest []byte, err error) {
	head := 1
	if long {
		head = 4
	}
	if len(b) < head {
		return nil, nil, errShort
	}
	size := uint64(b[0])
	if long {
		size = uint64(binary.BigEndian.Uint32(b))
	}
	if uint64(len(b)-head) < size {
		return nil, nil, errShort
	}
	return b[head : uint64(head)+size], b[uint64(head)+size:], nil
}

func decodeVariable(code byte, b []byte) (v any, rest []byte, err error) {
	body, rest, err := sized(code>>4 == 0xb, b)
	if err != nil {
		return nil, nil, err
	}
	switch code & 0x0f {
	case 0x0:
		return append([]byte{}, body...), rest, nil
	case 0x1:
		if !utf8.Valid(body) {
			return nil, nil, errors.New("a string is not UTF-8")
		}
		return string(body), rest, nil
	case 0x3:
		return Symbol(body), rest, nil
	}
	return nil, nil, unknown(code)
}

func decodeCompound(code byte, b []byte, depth int) (v any, rest []byte, err error) {
	long := code>>4 == 0xd || code>>4 == 0xf
	body, rest, err := sized(long, b)
	if err != nil {
		return nil, nil, err
	}
	count, body, err := counted(long, body)
	if err != nil {
		return nil, nil, err
	}
	switch code {
	case codeList8, codeList32:
		v, err = members(body, count, depth)
	case codeMap8, codeMap32:
		v, err = entries(body, count, depth)
	case codeArray8, codeArray32:
		v, err = array(body, count, depth)
	default:
		err = unknown(code)
	}
	return v, rest, err
}

func counted(long bool, b []byte) (count int, rest []byte, err error) {
	if !long {
		if len(b) < 1 {
			return 0, nil, errShort
		}
		return int(b[0]), b[1:], nil
	}
	if len(b) < 4 {
		return 0, nil, errShort
	}
	return int(binary.BigEndian.Uint32(b)), b[4:], nil
}

func members(b []byte, count, depth int) ([]any, error) {
	if count > len(b) { // each takes a byte at least
		return nil, errShort
	}
	list := make([]any, count)
	var err error
	for n := range list {
		if list[n], b, err = decode(b, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func entries(b []byte, count, depth int) (Map, error) {
	if count%2 != 0 {
		return nil, errors.New("a map has a key without a value")
	}
	flat, err := members(b, count, depth)
	if err != nil {
		return nil, err
	}
	m := make(Map, 0, count/2)
	for n := 0; n < count; n += 2 {
		m = append(m, Pair{flat[n], flat[n+1]})
	}
	return m, nil
}

func array(b []byte, count, depth int) (Array, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	code, b := b[0], b[1:]
	if code == codeDescribed || count > len(b) {
		return nil, errors.New("an array has members this side does not take")
	}
	list := make(Array, count)
	var err error
	for n := range list {
		if list[n], b, err = decodeAs(code, b, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}
