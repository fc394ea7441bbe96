package facet

import (
	"strings"
	"testing"
)

// mysqlRead reads one quoted word as MySQL's scanner does, and returns what follows it.
func mysqlRead(text string, quote byte) (word, rest string, ok bool) {
	if text == "" || text[0] != quote {
		return "", "", false
	}
	var b strings.Builder
	escapes := map[byte]byte{'0': 0, 'b': '\b', 'n': '\n', 'r': '\r', 't': '\t', 'Z': 0x1a}
	for n := 1; n < len(text); n++ {
		c := text[n]
		switch {
		case c == '\\' && quote == '\'':
			if n++; n == len(text) {
				return "", "", false
			}
			if e, known := escapes[text[n]]; known {
				b.WriteByte(e)
			} else {
				b.WriteByte(text[n])
			}
		case c == quote && n+1 < len(text) && text[n+1] == quote:
			n++
			b.WriteByte(quote)
		case c == quote:
			return b.String(), text[n+1:], true
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// unpattern reads a pattern that must stand for one name alone.
func unpattern(text string) (string, bool) {
	var b strings.Builder
	for n := 0; n < len(text); n++ {
		switch c := text[n]; {
		case c == '\\' && n+1 < len(text):
			n++
			b.WriteByte(text[n])
		case c == '_' || c == '%' || c == '\\':
			return "", false // a wildcard
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func FuzzMySQLQuoting(f *testing.F) {
	for _, s := range []string{"", "app", "a'b", `a\`, `a\'; DROP TABLE t; --`, "`", "a``b", "my_db%", `\_`, "ü\x00\x1a\n", "';"} {
		f.Add(s)
	}
	const after = " AND MORE 'x' `y`"
	f.Fuzz(func(t *testing.T, text string) {
		if got, rest, ok := mysqlRead(mysqlLiteral(text)+after, '\''); !ok || got != text || rest != after {
			t.Errorf("literal of %q reads %q, %q", text, got, rest)
		}
		whole := strings.ReplaceAll(text, "\x00", "")
		if got, rest, ok := mysqlRead(mysqlIdent(text)+after, '`'); !ok || got != whole || rest != after {
			t.Errorf("identifier of %q reads %q, %q", text, got, rest)
		}
		got, rest, ok := mysqlRead(mysqlDatabase(text)+after, '`')
		name, exact := unpattern(got)
		if !ok || !exact || name != whole || rest != after {
			t.Errorf("database of %q reads %q, %q", text, got, rest)
		}
	})
}

func TestMySQLGrantsWiden(t *testing.T) {
	t.Parallel()
	all := mysqlGrants()
	for n := 1; n < len(all); n++ {
		if len(all[n].lacks(all[n-1].privileges)) == 0 || len(all[n-1].lacks(all[n].privileges)) != 0 {
			t.Errorf("%s is not wider than %s", all[n].word, all[n-1].word)
		}
	}
	for _, g := range all {
		for _, p := range g.privileges {
			if strings.Contains(p, "GRANT") || strings.Contains(p, "ALL") {
				t.Errorf("%s holds %s", g.word, p)
			}
		}
	}
}
