package cql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// version is the only one spoken; answers carry the top bit.
const (
	version  = 4
	response = 0x80

	headerSize = 9
	maxFrame   = 16 << 20
)

// Codes of requests and answers.
const (
	opError        = 0x00
	opStartup      = 0x01
	opReady        = 0x02
	opAuthenticate = 0x03
	opOptions      = 0x05
	opSupported    = 0x06
	opQuery        = 0x07
	opResult       = 0x08
	opPrepare      = 0x09
	opExecute      = 0x0A
	opRegister     = 0x0B
	opBatch        = 0x0D
	opAuthResponse = 0x0F
	opAuthSuccess  = 0x10
)

var errFrame = errors.New("malformed frame")

// frame is one request or, without a version, one answer.
type frame struct {
	version byte
	flags   byte
	stream  uint16
	op      byte
	body    []byte
}

func readFrame(r io.Reader) (*frame, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	f := &frame{version: head[0], flags: head[1], stream: binary.BigEndian.Uint16(head[2:]), op: head[4]}
	size := binary.BigEndian.Uint32(head[5:])
	if f.version&response != 0 || size > maxFrame {
		return nil, errFrame
	}
	f.body = make([]byte, size)
	if _, err := io.ReadFull(r, f.body); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	return f, nil
}

func (f *frame) encode(stream uint16) []byte {
	out := []byte{version | response, 0}
	out = binary.BigEndian.AppendUint16(out, stream)
	out = append(out, f.op)
	out = binary.BigEndian.AppendUint32(out, uint32(len(f.body)))
	return append(out, f.body...)
}

// reader takes a body apart; after a mistake everything is zero and bad is set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, max(0, min(n, 8)))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) short() uint16  { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) int() int32     { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *reader) long() int64    { return int64(binary.BigEndian.Uint64(r.take(8))) }
func (r *reader) string() string { return string(r.sized(int(r.short()))) }
func (r *reader) longString() string {
	return string(r.sized(int(r.int())))
}

func (r *reader) sized(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	return r.take(n)
}

// bytes reads a value; nil stands for null, and set is false where it was left out.
func (r *reader) bytes() (value []byte, set bool) {
	n := r.int()
	switch n {
	case -1:
		return nil, true
	case -2:
		return nil, false
	}
	return append([]byte{}, r.sized(int(n))...), true
}

func (r *reader) stringMap() map[string]string {
	out := map[string]string{}
	for range int(r.short()) {
		if r.bad {
			break
		}
		key := r.string()
		out[key] = r.string()
	}
	return out
}

// writer puts a body together.
type writer struct{ out []byte }

func (w *writer) short(n int) { w.out = binary.BigEndian.AppendUint16(w.out, uint16(n)) }
func (w *writer) int(n int32) { w.out = binary.BigEndian.AppendUint32(w.out, uint32(n)) }
func (w *writer) string(s string) {
	w.short(len(s))
	w.out = append(w.out, s...)
}

// bytes writes a value; nil is null.
func (w *writer) bytes(b []byte) {
	if b == nil {
		w.int(-1)
		return
	}
	w.int(int32(len(b)))
	w.out = append(w.out, b...)
}

func (w *writer) shortBytes(b []byte) {
	w.short(len(b))
	w.out = append(w.out, b...)
}

func (w *writer) strings(list []string) {
	w.short(len(list))
	for _, s := range list {
		w.string(s)
	}
}

func (w *writer) frame(op byte) *frame { return &frame{op: op, body: w.out} }
