package connection

import (
	"fmt"
	"strconv"
	"strings"
)

// Sources that are files of one machine, and what is written beside them.
const (
	filesProvider = "Patchbay.Files"

	TypeEnvFile        = filesProvider + "/envFiles"
	TypeComposeEnvFile = filesProvider + "/composeEnvFiles"
	TypeSecretFolder   = filesProvider + "/secretFolders"
	TypeComposeService = filesProvider + "/composeFiles/services"
)

// FileID is the id of a file, or of something in it: names are the file's path and what
// follows it along the type. Ids compare folded and paths do not, so that whatever folding
// would change is escaped.
func FileID(kind string, names ...string) string {
	parts := strings.Split(kind, "/")
	out := "/providers/" + parts[0]
	for i, name := range names {
		out += "/" + parts[i+1] + "/" + escapePath(name)
	}
	return out
}

// IsFile tells whether an id is that of a file on the machine where the work is done: a
// source without a cloud, which no server of another machine can reach.
func IsFile(id string) bool {
	return strings.HasPrefix(FoldID(id), "/providers/"+strings.ToLower(filesProvider)+"/")
}

// OnFile tells whether the connection's source is a file.
func (c *Connection) OnFile() bool { return IsFile(c.Source) }

// FileNames reads back what FileID was given.
func FileNames(kind, id string) ([]string, error) {
	types := strings.Split(kind, "/")
	segments := strings.Split(strings.Trim(id, "/"), "/")
	if len(segments) != 2*len(types) || !strings.EqualFold(TypeOf(id), kind) {
		return nil, fmt.Errorf("read %q: not the id of one of %s", id, kind)
	}
	names := make([]string, 0, len(types)-1)
	for i := 3; i < len(segments); i += 2 {
		name, err := unescapePath(segments[i])
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", id, err)
		}
		names = append(names, name)
	}
	return names, nil
}

// escapePath writes a slash as a tilde, and everything that is no small letter, digit,
// period or underscore as a hyphen and two hexadecimal digits.
func escapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/':
			b.WriteByte('~')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "-%02x", c)
		}
	}
	return b.String()
}

func unescapePath(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '~':
			b.WriteByte('/')
		case '-':
			if i+2 >= len(text) {
				return "", fmt.Errorf("%q ends within an escape", text)
			}
			v, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("%q: %w", text, err)
			}
			b.WriteByte(byte(v))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}
