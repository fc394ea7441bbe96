package process

import (
	"errors"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// header begins the files that are ours from the first line on: one that holds nothing
// else goes when our last variable goes.
const header = "# Patchbay keeps the settings of connections here; further lines are yours.\n"

// reader is whose rules a file is read by.
type reader int

const (
	shells  reader = iota // dotenv libraries and POSIX shells
	compose               // Docker Compose
)

// entry is a piece of a file: a variable with the text around its value, or, without a
// name, anything else. Pieces put together are the file.
type entry struct {
	name                string
	before, text, after string // text is the value as it stands there, quotes and all
	value               string
	open                bool // it begins with a quote that does not end
}

type envFile struct {
	entries []entry
	read    reader
	open    bool // a quote is not closed
}

// assignment is the begin of a line that sets a variable; Compose takes a colon as well.
var assignment = regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Za-z0-9_.\[\]-]+)[ \t]*[=:][ \t]*`)

// parseEnv never refuses: what is no variable is somebody else's business.
func parseEnv(raw []byte, r reader) *envFile {
	e := &envFile{read: r}
	for rest := string(raw); rest != ""; {
		one := parseEntry(rest)
		e.open = e.open || one.open
		e.entries = append(e.entries, one)
		rest = rest[len(one.before)+len(one.text)+len(one.after):]
	}
	return e
}

func parseEntry(rest string) entry {
	line := rest
	if at := strings.IndexByte(rest, '\n'); at >= 0 {
		line = rest[:at+1]
	}
	m := assignment.FindStringSubmatch(line)
	if m == nil {
		return entry{before: line}
	}
	one := entry{name: m[1], before: m[0]}
	value := rest[len(m[0]):]
	if value != "" && (value[0] == '\'' || value[0] == '"') {
		if end := closing(value); end > 0 {
			one.text, one.value = value[:end], unquote(value[:end])
			one.after = value[end:]
			if at := strings.IndexByte(one.after, '\n'); at >= 0 {
				one.after = one.after[:at+1]
			}
			return one
		}
		one.open = true
	}
	plain := line[len(m[0]):]
	one.text = plain
	if at := strings.Index(plain, " #"); at >= 0 {
		one.text = plain[:at]
	} else if strings.HasPrefix(plain, "#") {
		one.text = ""
	}
	one.text = strings.TrimRight(one.text, " \t\r\n")
	one.value, one.after = one.text, plain[len(one.text):]
	return one
}

// closing is where a quoted value ends, 0 when it does not.
func closing(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return 0
}

// unquote reads a quoted value. What a reader would put in for a variable stays as it is.
func unquote(text string) string {
	inner := text[1 : len(text)-1]
	if text[0] == '\'' {
		return strings.ReplaceAll(inner, `\'`, `'`)
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' || i+1 == len(inner) {
			b.WriteByte(inner[i])
			continue
		}
		i++
		switch c := inner[i]; c {
		case '\\', '"', '$', '`':
			b.WriteByte(c)
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		default:
			b.WriteString(`\` + string(c))
		}
	}
	return b.String()
}

// quote writes a value so that the file's readers take it as it is. Between single quotes
// all of them do, but for a value that holds one, or ends in what looks like an escape.
func (r reader) quote(value string) string {
	switch {
	case r == compose && (strings.ContainsAny(value, "'\r") || strings.HasSuffix(value, `\`)):
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\r", `\r`).Replace(value) + `"`
	case r == shells && (strings.Contains(value, "'") || strings.HasSuffix(value, `\`)):
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(value) + `"`
	}
	return "'" + value + "'"
}

// bareword is a value that needs no quotes anywhere; what is put back is written so,
// because people do.
var bareword = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-]*$`)

func (e *envFile) last(name string) int {
	for i := len(e.entries) - 1; i >= 0; i-- {
		if e.entries[i].name == name {
			return i
		}
	}
	return -1
}

// get returns a variable's value; the last line that sets it counts.
func (e *envFile) get(name string) (string, bool) {
	if i := e.last(name); i >= 0 {
		return e.entries[i].value, true
	}
	return "", false
}

// variable is a name that all readers take.
var variable = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func (e *envFile) apply(c plan.Change) error {
	name := c.Facet.Name
	switch {
	case c.Action == plan.Remove && (c.Restore == nil || !c.Restore.Exists):
		if i := e.last(name); i >= 0 {
			e.entries = append(e.entries[:i:i], e.entries[i+1:]...)
		}
		return nil
	case c.Action == plan.Remove:
		value := c.Restore.Attrs[connection.AttrValue].Text
		text := e.read.quote(value)
		if bareword.MatchString(value) {
			text = value
		}
		e.set(name, value, text)
		return nil
	}
	value := c.Facet.Want[connection.AttrValue].Text
	switch {
	case !variable.MatchString(name):
		return errors.New("no reader of such files has variables of this name")
	case strings.ContainsRune(value, 0):
		return errors.New("its value holds a zero byte")
	}
	e.set(name, value, e.read.quote(value))
	return nil
}

func (e *envFile) set(name, value, text string) {
	if i := e.last(name); i >= 0 {
		if e.entries[i].value != value {
			e.entries[i].value, e.entries[i].text = value, text
		}
		return
	}
	if len(e.entries) == 0 {
		e.entries = append(e.entries, entry{before: header})
	}
	end, whole := "\n", string(e.bytes())
	if strings.Contains(whole, "\r\n") {
		end = "\r\n"
	}
	if !strings.HasSuffix(whole, "\n") {
		e.entries = append(e.entries, entry{before: end})
	}
	e.entries = append(e.entries, entry{name: name, before: name + "=", text: text, after: end, value: value})
}

// bytes is the file.
func (e *envFile) bytes() []byte {
	var b strings.Builder
	for _, one := range e.entries {
		b.WriteString(one.before + one.text + one.after)
	}
	return []byte(b.String())
}

// bare tells whether nothing is left but what we began the file with.
func (e *envFile) bare() bool { return string(e.bytes()) == header }
