package cli

import (
	"fmt"
	"strings"
	"unicode"
)

// printable replaces what could move a terminal's cursor or hide text: control
// characters, direction marks and broken UTF-8.
func printable(text string) string { return escapeControls(text, "") }

// printableLines is printable for text of several lines.
func printableLines(text string) string { return escapeControls(text, "\n") }

func escapeControls(text, allowed string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return unprintable(r) && !strings.ContainsRune(allowed, r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case strings.ContainsRune(allowed, r), !unprintable(r):
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

// painted is text that has been made printable and perhaps coloured.
type painted string

// printableArgs makes the arguments of a line printable, except those painted.
func printableArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch t := a.(type) {
		case string:
			out[i] = printable(t)
		case error:
			out[i] = printable(t.Error())
		default:
			out[i] = a
		}
	}
	return out
}
