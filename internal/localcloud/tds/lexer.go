package tds

import (
	"encoding/hex"
	"strings"
	"unicode"
)

// class is what kind of word a token of a batch is.
type class int

const (
	classEnd    class = iota
	classWord         // bare: a keyword or a name
	className         // in brackets or double quotes: never a keyword
	classText         // a string
	classNumber       // whole
	classHex          // 0x...
	classParam        // @name, @@name
	classMark         // punctuation
)

// word is one token. Text is unquoted, as written otherwise.
type word struct {
	class class
	text  string
	raw   []byte // of classHex
}

// is tells whether the word is this keyword or mark.
func (w word) is(text string) bool {
	return (w.class == classWord || w.class == classMark) && strings.EqualFold(w.text, text)
}

func lex(text string) ([]word, error) {
	l := &lexer{rest: []rune(text)}
	var out []word
	for {
		w, err := l.next()
		if err != nil {
			return nil, err
		}
		if out = append(out, w); w.class == classEnd {
			return out, nil
		}
	}
}

type lexer struct{ rest []rune }

func (l *lexer) next() (word, error) {
	if err := l.blank(); err != nil {
		return word{}, err
	}
	if len(l.rest) == 0 {
		return word{}, nil
	}
	switch r := l.rest[0]; {
	case r == '\'':
		return l.quoted(classText, '\'', 1)
	case (r == 'N' || r == 'n') && len(l.rest) > 1 && l.rest[1] == '\'':
		return l.quoted(classText, '\'', 2)
	case r == '[':
		return l.quoted(className, ']', 1)
	case r == '"':
		return l.quoted(className, '"', 1)
	case r == '0' && len(l.rest) > 1 && (l.rest[1] == 'x' || l.rest[1] == 'X'):
		return l.hex()
	case r >= '0' && r <= '9':
		return l.while(classNumber, func(r rune) bool { return r >= '0' && r <= '9' }), nil
	case r == '@':
		return l.while(classParam, func(r rune) bool { return r == '@' || inName(r) }), nil
	case unicode.IsLetter(r) || r == '_' || r == '#':
		return l.while(classWord, inName), nil
	}
	return l.mark()
}

func inName(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_@#$", r)
}

// blank skips white space and comments.
func (l *lexer) blank() error {
	for len(l.rest) > 0 {
		switch {
		case unicode.IsSpace(l.rest[0]):
			l.rest = l.rest[1:]
		case l.has("--"):
			for len(l.rest) > 0 && l.rest[0] != '\n' {
				l.rest = l.rest[1:]
			}
		case l.has("/*"):
			if err := l.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// comment skips one in stars and slashes; they nest.
func (l *lexer) comment() error {
	for depth := 0; ; {
		switch {
		case len(l.rest) == 0:
			return fatal(113, "Missing end comment mark '*/'.")
		case l.has("/*"):
			depth, l.rest = depth+1, l.rest[2:]
		case l.has("*/"):
			depth, l.rest = depth-1, l.rest[2:]
		default:
			l.rest = l.rest[1:]
		}
		if depth == 0 {
			return nil
		}
	}
}

func (l *lexer) has(prefix string) bool {
	p := []rune(prefix)
	return len(l.rest) >= len(p) && string(l.rest[:len(p)]) == prefix
}

// quoted reads up to the closing mark, which stands doubled for itself.
func (l *lexer) quoted(c class, end rune, skip int) (word, error) {
	var text []rune
	for at := skip; at < len(l.rest); at++ {
		if l.rest[at] != end {
			text = append(text, l.rest[at])
			continue
		}
		if at+1 < len(l.rest) && l.rest[at+1] == end {
			text = append(text, end)
			at++
			continue
		}
		l.rest = l.rest[at+1:]
		if c == className && (len(text) == 0 || len(text) > 128) {
			return word{}, fatal(103, "The identifier that starts with '%s' is empty or too long. Maximum length is 128.", short(string(text)))
		}
		return word{class: c, text: string(text)}, nil
	}
	return word{}, fatal(105, "Unclosed quotation mark after the character string '%s'.", short(string(text)))
}

func short(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40])
	}
	return text
}

func (l *lexer) hex() (word, error) {
	l.rest = l.rest[2:]
	w := l.while(classHex, func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) })
	digits := w.text
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	w.raw, _ = hex.DecodeString(digits) // nothing but digits, an even number
	w.text = "0x" + w.text
	return w, nil
}

func (l *lexer) while(c class, in func(rune) bool) word {
	n := 0
	for n < len(l.rest) && in(l.rest[n]) {
		n++
	}
	w := word{class: c, text: string(l.rest[:n])}
	l.rest = l.rest[n:]
	return w
}

func (l *lexer) mark() (word, error) {
	for _, m := range []string{"<>", "<=", ">=", "!=", "::"} {
		if l.has(m) {
			l.rest = l.rest[2:]
			return word{class: classMark, text: m}, nil
		}
	}
	r := l.rest[0]
	if !strings.ContainsRune("(),;.=<>*+-", r) {
		return word{}, fatal(102, "Incorrect syntax near '%s'.", string(r))
	}
	l.rest = l.rest[1:]
	return word{class: classMark, text: string(r)}, nil
}
