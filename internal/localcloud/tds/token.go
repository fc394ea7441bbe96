package tds

import (
	"encoding/binary"
	"unicode/utf16"
)

// Tokens of a reply.
const (
	tokenReturnStatus = 0x79
	tokenColumns      = 0x81
	tokenError        = 0xAA
	tokenInfo         = 0xAB
	tokenReturnValue  = 0xAC
	tokenLoginAck     = 0xAD
	tokenFeatureAck   = 0xAE
	tokenRow          = 0xD1
	tokenEnvChange    = 0xE3
	tokenFedAuthInfo  = 0xEE
	tokenDone         = 0xFD
	tokenDoneProc     = 0xFE
	tokenDoneInProc   = 0xFF
)

// Bits of a done token.
const (
	doneMore      = 0x01
	doneError     = 0x02
	doneCount     = 0x10
	doneAttention = 0x20
)

// Kinds of environment changes.
const (
	envDatabase   = 1
	envLanguage   = 2
	envPacketSize = 4
	envCollation  = 7
	envBegin      = 8
	envCommit     = 9
	envRollback   = 10
	envReset      = 18
)

// Types of values on the wire.
const (
	typeNull      = 0x1F
	typeGUID      = 0x24
	typeIntN      = 0x26
	typeTinyInt   = 0x30
	typeBit       = 0x32
	typeSmallInt  = 0x34
	typeInt       = 0x38
	typeBitN      = 0x68
	typeBigInt    = 0x7F
	typeVarBinary = 0xA5
	typeVarChar   = 0xA7
	typeBinary    = 0xAD
	typeChar      = 0xAF
	typeNVarChar  = 0xE7
	typeNChar     = 0xEF
)

const (
	longest = 8000   // bytes of a value that is kept whole
	chunked = 0xFFFF // stands for the length of a value in chunks
)

// collation is SQL_Latin1_General_CP1_CI_AS, the default of Azure SQL Database.
var collation = [5]byte{0x09, 0x04, 0xD0, 0x00, 0x34}

// reply gathers the tokens of an answer.
type reply struct {
	out    []byte
	server string
}

func (r *reply) byte(b ...byte)  { r.out = append(r.out, b...) }
func (r *reply) uint16(n uint16) { r.out = binary.LittleEndian.AppendUint16(r.out, n) }
func (r *reply) uint32(n uint32) { r.out = binary.LittleEndian.AppendUint32(r.out, n) }
func (r *reply) uint64(n uint64) { r.out = binary.LittleEndian.AppendUint64(r.out, n) }

// short writes a text behind its length in one byte; what does not fit is left out.
func (r *reply) short(text string) {
	units := utf16.Encode([]rune(text))
	units = units[:min(len(units), 255)]
	r.byte(byte(len(units)))
	for _, u := range units {
		r.uint16(u)
	}
}

// within writes a token whose length in two bytes comes first.
func (r *reply) within(token byte, write func()) {
	r.byte(token)
	at := len(r.out)
	r.uint16(0)
	write()
	binary.LittleEndian.PutUint16(r.out[at:], uint16(len(r.out)-at-2))
}

func (r *reply) message(token byte, e *Error) {
	r.within(token, func() {
		r.uint32(uint32(e.Number))
		r.byte(e.State, e.Class)
		units := utf16.Encode([]rune(e.Message))
		units = units[:min(len(units), 2000)]
		r.uint16(uint16(len(units)))
		for _, u := range units {
			r.uint16(u)
		}
		r.short(r.server)
		r.short("")
		r.uint32(1)
	})
}

// refuse writes an error and those that go with it.
func (r *reply) refuse(e *Error) {
	r.message(tokenError, e)
	for _, more := range e.More {
		r.message(tokenError, more)
	}
}

func (r *reply) env(kind byte, now, before string) {
	r.within(tokenEnvChange, func() {
		r.byte(kind)
		r.short(now)
		r.short(before)
	})
}

// envBytes is an environment change whose values are no text.
func (r *reply) envBytes(kind byte, now, before []byte) {
	r.within(tokenEnvChange, func() {
		r.byte(kind, byte(len(now)))
		r.byte(now...)
		r.byte(byte(len(before)))
		r.byte(before...)
	})
}

func (r *reply) loginAck() {
	r.within(tokenLoginAck, func() {
		r.byte(1, 0x74, 0, 0, 0x04)
		r.short("Microsoft SQL Server")
		r.byte(12, 0, 0x07, 0xD0)
	})
}

// fedAuthAck tells that the token was what let the client in.
func (r *reply) fedAuthAck() {
	r.byte(tokenFeatureAck, featureFedAuth)
	r.uint32(0)
	r.byte(featureEnd)
}

// fedAuthInfo tells where to sign in and for which resource.
func (r *reply) fedAuthInfo(signIn, resource string) {
	const head = 4 + 2*9
	url, name := toUCS2(signIn), toUCS2(resource)
	r.byte(tokenFedAuthInfo)
	r.uint32(uint32(head + len(url) + len(name)))
	r.uint32(2)
	r.byte(1)
	r.uint32(uint32(len(url)))
	r.uint32(head)
	r.byte(2)
	r.uint32(uint32(len(name)))
	r.uint32(uint32(head + len(url)))
	r.byte(url...)
	r.byte(name...)
}

func (r *reply) done(token byte, status uint16, rows int) {
	r.byte(token)
	r.uint16(status)
	r.uint16(0)
	r.uint64(uint64(rows))
}

func (r *reply) returnStatus(n uint32) {
	r.byte(tokenReturnStatus)
	r.uint32(n)
}

// handle writes the handle of a prepared statement as the output parameter it is.
func (r *reply) handle(name string, n uint32) {
	r.byte(tokenReturnValue)
	r.uint16(0)
	r.short(name)
	r.byte(1)
	r.uint32(0)
	r.uint16(0)
	r.byte(typeIntN, 4, 4)
	r.uint32(n)
}

// rows writes a result set. A column has the type of its first value that is there;
// one without any is text.
func (r *reply) rows(t table) {
	kinds := make([]byte, len(t.columns))
	long := make([]bool, len(t.columns))
	for n := range kinds {
		kinds[n], long[n] = t.kind(n)
	}
	r.byte(tokenColumns)
	r.uint16(uint16(len(t.columns)))
	for n, name := range t.columns {
		r.uint32(0)
		r.uint16(1) // may be null
		r.kind(kinds[n], long[n])
		r.short(name)
	}
	for _, row := range t.rows {
		r.byte(tokenRow)
		for n, v := range row {
			r.value(kinds[n], long[n], v)
		}
	}
}

func (r *reply) kind(kind byte, long bool) {
	r.byte(kind)
	size := uint16(longest)
	if long {
		size = chunked
	}
	switch kind {
	case typeIntN:
		r.byte(8)
	case typeBitN:
		r.byte(1)
	case typeVarBinary:
		r.uint16(size)
	default:
		r.uint16(size)
		r.byte(collation[:]...)
	}
}

func (r *reply) value(kind byte, long bool, v any) {
	switch x := v.(type) {
	case int64:
		r.byte(8)
		r.uint64(uint64(x))
	case bool:
		b := byte(0)
		if x {
			b = 1
		}
		r.byte(1, b)
	case []byte:
		r.variable(long, x)
	case string:
		r.variable(long, toUCS2(x))
	default:
		r.absent(kind, long)
	}
}

func (r *reply) absent(kind byte, long bool) {
	switch {
	case kind == typeIntN || kind == typeBitN:
		r.byte(0)
	case long:
		r.uint64(1<<64 - 1)
	default:
		r.uint16(0xFFFF)
	}
}

func (r *reply) variable(long bool, raw []byte) {
	if !long {
		r.uint16(uint16(len(raw)))
		r.byte(raw...)
		return
	}
	r.uint64(uint64(len(raw)))
	if len(raw) > 0 {
		r.uint32(uint32(len(raw)))
		r.byte(raw...)
	}
	r.uint32(0)
}

// table is rows under named columns. Values are nil, int64, bool, string and []byte.
type table struct {
	columns []string
	rows    [][]any
}

// kind is the type of a column on the wire, and whether it goes in chunks.
func (t table) kind(column int) (kind byte, long bool) {
	kind = typeNVarChar
	found := false
	for _, row := range t.rows {
		if row[column] == nil {
			continue
		}
		if !found {
			found, kind = true, kindOf(row[column])
		}
		switch x := row[column].(type) {
		case string:
			long = long || 2*len(x) > longest
		case []byte:
			long = long || len(x) > longest
		}
	}
	return kind, long
}

func kindOf(v any) byte {
	switch v.(type) {
	case int64:
		return typeIntN
	case bool:
		return typeBitN
	case []byte:
		return typeVarBinary
	}
	return typeNVarChar
}
