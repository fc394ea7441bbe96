package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func box(t testing.TB, fill byte) *Box {
	t.Helper()
	b, err := New(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"", "p", "pässwörd\x00", strings.Repeat("x", 1<<16)} {
		sealed := box(t, 1).Seal([]byte(plain), "uid", "secret")
		if len(plain) > 3 && bytes.Contains(sealed, []byte(plain)) {
			t.Errorf("plain text of %d bytes stands in the sealed value", len(plain))
		}
		got, err := box(t, 1).Open(sealed, "uid", "secret")
		if err != nil || string(got) != plain {
			t.Errorf("Open = %d bytes, %v", len(got), err)
		}
	}
}

func TestOpenRefusesAnotherBindingOrKey(t *testing.T) {
	t.Parallel()
	sealed := box(t, 1).Seal([]byte("canary"), "ab", "c")
	for name, binding := range map[string][]string{
		"none":      nil,
		"part":      {"ab"},
		"shifted":   {"a", "bc"},
		"joined":    {"abc"},
		"swapped":   {"c", "ab"},
		"longer":    {"ab", "c", ""},
		"otherwise": {"ab", "C"},
	} {
		if _, err := box(t, 1).Open(sealed, binding...); !errors.Is(err, ErrOpen) {
			t.Errorf("binding %s: %v", name, err)
		}
	}
	if _, err := box(t, 2).Open(sealed, "ab", "c"); !errors.Is(err, ErrOpen) {
		t.Errorf("other key: %v", err)
	}
}

func TestOpenRefusesEveryFlippedBitAndEveryCut(t *testing.T) {
	t.Parallel()
	b := box(t, 1)
	sealed := b.Seal([]byte("canary"), "uid")
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			if _, err := b.Open(bad, "uid"); !errors.Is(err, ErrOpen) {
				t.Fatalf("byte %d bit %d: %v", i, bit, err)
			}
		}
		if _, err := b.Open(sealed[:i], "uid"); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestSealNeverRepeats(t *testing.T) {
	t.Parallel()
	b, seen := box(t, 1), map[string]bool{}
	for range 1000 {
		seen[string(b.Seal([]byte("same"), "uid"))] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different values of 1000", len(seen))
	}
}

func TestMACIsKeyedAndStable(t *testing.T) {
	t.Parallel()
	a := box(t, 1).MAC("canary")
	if a != box(t, 1).MAC("canary") {
		t.Error("differs under the same key")
	}
	if a == box(t, 2).MAC("canary") || a == box(t, 1).MAC("canary ") {
		t.Error("equal under another key or for another text")
	}
	if strings.Contains(a, "canary") {
		t.Error("holds the text")
	}
}

func TestPurposesHaveTheirOwnKeys(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, KeySize)
	b, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	plainly := &Box{mac: key}
	if b.MAC("x") == plainly.MAC("x") || bytes.Equal(b.mac, key) {
		t.Error("the stored key itself authenticates")
	}
}

func TestNewRefusesKeysOfOtherSizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("%d bytes accepted", n)
		}
	}
}

func TestBoxKeepsOutOfPrint(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, box(t, 1)); got != "seal.Box" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func FuzzSealOpen(f *testing.F) {
	f.Add([]byte("canary"), "uid", "secret", "uid", "secret")
	f.Add([]byte(""), "a", "bc", "ab", "c")
	f.Add([]byte{0}, "", "\x01x", "\x01x", "")
	f.Fuzz(func(t *testing.T, plain []byte, a, b, c, d string) {
		k := box(t, 3)
		got, err := k.Open(k.Seal(plain, a, b), c, d)
		switch same := a == c && b == d; {
		case same && (err != nil || !bytes.Equal(got, plain)):
			t.Fatalf("same binding: %v", err)
		case !same && !errors.Is(err, ErrOpen):
			t.Fatalf("(%q,%q) opened as (%q,%q)", a, b, c, d)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{format})
	f.Add(bytes.Repeat([]byte{format}, 41))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := box(t, 4).Open(sealed, "uid"); !errors.Is(err, ErrOpen) {
			t.Fatalf("forged value opened: %x", sealed)
		}
	})
}
