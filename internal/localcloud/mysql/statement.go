package mysql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexeme is one word, string or sign of a statement.
type lexeme struct {
	kind rune // 'w' a bare word, 's' a quoted string or identifier, otherwise the sign itself
	text string
}

func (l lexeme) is(word string) bool { return l.kind == 'w' && strings.EqualFold(l.text, word) }

// lexemes takes a statement apart, up to limit of them; ok is false where a quote or a
// comment does not end. It is enough to know the platform's own statements from others.
func lexemes(text string, limit int) (out []lexeme, ok bool) {
	for len(text) > 0 && len(out) < limit {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case unicode.IsSpace(r):
			text = text[size:]
		case comment(text) != "":
			_, rest, closed := strings.Cut(text, comment(text))
			if !closed && comment(text) == "*/" {
				return out, false
			}
			text = rest
		case r == '\'' || r == '"' || r == '`':
			word, rest, closed := quoted(text, byte(r))
			if !closed {
				return out, false
			}
			out, text = append(out, lexeme{'s', word}), rest
		case wordRune(r):
			end := strings.IndexFunc(text, func(r rune) bool { return !wordRune(r) })
			if end < 0 {
				end = len(text)
			}
			out, text = append(out, lexeme{'w', text[:end]}), text[end:]
		default:
			out, text = append(out, lexeme{r, string(r)}), text[size:]
		}
	}
	return out, true
}

// comment returns what ends the comment that text begins with, "" when it is none. A
// comment that MySQL executes is none.
func comment(text string) string {
	switch {
	case strings.HasPrefix(text, "/*!"), strings.HasPrefix(text, "/*M!"):
		return ""
	case strings.HasPrefix(text, "/*"):
		return "*/"
	case strings.HasPrefix(text, "#"), strings.HasPrefix(text, "-- "), strings.HasPrefix(text, "--\n"):
		return "\n"
	}
	return ""
}

func wordRune(r rune) bool {
	return r == '_' || r == '$' || r == '@' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// quoted reads a quoted word: a doubled quote stands for itself, and in strings a
// backslash escapes.
func quoted(text string, quote byte) (word, rest string, closed bool) {
	var b strings.Builder
	for n := 1; n < len(text); n++ {
		c := text[n]
		switch {
		case c == '\\' && quote != '`' && n+1 < len(text):
			n++
			b.WriteByte(unescaped(text[n]))
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

func unescaped(c byte) byte {
	for n, from := range []byte("0bnrtZ") {
		if c == from {
			return []byte("\x00\b\n\r\t\x1a")[n]
		}
	}
	return c
}

// maxLexemes is more than any statement of the platform's own has.
const maxLexemes = 16

// statement is one of the platform's own.
type statement struct {
	create      bool // CREATE AADUSER; otherwise SET aad_auth_validate_oids_in_tenant
	ifNotExists bool
	name, id    string
	on          bool
}

const validateVariable = "aad_auth_validate_oids_in_tenant"

// parseStatement knows the platform's own statements. ours is false for any other, which
// goes to the server as it is; ok is false when it is ours and malformed.
func parseStatement(text string) (s statement, ours, ok bool) {
	words, whole := lexemes(text, maxLexemes)
	switch {
	case len(words) >= 2 && words[0].is("create") && words[1].is("aaduser"):
		s, ok = parseCreate(words[2:])
		return s, true, ok && whole
	case len(words) >= 2 && words[0].is("set") && mentionsVariable(words):
		s, ok = parseSet(words[1:])
		return s, true, ok && whole
	}
	return statement{}, false, false
}

func mentionsVariable(words []lexeme) bool {
	for _, w := range words {
		if w.is(validateVariable) || w.is("@@"+validateVariable) || w.is("@@session") && len(words) > 3 && words[3].is(validateVariable) {
			return true
		}
	}
	return false
}

func parseCreate(words []lexeme) (statement, bool) {
	s := statement{create: true}
	if len(words) >= 3 && words[0].is("if") && words[1].is("not") && words[2].is("exists") {
		s.ifNotExists, words = true, words[3:]
	}
	if len(words) == 0 || words[0].kind != 's' && words[0].kind != 'w' {
		return s, false
	}
	s.name, words = words[0].text, words[1:]
	if len(words) >= 3 && words[0].is("identified") && words[1].is("by") && words[2].kind == 's' {
		s.id, words = words[2].text, words[3:]
	}
	return s, s.name != "" && ended(words)
}

func parseSet(words []lexeme) (statement, bool) {
	switch {
	case words[0].is("session"):
		words = words[1:]
	case words[0].is("@@session") && len(words) > 1 && words[1].kind == '.':
		words = words[2:]
	}
	if len(words) < 3 || !words[0].is(validateVariable) && !words[0].is("@@"+validateVariable) || words[1].kind != '=' {
		return statement{}, false
	}
	value, known := map[string]bool{"on": true, "1": true, "true": true, "off": false, "0": false, "false": false}[strings.ToLower(words[2].text)]
	return statement{on: value}, known && ended(words[3:])
}

// ended tells whether nothing follows but the end of the statement.
func ended(words []lexeme) bool {
	return len(words) == 0 || len(words) == 1 && words[0].kind == ';'
}
