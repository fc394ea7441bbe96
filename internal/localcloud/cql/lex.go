package cql

import (
	"regexp"
	"strings"
)

// Kinds of tokens.
const (
	tokenWord   = "IDENTIFIER" // folded to lower case
	tokenQuoted = "QUOTED_NAME"
	tokenString = "STRING"
	tokenNumber = "NUMBER"
	tokenUUID   = "UUID"
	tokenBlob   = "HEX"
	tokenMark   = "MARK"
	tokenEnd    = "EOF"
)

type token struct{ kind, text string }

// is tells whether the token is a keyword or a mark.
func (t token) is(word string) bool {
	return (t.kind == tokenWord || t.kind == tokenMark) && t.text == word
}

// shapes are the tokens in the order they are tried.
var shapes = []struct {
	kind  string
	shape *regexp.Regexp
}{
	{tokenUUID, regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)},
	{tokenBlob, regexp.MustCompile(`^0[xX][0-9a-fA-F]*`)},
	{tokenNumber, regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?`)},
	{tokenWord, regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*`)},
	{tokenQuoted, regexp.MustCompile(`^"(?:[^"]|"")+"`)},
	{tokenString, regexp.MustCompile(`^'(?:[^']|'')*'`)},
	{tokenMark, regexp.MustCompile(`^[(),.=;*?{}:<>\[\]]`)},
}

// lex takes a statement apart.
func lex(text string) ([]token, error) {
	var out []token
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return append(out, token{kind: tokenEnd, text: "<EOF>"}), nil
		}
		t, n := first(text)
		if n == 0 {
			return nil, refuse(errSyntax, "line 1: no viable alternative at character %q", text[:1])
		}
		out = append(out, t)
		text = text[n:]
	}
}

func first(text string) (token, int) {
	for _, s := range shapes {
		found := s.shape.FindString(text)
		if found == "" {
			continue
		}
		return token{kind: s.kind, text: unquoted(s.kind, found)}, len(found)
	}
	return token{}, 0
}

func unquoted(kind, text string) string {
	switch kind {
	case tokenWord:
		return strings.ToLower(text)
	case tokenQuoted:
		return strings.ReplaceAll(text[1:len(text)-1], `""`, `"`)
	case tokenString:
		return strings.ReplaceAll(text[1:len(text)-1], `''`, `'`)
	}
	return text
}
