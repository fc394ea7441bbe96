package amqp

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// values are all kinds of values this side writes.
func values() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return v }),
		rapid.Map(rapid.StringN(300, 400, -1), func(v string) any { return v }),
		rapid.Map(rapid.StringMatching(`[a-z:-]{0,40}`), func(v string) any { return Symbol(v) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return append([]byte{}, v...) }),
		rapid.Map(rapid.Uint8(), func(v uint8) any { return v }), rapid.Map(rapid.Uint16(), func(v uint16) any { return v }),
		rapid.Map(rapid.Uint32(), func(v uint32) any { return v }), rapid.Map(rapid.Uint64(), func(v uint64) any { return v }),
		rapid.Map(rapid.Int8(), func(v int8) any { return v }), rapid.Map(rapid.Int16(), func(v int16) any { return v }),
		rapid.Map(rapid.Int32(), func(v int32) any { return v }), rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float32(), func(v float32) any { return v }), rapid.Map(rapid.Float64(), func(v float64) any { return v }),
		rapid.Map(rapid.Int64Range(-1<<40, 1<<40), func(v int64) any { return time.UnixMilli(v).UTC() }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(v []byte) any { return UUID(v) }),
		rapid.Map(rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,9}`), 1, 4), func(v []string) any {
			list := Array{}
			for _, s := range v {
				list = append(list, Symbol(s))
			}
			return list
		}),
	)
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return append([]any{}, rapid.SliceOfN(leaf, 0, 5).Draw(t, "list")...)
		case 1:
			m := Map{}
			for _, v := range rapid.SliceOfN(leaf, 0, 5).Draw(t, "map") {
				m = append(m, Pair{Symbol("k"), v})
			}
			return m
		case 2:
			return Described{uint64(rapid.IntRange(0, 500).Draw(t, "kind")), leaf.Draw(t, "inside")}
		}
		return leaf.Draw(t, "leaf")
	})
}

// What is written reads back as it was, and nothing of what follows is touched.
func TestValuesSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := values().Draw(t, "value")
		got, rest, err := Decode(append(Append(nil, v), 0xee))
		if err != nil || !reflect.DeepEqual(got, v) || !bytes.Equal(rest, []byte{0xee}) {
			t.Fatalf("%#v reads as %#v, %v, %x", v, got, err, rest)
		}
	})
}

func TestValuesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"nothing": {}, "an unknown code": {0x3f}, "a string that ends early": {codeString8, 5, 'a'}, "a string that is not UTF-8": {codeString8, 1, 0xff},
		"a map without a value": {codeMap8, 2, 1, codeNull}, "a list that says too much": {codeList32, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff},
		"an array of described": {codeArray8, 3, 1, 0, 0}, "a long that ends early": {codeLong, 1, 2}, "a described without a value": {0, codeSmallUlong, 1},
		"too deep": append(make([]byte, 100), codeNull),
	} {
		if v, _, err := Decode(bytes); err == nil {
			t.Errorf("%s reads as %v", name, v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{codeNull})
	f.Add(Append(nil, Map{{Symbol("a"), []any{uint32(7), "x"}}}))
	f.Add(Append(nil, Described{uint64(0x10), []any{Array{Symbol("a"), Symbol("b")}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := Decode(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatal("a value took no bytes")
		}
		again, _, err := Decode(Append(nil, v)) // whatever was read can be written
		if err != nil {
			t.Fatalf("%#v: %v", again, err)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add((&Message{Header: []any{true}, Annotations: Map{{Symbol("x"), int64(1)}}, Bare: Append(nil, Described{uint64(sectionData), []byte("body")})}).Bytes())
	f.Add(Reply{Status: 202}.message(&Message{ID: "7"}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			return
		}
		if _, err := ParseMessage(m.Bytes()); err != nil {
			t.Fatalf("a message does not survive: %v", err)
		}
		_, _ = m.Unpack(FormatBatch) // must not panic
	})
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frameAMQP, 3, composite(kindBegin, nil, uint32(1)), []byte("x"))
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 8, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, err := readFrame(bytes.NewReader(raw), maxFrame)
		if err == nil && !fr.empty {
			_, _, _ = fr.body.text(0), fr.body.number(1, 0), fr.body.flag(2) // must not panic
		}
	})
}
