package deployment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds how deeply calls may nest, so that no template exhausts the stack.
const maxDepth = 100

// node is one part of an expression.
type node any

type (
	literal string
	number  float64
	call    struct {
		name string
		args []node
	}
	member struct { // of.name or of[index]
		of    node
		index node
	}
)

// parse reads an expression, without the brackets around it.
func parse(s string) (node, error) {
	p := parser{rest: s}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, fmt.Errorf("unexpected '%s'", p.rest)
	}
	return n, nil
}

type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes one character if it is next.
func (p *parser) take(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) expression(depth int) (node, error) {
	if depth > maxDepth {
		return nil, errors.New("the expression is nested too deeply")
	}
	n, err := p.primary(depth)
	for err == nil {
		switch {
		case p.take('.'):
			name := p.word()
			if name == "" {
				return nil, errors.New("a property name is missing after '.'")
			}
			n = member{n, literal(name)}
		case p.take('['):
			var index node
			if index, err = p.expression(depth + 1); err == nil && !p.take(']') {
				err = errors.New("']' is missing")
			}
			n = member{n, index}
		default:
			return n, nil
		}
	}
	return nil, err
}

func (p *parser) primary(depth int) (node, error) {
	p.space()
	switch {
	case p.rest == "":
		return nil, errors.New("the expression ends early")
	case p.rest[0] == '\'':
		return p.text()
	case p.rest[0] == '-' || p.rest[0] >= '0' && p.rest[0] <= '9':
		return p.number()
	}
	name := p.word()
	if name == "" {
		return nil, fmt.Errorf("unexpected '%c'", p.rest[0])
	}
	if !p.take('(') {
		return nil, fmt.Errorf("'(' is missing after '%s'", name)
	}
	c := call{name: name}
	for !p.take(')') {
		if len(c.args) > 0 && !p.take(',') {
			return nil, fmt.Errorf("',' or ')' is missing in the arguments of '%s'", name)
		}
		arg, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
	}
	return c, nil
}

// text reads a quoted string; a doubled quote stands for one.
func (p *parser) text() (node, error) {
	var b strings.Builder
	rest := p.rest[1:]
	for {
		part, after, ok := strings.Cut(rest, "'")
		if !ok {
			return nil, errors.New("a quote is not closed")
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, "'") {
			p.rest = after
			return literal(b.String()), nil
		}
		b.WriteByte('\'')
		rest = after[1:]
	}
}

func (p *parser) number() (node, error) {
	end := 1
	for end < len(p.rest) && p.rest[end] >= '0' && p.rest[end] <= '9' {
		end++
	}
	v, err := strconv.ParseInt(p.rest[:end], 10, 53)
	if err != nil {
		return nil, fmt.Errorf("'%s' is not a whole number", p.rest[:end])
	}
	p.rest = p.rest[end:]
	return number(v), nil
}

func (p *parser) word() string {
	p.space()
	end := 0
	for end < len(p.rest) && (isLetter(p.rest[end]) || end > 0 && p.rest[end] >= '0' && p.rest[end] <= '9') {
		end++
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
