package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	cases := []struct {
		line string
		want []string
		err  error
	}{
		{"", nil, nil},
		{"  \t ", nil, nil},
		{"run it now", []string{"run", "it", "now"}, nil},
		{`a "b c" 'd e'`, []string{"a", "b c", "d e"}, nil},
		{`a'b'"c"d`, []string{"abcd"}, nil},
		{`'' ""`, []string{"", ""}, nil},
		{`\"x\ y\'`, []string{`"x y'`}, nil},
		{`"a \" b \\ \n"`, []string{`a " b \ \n`}, nil},
		{`'a \ b'`, []string{`a \ b`}, nil},
		{`$HOME *.go ~ ; | & >x`, []string{"$HOME", "*.go", "~", ";", "|", "&", ">x"}, nil},
		{"a \\\nb", []string{"a", "b"}, nil},
		{`["a b", "c"]`, []string{"a b", "c"}, nil},
		{`[]`, []string{}, nil},
		{`["a", 1]`, nil, errArray},
		{`[a`, nil, errArray},
		{`'open`, nil, errQuote},
		{`"open`, nil, errQuote},
		{`end\`, nil, errBackslash},
		{"a\x00b", nil, errNUL},
	}
	for _, c := range cases {
		got, err := Split(c.line)
		if d := cmp.Diff(c.want, got); d != "" || !errors.Is(err, c.err) {
			t.Errorf("%q: %v %s", c.line, err, d)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	for _, seed := range []string{"a b", `"a b" 'c'`, `["x"]`, `\`, "'", "a\\\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			if strings.ContainsRune(w, 0) {
				t.Fatalf("%q gives a word with NUL: %q", line, w)
			}
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := Split(strings.Join(quoted, " "))
		if err != nil || len(again) != len(words) || !cmp.Equal(strings.Join(words, "\x00"), strings.Join(again, "\x00")) {
			t.Fatalf("%q: %q, quoted and split again %q, %v", line, words, again, err)
		}
	})
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := Environment("/h", map[string]string{"LANG": "de", "PORT": "1", "a=b": "x", "": "x", "nul": "a\x00b", "spring.x": "1"}, map[string]string{"PORT": "2"})
	want := []string{"HOME=/h", "LANG=de", "PATH=" + basePath, "PORT=2", "spring.x=1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
