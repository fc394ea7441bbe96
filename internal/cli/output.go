package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// formats are the words --output takes.
func formats() []string { return []string{"json", "jsonc", "table", "tsv", "yaml", "none"} }

func formatList() string { return strings.Join(formats(), ", ") }

// document is a result on its way out.
type document struct {
	value any
	order ordering
	// columns are those of the table when nothing else says; "name=Heading" renames.
	columns []string
	rows    any // what the table shows; nil means value
	colour  bool
}

// print puts a result on standard output, in the Azure CLI's way: json when
// nothing else is asked for.
func (s *shell) print(value any) error { return s.emit(document{value: value}) }

// printRows is print with a table of its own: rows and their columns.
func (s *shell) printRows(value, rows any, columns ...string) error {
	return s.emit(document{value: value, rows: rows, columns: columns})
}

// own puts a result of one of our own commands out: text for people, unless a
// format or a query is asked for.
func (s *shell) own(value any, text func(*texter)) error {
	if s.g.output != "" || s.g.compiled != nil {
		return s.print(value)
	}
	t := &texter{out: s.Streams.Out, colour: s.colours(s.Streams.OutTerminal)}
	text(t)
	return t.err
}

func (s *shell) emit(d document) error {
	if s.g.compiled != nil {
		v, err := s.g.compiled.search(d.value)
		if err != nil {
			return err
		}
		d = document{value: v, order: s.g.compiled.order}
	}
	if d.value == nil {
		return nil
	}
	d.colour = s.colours(s.Streams.OutTerminal)
	render, ok := map[string]func(io.Writer, document) error{
		"": writeJSON, "json": writeJSON, "jsonc": writeColoredJSON, "table": writeTable,
		"tsv": writeTSV, "yaml": writeYAML, "none": func(io.Writer, document) error { return nil },
	}[s.g.output]
	if !ok {
		return unknownValue("--output", s.g.output, formats())
	}
	var err error
	if d.value, err = decoded(d.value); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := render(&b, d); err != nil {
		return err
	}
	_, err = s.Streams.Out.Write(b.Bytes())
	return err
}

// decoded turns any value into maps, lists, texts and exact numbers.
func decoded(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out any
	return out, d.Decode(&out)
}

func writeJSON(w io.Writer, d document) error {
	p := jsonPrinter{order: d.order}
	p.value(d.value, "")
	_, err := fmt.Fprintln(w, p.b.String())
	return err
}

func writeColoredJSON(w io.Writer, d document) error {
	p := jsonPrinter{order: d.order, colour: d.colour}
	p.value(d.value, "")
	_, err := fmt.Fprintln(w, p.b.String())
	return err
}

// jsonPrinter prints indented JSON with the members in the order of a query.
type jsonPrinter struct {
	b      strings.Builder
	order  ordering
	colour bool
}

// paint colours JSON text, which has escaped its control characters already.
func (p *jsonPrinter) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *jsonPrinter) value(v any, indent string) {
	inner := indent + "  "
	switch t := v.(type) {
	case map[string]any:
		p.list("{", "}", len(t), indent, func(i int) {
			name := p.order.names(t)[i]
			p.b.WriteString(p.paint(bold, jsonText(name)) + ": ")
			p.value(t[name], inner)
		})
	case []any:
		p.list("[", "]", len(t), indent, func(i int) { p.value(t[i], inner) })
	case string:
		p.b.WriteString(p.paint(green, jsonText(t)))
	default:
		p.b.WriteString(jsonText(t))
	}
}

func (p *jsonPrinter) list(open, end string, n int, indent string, each func(int)) {
	if n == 0 {
		p.b.WriteString(open + end)
		return
	}
	p.b.WriteString(open)
	for i := range n {
		if i > 0 {
			p.b.WriteByte(',')
		}
		p.b.WriteString("\n" + indent + "  ")
		each(i)
	}
	p.b.WriteString("\n" + indent + end)
}

// jsonText is one JSON scalar, with < and & as they are.
func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func writeYAML(w io.Writer, d document) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(yamlNode(d.value, d.order)); err != nil {
		return err
	}
	return e.Close()
}

// yamlNode builds the tree, which keeps the order a map would lose.
func yamlNode(v any, order ordering) *yaml.Node {
	switch t := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, name := range order.names(t) {
			n.Content = append(n.Content, yamlNode(name, order), yamlNode(t[name], order))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range t {
			n.Content = append(n.Content, yamlNode(e, order))
		}
		return n
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}
	case string:
		if strings.ContainsAny(t, "\t\r") || t != strings.TrimSpace(t) { // a block loses such space when it is read again
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: t}
		}
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	return n
}

// writeTSV prints one line per element, cells apart by tabs, without headings.
func writeTSV(w io.Writer, d document) error {
	for _, row := range elements(d.value) {
		cells := []string{}
		switch t := row.(type) {
		case map[string]any:
			for _, name := range d.order.names(t) {
				cells = append(cells, cell(t[name]))
			}
		case []any:
			for _, v := range t {
				cells = append(cells, cell(v))
			}
		default:
			// A text alone on its line is printed exactly as it is.
			if _, err := fmt.Fprintln(w, scalar(row)); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func elements(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

// cell is a value among others on a line: nothing in it may end cell or line.
func cell(v any) string {
	switch t := v.(type) {
	case []any:
		return fmt.Sprint(len(t))
	case map[string]any:
		return ""
	}
	return strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(scalar(v))
}

// scalar is a value without quotes; null is nothing.
func scalar(v any) string {
	switch t := v.(type) {
	case nil:
		return ""
	case string:
		return t
	}
	return jsonText(v)
}
