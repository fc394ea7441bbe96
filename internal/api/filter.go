package api

import (
	"strings"
	"unicode/utf8"

	"github.com/patchbay/patchbay/internal/problem"
)

// Filter is a parsed OData filter over records of text fields. Field names and values
// compare without regard to case, as the real service does.
type Filter struct{ root condition }

// condition is one node of a filter.
type condition interface {
	holds(record func(field string) string) bool
}

type (
	both   struct{ left, right condition }
	either struct{ left, right condition }
	negate struct{ inner condition }
	among  struct {
		field  string
		values []string
	}
)

func (c both) holds(r func(string) string) bool   { return c.left.holds(r) && c.right.holds(r) }
func (c either) holds(r func(string) string) bool { return c.left.holds(r) || c.right.holds(r) }
func (c negate) holds(r func(string) string) bool { return !c.inner.holds(r) }

func (c among) holds(r func(string) string) bool {
	have := r(c.field)
	for _, v := range c.values {
		if strings.EqualFold(have, v) || strings.EqualFold(have+"/default", v) && have != "" { // clients name the only child there is
			return true
		}
	}
	return false
}

// Holds tells whether a record passes. record returns a field by its name, folded.
func (f *Filter) Holds(record func(field string) string) bool {
	return f == nil || f.root.holds(record)
}

// filterDepth bounds nesting: a filter is an address's query, not a program.
const filterDepth = 32

// ParseFilter reads a filter made of eq, ne, in, and, or, not and parentheses over the
// given fields; a field may also be written as properties/field. Empty text is no filter.
func ParseFilter(text string, fields ...string) (*Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if !utf8.ValidString(text) {
		return nil, filterProblem("it is no text")
	}
	p := &filterParser{fields: fields}
	if err := p.split(text); err != nil {
		return nil, err
	}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.peek() != "" {
		return nil, filterProblem("%q is not expected there", printable(p.peek()))
	}
	return &Filter{root}, nil
}

func filterProblem(detail string, args ...any) error {
	return problem.New(problem.BodyInvalid, "$filter", "$filter cannot be read: "+detail, args...).
		WithFix("write it like \"TargetService eq 'Microsoft.Cache/redis' and ClientType eq 'python'\"; eq, ne, in, and, or, not and parentheses are understood")
}

// filterParser is a recursive descent over words. A text in quotes is a word that
// begins with a quote and has its doubled quotes undone.
type filterParser struct {
	fields []string
	words  []string
	at     int
}

// split cuts a filter into words.
func (p *filterParser) split(text string) error {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var word string
		switch text[0] {
		case '(', ')', ',':
			word, text = text[:1], text[1:]
		case '\'':
			value, rest, ok := quoted(text[1:])
			if !ok {
				return filterProblem("a text lacks its closing quote")
			}
			word, text = "'"+value, rest
		default:
			end := strings.IndexAny(text, "(),' \t\r\n")
			if end < 0 {
				end = len(text)
			}
			word, text = text[:end], text[end:]
		}
		p.words = append(p.words, word)
	}
	return nil
}

// quoted reads up to the closing quote; a doubled quote stands for one.
func quoted(text string) (value, rest string, ok bool) {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '\'')
		if at < 0 {
			return "", "", false
		}
		out.WriteString(text[:at])
		text = text[at+1:]
		if !strings.HasPrefix(text, "'") {
			return out.String(), text, true
		}
		out.WriteByte('\'')
		text = text[1:]
	}
}

func (p *filterParser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

// take goes past a word if it is the given one.
func (p *filterParser) take(word string) bool {
	if p.at < len(p.words) && strings.EqualFold(p.words[p.at], word) {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) or(depth int) (condition, error) {
	left, err := p.and(depth)
	for err == nil && p.take("or") {
		var right condition
		if right, err = p.and(depth); err == nil {
			left = either{left, right}
		}
	}
	return left, err
}

func (p *filterParser) and(depth int) (condition, error) {
	left, err := p.unary(depth)
	for err == nil && p.take("and") {
		var right condition
		if right, err = p.unary(depth); err == nil {
			left = both{left, right}
		}
	}
	return left, err
}

func (p *filterParser) unary(depth int) (condition, error) {
	if depth > filterDepth {
		return nil, filterProblem("it is nested too deeply")
	}
	if p.take("not") {
		inner, err := p.unary(depth + 1)
		return negate{inner}, err
	}
	if !p.take("(") {
		return p.comparison()
	}
	inner, err := p.or(depth + 1)
	if err == nil && !p.take(")") {
		err = filterProblem("a parenthesis is not closed")
	}
	return inner, err
}

func (p *filterParser) comparison() (condition, error) {
	field, err := p.field()
	if err != nil {
		return nil, err
	}
	switch {
	case p.take("eq"):
		value, err := p.value()
		return among{field, []string{value}}, err
	case p.take("ne"):
		value, err := p.value()
		return negate{among{field, []string{value}}}, err
	case p.take("in"):
		values, err := p.values()
		return among{field, values}, err
	}
	return nil, filterProblem("after %s comes eq, ne or in, not %q", field, printable(p.peek()))
}

func (p *filterParser) field() (string, error) {
	word := p.peek()
	p.at++
	name := word
	if at := strings.LastIndexByte(word, '/'); at >= 0 && strings.EqualFold(word[:at], "properties") {
		name = word[at+1:]
	}
	for _, f := range p.fields {
		if strings.EqualFold(f, name) {
			return f, nil
		}
	}
	if word == "" {
		return "", filterProblem("it ends too early")
	}
	return "", filterProblem("%q is none of the fields %s", printable(word), strings.Join(p.fields, ", "))
}

func (p *filterParser) value() (string, error) {
	word := p.peek()
	if !strings.HasPrefix(word, "'") {
		return "", filterProblem("%q is no text in single quotes", printable(word))
	}
	p.at++
	return word[1:], nil
}

func (p *filterParser) values() ([]string, error) {
	if !p.take("(") {
		return nil, filterProblem("after in comes a list in parentheses")
	}
	var out []string
	for {
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, value)
		if p.take(")") {
			return out, nil
		}
		if !p.take(",") {
			return nil, filterProblem("a list's texts are separated by commas")
		}
	}
}
