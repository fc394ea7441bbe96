package deployment

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// function is one template function over evaluated arguments.
type function func(s *scope, args []any) (any, error)

// functions are the template functions known here, by folded name.
func functions() map[string]function {
	return map[string]function{
		"concat":                 concat,
		"equals":                 func(_ *scope, a []any) (any, error) { return two(a, fmt.Sprint(at(a, 0)) == fmt.Sprint(at(a, 1))) },
		"false":                  func(*scope, []any) (any, error) { return false, nil },
		"guid":                   guid,
		"if":                     choose,
		"parameters":             func(s *scope, a []any) (any, error) { return s.parameter(fmt.Sprint(at(a, 0))) },
		"resourcegroup":          func(s *scope, _ []any) (any, error) { return s.group, nil },
		"resourceid":             resourceID,
		"string":                 func(_ *scope, a []any) (any, error) { return textOf(at(a, 0)), nil },
		"subscription":           func(s *scope, _ []any) (any, error) { return s.subscription, nil },
		"subscriptionresourceid": subscriptionResourceID,
		"tolower":                func(_ *scope, a []any) (any, error) { return strings.ToLower(textOf(at(a, 0))), nil },
		"toupper":                func(_ *scope, a []any) (any, error) { return strings.ToUpper(textOf(at(a, 0))), nil },
		"true":                   func(*scope, []any) (any, error) { return true, nil },
		"variables":              func(s *scope, a []any) (any, error) { return s.variable(fmt.Sprint(at(a, 0))) },
	}
}

func at(args []any, n int) any {
	if n < len(args) {
		return args[n]
	}
	return nil
}

func two(args []any, v any) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("two arguments are needed, %d are given", len(args))
	}
	return v, nil
}

// textOf writes a value the way concat joins it.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

// concat joins texts, or arrays when the first argument is one.
func concat(_ *scope, args []any) (any, error) {
	if _, ok := at(args, 0).([]any); ok {
		all := []any{}
		for _, a := range args {
			list, ok := a.([]any)
			if !ok {
				return nil, fmt.Errorf("concat takes arrays or texts, not both")
			}
			all = append(all, list...)
		}
		return all, nil
	}
	var b strings.Builder
	for _, a := range args {
		switch a.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("concat takes arrays or texts, not objects")
		}
		b.WriteString(textOf(a))
	}
	return b.String(), nil
}

func choose(_ *scope, args []any) (any, error) {
	which, ok := at(args, 0).(bool)
	if !ok || len(args) != 3 {
		return nil, fmt.Errorf("if takes a boolean and two values")
	}
	if which {
		return args[1], nil
	}
	return args[2], nil
}

func guid(_ *scope, args []any) (any, error) {
	var parts []string
	for _, a := range args {
		parts = append(parts, textOf(a))
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(strings.Join(parts, "-"))).String(), nil
}

// resourceID takes [subscription,] [group,] type, name...
func resourceID(s *scope, args []any) (any, error) {
	words, n, err := splitType(args)
	if err != nil || n > 2 {
		return nil, badArguments("resourceId", err)
	}
	sub, group := s.subscriptionID, s.groupName
	if n == 1 {
		group = words[0]
	} else if n == 2 {
		sub, group = words[0], words[1]
	}
	return typedID("/subscriptions/"+sub+"/resourceGroups/"+group, words[n], words[n+1:])
}

// subscriptionResourceID takes [subscription,] type, name...
func subscriptionResourceID(s *scope, args []any) (any, error) {
	words, n, err := splitType(args)
	if err != nil || n > 1 {
		return nil, badArguments("subscriptionResourceId", err)
	}
	sub := s.subscriptionID
	if n == 1 {
		sub = words[0]
	}
	return typedID("/subscriptions/"+sub, words[n], words[n+1:])
}

func badArguments(name string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("the arguments of %s are not a type and its names", name)
}

// splitType finds the type among the arguments: the first with a slash.
func splitType(args []any) (words []string, n int, err error) {
	n = -1
	for k, a := range args {
		word, ok := a.(string)
		if !ok {
			return nil, 0, fmt.Errorf("argument %d is not a text", k+1)
		}
		words = append(words, word)
		if n < 0 && strings.Contains(word, "/") {
			n = k
		}
	}
	if n < 0 {
		return nil, 0, fmt.Errorf("a resource type with a slash is missing")
	}
	return words, n, nil
}

// typedID joins a type's words with its names.
func typedID(scope, kind string, names []string) (string, error) {
	parts := strings.Split(strings.Trim(kind, "/"), "/")
	if len(parts)-1 != len(names) {
		return "", fmt.Errorf("the type '%s' needs %d names, %d are given", kind, len(parts)-1, len(names))
	}
	path := scope + "/providers/" + parts[0]
	for n, name := range names {
		path += "/" + parts[n+1] + "/" + name
	}
	return path, nil
}
