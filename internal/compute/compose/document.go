package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is a YAML file: its bytes, and the tree that tells where things stand in it.
type document struct {
	raw   []byte
	lines []int // where each line begins
	root  *yaml.Node
	more  string // shape of the documents after the first
}

// parse reads a file. The library underneath panics on some texts; that is malformed too.
func parse(raw []byte) (d *document, err error) {
	defer func() {
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("read YAML: %v", p)
		}
	}()
	d = &document{raw: raw, lines: lineStarts(raw)}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var n yaml.Node
		err := decoder.Decode(&n)
		switch {
		case errors.Is(err, io.EOF):
			if d.root == nil || d.root.Kind != yaml.MappingNode {
				return nil, errors.New("read YAML: it is no mapping")
			}
			return d, nil
		case err != nil:
			return nil, fmt.Errorf("read YAML: %w", err)
		case d.root == nil && len(n.Content) == 1:
			d.root = n.Content[0]
		default:
			d.more += shape(&n, nil) + "\n"
		}
	}
}

// lineStarts finds lines as YAML counts them.
func lineStarts(raw []byte) []int {
	starts := []int{0}
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		i += size
		switch r {
		case '\r':
			if i < len(raw) && raw[i] == '\n' {
				i++
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		starts = append(starts, i)
	}
	return starts
}

// line returns where a line (from 1) begins; past the last one it is the end.
func (d *document) line(n int) int {
	if n < 1 {
		return 0
	}
	if n > len(d.lines) {
		return len(d.raw)
	}
	return d.lines[n-1]
}

// lineText is a line without its end.
func (d *document) lineText(n int) string {
	return strings.TrimRight(string(d.raw[d.line(n):d.line(n+1)]), "\r\n")
}

// at is where a node begins; columns count characters.
func (d *document) at(n *yaml.Node) int {
	i := d.begin(n.Line)
	for c := 1; c < n.Column && i < len(d.raw); c++ {
		_, size := utf8.DecodeRune(d.raw[i:])
		i += size
	}
	return i
}

// begin is where a line's first character is: past the mark that a file may begin with.
func (d *document) begin(n int) int {
	i := d.line(n)
	if i == 0 && bytes.HasPrefix(d.raw, []byte("\ufeff")) {
		i = len("\ufeff")
	}
	return i
}

// newline is how lines end here.
func (d *document) newline() string {
	if i := bytes.IndexByte(d.raw, '\n'); i > 0 && d.raw[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// indent is the blank begin of the line a node stands on; ok tells that nothing else
// stands before the node.
func (d *document) indent(n *yaml.Node) (text string, ok bool) {
	text = string(d.raw[d.begin(n.Line):d.at(n)])
	return text, strings.Trim(text, " ") == ""
}

// lastLine is the last line on which a node or one of its parts begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

// find returns a mapping's value and where its key is, or nil.
func find(m *yaml.Node, key string) (value *yaml.Node, at int) {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil, -1
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key && m.Content[i].Kind == yaml.ScalarNode {
			return m.Content[i+1], i
		}
	}
	return nil, -1
}

func flow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// end is where a node within brackets, or on one line, ends; false when that is not plain
// to see.
func (d *document) end(n *yaml.Node) (int, bool) {
	i := d.at(n)
	for i < len(d.raw) && (d.raw[i] == '&' || d.raw[i] == '!') { // an anchor or a tag stands first
		for i < len(d.raw) && !strings.ContainsRune(" \t\r\n", rune(d.raw[i])) {
			i++
		}
		for i < len(d.raw) && (d.raw[i] == ' ' || d.raw[i] == '\t') {
			i++
		}
	}
	if i >= len(d.raw) {
		return 0, false
	}
	switch {
	case d.raw[i] == '\'' || d.raw[i] == '"':
		return d.endQuoted(i)
	case n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode:
		return d.endBrackets(i)
	case n.Kind == yaml.AliasNode:
		return i + 1 + len(n.Value), bytes.HasPrefix(d.raw[i:], []byte("*"+n.Value))
	}
	return i + len(n.Value), n.Value != "" && bytes.HasPrefix(d.raw[i:], []byte(n.Value))
}

func (d *document) endQuoted(i int) (int, bool) {
	quote := d.raw[i]
	for j := i + 1; j < len(d.raw); j++ {
		switch {
		case quote == '"' && d.raw[j] == '\\':
			j++
		case d.raw[j] == quote && quote == '\'' && j+1 < len(d.raw) && d.raw[j+1] == quote:
			j++
		case d.raw[j] == quote:
			return j + 1, true
		}
	}
	return 0, false
}

// endBrackets matches brackets past quotes and comments.
func (d *document) endBrackets(i int) (int, bool) {
	depth := 0
	for j := i; j < len(d.raw); j++ {
		switch c := d.raw[j]; c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\'', '"':
			if before := d.raw[max(j-1, 0)]; strings.IndexByte(" \t\n[{,:", before) >= 0 {
				past, ok := d.endQuoted(j)
				if !ok {
					return 0, false
				}
				j = past - 1
			}
		case '#':
			if before := d.raw[max(j-1, 0)]; before == ' ' || before == '\t' || before == '\n' {
				for j+1 < len(d.raw) && d.raw[j+1] != '\n' {
					j++
				}
			}
		}
		if depth <= 0 {
			return j + 1, depth == 0 && j > i
		}
	}
	return 0, false
}

// shape writes what a tree means: no positions, styles or comments, mappings in order of
// their keys. What without names is left out.
func shape(n *yaml.Node, without map[*yaml.Node]bool) string {
	switch n.Kind {
	case yaml.ScalarNode:
		return fmt.Sprintf("%s&%s%q", n.ShortTag(), n.Anchor, n.Value)
	case yaml.AliasNode:
		return fmt.Sprintf("*%q", n.Value)
	}
	var parts []string
	for i := 0; i < len(n.Content); i++ {
		if without[n.Content[i]] {
			if n.Kind == yaml.MappingNode {
				i++
			}
			continue
		}
		text := shape(n.Content[i], without)
		if n.Kind == yaml.MappingNode && i+1 < len(n.Content) {
			i++
			text += ": " + shape(n.Content[i], without)
		}
		parts = append(parts, text)
	}
	if n.Kind == yaml.MappingNode {
		sort.Strings(parts)
	}
	return fmt.Sprintf("%d%s&%s(%s)", n.Kind, n.ShortTag(), n.Anchor, strings.Join(parts, ", "))
}
