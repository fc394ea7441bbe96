package front

import (
	"bytes"
	"encoding/json"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// decode reads a JSON object. What is not strict JSON is read once more the way
// resource management does: with comments and bare member names, which the Azure
// CLI sends when it wraps a template file.
func decode(raw []byte) (provider.Document, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	var body provider.Document
	strict := json.Unmarshal(raw, &body)
	if strict == nil {
		return body, nil
	}
	body = nil
	if json.Unmarshal(tidy(raw), &body) != nil {
		return nil, strict
	}
	return body, nil
}

// tidy drops comments and quotes bare member names, outside of strings.
func tidy(raw []byte) []byte {
	var out []byte
	for n := 0; n < len(raw); {
		end := n + 1
		switch {
		case raw[n] == '"':
			end = stringEnd(raw, n)
			out = append(out, raw[n:end]...)
		case bytes.HasPrefix(raw[n:], []byte("//")):
			end = after(raw, n, "\n")
		case bytes.HasPrefix(raw[n:], []byte("/*")):
			end = after(raw, n+2, "*/")
		case isWord(raw[n]):
			for end < len(raw) && isWord(raw[end]) {
				end++
			}
			out = append(out, word(raw, n, end)...)
		default:
			out = append(out, raw[n])
		}
		n = end
	}
	return out
}

// word returns the word at raw[from:to], quoted when a colon makes it a member name.
func word(raw []byte, from, to int) []byte {
	w := raw[from:to]
	if next := bytes.TrimLeft(raw[to:], " \t\r\n"); len(next) == 0 || next[0] != ':' {
		return w
	}
	return append(append([]byte{'"'}, w...), '"')
}

func stringEnd(raw []byte, from int) int {
	for n := from + 1; n < len(raw); n++ {
		switch raw[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
	return len(raw)
}

func after(raw []byte, from int, mark string) int {
	if n := bytes.Index(raw[from:], []byte(mark)); n >= 0 {
		return from + n + len(mark)
	}
	return len(raw)
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '.' || c == '-' || c == '+' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
