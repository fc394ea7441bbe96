package grammar_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/microsoft/go-mssqldb/msdsn"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// write fills the marks of a template, each at its place; ok is false when the
// notation rightly refuses.
func write(t *testing.T, name, template string, values ...string) (text string, ok bool) {
	t.Helper()
	g, found := grammar.Lookup(name)
	if !found {
		t.Fatalf("no notation %q", name)
	}
	var out strings.Builder
	before := ""
	for i, part := range strings.Split(template, "\x00") {
		out.WriteString(part)
		before += part
		if i == len(values) {
			break
		}
		quoted, err := g.In(before, values[i])
		if errors.Is(err, grammar.ErrValue) {
			return "", false
		}
		if err != nil {
			t.Fatalf("%s refuses with %v", name, err)
		}
		out.WriteString(quoted)
		before += "\x00"
	}
	return out.String(), true
}

// seedThree gives every hostile value every place once.
func seedThree(f *testing.F) {
	for i, v := range hostile {
		f.Add(v, hostile[(i+7)%len(hostile)], hostile[(i+13)%len(hostile)])
	}
	f.Add("user@host", "p/@:(x)?", "d/b?c")
}

func FuzzMySQL(f *testing.F) {
	seedThree(f)
	f.Fuzz(func(t *testing.T, user, password, database string) {
		dsn, ok := write(t, grammar.MySQL, "\x00:\x00@tcp(h:3306)/\x00?tls=true", user, password, database)
		if !ok {
			if !strings.Contains(user, ":") && !strings.Contains(user+password, "\x00") {
				t.Fatalf("refused %q %q %q", user, password, database)
			}
			return
		}
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil || cfg.User != user || cfg.Passwd != password || cfg.DBName != database || cfg.Addr != "h:3306" || cfg.TLSConfig != "true" {
			t.Fatalf("%q reads as %+v (%v)", dsn, cfg, err)
		}
		bare, _ := write(t, grammar.MySQL, "\x00@tcp(h:3306)/\x00?tls=true", user, database)
		cfg, err = mysql.ParseDSN(bare)
		if err != nil || cfg.User != user || cfg.Passwd != "" || cfg.DBName != database {
			t.Fatalf("%q reads as %+v (%v)", bare, cfg, err)
		}
	})
}

func FuzzSQLServer(f *testing.F) {
	seedThree(f)
	f.Fuzz(func(t *testing.T, user, password, database string) {
		for name, form := range map[string]string{
			grammar.SQLServer: "server=h;port=1433;database=\x00;user id=\x00;password=\x00;",
			grammar.ODBC:      "odbc:Driver={ODBC Driver 17 for SQL Server};Server=h;Port=1433;Database=\x00;User Id=\x00;Password=\x00;",
		} {
			dsn, ok := write(t, name, form, database, user, password)
			if !ok {
				continue
			}
			cfg, err := msdsn.Parse(dsn)
			if err != nil || cfg.User != user || cfg.Password != password || cfg.Database != database || cfg.Host != "h" || cfg.Port != 1433 {
				t.Fatalf("%q reads as %q %q %q at %s:%d (%v)", dsn, cfg.User, cfg.Password, cfg.Database, cfg.Host, cfg.Port, err)
			}
		}
		// The same string is one of ADO.NET's.
		if dsn, ok := write(t, grammar.SQLServer, "password=\x00;last=1;", password); ok {
			if got, err := grammar.ParseADONET(dsn); err != nil || got["password"] != password || got["last"] != "1" {
				t.Fatalf("%q reads as %q (%v)", dsn, got, err)
			}
		}
	})
}

func FuzzSQLServerJDBC(f *testing.F) {
	seedThree(f)
	f.Fuzz(func(t *testing.T, user, password, database string) {
		text, ok := write(t, grammar.SQLServerJDBC, "jdbc:sqlserver://h:1433;databaseName=\x00;user=\x00;password=\x00;", database, user, password)
		if !ok {
			return
		}
		got, err := jdbcProperties(strings.TrimPrefix(text, "jdbc:sqlserver://h:1433;"))
		if err != nil || got["databaseName"] != database || got["user"] != user || got["password"] != password || len(got) != 3 {
			t.Fatalf("%q reads as %q (%v)", text, got, err)
		}
	})
}

// jdbcProperties reads name=value pairs as Microsoft's JDBC driver does: a value in
// braces ends at a brace that no other follows, any other at a semicolon, trimmed.
func jdbcProperties(text string) (map[string]string, error) {
	out := map[string]string{}
	for text != "" {
		name, rest, found := strings.Cut(text, "=")
		if !found {
			return nil, errors.New("name without a value")
		}
		name = strings.TrimSpace(name)
		bare, after, _ := strings.Cut(rest, ";")
		open := strings.IndexByte(rest, '{')
		if open < 0 || open > len(bare) {
			out[name] = strings.TrimFunc(bare, func(r rune) bool { return r <= ' ' })
			text = after
			continue
		}
		var value strings.Builder
		i := open + 1
		for ; i < len(rest) && (rest[i] != '}' || i+1 < len(rest) && rest[i+1] == '}'); i++ {
			value.WriteByte(rest[i])
			if rest[i] == '}' {
				i++
			}
		}
		if i == len(rest) {
			return nil, errors.New("brace is not closed")
		}
		_, text, _ = strings.Cut(rest[i+1:], ";")
		out[name] = value.String()
	}
	return out, nil
}

func FuzzMongoDB(f *testing.F) {
	seedThree(f)
	f.Fuzz(func(t *testing.T, user, password, app string) {
		const options = "/?ssl=true&replicaSet=globaldb&retrywrites=false&maxIdleTimeMS=120000&appName=@\x00@"
		text, ok := write(t, grammar.MongoDB, "mongodb://\x00:\x00@h:10255"+options, user, password, app)
		if !ok || user == "" {
			return
		}
		cs, err := connstring.Parse(text)
		if err != nil || cs.Username != user || cs.Password != password || cs.AppName != "@"+app+"@" || cs.Hosts[0] != "h:10255" {
			t.Fatalf("%q: %+v (%v)", text, cs, err)
		}
	})
}

func FuzzPairs(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		for name, form := range map[string]string{
			grammar.ServiceBus: "Endpoint=sb://h/;SharedAccessKeyName=k;SharedAccessKey=\x00",
			grammar.AppConfig:  "Endpoint=https://h;Id=i;Secret=\x00",
			grammar.SignalR:    "Endpoint=https://h;AccessKey=\x00;Version=1.0;",
			grammar.WebPubSub:  "Endpoint=https://h;AccessKey=\x00;Version=1.0;",
			grammar.Cosmos:     "AccountEndpoint=https://h:443/;AccountKey=\x00",
		} {
			text, ok := write(t, name, form, value)
			if !ok {
				continue
			}
			at := strings.LastIndex(form[:strings.IndexByte(form, 0)], ";")
			key := strings.ToLower(strings.TrimSuffix(form[at+1:strings.IndexByte(form, 0)], "="))
			got, err := grammar.ParseStorage(text)
			if err != nil || got[key] != value || len(got) != strings.Count(form, "=")-strings.Count(form, ":443/=") {
				t.Fatalf("%q reads as %q (%v)", text, got, err)
			}
			if ado, err := grammar.ParseADONET(text); name == grammar.Cosmos && (err != nil || ado[key] != value) && !hasControl(value) {
				t.Fatalf(".NET reads %q as %q (%v)", text, ado, err)
			}
		}
	})
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 })
}

func FuzzJAAS(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		line, ok := write(t, grammar.JAAS, "org.example.PlainLoginModule required username='\x00' password='\x00';", value, value)
		if !ok {
			return
		}
		if strings.ContainsAny(line, "\n\r") {
			t.Fatalf("%q has a second line", line)
		}
		rest := line
		for _, key := range []string{"username='", "password='"} {
			_, text, _ := strings.Cut(rest, key)
			got, after, err := javaText(text)
			if err != nil || got != value {
				t.Fatalf("%q reads as %q (%v)", line, got, err)
			}
			rest = after
		}
		if rest != ";" {
			t.Fatalf("%q ends in %q", line, rest)
		}
	})
}

// javaText reads up to the closing single quote as java.io.StreamTokenizer does.
func javaText(text string) (value, rest string, err error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\'':
			return out.String(), text[i+1:], nil
		case c == '\n' || c == '\r':
			return "", "", errors.New("the line ends inside the quotes")
		case c != '\\':
			out.WriteByte(c)
			continue
		}
		i++
		if i == len(text) {
			break
		}
		if j := strings.IndexByte("abfnrtv", text[i]); j >= 0 {
			out.WriteByte("\a\b\f\n\r\t\v"[j])
		} else if text[i] >= '0' && text[i] <= '7' {
			return "", "", fmt.Errorf("octal escape at %d", i)
		} else {
			out.WriteByte(text[i])
		}
	}
	return "", "", errors.New("quote is not closed")
}

func FuzzUserInfo(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := write(t, grammar.UserInfo, "\x00:\x00", value, value+":"+value)
		if !ok {
			return
		}
		if user, password, _ := strings.Cut(text, ":"); user != value || password != value+":"+value {
			t.Fatalf("%q reads as %q %q", text, user, password)
		}
	})
}

func FuzzURL(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, value string) {
		text, ok := write(t, grammar.URL, "\x00/groups/\x00/keys?v=1", "https://management.azure.com", value)
		if !ok {
			t.Fatalf("refused %q", value)
		}
		u, err := url.Parse(text)
		if err != nil || u.Path != "/groups/"+value+"/keys" || u.RawQuery != "v=1" || u.Host != "management.azure.com" {
			t.Fatalf("%q reads as %+v (%v)", text, u, err)
		}
	})
}

func TestEveryNotationKeepsOrdinaryValues(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		grammar.SQLServer, grammar.SQLServerJDBC, grammar.ODBC, grammar.MySQL, grammar.MongoDB, grammar.ServiceBus, grammar.AppConfig,
		grammar.SignalR, grammar.WebPubSub, grammar.Cosmos, grammar.JAAS, grammar.UserInfo, grammar.URL,
	} {
		for _, value := range []string{"app_user", "Passw0rd-1.x~", "11111111-2222-3333-4444-555555555555"} {
			if got, ok := write(t, name, "\x00:\x00", "a", value); !ok || got != "a:"+value {
				t.Errorf("%s writes %q as %q", name, value, got)
			}
		}
	}
}

func TestRefusalsByPlace(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, before, value string }{
		{grammar.MySQL, "", "a:b"}, {grammar.MySQL, "\x00:", "a\x00"}, {grammar.UserInfo, "", "a:b"}, {grammar.UserInfo, "\x00:", "\x00"},
		{grammar.Cosmos, "", `a"b`}, {grammar.Cosmos, "", "a'b"}, {grammar.Cosmos, "", "=a"}, {grammar.ServiceBus, "", "a;b"}, {grammar.AppConfig, "", ""},
		{grammar.SQLServer, "", "\xff"}, {grammar.SQLServer, "", "a\x00"}, {grammar.ODBC, "", "\xff"}, {grammar.ODBC, "", "a\x00"},
		{grammar.SQLServerJDBC, "", "a\x00"}, {grammar.JAAS, "", "a\x00"}, {grammar.URL, "", "a\x00"},
	} {
		g, _ := grammar.Lookup(row.name)
		if _, err := g.In(row.before, row.value); !errors.Is(err, grammar.ErrValue) {
			t.Errorf("%s carries %q: %v", row.name, row.value, err)
		} else if row.value != "" && strings.Contains(err.Error(), row.value) {
			t.Errorf("%s repeats the value: %v", row.name, err)
		}
	}
}

func TestAddToEveryNotation(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, key, value, want string }{
		{grammar.SQLServer, "server=h;", "encrypt", "a;b", `server=h;encrypt="a;b";`},
		{grammar.SQLServerJDBC, "jdbc:sqlserver://h;user=u;", "encrypt", "a}b", "jdbc:sqlserver://h;user=u;encrypt={a}}b};"},
		{grammar.ODBC, "Server=h;", "Connection Timeout", "30", "Server=h;Connection Timeout=30;"},
		{grammar.MySQL, "u@tcp(h)/d?tls=true", "loc", "Europe/Paris", "u@tcp(h)/d?tls=true&loc=Europe%2FParis"},
		{grammar.MongoDB, "mongodb://h/?ssl=true", "appName", "x y", "mongodb://h/?ssl=true&appName=x%20y"},
		{grammar.SignalR, "Endpoint=https://h;Version=1.0;", "ServerEndpoint", "https://s", "Endpoint=https://h;Version=1.0;ServerEndpoint=https://s"},
		{grammar.Cosmos, "AccountEndpoint=e;AccountKey=k", "Database", "d", "AccountEndpoint=e;AccountKey=k;Database=d"},
	} {
		g, _ := grammar.Lookup(row.name)
		if got, err := g.Add(row.text, row.key, row.value); err != nil || got != row.want {
			t.Errorf("%s: got %q, %v; want %q", row.name, got, err, row.want)
		}
		if _, err := g.Add(row.text, "a;b", "v"); !errors.Is(err, grammar.ErrKey) {
			t.Errorf("%s takes a bad key", row.name)
		}
	}
	for _, name := range []string{grammar.JAAS, grammar.UserInfo, grammar.URL} {
		if g, _ := grammar.Lookup(name); g.Add != nil {
			t.Errorf("%s takes further options", name)
		}
	}
}
