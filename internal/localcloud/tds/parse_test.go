package tds

import (
	"encoding/binary"
	"strings"
	"testing"
)

// Nothing a client sends may do more than be refused.

func FuzzBatch(f *testing.F) {
	for _, text := range []string{
		"", "SELECT 1", "CREATE USER [a]]b] WITH SID = 0x00, TYPE = E; DROP USER [a]]b]", "SELECT * FROM sys.schemas s LEFT JOIN t ON s.name = N'é''' WHERE NOT (a IN (1, 2) OR b IS NOT NULL) ORDER BY 1 DESC",
		"INSERT INTO t (a, b) VALUES (@p1, -1), (NULL, 'x')", "/* /* */ */ -- x\nSET NOCOUNT ON", "GRANT SELECT, VIEW DEFINITION ON SCHEMA::[x] TO y", "SELECT TOP (3) COUNT(*) FROM t", "'", "[", "0x", "@", "\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		db, err := OpenDatabase("db1", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{server: &Server{host: nobody{}}, account: Account{User: Owner, Database: db}, db: db, prepared: map[uint32]string{}}
		r := &reply{server: "s"}
		s.execute(r, text, map[string]any{"@p1": "x"}, tokenDone)
		if len(r.out) == 0 {
			t.Error("a batch without an answer")
		}
		if _, err := OpenDatabase("db1", db.save(), nil); err != nil {
			t.Errorf("what it left cannot be read: %v", err)
		}
	})
}

// nobody is a host for sessions that are in already.
type nobody struct{ Host }

func (nobody) Name() string { return "s" }

func FuzzPrelogin(f *testing.F) {
	f.Add(preloginAnswer(map[byte][]byte{optionFedAuth: {1}}, encryptOn))
	f.Add([]byte{optionEncryption, 0, 200, 0, 1, optionEnd})
	f.Fuzz(func(_ *testing.T, body []byte) { _, _ = parsePrelogin(body) })
}

func FuzzLogin(f *testing.F) {
	whole := make([]byte, loginFixed)
	binary.LittleEndian.PutUint32(whole, loginFixed)
	whole[7], whole[27], whole[56], whole[58] = 0x74, flagExtension, 36, 4
	f.Add(whole)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) >= loginFixed { // most of what comes has the right length at least
			binary.LittleEndian.PutUint32(body, uint32(len(body)))
		}
		l, err := parseLogin(body)
		if err == nil && l.fetches && l.token != "" {
			t.Error("a token that is yet to be fetched")
		}
		_, _ = parseTokenMessage(body)
	})
}

func FuzzCall(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0, typeNVarChar, 64, 31, 0, 0, 0, 0, 0, 2, 0, 'x', 0})
	f.Add([]byte{4, 0, 0, 0, 1, 0, 'x', 0, 0, 0, 0, 0, typeVarBinary, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, body []byte) { _, _ = parseCall(body) })
}

func TestReveal(t *testing.T) {
	t.Parallel()
	var hidden []byte
	for _, b := range toUCS2("Pä;") {
		hidden = append(hidden, (b<<4|b>>4)^0xA5)
	}
	if got := fromUCS2(reveal(hidden)); got != "Pä;" {
		t.Errorf("revealed %q", got)
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, mask string
		want       bool
	}{{"", "", true}, {"a", "", false}, {"abc", "a%", true}, {"abc", "%c", true}, {"abc", "a_c", true}, {"abc", "a_", false}, {"aXbXc", "a%b%c", true}, {"ab", "%%b%", true}, {"abab", "%aba", false}} {
		if got := matches([]rune(c.text), []rune(c.mask)); got != c.want {
			t.Errorf("%q like %q: %v", c.text, c.mask, got)
		}
	}
}

// TestLongMessages: a text longer than a packet, and one longer than what is kept whole, come through.
func TestLongMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	r := &reply{}
	r.rows(table{columns: []string{"a"}, rows: [][]any{{long}, {nil}, {"x"}}})
	if kind, chunks := (table{columns: []string{"a"}, rows: [][]any{{nil}, {long}}}).kind(0); kind != typeNVarChar || !chunks {
		t.Errorf("a long text goes as %x, in chunks %v", kind, chunks)
	}
	var pipe strings.Builder
	w := &wire{rw: struct {
		*strings.Reader
		*strings.Builder
	}{strings.NewReader(""), &pipe}, size: minSize}
	if err := w.write(kindReply, r.out); err != nil {
		t.Fatal(err)
	}
	back := &wire{rw: struct {
		*strings.Reader
		*strings.Builder
	}{strings.NewReader(pipe.String()), &pipe}}
	m, err := back.read()
	if err != nil || string(m.body) != string(r.out) {
		t.Errorf("%d bytes became %d: %v", len(r.out), len(m.body), err)
	}
}
