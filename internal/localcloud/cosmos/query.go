package cosmos

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// QueryError says why a query cannot be run.
type QueryError struct{ What string }

func (e *QueryError) Error() string { return e.What }

// Query is a simple query: SELECT * or SELECT VALUE COUNT(1), FROM one alias, and
// conditions that all have to hold.
type Query struct {
	count      bool
	conditions []condition
}

// condition compares a member of the document with a value or a parameter.
type condition struct {
	path      []string
	operator  string
	value     any
	parameter string // in the value's place
}

var tokenPattern = regexp.MustCompile(`\s*(?:(@[A-Za-z0-9_]+|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(<=|>=|!=|<>|[=<>*.()\[\];]))`)

type queryToken struct{ word, quoted, sign string }

func (t queryToken) String() string { return t.word + t.quoted + t.sign }

// ParseQuery reads a query. Its error is a *QueryError.
func ParseQuery(text string) (*Query, error) {
	p := &queryParser{}
	rest := text
	for strings.TrimSpace(rest) != "" {
		m := tokenPattern.FindStringSubmatchIndex(rest)
		if m == nil || m[0] != 0 {
			return nil, &QueryError{fmt.Sprintf("%.20q is not understood", strings.TrimSpace(rest))}
		}
		part := func(n int) string {
			if m[2*n] < 0 {
				return ""
			}
			return rest[m[2*n]:m[2*n+1]]
		}
		p.tokens = append(p.tokens, queryToken{part(1), part(2), part(3)})
		rest = rest[m[1]:]
	}
	return p.query()
}

type queryParser struct {
	tokens []queryToken
	at     int
	alias  string
}

func (p *queryParser) next() queryToken {
	if p.at >= len(p.tokens) {
		return queryToken{}
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *queryParser) peek() queryToken {
	if p.at >= len(p.tokens) {
		return queryToken{}
	}
	return p.tokens[p.at]
}

// take reads words and signs that have to come next.
func (p *queryParser) take(words ...string) error {
	for _, w := range words {
		if t := p.next(); !strings.EqualFold(t.word+t.sign, w) {
			return &QueryError{fmt.Sprintf("%q stands where %s should", t.String(), w)}
		}
	}
	return nil
}

func (p *queryParser) takes(word string) bool {
	if t := p.peek(); strings.EqualFold(t.word+t.sign, word) {
		p.at++
		return true
	}
	return false
}

func (p *queryParser) query() (*Query, error) {
	q := &Query{}
	if err := p.take("SELECT"); err != nil {
		return nil, err
	}
	if p.takes("VALUE") {
		q.count = true
		if err := p.take("COUNT", "(", "1", ")"); err != nil {
			return nil, err
		}
	} else if err := p.take("*"); err != nil {
		return nil, err
	}
	if err := p.take("FROM"); err != nil {
		return nil, err
	}
	p.alias = p.next().word
	if p.takes("AS") || p.peek().word != "" && !strings.EqualFold(p.peek().word, "WHERE") {
		p.alias = p.next().word
	}
	if p.alias == "" || strings.HasPrefix(p.alias, "@") {
		return nil, &QueryError{"FROM names no container"}
	}
	if p.takes("WHERE") {
		for more := true; more; more = p.takes("AND") {
			c, err := p.condition()
			if err != nil {
				return nil, err
			}
			q.conditions = append(q.conditions, c)
		}
	}
	p.takes(";")
	if p.at < len(p.tokens) {
		return nil, &QueryError{fmt.Sprintf("%q is not offered by the local cloud", p.peek().String())}
	}
	return q, nil
}

func (p *queryParser) condition() (condition, error) {
	var c condition
	if err := p.take(p.alias); err != nil {
		return c, err
	}
	for {
		if p.takes(".") {
			c.path = append(c.path, p.next().word)
			continue
		}
		if !p.takes("[") {
			break
		}
		t := p.next()
		c.path = append(c.path, unquote(t.quoted))
		if err := p.take("]"); err != nil || t.quoted == "" {
			return c, &QueryError{"an index is no quoted name"}
		}
	}
	if len(c.path) == 0 || slices.Contains(c.path, "") {
		return c, &QueryError{"a condition names no member"}
	}
	c.operator = p.next().sign
	if c.operator == "<>" {
		c.operator = "!="
	}
	if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, c.operator) {
		return c, &QueryError{"a condition has no operator"}
	}
	return c, p.value(&c)
}

func (p *queryParser) value(c *condition) error {
	t := p.next()
	switch {
	case t.quoted != "":
		c.value = unquote(t.quoted)
	case strings.HasPrefix(t.word, "@"):
		c.parameter = t.word
	case slices.Contains([]string{"true", "false", "null"}, strings.ToLower(t.word)):
		c.value = map[string]any{"true": true, "false": false, "null": nil}[strings.ToLower(t.word)]
	default:
		n, err := strconv.ParseFloat(t.word, 64)
		if err != nil {
			return &QueryError{fmt.Sprintf("%q is no value", t.String())}
		}
		c.value = n
	}
	return nil
}

// unquote takes the quotes off a literal and resolves its escapes.
func unquote(text string) string {
	if len(text) < 2 {
		return ""
	}
	var b strings.Builder
	inner := text[1 : len(text)-1]
	for n := 0; n < len(inner); n++ {
		if inner[n] == '\\' && n+1 < len(inner) {
			n++
			if c, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r'}[inner[n]]; ok {
				b.WriteByte(c)
				continue
			}
		}
		b.WriteByte(inner[n])
	}
	return b.String()
}

// Run answers the query over a list. A parameter that is not given is an error.
func (q *Query) Run(list []item, given map[string]any) ([]any, error) {
	out := []any{}
	for _, doc := range list {
		ok, err := q.holds(doc, given)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, doc)
		}
	}
	if q.count {
		return []any{len(out)}, nil
	}
	return out, nil
}

func (q *Query) holds(doc item, given map[string]any) (bool, error) {
	for _, c := range q.conditions {
		want := c.value
		if c.parameter != "" {
			v, ok := given[c.parameter]
			if !ok {
				return false, &QueryError{"the parameter " + c.parameter + " is not given"}
			}
			want = v
		}
		if !satisfies(lookup(doc, c.path), c.operator, want) {
			return false, nil
		}
	}
	return true, nil
}

// lookup walks down a document; nil where there is nothing.
func lookup(doc item, path []string) any {
	var v any = doc
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func satisfies(have any, operator string, want any) bool {
	switch operator {
	case "=":
		return reflect.DeepEqual(have, want)
	case "!=":
		return !reflect.DeepEqual(have, want)
	}
	order, ok := orderOf(have, want)
	switch {
	case !ok:
		return false
	case operator == "<":
		return order < 0
	case operator == "<=":
		return order <= 0
	case operator == ">":
		return order > 0
	}
	return order >= 0
}

// orderOf compares two strings or two numbers.
func orderOf(a, b any) (int, bool) {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	}
	x, ok1 := a.(float64)
	y, ok2 := b.(float64)
	return cmp.Compare(x, y), ok1 && ok2
}
