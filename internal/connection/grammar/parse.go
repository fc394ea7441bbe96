package grammar

import (
	"fmt"
	"strings"
	"unicode"
)

// Options are what a connection string says, by key in lower case. Where a key
// is given twice the last one counts, as in the libraries.
type Options map[string]string

// ParseADONET reads an ADO.NET connection string by the rules of DbConnectionStringBuilder.
func ParseADONET(text string) (Options, error) {
	r := &reader{rest: text}
	out := Options{}
	for {
		r.skip(func(c rune) bool { return c == ';' || unicode.IsSpace(c) })
		if r.rest == "" {
			return out, nil
		}
		key, err := r.adonetKey()
		if err != nil {
			return nil, err
		}
		value, err := r.adonetValue()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out[strings.ToLower(key)] = value
	}
}

// ParseLibpq reads a libpq keyword string: key = value pairs between blanks, values bare or in single quotes, with backslash escapes.
func ParseLibpq(text string) (Options, error) {
	r := &reader{rest: text}
	out := Options{}
	for {
		r.skip(asciiSpace)
		if r.rest == "" {
			return out, nil
		}
		key, found := r.until('=')
		key = strings.TrimRightFunc(key, asciiSpace)
		if !found || key == "" || strings.ContainsFunc(key, asciiSpace) {
			return nil, fmt.Errorf("keyword without a value: %w", ErrText)
		}
		r.skip(asciiSpace)
		value, err := r.libpqValue()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out[strings.ToLower(key)] = value
	}
}

// ParseStackExchange reads a StackExchange.Redis option string: its endpoints and its options.
func ParseStackExchange(text string) (endpoints []string, options Options, err error) {
	options = Options{}
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		key, value, found := strings.Cut(part, "=")
		switch {
		case part == "":
		case found && strings.TrimSpace(key) == "":
			return nil, nil, fmt.Errorf("option without a name: %w", ErrText)
		case found:
			options[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		default:
			endpoints = append(endpoints, part)
		}
	}
	if len(endpoints) == 0 {
		return nil, nil, fmt.Errorf("no endpoint: %w", ErrText)
	}
	return endpoints, options, nil
}

// ParseStorage reads a storage connection string. A key given twice is refused, as the libraries do.
func ParseStorage(text string) (Options, error) {
	out := Options{}
	for _, part := range strings.Split(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !found || key == "" || value == "" {
			return nil, fmt.Errorf("part without a name or a value: %w", ErrText)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s is given twice: %w", key, ErrText)
		}
		out[key] = value
	}
	return out, nil
}

// reader takes a text apart from the left.
type reader struct{ rest string }

func (r *reader) skip(drop func(rune) bool) { r.rest = strings.TrimLeftFunc(r.rest, drop) }

// until cuts at the first stop; without one everything is taken.
func (r *reader) until(stop rune) (string, bool) {
	before, after, found := strings.Cut(r.rest, string(stop))
	r.rest = after
	return before, found
}

// adonetKey reads up to a single equals sign; a doubled one belongs to the key.
func (r *reader) adonetKey() (string, error) {
	var key strings.Builder
	for {
		part, found := r.until('=')
		if !found || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("keyword without a value: %w", ErrText)
		}
		key.WriteString(part)
		if !strings.HasPrefix(r.rest, "=") {
			break
		}
		key.WriteByte('=')
		r.rest = r.rest[1:]
	}
	name := strings.TrimRightFunc(key.String(), unicode.IsSpace)
	if name == "" {
		return "", fmt.Errorf("keyword without a name: %w", ErrText)
	}
	return name, nil
}

func (r *reader) adonetValue() (string, error) {
	r.skip(unicode.IsSpace)
	if r.rest == "" || (r.rest[0] != '"' && r.rest[0] != '\'') {
		return r.adonetBare()
	}
	quote := r.rest[:1]
	r.rest = r.rest[1:]
	var value strings.Builder
	for {
		part, found := r.until(rune(quote[0]))
		if !found || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("quote is not closed: %w", ErrText)
		}
		value.WriteString(part)
		if !strings.HasPrefix(r.rest, quote) {
			break
		}
		value.WriteString(quote)
		r.rest = r.rest[1:]
	}
	r.skip(unicode.IsSpace)
	if r.rest != "" && r.rest[0] != ';' {
		return "", fmt.Errorf("text after a closed quote: %w", ErrText)
	}
	return value.String(), nil
}

func (r *reader) adonetBare() (string, error) {
	value, _ := r.until(';')
	bad := func(c rune) bool { return unicode.IsControl(c) && !unicode.IsSpace(c) }
	if strings.ContainsFunc(value, bad) {
		return "", fmt.Errorf("control character outside quotes: %w", ErrText)
	}
	return strings.TrimRightFunc(value, unicode.IsSpace), nil
}

func (r *reader) libpqValue() (string, error) {
	quoted := strings.HasPrefix(r.rest, "'")
	if quoted {
		r.rest = r.rest[1:]
	}
	var value strings.Builder
	for i := 0; i < len(r.rest); i++ {
		c := r.rest[i]
		switch {
		case c == '\\' && i+1 < len(r.rest):
			i++
			value.WriteByte(r.rest[i])
		case quoted && c == '\'':
			r.rest = r.rest[i+1:]
			return value.String(), nil
		case !quoted && asciiSpace(rune(c)):
			r.rest = r.rest[i:]
			return value.String(), nil
		default:
			value.WriteByte(c)
		}
	}
	if quoted {
		return "", fmt.Errorf("quote is not closed: %w", ErrText)
	}
	r.rest = ""
	return value.String(), nil
}

func asciiSpace(c rune) bool { return strings.ContainsRune(" \t\n\v\f\r", c) }
