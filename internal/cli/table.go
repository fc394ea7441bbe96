package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// column is one column of a table.
type column struct{ name, heading string }

// writeTable prints one line per object, as the Azure CLI does: the scalar members
// of the top level as columns, in order of name unless a query or the command says
// another, with id, type, etag and revision left out.
func writeTable(w io.Writer, d document) error {
	rows := d.value
	if d.rows != nil {
		var err error
		if rows, err = decoded(d.rows); err != nil {
			return err
		}
	}
	list := elements(rows)
	if len(list) == 0 {
		return nil
	}
	columns := d.tableColumns(list)
	if len(columns) == 0 {
		return nil
	}
	lines := [][]string{make([]string, len(columns)), make([]string, len(columns))}
	for i, c := range columns {
		lines[0][i] = c.heading
	}
	for _, row := range list {
		lines = append(lines, cellsOf(row, columns))
	}
	return writeAligned(w, lines)
}

func (d document) tableColumns(rows []any) []column {
	if len(d.columns) > 0 {
		var out []column
		for _, c := range d.columns {
			name, heading, renamed := strings.Cut(c, "=")
			if !renamed {
				heading = capital(name)
			}
			out = append(out, column{name, heading})
		}
		return out
	}
	var names []string
	wide := 0
	for _, row := range rows {
		switch t := row.(type) {
		case map[string]any:
			for _, name := range d.order.names(t) {
				if d.shown(name, t[name]) && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		case []any:
			wide = max(wide, len(t))
		default:
			wide = max(wide, 1)
		}
	}
	return columnsOf(names, wide, d.order == nil)
}

func columnsOf(names []string, wide int, sorted bool) []column {
	if sorted {
		slices.Sort(names)
	}
	var out []column
	for _, name := range names {
		out = append(out, column{name, capital(name)})
	}
	if len(names) == 0 {
		for i := range wide {
			out = append(out, column{fmt.Sprint(i), listHeading(i, wide)})
		}
	}
	return out
}

func listHeading(i, wide int) string {
	if wide == 1 {
		return "Result"
	}
	return fmt.Sprintf("Column%d", i+1)
}

// shown tells whether a member is a column when nobody asked for it by name.
func (d document) shown(name string, v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	case nil: // a column of nothing helps nobody, unless it was asked for
		return d.order != nil
	}
	return d.order != nil || !slices.Contains([]string{"id", "type", "etag", "revision"}, name)
}

func cellsOf(row any, columns []column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		switch t := row.(type) {
		case map[string]any:
			out[i] = tableCell(t[c.name])
		case []any:
			if i < len(t) {
				out[i] = tableCell(t[i])
			}
		default:
			out[0] = tableCell(row)
		}
	}
	return out
}

func tableCell(v any) string {
	switch t := v.(type) {
	case map[string]any:
		return ""
	case []any:
		texts := make([]string, len(t))
		for i, e := range t {
			texts[i] = tableCell(e)
		}
		return strings.Join(texts, ", ")
	case bool:
		if t {
			return "True"
		}
		return "False"
	}
	return printable(scalar(v))
}

// writeAligned prints cells in columns; the second line is filled with dashes.
func writeAligned(w io.Writer, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, c := range line {
			widths[i] = max(widths[i], displayWidth(c))
		}
	}
	for i := range widths {
		lines[1][i] = strings.Repeat("-", widths[i])
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, alignedLine(line, widths)); err != nil {
			return err
		}
	}
	return nil
}

func alignedLine(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(c)
		b.WriteString(strings.Repeat(" ", widths[i]-displayWidth(c)))
	}
	return strings.TrimRight(b.String(), " ")
}

// displayWidth is the number of terminal columns a text takes.
func displayWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	case r >= 0x1F300 && r <= 0x1FAFF:
		return 2
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func capital(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
