package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/jmespath-community/go-jmespath/pkg/api"
	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"github.com/patchbay/patchbay/internal/problem"
)

// query is a compiled JMESPath expression that remembers the order in which the
// expression names the members of its objects: {Name:name, State:state} makes
// columns in that order, which a Go map forgets.
type query struct {
	path  api.JMESPath
	order ordering
}

// compileQuery compiles an expression as the Azure CLI takes it.
func compileQuery(expression string) (*query, error) {
	text := quoteBareLiterals(expression)
	node, err := parsing.NewParser().Parse(text)
	if err != nil {
		return nil, queryError(expression, err)
	}
	path, err := api.Compile(text)
	if err != nil {
		return nil, queryError(expression, err)
	}
	q := &query{path: path, order: ordering{}}
	q.order.learn(node)
	return q, nil
}

func queryError(expression string, err error) error {
	p := problem.New(problem.QueryInvalid, "", "--query cannot be understood: %v", err)
	var syntax parsing.SyntaxError
	if errors.As(err, &syntax) {
		p.Detail += "\n" + syntax.HighlightLocation()
	}
	_ = expression
	return p
}

// search evaluates the expression.
func (q *query) search(v any) (any, error) {
	plain, err := plainJSON(v)
	if err != nil {
		return nil, err
	}
	out, err := q.path.Search(plain)
	if err != nil {
		return nil, problem.New(problem.QueryInvalid, "", "--query does not fit the output: %v", err)
	}
	return out, nil
}

// plainJSON turns any value into the maps, lists, texts and floats the evaluator knows.
func plainJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(b, &out)
}

// ordering maps a set of member names to the order they were written in.
type ordering map[string][]string

func (o ordering) learn(node parsing.ASTNode) {
	if node.NodeType == parsing.ASTMultiSelectHash {
		var names []string
		for _, child := range node.Children {
			if name, ok := child.Value.(string); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		o[setKey(names)] = names
	}
	for _, child := range node.Children {
		o.learn(child)
	}
}

// names returns an object's member names in the expression's order, else sorted.
func (o ordering) names(object map[string]any) []string {
	sorted := make([]string, 0, len(object))
	for name := range object {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	if written, ok := o[strings.Join(sorted, "\x00")]; ok {
		return written
	}
	return sorted
}

func setKey(names []string) string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return strings.Join(sorted, "\x00")
}

// quoteBareLiterals rewrites `word` to `"word"`: the Azure CLI's evaluator takes a
// literal that is not JSON as text, this one refuses it. Texts in quotes are passed over.
func quoteBareLiterals(expression string) string {
	var out strings.Builder
	for i := 0; i < len(expression); {
		c := expression[i]
		if c != '\'' && c != '"' && c != '`' {
			out.WriteByte(c)
			i++
			continue
		}
		end := closing(expression, i)
		if end < 0 {
			out.WriteString(expression[i:])
			break
		}
		if c == '`' {
			out.WriteString(literal(expression[i+1 : end]))
		} else {
			out.WriteString(expression[i : end+1])
		}
		i = end + 1
	}
	return out.String()
}

// closing finds the quote that ends the text beginning at start, or -1.
func closing(s string, start int) int {
	for i := start + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[start]:
			return i
		}
	}
	return -1
}

func literal(inner string) string {
	if json.Valid([]byte(strings.ReplaceAll(inner, "\\`", "`"))) {
		return "`" + inner + "`"
	}
	quoted := `"` + strings.TrimLeft(inner, " \t\r\n") + `"`
	if !json.Valid([]byte(strings.ReplaceAll(quoted, "\\`", "`"))) {
		return "`" + inner + "`"
	}
	return "`" + quoted + "`"
}
