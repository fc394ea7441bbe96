package tables

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FilterError says why a filter cannot be read.
type FilterError struct{ What string }

func (e *FilterError) Error() string { return e.What }

// Filter is a condition on an entity.
type Filter interface{ Holds(e *Entity) bool }

// maxDepth bounds parentheses and negations in a filter.
const maxDepth = 64

// ParseFilter reads an OData filter: comparisons of properties with literals (eq, ne,
// gt, ge, lt, le), boolean properties, and, or, not, and parentheses. Its error is a
// *FilterError.
func ParseFilter(text string) (Filter, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.tokens) {
		return nil, &FilterError{fmt.Sprintf("%q stands where the filter should end", p.tokens[p.at].text)}
	}
	return f, nil
}

type tokenKind int

const (
	word    tokenKind = iota // a property or an operator
	literal                  // a value
	open
	shut
)

type token struct {
	kind  tokenKind
	text  string
	value Value
}

// scan splits a filter into tokens.
func scan(text string) ([]token, error) {
	var tokens []token
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case unicode.IsSpace(r):
			text = text[size:]
			continue
		case r == '(':
			tokens, text = append(tokens, token{kind: open, text: "("}), text[1:]
			continue
		case r == ')':
			tokens, text = append(tokens, token{kind: shut, text: ")"}), text[1:]
			continue
		}
		t, rest, err := scanWord(text)
		if err != nil {
			return nil, err
		}
		tokens, text = append(tokens, t), rest
	}
	return tokens, nil
}

// scanWord reads a word or a literal; a literal may carry its type in front of a
// quote (datetime'…', guid'…', X'…').
func scanWord(text string) (token, string, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' || r == '\'' })
	if end < 0 {
		end = len(text)
	}
	head, rest := text[:end], text[end:]
	if strings.HasPrefix(rest, "'") {
		inner, after, err := scanQuoted(rest)
		if err != nil {
			return token{}, "", err
		}
		v, err := quotedValue(head, inner)
		return token{kind: literal, text: head + "'" + inner + "'", value: v}, after, err
	}
	if v, ok := plainValue(head); ok {
		return token{kind: literal, text: head, value: v}, rest, nil
	}
	return token{kind: word, text: head}, rest, nil
}

// scanQuoted reads '…' where a doubled quote stands for one.
func scanQuoted(text string) (inner, rest string, err error) {
	var b strings.Builder
	for n := 1; n < len(text); n++ {
		if text[n] != '\'' {
			b.WriteByte(text[n])
			continue
		}
		if n+1 == len(text) || text[n+1] != '\'' {
			return b.String(), text[n+1:], nil
		}
		b.WriteByte('\'')
		n++
	}
	return "", "", &FilterError{"a quote is not closed"}
}

func quotedValue(kind, inner string) (Value, error) {
	switch strings.ToLower(kind) {
	case "":
		return Value{edmString, inner}, nil
	case "datetime":
		return typedValue(edmDateTime, inner)
	case "guid":
		return typedValue(edmGUID, inner)
	case "x", "binary":
		return binaryLiteral(inner)
	}
	return Value{}, &FilterError{fmt.Sprintf("literals of type %q are not known", kind)}
}

func typedValue(kind, inner string) (Value, error) {
	v, err := readValue(kind, inner)
	if err != nil {
		return Value{}, &FilterError{err.Error()}
	}
	return v, nil
}

func plainValue(text string) (Value, bool) {
	switch {
	case text == "true" || text == "false":
		return Value{edmBoolean, text == "true"}, true
	case text == "" || !strings.ContainsRune("+-.0123456789", rune(text[0])):
		return Value{}, false
	}
	if n, err := strconv.ParseInt(strings.TrimRight(text, "lL"), 10, 64); err == nil {
		return Value{edmInt64, n}, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return Value{edmDouble, f}, err == nil
}

type parser struct {
	tokens []token
	at     int
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{kind: word}
}

func (p *parser) takeWord(text string) bool {
	if t := p.peek(); t.kind == word && t.text == text && text != "" {
		p.at++
		return true
	}
	return false
}

func (p *parser) or(depth int) (Filter, error) {
	return p.chain("or", func() (Filter, error) {
		return p.chain("and", func() (Filter, error) { return p.unary(depth) }, func(list []Filter) Filter { return all(list) })
	}, func(list []Filter) Filter { return some(list) })
}

// chain reads parts joined by one operator.
func (p *parser) chain(operator string, part func() (Filter, error), join func([]Filter) Filter) (Filter, error) {
	var list []Filter
	for {
		f, err := part()
		if err != nil {
			return nil, err
		}
		list = append(list, f)
		if !p.takeWord(operator) {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return join(list), nil
}

func (p *parser) unary(depth int) (Filter, error) {
	if depth > maxDepth {
		return nil, &FilterError{"it is nested too deeply"}
	}
	if p.takeWord("not") {
		f, err := p.unary(depth + 1)
		return negation{f}, err
	}
	if p.peek().kind == open {
		p.at++
		f, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek().kind != shut {
			return nil, &FilterError{"a parenthesis is not closed"}
		}
		p.at++
		return f, nil
	}
	return p.comparison()
}

// flipped is each operator seen from its other side.
var flipped = map[string]string{"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}

func (p *parser) comparison() (Filter, error) {
	left := p.peek()
	p.at++
	if left.kind == open || left.kind == shut || left.text == "" && left.kind == word {
		return nil, &FilterError{"a comparison is missing"}
	}
	operator := p.peek().text
	if _, known := flipped[operator]; !known || p.peek().kind != word {
		if left.kind == word {
			return comparison{left.text, "eq", Value{edmBoolean, true}}, nil
		}
		return nil, &FilterError{fmt.Sprintf("%q stands where an operator should", operator)}
	}
	p.at++
	right := p.peek()
	p.at++
	switch {
	case left.kind == word && right.kind == literal:
		return comparison{left.text, operator, right.value}, nil
	case left.kind == literal && right.kind == word && right.text != "":
		return comparison{right.text, flipped[operator], left.value}, nil
	}
	return nil, &FilterError{fmt.Sprintf("%q compares no property with a value", operator)}
}

type (
	all        []Filter
	some       []Filter
	negation   struct{ f Filter }
	comparison struct {
		property, operator string
		value              Value
	}
)

// Holds implements Filter.
func (l all) Holds(e *Entity) bool {
	for _, f := range l {
		if !f.Holds(e) {
			return false
		}
	}
	return true
}

// Holds implements Filter.
func (l some) Holds(e *Entity) bool {
	for _, f := range l {
		if f.Holds(e) {
			return true
		}
	}
	return false
}

// Holds implements Filter.
func (n negation) Holds(e *Entity) bool { return !n.f.Holds(e) }

// Holds implements Filter: a property that is missing or of another type matches nothing.
func (c comparison) Holds(e *Entity) bool {
	v, ok := e.property(c.property)
	if !ok {
		return false
	}
	order, ok := compare(v, c.value)
	if !ok {
		return false
	}
	switch c.operator {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}

// timeLayouts are the forms of a point in time that clients send.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02"}

func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no point in time", text)
}
