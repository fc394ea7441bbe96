package grammar_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// hostile values every notation must carry or refuse.
var hostile = []string{
	"", "simple", "p@ss;word", `a"b`, `a'b`, `a"b'c`, ` lead`, `trail `, "a b", `back\slash`, `\'`, `\\'x`, "tab\there",
	"new\nline", "equals=", "==", "per%cent", "50%20", "{brace}", "ünïcödé ☃", "comma,comma", "&amp?#/", "+", `"`, `'`, `''`, `""""`,
	"\u00a0nbsp", "\u0085", ";", `";x="`, "\x01", `x\`,
}

func seed(f *testing.F) {
	for _, v := range hostile {
		f.Add(v)
	}
}

// quote returns the quoted value; ok is false when the notation rightly refuses.
func quote(t *testing.T, name, value string) (string, bool) {
	t.Helper()
	g, found := grammar.Lookup(name)
	if !found {
		t.Fatalf("no notation %q", name)
	}
	text, err := g.Quote(value)
	if err != nil && !errors.Is(err, grammar.ErrValue) {
		t.Fatalf("%s refuses with %v", name, err)
	}
	return text, err == nil
}

func FuzzADONET(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := quote(t, grammar.ADONET, value)
		if !ok {
			if !strings.ContainsRune(value, 0) {
				t.Fatalf("refused %q", value)
			}
			return
		}
		got, err := grammar.ParseADONET("Server=h;Password=" + text + ";Last=1;")
		if err != nil || got["password"] != value || got["last"] != "1" || len(got) != 3 {
			t.Fatalf("%q written as %s read as %q (%v)", value, text, got, err)
		}
	})
}

func FuzzLibpq(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := quote(t, grammar.Libpq, value)
		if !ok {
			return
		}
		dsn := "host=h port=5432 dbname=d user=u sslmode=require application_name=last password=" + text
		got, err := grammar.ParseLibpq(dsn)
		if err != nil || got["password"] != value || len(got) != 7 {
			t.Fatalf("%q written as %s read as %q (%v)", value, text, got, err)
		}
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatalf("pgx refuses %s: %v", text, err)
		}
		if cfg.Password != value {
			t.Fatalf("pgx reads %s as %q, not %q", text, cfg.Password, value)
		}
	})
}

func FuzzJDBC(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, _ := quote(t, grammar.JDBC, value)
		u, err := url.Parse("postgresql://h:5432/" + text + "?sslmode=require&user=" + text + "&password=" + text)
		if err != nil {
			t.Fatalf("%q written as %s: %v", value, text, err)
		}
		if got := strings.TrimPrefix(u.Path, "/"); got != value {
			t.Fatalf("path %q, want %q", got, value)
		}
		for _, key := range []string{"user", "password"} {
			if got := u.Query().Get(key); got != value {
				t.Fatalf("%s %q, want %q", key, got, value)
			}
		}
	})
}

func FuzzRedisURL(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, _ := quote(t, grammar.RedisURL, value)
		opts, err := redis.ParseURL("rediss://:" + text + "@h:6380/0")
		if err != nil || opts.Password != value {
			t.Fatalf("%q written as %s: %v", value, text, err)
		}
	})
}

func FuzzStackExchange(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := quote(t, grammar.StackExchange, value)
		if !ok {
			return
		}
		ends, opts, err := grammar.ParseStackExchange("h:6380,password=" + text + ",ssl=True")
		if err != nil || len(ends) != 1 || opts["password"] != value || opts["ssl"] != "True" {
			t.Fatalf("%q written as %s read as %v %q (%v)", value, text, ends, opts, err)
		}
	})
}

func FuzzStorage(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := quote(t, grammar.Storage, value)
		if !ok {
			return
		}
		opts, err := grammar.ParseStorage("AccountName=a;AccountKey=" + text + ";EndpointSuffix=s")
		if err != nil || opts["accountkey"] != value || opts["endpointsuffix"] != "s" {
			t.Fatalf("%q written as %s read as %q (%v)", value, text, opts, err)
		}
	})
}

// FuzzParsers holds that no text makes a parser panic or loop.
func FuzzParsers(f *testing.F) {
	seed(f)
	f.Add("a=b;c='d")
	f.Add("host = h  port= 1 x='y")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = grammar.ParseADONET(text)
		_, _ = grammar.ParseLibpq(text)
		_, _, _ = grammar.ParseStackExchange(text)
		_, _ = grammar.ParseStorage(text)
	})
}

func TestQuoteKeepsOrdinaryValues(t *testing.T) {
	t.Parallel()
	for _, name := range []string{grammar.Plain, grammar.ADONET, grammar.Libpq, grammar.JDBC, grammar.RedisURL, grammar.StackExchange, grammar.Storage} {
		for _, value := range []string{"app_user", "Passw0rd-1.x~", "db"} {
			if got, ok := quote(t, name, value); !ok || got != value {
				t.Errorf("%s writes %q as %q", name, value, got)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, value string }{
		{grammar.Plain, "a\x00b"}, {grammar.ADONET, "a\x00b"}, {grammar.Libpq, "a\x00b"},
		{grammar.StackExchange, "a,b"}, {grammar.StackExchange, " a"}, {grammar.StackExchange, "a\x00"},
		{grammar.Storage, "a;b"}, {grammar.Storage, ""}, {grammar.Storage, "a "},
	} {
		if _, ok := quote(t, row.name, row.value); ok {
			t.Errorf("%q carries %q", row.name, row.value)
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, key, value, want string }{
		{grammar.ADONET, "Server=h;", "Trust Server Certificate", "true", "Server=h;Trust Server Certificate=true;"},
		{grammar.ADONET, "Server=h", "Options", "-c x=1", `Server=h;Options="-c x=1";`},
		{grammar.Libpq, "host=h", "connect_timeout", "5", "host=h connect_timeout=5"},
		{grammar.Libpq, "host=h", "options", "-c a b", "host=h options='-c a b'"},
		{grammar.JDBC, "jdbc:postgresql://h/d?sslmode=require", "x", "a&b", "jdbc:postgresql://h/d?sslmode=require&x=a%26b"},
		{grammar.RedisURL, "rediss://h/0", "protocol", "3", "rediss://h/0?protocol=3"},
		{grammar.StackExchange, "h:6380,ssl=True", "abortConnect", "False", "h:6380,ssl=True,abortConnect=False"},
		{grammar.Storage, "AccountName=a", "QueueEndpoint", "https://q/", "AccountName=a;QueueEndpoint=https://q/"},
	} {
		g, _ := grammar.Lookup(row.name)
		got, err := g.Add(row.text, row.key, row.value)
		if err != nil || got != row.want {
			t.Errorf("%s: got %q, %v; want %q", row.name, got, err, row.want)
		}
		for _, key := range []string{"", "a;b", "a=b", "a\nb", "a,b", "a&b"} {
			if _, err := g.Add(row.text, key, "v"); !errors.Is(err, grammar.ErrKey) {
				t.Errorf("%s takes the key %q", row.name, key)
			}
		}
	}
}

func TestParseRefusals(t *testing.T) {
	t.Parallel()
	adonet := func(s string) error { _, err := grammar.ParseADONET(s); return err }
	libpq := func(s string) error { _, err := grammar.ParseLibpq(s); return err }
	stack := func(s string) error { _, _, err := grammar.ParseStackExchange(s); return err }
	storage := func(s string) error { _, err := grammar.ParseStorage(s); return err }
	for _, row := range []struct {
		parse func(string) error
		text  string
	}{
		{adonet, "Server"}, {adonet, "=h"}, {adonet, `P="x`}, {adonet, `P="x"y;`}, {adonet, "P=a\x01b"}, {adonet, "P\x00=b"},
		{libpq, "host"}, {libpq, "=h"}, {libpq, "password='x"}, {libpq, "a b=c"},
		{stack, ""}, {stack, "ssl=True"}, {stack, "h,=x"},
		{storage, "a"}, {storage, "=a"}, {storage, "a="}, {storage, "a=1;A=2"},
	} {
		if err := row.parse(row.text); !errors.Is(err, grammar.ErrText) {
			t.Errorf("%q: %v", row.text, err)
		}
	}
}
