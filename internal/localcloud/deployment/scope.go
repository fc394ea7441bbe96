package deployment

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func fault(status int, code, format string, args ...any) *provider.Fault {
	return &provider.Fault{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *provider.Fault {
	return fault(http.StatusBadRequest, "InvalidTemplate", "Deployment template validation failed: '%s'.", fmt.Sprintf(format, args...))
}

// scope is what the expressions of one template are evaluated in.
type scope struct {
	functions                 map[string]function
	subscriptionID, groupName string
	group, subscription       map[string]any
	declared, given           map[string]any // parameters: of the template, of the request
	variables                 map[string]any
	open                      []string // parameters and variables being evaluated, to find circles
}

// newScope checks the parameters that a deployment gives to a template.
func newScope(template, given map[string]any) (*scope, error) {
	s := &scope{functions: functions(), given: given}
	s.declared, _ = template["parameters"].(map[string]any)
	s.variables, _ = template["variables"].(map[string]any)
	for name := range given {
		if _, _, ok := lookup(s.declared, name); !ok {
			return nil, invalid("The template parameters '%s' in the parameters file are not valid; they are not present in the original template and can therefore not be provided at deployment time.", name)
		}
	}
	return s, nil
}

// lookup finds a member without regard to case, as template names compare.
func lookup(m map[string]any, name string) (string, any, bool) {
	if v, ok := m[name]; ok {
		return name, v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return k, v, true
		}
	}
	return "", nil, false
}

// enter marks a name as being evaluated and refuses circles.
func (s *scope) enter(name string) (leave func(), err error) {
	if slices.Contains(s.open, name) {
		return nil, invalid("Circular reference detected on %s", name)
	}
	s.open = append(s.open, name)
	return func() { s.open = s.open[:len(s.open)-1] }, nil
}

func (s *scope) parameter(name string) (any, error) {
	key, declared, ok := lookup(s.declared, name)
	if !ok {
		return nil, invalid("The template parameter '%s' is not found", name)
	}
	leave, err := s.enter("parameter " + strings.ToLower(key))
	if err != nil {
		return nil, err
	}
	defer leave()
	declaration, _ := declared.(map[string]any)
	value, err := s.valueOf(key, declaration)
	if err != nil {
		return nil, err
	}
	return value, checkValue(key, declaration, value)
}

func (s *scope) valueOf(key string, declaration map[string]any) (any, error) {
	if _, given, ok := lookup(s.given, key); ok {
		m, _ := given.(map[string]any)
		if v, ok := m["value"]; ok {
			return v, nil
		}
	}
	standard, ok := declaration["defaultValue"]
	if !ok {
		return nil, invalid("The value for the template parameter '%s' is not provided", key)
	}
	return s.evaluate(standard)
}

func checkValue(name string, declaration map[string]any, v any) error {
	kind, _ := declaration["type"].(string)
	ok := true
	switch strings.ToLower(kind) {
	case "string", "securestring":
		_, ok = v.(string)
	case "int":
		var n float64
		n, ok = v.(float64)
		ok = ok && n == float64(int64(n))
	case "bool":
		_, ok = v.(bool)
	case "array":
		_, ok = v.([]any)
	case "object", "secureobject":
		_, ok = v.(map[string]any)
	default:
		return invalid("The template parameter '%s' has the unknown type '%s'", name, kind)
	}
	if !ok {
		return invalid("Template parameter JToken type is not valid for parameter '%s'. Expected '%s'", name, kind)
	}
	if allowed, has := declaration["allowedValues"].([]any); has && !slices.ContainsFunc(allowed, func(a any) bool { return fmt.Sprint(a) == fmt.Sprint(v) }) {
		return invalid("The provided value for the template parameter '%s' is not valid. It is not part of the allowed value(s)", name)
	}
	return nil
}

func (s *scope) variable(name string) (any, error) {
	key, v, ok := lookup(s.variables, name)
	if !ok {
		return nil, invalid("The template variable '%s' is not found", name)
	}
	leave, err := s.enter("variable " + strings.ToLower(key))
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.evaluate(v)
}

// evaluate replaces every expression in a value.
func (s *scope) evaluate(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return s.text(v)
	case []any:
		out := make([]any, len(v))
		for n, item := range v {
			var err error
			if out[n], err = s.evaluate(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			key, err := s.text(k)
			if err != nil {
				return nil, err
			}
			if out[textOf(key)], err = s.evaluate(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// text evaluates a string: "[...]" is an expression, "[[..." an escaped bracket.
func (s *scope) text(v string) (any, error) {
	if strings.HasPrefix(v, "[[") {
		return v[1:], nil
	}
	if !strings.HasPrefix(v, "[") || !strings.HasSuffix(v, "]") {
		return v, nil
	}
	n, err := parse(v[1 : len(v)-1])
	if err != nil {
		return nil, invalid("Unable to parse language expression '%s': %v", v, err)
	}
	return s.eval(n)
}

func (s *scope) eval(n node) (any, error) {
	switch n := n.(type) {
	case literal:
		return string(n), nil
	case number:
		return float64(n), nil
	case call:
		return s.call(n)
	case member:
		return s.member(n)
	}
	return nil, invalid("The expression is not understood")
}

func (s *scope) call(c call) (any, error) {
	f, ok := s.functions[strings.ToLower(c.name)]
	if !ok {
		return nil, invalid("The template function '%s' is not valid", c.name)
	}
	var args []any
	for _, a := range c.args {
		v, err := s.eval(a)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	v, err := f(s, args)
	if err == nil {
		return v, nil
	}
	if known, ok := err.(*provider.Fault); ok {
		return nil, known
	}
	return nil, invalid("Unable to evaluate template language function '%s': %v", c.name, err)
}

func (s *scope) member(m member) (any, error) {
	of, err := s.eval(m.of)
	if err != nil {
		return nil, err
	}
	index, err := s.eval(m.index)
	if err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case map[string]any:
		if _, v, ok := lookup(of, textOf(index)); ok {
			return v, nil
		}
	case []any:
		if n, ok := index.(float64); ok && n >= 0 && int(n) < len(of) {
			return of[int(n)], nil
		}
	}
	return nil, invalid("The language expression property '%s' doesn't exist", textOf(index))
}
