package cosmos

import (
	"errors"
	"strconv"
	"testing"
)

func TestQueries(t *testing.T) {
	t.Parallel()
	list := []item{
		{"id": "a", "n": 1.0, "ok": true, "in": map[string]any{"city": "Oslo"}},
		{"id": "b's", "n": 2.0, "ok": false, "in": map[string]any{"city": "Bergen"}, "none": nil},
		{"id": "c", "n": 3.5},
	}
	given := map[string]any{"@id": "b's", "@n": 2.0}
	for query, want := range map[string]int{
		"SELECT * FROM c": 3, "select * from c;": 3, "SELECT * FROM root": 3, "SELECT * FROM orders o WHERE o.id = 'a'": 1, "SELECT * FROM orders AS o": 3,
		"SELECT * FROM c WHERE c.id = @id": 1, `SELECT * FROM c WHERE c.id = "b's"`: 1, `SELECT * FROM c WHERE c["id"] = 'b\'s'`: 1,
		"SELECT * FROM c WHERE c.n >= @n": 2, "SELECT * FROM c WHERE c.n > 1 AND c.n < 3": 1, "SELECT * FROM c WHERE c.in.city = 'Oslo'": 1,
		"SELECT * FROM c WHERE c.ok = true": 1, "SELECT * FROM c WHERE c.id != 'a'": 2, "SELECT * FROM c WHERE c.id <> 'a' AND c.n <= -1.5e0": 0,
		"SELECT VALUE COUNT(1) FROM c": 1,
	} {
		q, err := ParseQuery(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got, err := q.Run(list, given); err != nil || len(got) != want {
			t.Errorf("%s: %d, %v", query, len(got), err)
		}
	}
	q, err := ParseQuery("SELECT VALUE COUNT(1) FROM c WHERE c.n > 1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Run(list, nil); err != nil || got[0] != 2 {
		t.Errorf("count: %v, %v", got, err)
	}
	q, err = ParseQuery("SELECT * FROM c WHERE c.id = @other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Run(list, given); err == nil {
		t.Error("a parameter that is not given was taken")
	}
}

func TestQueriesRefused(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "SELECT", "SELECT c.id FROM c", "SELECT * FROM", "SELECT * FROM c WHERE", "SELECT * FROM c WHERE d.id = 1", "SELECT * FROM c WHERE c = 1",
		"SELECT * FROM c WHERE c.id LIKE 'x'", "SELECT * FROM c WHERE c.id = 'x' OR c.n = 1", "SELECT * FROM c ORDER BY c.id", "SELECT * FROM c WHERE c[0] = 1",
		"SELECT * FROM c WHERE c.id = 'x", "SELECT * FROM c WHERE c.id = x", "DELETE FROM c", "SELECT * FROM c WHERE c.id = #"} {
		var syntax *QueryError
		if _, err := ParseQuery(query); !errors.As(err, &syntax) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// No query brings the parser down, and a text survives its way through a literal.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a", `it's "so"`, `\`, "' OR 1=1 --", "SELECT * FROM c", "SELECT * FROM c WHERE c.id = @id", "@", "c[", "Ærø\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := ParseQuery(text); err == nil {
			_, _ = q.Run([]item{{"id": "x", "n": 1.0}}, nil)
		}
		literal := strconv.QuoteToASCII(text)
		q, err := ParseQuery("SELECT * FROM c WHERE c.id = " + literal)
		if err != nil {
			t.Fatalf("%s: %v", literal, err)
		}
		if want := unquote(literal); q.conditions[0].value != want {
			t.Errorf("%s is read as %q", literal, q.conditions[0].value)
		}
	})
}

func FuzzScope(f *testing.F) {
	const account = "/subscriptions/s/resourceGroups/r/providers/Microsoft.DocumentDB/databaseAccounts/a"
	for _, seed := range []string{"/", "", account, account + "/dbs/x", account + "/dbs/x/colls/y", account + "x", account + "//dbs//x/", "/dbs/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		names, ok := scopeNames(account, scope)
		if ok && len(names) > 2 {
			t.Errorf("%q names %q", scope, names)
		}
		if !ok && within(names, nil) && len(names) > 0 {
			t.Errorf("%q reaches the account", scope)
		}
	})
}

// Addresses that are understood name at most a document of a container of a database.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"/", "/dbs", "/dbs/x/colls/y/docs/z", "/dbs/x/colls/y/pkranges", "/colls", "//dbs//x", "/dbs/x/docs/y", "/dbs/x/colls/y/docs/z/attachments"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a, err := parseAddress(path)
		if err == nil && (len(a.names) > 3 || a.feed && len(a.names) > 2 || a.kind == "" && len(a.names) > 0) {
			t.Errorf("%q is %+v", path, a)
		}
	})
}

func FuzzBlock(f *testing.F) {
	for _, seed := range []string{"1.2.3.4", "10.0.0.0/8", "::1", "1.2.3.4/33", "", "/", "0.0.0.0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := block(text); err == nil && (!p.IsValid() || !p.Addr().Is4()) {
			t.Errorf("%q is %v", text, p)
		}
	})
}
