package cli

import (
	"fmt"
	"strings"
	"unicode"
)

// printable replaces what could move a terminal's cursor or hide text: control
// characters, direction marks and broken UTF-8. Our own colours pass.
func printable(text string) string { return escapeControls(text, "") }

// printableLines is printable for text of several lines.
func printableLines(text string) string { return escapeControls(text, "\n") }

func escapeControls(text, allowed string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return unprintable(r) && !strings.ContainsRune(allowed, r) }) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case strings.ContainsRune(allowed, r), !unprintable(r):
			b.WriteRune(r)
		case r == '\x1b' && ownColour(text[i:]):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 || r == unicode.ReplacementChar
}

// ownColour tells whether text starts with one of the colour switches paint makes.
func ownColour(text string) bool {
	for _, c := range []string{red, green, amber, dim, bold, "0"} {
		if strings.HasPrefix(text, "\x1b["+c+"m") {
			return true
		}
	}
	return false
}
