package cql

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// kind is a column's type: a code of the protocol and, for collections, what is inside.
type kind struct {
	name   string
	code   int
	size   int // of a value in bytes; 0 means any
	inside []kind
}

// Types that tables may have, and what the system's own tables need besides.
var (
	kindText = kind{name: "text", code: 0x0D}
	kindInt  = kind{name: "int", code: 0x09, size: 4}
	kindUUID = kind{name: "uuid", code: 0x0C, size: 16}
	kindBool = kind{name: "boolean", code: 0x04, size: 1}
	kindInet = kind{name: "inet", code: 0x10}
	kindLong = kind{name: "bigint", code: 0x02, size: 8}
	textSet  = kind{name: "set<text>", code: 0x22, inside: []kind{kindText}}
	textList = kind{name: "frozen<list<text>>", code: 0x20, inside: []kind{kindText}}
	textMap  = kind{name: "frozen<map<text, text>>", code: 0x21, inside: []kind{kindText, kindText}}
)

// kinds are the types of a table's columns by name.
var kinds = map[string]kind{
	"text": kindText, "varchar": kindText, "int": kindInt, "uuid": kindUUID, "boolean": kindBool, "bigint": kindLong,
	"ascii": {name: "ascii", code: 0x01}, "blob": {name: "blob", code: 0x03}, "double": {name: "double", code: 0x07, size: 8},
	"timestamp": {name: "timestamp", code: 0x0B, size: 8}, "timeuuid": {name: "timeuuid", code: 0x0F, size: 16},
}

// write is the type as result metadata carries it.
func (k kind) write(w *writer) {
	w.short(k.code)
	for _, inner := range k.inside {
		inner.write(w)
	}
}

// fits tells whether bytes can be a value of the type.
func (k kind) fits(value []byte) bool {
	return value == nil || k.size == 0 || len(value) == k.size
}

// literal is a term of a statement as the type's bytes.
func (k kind) literal(t token) ([]byte, error) {
	bad := refuse(errInvalid, "Invalid %s constant (%s) for type %s", t.kind, t.text, k.name)
	if t.is("null") {
		return nil, nil
	}
	switch k.name {
	case "text", "ascii":
		if t.kind == tokenString {
			return []byte(t.text), nil
		}
	case "int":
		if n, err := strconv.ParseInt(t.text, 10, 32); err == nil && t.kind == tokenNumber {
			return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
		}
	case "bigint":
		if n, err := strconv.ParseInt(t.text, 10, 64); err == nil && t.kind == tokenNumber {
			return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
		}
	case "double":
		if n, err := strconv.ParseFloat(t.text, 64); err == nil && t.kind == tokenNumber {
			return binary.BigEndian.AppendUint64(nil, math.Float64bits(n)), nil
		}
	case "boolean":
		if t.is("true") || t.is("false") {
			return []byte{map[bool]byte{true: 1}[t.is("true")]}, nil
		}
	case "uuid", "timeuuid":
		if u, err := uuid.Parse(t.text); err == nil && t.kind == tokenUUID {
			return u[:], nil
		}
	case "blob":
		if raw, err := hex.DecodeString(strings.TrimPrefix(t.text, "0x")); err == nil && t.kind == tokenBlob {
			return raw, nil
		}
	case "timestamp":
		return timestamp(t, bad)
	}
	return nil, bad
}

func timestamp(t token, bad error) ([]byte, error) {
	at, err := strconv.ParseInt(t.text, 10, 64)
	if t.kind == tokenString {
		var when time.Time
		when, err = time.Parse(time.RFC3339, t.text)
		at = when.UnixMilli()
	}
	if err != nil {
		return nil, bad
	}
	return binary.BigEndian.AppendUint64(nil, uint64(at)), nil
}

// Values of the system's own tables.

func boolValue(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

func intValue(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func uuidValue(u uuid.UUID) []byte { return u[:] }

func inetValue(a netip.Addr) []byte { return a.AsSlice() }

// listValue is a list or a set of texts.
func listValue(list ...string) []byte {
	w := &writer{}
	w.int(int32(len(list)))
	for _, s := range list {
		w.bytes([]byte(s))
	}
	return w.out
}

// mapValue is a map of texts, pair by pair.
func mapValue(pairs ...string) []byte {
	w := &writer{}
	w.int(int32(len(pairs) / 2))
	for _, s := range pairs {
		w.bytes([]byte(s))
	}
	return w.out
}
