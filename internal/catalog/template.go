package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// piece is a stretch of a template: text as it stands, or the name of a fact.
type piece struct{ text, fact string }

var errBrace = errors.New("a brace stands alone")

// pieces takes a template apart. Doubled braces are braces.
func pieces(template string) ([]piece, error) {
	var out []piece
	for template != "" {
		i := strings.IndexAny(template, "{}")
		switch {
		case i < 0:
			return append(out, piece{text: template}), nil
		case i > 0:
			out = append(out, piece{text: template[:i]})
			template = template[i:]
		case len(template) > 1 && template[1] == template[0]:
			out = append(out, piece{text: template[:1]})
			template = template[2:]
		default:
			end := strings.IndexByte(template, '}')
			if template[0] == '}' || end < 2 || strings.IndexByte(template[1:end], '{') >= 0 {
				return nil, errBrace
			}
			out = append(out, piece{fact: template[1:end]})
			template = template[end+1:]
		}
	}
	return out, nil
}

// placeholders returns the facts a template names, in order.
func placeholders(template string) []string {
	parts, _ := pieces(template)
	var names []string
	for _, p := range parts {
		if p.fact != "" {
			names = append(names, p.fact)
		}
	}
	return names
}

// pattern is the derived fact's pattern with the facts in their places.
func (d Derived) pattern(facts connection.Facts) (*regexp.Regexp, error) {
	literal := func(_, value string) (string, error) { return regexp.QuoteMeta(value), nil }
	text, err := fill(d.Match, facts, literal)
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`(?i)^(?:` + text + `)$`)
	if err != nil {
		return nil, fmt.Errorf("read pattern: %w", err)
	}
	if re.NumSubexp() != 1 {
		return nil, errors.New("pattern needs exactly one group")
	}
	return re, nil
}

// derive adds the facts that follow from others and are not known otherwise.
func (t *Target) derive(facts connection.Facts) (connection.Facts, error) {
	if len(t.Derived) == 0 {
		return facts, nil
	}
	out := connection.Facts{}
	for name, value := range facts {
		out[name] = value
	}
	for name, d := range t.Derived {
		if origin, known := facts[d.From]; has(facts, name) || !known || origin.From != nil {
			continue
		}
		re, err := d.pattern(facts)
		if err != nil {
			return nil, fmt.Errorf("derive %s of %s: %w", name, t.Name, err)
		}
		if m := re.FindStringSubmatch(facts.Text(d.From)); m != nil {
			out[name] = connection.Value{Text: m[1], Secret: facts[d.From].Secret}
		} else if d.Else != "" {
			out[name] = connection.Plain(d.Else)
		}
	}
	return out, nil
}
