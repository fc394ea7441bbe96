package appconfig

import "strings"

// filter is what a key or a label may be: one of several names, each exact or the
// beginning of longer ones. An empty filter lets everything through.
type filter []pattern

type pattern struct {
	text   string
	prefix bool
}

// parseFilter reads names between commas; a star at the end of a name makes it a
// prefix, a backslash takes the meaning from what follows, NUL stands for no label.
func parseFilter(text string) (filter, bool) {
	if text == "" || text == "*" {
		return nil, true
	}
	var out filter
	one, escaped := pattern{}, false
	for _, c := range text {
		switch {
		case escaped:
			one.text, escaped = one.text+string(c), false
		case one.prefix && c != ',':
			return nil, false // a star may only stand at the end
		case c == '\\':
			escaped = true
		case c == '*':
			one.prefix = true
		case c == ',':
			out, one = append(out, one), pattern{}
		case c != 0:
			one.text += string(c)
		}
	}
	return append(out, one), !escaped
}

func (f filter) lets(name string) bool {
	if f == nil {
		return true
	}
	for _, p := range f {
		if p.text == name || p.prefix && strings.HasPrefix(name, p.text) {
			return true
		}
	}
	return false
}
