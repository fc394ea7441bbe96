package gremlin

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shape says what a step takes: how many arguments, and what it works on.
type shape struct {
	least, most int
	on          string // kinds of what flows: s at the start, v, e, or x for values
	gives       string // "" keeps the kind
	writes      bool
}

// steps are all there are.
var steps = map[string]shape{
	"V":        {0, 1, "s", "v", false},
	"E":        {0, 1, "s", "e", false},
	"addV":     {1, 1, "s", "v", true},
	"addE":     {1, 1, "v", "e", true},
	"to":       {1, 1, "e", "", true},
	"property": {2, 2, "ve", "", true},
	"has":      {2, 2, "ve", "", false},
	"hasLabel": {1, 1, "ve", "", false},
	"hasId":    {1, 1, "ve", "", false},
	"out":      {0, 1, "v", "v", false},
	"limit":    {1, 1, "vex", "", false},
	"values":   {1, 1, "ve", "x", false},
	"id":       {0, 0, "ve", "x", false},
	"label":    {0, 0, "ve", "x", false},
	"count":    {0, 0, "vex", "x", false},
	"drop":     {0, 0, "ve", "x", true},
}

// step is one step of a traversal; an argument is a word, an int64, a float64, a bool
// or a *traversal.
type step struct {
	name string
	args []any
}

type traversal struct{ steps []step }

func (t *traversal) writes() bool {
	return slices.ContainsFunc(t.steps, func(s step) bool { return steps[s.name].writes })
}

var tokens = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+(?:\.[0-9]+)?[lLdDfF]?|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[().,])`)

// parser goes through a script's tokens; the first mistake stays.
type parser struct {
	rest     []string
	bindings map[string]any
	err      error
}

// parse reads one traversal: g and its steps.
func parse(script string, bindings map[string]any) (*traversal, error) {
	p := &parser{bindings: bindings}
	for rest := strings.TrimSpace(script); rest != ""; {
		found := tokens.FindString(rest)
		if found == "" {
			return nil, refuse(codeScript, "Gremlin Query Syntax Error: unexpected %.20q", rest)
		}
		p.rest = append(p.rest, found)
		rest = strings.TrimSpace(rest[len(found):])
	}
	t := p.traversal()
	if p.err == nil && len(p.rest) > 0 {
		p.fail()
	}
	if p.err == nil {
		p.err = t.check()
	}
	return t, p.err
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = refuse(codeScript, "Gremlin Query Syntax Error: unexpected %q", p.peek())
	}
}

func (p *parser) peek() string {
	if len(p.rest) == 0 {
		return "the end"
	}
	return p.rest[0]
}

func (p *parser) next() string {
	word := p.peek()
	if len(p.rest) > 0 {
		p.rest = p.rest[1:]
	}
	return word
}

func (p *parser) accept(word string) bool {
	if p.peek() != word {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) expect(word string) {
	if !p.accept(word) {
		p.fail()
	}
}

func (p *parser) traversal() *traversal {
	t := &traversal{}
	p.expect("g")
	for p.err == nil && p.accept(".") {
		s := step{name: p.next()}
		if _, known := steps[s.name]; !known {
			p.err = refuse(codeScript, "Gremlin Query Compilation Error: Unable to find any method '%s'", s.name)
			return t
		}
		p.expect("(")
		for p.err == nil && p.peek() != ")" {
			s.args = append(s.args, p.argument())
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
		t.steps = append(t.steps, s)
	}
	if len(t.steps) == 0 {
		p.fail()
	}
	return t
}

func (p *parser) argument() any {
	word := p.peek()
	if word == "g" && len(p.rest) > 1 && p.rest[1] == "." {
		return p.traversal()
	}
	p.next()
	switch {
	case word == "true", word == "false":
		return word == "true"
	case word[0] == '\'' || word[0] == '"':
		return unescape(word[1 : len(word)-1])
	case word[0] == '-' || word[0] >= '0' && word[0] <= '9':
		word = strings.TrimRight(word, "lLdDfF")
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			return f
		}
	}
	if value, ok := p.bindings[word]; ok {
		switch value.(type) {
		case string, int64, float64, bool:
			return value
		}
	}
	if p.err == nil {
		p.err = refuse(codeScript, "Gremlin Query Compilation Error: %q is not a value", word)
	}
	return nil
}

var escapes = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\n`, "\n", `\t`, "\t", `\$`, "$")

func unescape(text string) string { return escapes.Replace(text) }

// check holds every step to its shape.
func (t *traversal) check() error {
	flows := "s"
	for n, s := range t.steps {
		shape := steps[s.name]
		if len(s.args) < shape.least || len(s.args) > shape.most || !strings.Contains(shape.on, flows) {
			return refuse(codeScript, "Gremlin Query Compilation Error: no such form of %s here", s.name)
		}
		if err := s.check(); err != nil {
			return err
		}
		if s.name == "addE" && (n+1 == len(t.steps) || t.steps[n+1].name != "to") || s.name == "to" && t.steps[n-1].name != "addE" {
			return refuse(codeScript, "Gremlin Query Compilation Error: addE and to belong together")
		}
		if s.name == "drop" && n+1 < len(t.steps) {
			return refuse(codeScript, "Gremlin Query Compilation Error: nothing follows drop")
		}
		if shape.gives != "" {
			flows = shape.gives
		}
	}
	return nil
}

// check holds the arguments to their kinds.
func (s step) check() error {
	for n, arg := range s.args {
		_, isWord := arg.(string)
		_, isNumber := arg.(int64)
		inner, isTraversal := arg.(*traversal)
		ok := isWord
		switch {
		case s.name == "to":
			ok = isTraversal && inner.check() == nil && inner.steps[0].name == "V" && !inner.writes()
		case s.name == "limit":
			ok = isNumber && arg.(int64) >= 0
		case n == 1:
			ok = !isTraversal
		}
		if !ok {
			return refuse(codeScript, "Gremlin Query Compilation Error: %s does not take such an argument", s.name)
		}
	}
	return nil
}
