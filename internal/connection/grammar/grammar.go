// Package grammar is the notations connection strings are written in: how a
// value is quoted inside one, how a further option is added, how one is read back.
//
// It promises that what Quote writes, Parse and the ecosystem's own parser read
// back unchanged, and that a value a notation cannot carry is refused instead of
// mangled. Errors never hold the value. It knows nothing of any target.
package grammar

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// ErrValue is wrapped when a notation cannot carry a value, ErrKey when it cannot
// carry the name of an option, and ErrText when a text is not of the notation.
var (
	ErrValue = errors.New("value cannot be written in this notation")
	ErrKey   = errors.New("option name cannot be written in this notation")
	ErrText  = errors.New("text is not of this notation")
)

// Grammar is one notation.
type Grammar struct {
	// Title names the notation for people.
	Title string
	// Quote turns a value into the text that stands for it inside the notation.
	Quote func(value string) (string, error)
	// QuoteAt is Quote where the rules differ from place to place: before is the
	// template up to the value, with a NUL for each earlier value. Nil where they do not.
	QuoteAt func(before, value string) (string, error)
	// Add appends an option; nil where the notation has none (a plain value).
	Add func(text, key, value string) (string, error)
}

// Names of the notations, as the catalog's files spell them.
const (
	Plain         = ""
	ADONET        = "adonet"
	Libpq         = "libpq"
	JDBC          = "jdbc"
	RedisURL      = "redis-url"
	StackExchange = "stackexchange"
	Storage       = "storage"
	SQLServer     = "mssql"
	SQLServerJDBC = "sqlserver-jdbc"
	ODBC          = "odbc"
	MySQL         = "mysql"
	MongoDB       = "mongodb"
	ServiceBus    = "servicebus"
	AppConfig     = "appconfig"
	SignalR       = "signalr"
	WebPubSub     = "webpubsub"
	Cosmos        = "cosmos"
	JAAS          = "jaas"
	UserInfo      = "userinfo"
	URL           = "url"
)

// In turns a value into the text that stands for it at its place in a template.
func (g Grammar) In(before, value string) (string, error) {
	if g.QuoteAt != nil {
		return g.QuoteAt(before, value)
	}
	return g.Quote(value)
}

// Lookup finds a notation by name.
func Lookup(name string) (Grammar, bool) {
	g, ok := grammars[name]
	return g, ok
}

var grammars = map[string]Grammar{
	Plain:         {Title: "a plain value", Quote: quotePlain},
	ADONET:        {Title: "an ADO.NET connection string", Quote: quoteADONET, Add: adder(";", ";", optionWords, quoteADONET)},
	Libpq:         {Title: "a libpq keyword string", Quote: quoteLibpq, Add: adder(" ", "", optionWord, quoteLibpq)},
	JDBC:          {Title: "a JDBC URL", Quote: escaper(""), Add: addQuery},
	RedisURL:      {Title: "a redis URL", Quote: escaper("="), Add: addQuery},
	StackExchange: {Title: "a StackExchange.Redis option string", Quote: quoteStackExchange, Add: adder(",", "", optionWord, quoteStackExchange)},
	Storage:       pairs("a storage connection string"),
	ServiceBus:    pairs("a Service Bus connection string"),
	AppConfig:     pairs("an App Configuration connection string"),
	SignalR:       pairs("a SignalR connection string"),
	WebPubSub:     pairs("a Web PubSub connection string"),
	Cosmos:        {Title: "a Cosmos DB connection string", Quote: quoteCosmos, Add: adder(";", "", optionWord, quoteCosmos)},
	SQLServer:     {Title: "a connection string of go-mssqldb", Quote: quoteSQLServer, Add: adder(";", ";", optionWords, quoteSQLServer)},
	SQLServerJDBC: {Title: "a JDBC URL of SQL Server", Quote: quoteSQLServerJDBC, Add: adder(";", ";", optionWord, quoteSQLServerJDBC)},
	ODBC:          {Title: "an ODBC connection string", Quote: quoteODBC, Add: adder(";", ";", optionWords, quoteODBC)},
	MySQL:         {Title: "a DSN of go-sql-driver/mysql", Quote: quotePlain, QuoteAt: quoteMySQL, Add: addQuery},
	MongoDB:       {Title: "a MongoDB URI", Quote: escaper(""), QuoteAt: quoteURL, Add: addQuery},
	JAAS:          {Title: "a line of JAAS configuration", Quote: quoteJAAS},
	UserInfo:      {Title: "a user name and a password with a colon between them", Quote: quotePlain, QuoteAt: quoteUserInfo},
	URL:           {Title: "a URL", Quote: escaper(""), QuoteAt: quoteURL},
}

// pairs is the notation of Azure's services: key=value between semicolons, without escapes.
func pairs(title string) Grammar {
	return Grammar{Title: title, Quote: quotePairs, Add: adder(";", "", optionWord, quotePairs)}
}

// What an option may be called: words with blanks where the notation allows them.
var (
	optionWord  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	optionWords = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*$`)
)

// adder appends key=value after a separator (unless the text ends with it) and closes it with end.
func adder(separator, end string, keys *regexp.Regexp, quote func(string) (string, error)) func(text, key, value string) (string, error) {
	return func(text, key, value string) (string, error) {
		if !keys.MatchString(key) {
			return "", fmt.Errorf("%q: %w", key, ErrKey)
		}
		quoted, err := quote(value)
		if err != nil {
			return "", err
		}
		if text != "" && !strings.HasSuffix(text, separator) {
			text += separator
		}
		return text + key + "=" + quoted + end, nil
	}
}

func addQuery(text, key, value string) (string, error) {
	if !optionWord.MatchString(key) {
		return "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	separator := "?"
	if strings.Contains(text, "?") {
		separator = "&"
	}
	return text + separator + key + "=" + escape(value, ""), nil
}

func quotePlain(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("it holds a NUL: %w", ErrValue)
	}
	return value, nil
}

// quoteADONET follows DbConnectionStringBuilder: bare when harmless, in double
// quotes otherwise, in single ones when it holds double quotes only.
func quoteADONET(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("it holds a NUL: %w", ErrValue)
	}
	harmful := func(r rune) bool {
		return strings.ContainsRune(`"'=;`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	switch {
	case value != "" && !strings.ContainsFunc(value, harmful):
		return value, nil
	case strings.Contains(value, `"`) && !strings.Contains(value, `'`):
		return `'` + value + `'`, nil
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`, nil
}

func quoteLibpq(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", fmt.Errorf("it holds a NUL: %w", ErrValue)
	}
	if value != "" && !strings.ContainsAny(value, " \t\n\v\f\r'\\") {
		return value, nil
	}
	return `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + `'`, nil
}

// escaper percent-encodes everything but unreserved characters and those in keep.
func escaper(keep string) func(string) (string, error) {
	return func(value string) (string, error) { return escape(value, keep), nil }
}

func escape(value, keep string) string {
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		b := value[i]
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9',
			strings.IndexByte("-._~", b) >= 0, strings.IndexByte(keep, b) >= 0:
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

// quoteStackExchange refuses what the notation has no escape for: it is split at
// commas and every part is trimmed.
func quoteStackExchange(value string) (string, error) {
	switch {
	case strings.ContainsRune(value, ','):
		return "", fmt.Errorf("it holds a comma: %w", ErrValue)
	case value != strings.TrimSpace(value):
		return "", fmt.Errorf("it begins or ends with a blank: %w", ErrValue)
	}
	return quotePlain(value)
}

// quotePairs refuses the semicolon, for which the notation has no escape.
func quotePairs(value string) (string, error) {
	switch {
	case strings.ContainsRune(value, ';'):
		return "", fmt.Errorf("it holds a semicolon: %w", ErrValue)
	case value == "" || value != strings.TrimSpace(value):
		return "", fmt.Errorf("it is empty or begins or ends with a blank: %w", ErrValue)
	}
	return quotePlain(value)
}
