package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mark ends the lines that are ours; where no line is, there is no room for it.
const mark = " # patchbay"

// errShape says that no edit of the text leaves everything else as it is.
var errShape = errors.New("it is written in a way that cannot be added to")

// splice is an edit: the bytes from..to give way to text.
type splice struct {
	from, to int
	text     string
}

func (s splice) apply(raw []byte) []byte {
	return slices.Concat(raw[:s.from:s.from], []byte(s.text), raw[s.to:])
}

// quoted is a text as YAML and JSON both read it, for Compose, which puts variables in.
func quoted(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(strings.ReplaceAll(text, "$", "$$")) // a text is always encoded
	return strings.TrimSuffix(out.String(), "\n")
}

// unquoted takes Compose's own escape back.
func unquoted(text string) string { return strings.ReplaceAll(text, "$$", "$") }

// try returns the first edit after which the file still means the same to everybody
// else, and good holds.
func (d *document) try(edits []splice, rest func(*document) string, good func(*document) bool) ([]byte, error) {
	before := rest(d)
	for _, e := range edits {
		raw := e.apply(d.raw)
		after, err := parse(raw)
		if err == nil && rest(after) == before && after.more == d.more && good(after) {
			return raw, nil
		}
	}
	return nil, errShape
}

// addPair are the ways to add a pair to a mapping whose own key stands on the line above
// (0 for the file's first level).
func (d *document) addPair(m *yaml.Node, above int, key, value string) []splice {
	if flow(m) {
		if len(m.Content) > 0 && m.Content[0].Style&yaml.DoubleQuotedStyle != 0 {
			key = quoted(key)
		}
		return d.addFlow(m, key+": "+value)
	}
	if len(m.Content) == 0 {
		return nil
	}
	indent, alone := d.indent(m.Content[0])
	if !alone {
		return nil
	}
	text, nl := indent+key+": "+value+mark, d.newline()
	var out []splice
	if above == 0 {
		out = append(out, d.newLine(len(d.lines)+1, text))
	} else if above < m.Content[0].Line {
		out = append(out, splice{d.line(above + 1), d.line(above + 1), text + nl})
	}
	at := d.line(m.Content[0].Line)
	return append(out, splice{at, at, text + nl})
}

// newLine adds a line before the n-th, or at the end of a file that may lack a line end.
func (d *document) newLine(n int, text string) splice {
	at, nl := d.line(n), d.newline()
	if at == len(d.raw) && at > 0 && d.raw[at-1] != '\n' {
		return splice{at, at, nl + text}
	}
	return splice{at, at, text + nl}
}

// addFlow adds a last member to what stands between brackets.
func (d *document) addFlow(n *yaml.Node, text string) []splice {
	if len(n.Content) == 0 {
		end, ok := d.end(n)
		if !ok {
			return nil
		}
		open := bytes.LastIndexAny(d.raw[d.at(n):end], "[{")
		at := d.at(n) + open + 1
		return []splice{{at, at, text}}
	}
	at, ok := d.end(n.Content[len(n.Content)-1])
	if !ok {
		return nil
	}
	return []splice{{at, at, ", " + text}}
}

// removePair takes a pair out of a mapping: a line that is ours, or what stands between
// brackets.
func (d *document) removePair(m *yaml.Node, i int) []splice {
	key, value := m.Content[i], m.Content[i+1]
	if !flow(m) {
		return []splice{d.dropLines(key.Line, lastLine(value))}
	}
	return d.dropFlow(m, i, 2)
}

// dropLines removes whole lines, and with a last line that has no end the end of the one
// before.
func (d *document) dropLines(first, last int) splice {
	s := splice{from: d.line(first), to: d.line(last + 1)}
	if s.to == len(d.raw) && s.to > s.from && d.raw[s.to-1] != '\n' && s.from > 0 {
		s.from = len(bytes.TrimSuffix(bytes.TrimSuffix(d.raw[:s.from], []byte("\n")), []byte("\r")))
	}
	return s
}

// dropFlow removes a member of so many nodes from what stands between brackets.
func (d *document) dropFlow(n *yaml.Node, i, nodes int) []splice {
	end, ok := d.end(n.Content[i+nodes-1])
	if !ok {
		return nil
	}
	switch {
	case i > 0:
		before, ok := d.end(n.Content[i-1])
		if !ok {
			return nil
		}
		return []splice{{before, end, ""}}
	case i+nodes < len(n.Content):
		return []splice{{d.at(n.Content[i]), d.at(n.Content[i+nodes]), ""}}
	}
	return []splice{{d.at(n.Content[i]), end, ""}}
}

// dropOrEmpty takes out the last member of a collection: with its key when that is ours
// to take, which a mark or the brackets around it tell.
func (d *document) dropOrEmpty(parent *yaml.Node, at int, only []splice) []splice {
	key := parent.Content[at]
	if flow(parent) || strings.HasSuffix(d.lineText(key.Line), mark) {
		return d.removePair(parent, at)
	}
	return only
}

// addItem are the ways to add an item to a list that is there.
func (d *document) addItem(list *yaml.Node, text string) []splice {
	switch {
	case list.Kind == yaml.ScalarNode:
		from := d.at(list)
		end, ok := d.end(list)
		if !ok || list.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || list.ShortTag() != "!!str" {
			return nil
		}
		// Without a blank after the comma: that tells that it was no list before us.
		return []splice{{from, end, "[" + string(d.raw[from:end]) + "," + text + "]"}}
	case list.Kind != yaml.SequenceNode:
		return nil
	case flow(list):
		return d.addFlow(list, text)
	case len(list.Content) == 0:
		return nil
	}
	dash := d.lineText(list.Content[0].Line)
	indent := dash[:len(dash)-len(strings.TrimLeft(dash, " "))]
	if !strings.HasPrefix(dash[len(indent):], "-") {
		return nil
	}
	var out []splice
	from := lastLine(list) + 1
	for n := from; n <= min(from+longest, len(d.lines)+1); n++ { // a text of several lines goes on
		out = append(out, d.newLine(n, indent+"- "+text+mark))
	}
	return out
}

// longest is how many lines the last item of a list may have.
const longest = 40

// dropItem are the ways to take an item out of a list.
func (d *document) dropItem(parent *yaml.Node, at, i int) []splice {
	list := parent.Content[at+1]
	switch {
	case list.Kind != yaml.SequenceNode:
		return d.removePair(parent, at)
	case flow(list):
		out := d.dropFlow(list, i, 1)
		if len(list.Content) == 1 {
			return d.dropOrEmpty(parent, at, out)
		}
		return append(d.unlist(list, i, out), out...)
	case len(list.Content) == 1:
		return d.removePair(parent, at)
	}
	item := list.Content[i]
	return []splice{d.dropLines(item.Line, lastLine(item))}
}

// unlist makes a list the single value again that it was before us, or, where more of
// ours follow, leaves them what tells so.
func (d *document) unlist(list *yaml.Node, i int, drop []splice) []splice {
	if i != 1 || len(drop) != 1 || !bytes.HasPrefix(d.raw[drop[0].from:], []byte(`,"`)) {
		return nil
	}
	if len(list.Content) > 2 {
		return []splice{{d.at(list.Content[1]), d.at(list.Content[2]), ""}}
	}
	whole, ok := d.end(list)
	if !ok {
		return nil
	}
	return []splice{{d.at(list), whole, string(d.raw[d.at(list.Content[0]):drop[0].from])}}
}

// serviceNode finds a service, the line of its key, and why it cannot be edited.
func (d *document) serviceNode(name string) (n *yaml.Node, line int, err error) {
	services, _ := find(d.root, "services")
	n, at := find(services, name)
	switch {
	case n == nil:
		return nil, 0, errNoService
	case n.Kind != yaml.MappingNode:
		return nil, 0, fmt.Errorf("the service %s is not written out in this file", name)
	case n.Anchor != "" && d.used(d.root, n):
		return nil, 0, fmt.Errorf("other parts of the file are made from the service %s (&%s): they would get its settings too", name, n.Anchor)
	}
	return n, services.Content[at].Line, nil
}

var errNoService = errors.New("no such service")

// used tells whether an alias leads to a node.
func (d *document) used(n, target *yaml.Node) bool {
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool {
		return c.Kind == yaml.AliasNode && c.Alias == target || d.used(c, target)
	})
}

// merged tells whether a mapping takes a key over from another by a merge.
func merged(m *yaml.Node, key string) bool { return mergedWithin(m, key, deepest) }

// deepest is how many merges deep a key is looked for; a merge may lead to itself.
const deepest = 20

func mergedWithin(m *yaml.Node, key string, depth int) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].ShortTag() != "!!merge" && m.Content[i].Value != "<<" {
			continue
		}
		from := []*yaml.Node{m.Content[i+1]}
		if from[0].Kind == yaml.SequenceNode {
			from = from[0].Content
		}
		for _, f := range from {
			if f.Kind == yaml.AliasNode {
				f = f.Alias
			}
			if f == nil || depth == 0 {
				continue
			}
			if v, _ := find(f, key); v != nil || mergedWithin(f, key, depth-1) {
				return true
			}
		}
	}
	return false
}

// entryText is what an item of a list names: a path, or a mapping's path or source.
func entryText(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind == yaml.MappingNode {
		for _, key := range []string{"path", "source"} {
			if v, _ := find(n, key); v != nil {
				return unquoted(v.Value)
			}
		}
	}
	return unquoted(n.Value)
}

// entries are what a list of a service names; a single value is a list of one.
func entries(n *yaml.Node) []string {
	if n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return []string{entryText(n)}
	}
	out := make([]string, len(n.Content))
	for i, c := range n.Content {
		out[i] = entryText(c)
	}
	return out
}
