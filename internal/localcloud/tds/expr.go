package tds

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// expr is a value or a condition; conditions are bool, and nil where nobody knows.
type expr interface {
	eval(s *scope) (any, error)
}

// scope is what an expression sees: one row, the arguments, the session.
type scope struct {
	session *session
	args    map[string]any
	aliases []string // of the columns, folded
	columns []string // folded
	row     []any
}

type (
	literal   struct{ value any }
	parameter struct{ name string }
	column    struct{ table, name string }
	function  struct {
		name string
		args []expr
	}
	comparison struct {
		op          string
		left, right expr
	}
	logic struct {
		op          string
		left, right expr
	}
	negated struct{ inner expr }
	absent  struct {
		inner expr
		not   bool
	}
	among struct {
		inner expr
		list  []expr
		not   bool
	}
	alike struct {
		inner, pattern expr
		not            bool
	}
)

func (e literal) eval(*scope) (any, error) { return e.value, nil }

func (e parameter) eval(s *scope) (any, error) {
	switch name := strings.ToLower(e.name); name {
	case "@@version":
		return serverVersion, nil
	case "@@spid":
		return int64(spid), nil
	case "@@servername":
		return s.session.server.host.Name(), nil
	case "@@trancount":
		n := int64(0)
		if s.session.saved != nil {
			n = 1
		}
		return n, nil
	default:
		if v, ok := s.args[name]; ok {
			return v, nil
		}
	}
	return nil, fatal(137, "Must declare the scalar variable \"%s\".", e.name)
}

func (e column) eval(s *scope) (any, error) {
	found := -1
	for n, name := range s.columns {
		if name != strings.ToLower(e.name) || e.table != "" && s.aliases[n] != strings.ToLower(e.table) {
			continue
		}
		if found >= 0 {
			return nil, fatal(209, "Ambiguous column name '%s'.", e.name)
		}
		found = n
	}
	if found < 0 {
		if e.table != "" && !slices.Contains(s.aliases, strings.ToLower(e.table)) {
			return nil, fatal(4104, "The multi-part identifier \"%s.%s\" could not be bound.", e.table, e.name)
		}
		return nil, fatal(207, "Invalid column name '%s'.", e.name)
	}
	if s.row == nil { // only the names are looked at
		return nil, nil
	}
	return s.row[found], nil
}

func (e function) eval(s *scope) (any, error) {
	args := make([]any, len(e.args))
	for n, a := range e.args {
		v, err := a.eval(s)
		if err != nil {
			return nil, err
		}
		args[n] = v
	}
	return s.session.call(e.name, args)
}

func (e comparison) eval(s *scope) (any, error) {
	left, err := e.left.eval(s)
	if err != nil {
		return nil, err
	}
	right, err := e.right.eval(s)
	if err != nil || left == nil || right == nil {
		return nil, err
	}
	order, err := compare(left, right)
	if err != nil {
		return nil, err
	}
	return map[string]bool{
		"=": order == 0, "<>": order != 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	}[e.op], nil
}

// compare orders two values as the default collation does: letters by either case,
// blanks at the end without weight.
func compare(a, b any) (int, error) {
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return strings.Compare(collated(x), collated(y)), nil
		case int64:
			n, err := toNumber(x)
			return cmp.Compare(n, y), err
		}
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y), nil
		}
		back, err := compare(b, a)
		return -back, err
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y), nil
		}
	case bool:
		return compare(bit(x), b)
	}
	if y, ok := b.(bool); ok {
		return compare(a, bit(y))
	}
	return 0, fatal(402, "The data types are incompatible in the operator.")
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func collated(text string) string { return strings.ToLower(strings.TrimRight(text, " ")) }

func toNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, fatal(245, "Conversion failed when converting the nvarchar value '%s' to data type int.", short(text))
	}
	return n, nil
}

// eval of logic knows three values, as SQL does.
func (e logic) eval(s *scope) (any, error) {
	left, err := e.left.eval(s)
	if err != nil {
		return nil, err
	}
	right, err := e.right.eval(s)
	if err != nil {
		return nil, err
	}
	decides := e.op == "OR"
	switch {
	case left == decides || right == decides:
		return decides, nil
	case left == nil || right == nil:
		return nil, nil
	}
	return !decides, nil
}

func (e negated) eval(s *scope) (any, error) {
	v, err := e.inner.eval(s)
	if b, ok := v.(bool); ok {
		return !b, err
	}
	return nil, err
}

func (e absent) eval(s *scope) (any, error) {
	v, err := e.inner.eval(s)
	return (v == nil) != e.not, err
}

func (e among) eval(s *scope) (any, error) {
	var verdict any = false
	for _, one := range e.list {
		v, err := comparison{"=", e.inner, one}.eval(s)
		if err != nil {
			return nil, err
		}
		if v == true {
			return !e.not, nil
		}
		if v == nil {
			verdict = nil
		}
	}
	if verdict == nil {
		return nil, nil
	}
	return e.not, nil
}

func (e alike) eval(s *scope) (any, error) {
	value, err := e.inner.eval(s)
	if err != nil {
		return nil, err
	}
	pattern, err := e.pattern.eval(s)
	if err != nil || value == nil || pattern == nil {
		return nil, err
	}
	text, ok1 := value.(string)
	mask, ok2 := pattern.(string)
	if !ok1 || !ok2 {
		return nil, fatal(402, "The data types are incompatible in the operator.")
	}
	if strings.ContainsAny(mask, "[") {
		return nil, fatal(102, "Incorrect syntax near 'LIKE': character sets are not supported here.")
	}
	return matches([]rune(strings.ToLower(text)), []rune(strings.ToLower(mask))) != e.not, nil
}

// matches tells whether a mask of % and _ covers a text.
func matches(text, mask []rune) bool {
	at, star, mark := 0, -1, 0
	for n := 0; n < len(text); {
		switch {
		case at < len(mask) && mask[at] == '%':
			star, mark, at = at, n, at+1
		case at < len(mask) && (mask[at] == '_' || mask[at] == text[n]):
			at, n = at+1, n+1
		case star >= 0:
			mark++
			at, n = star+1, mark
		default:
			return false
		}
	}
	for at < len(mask) && mask[at] == '%' {
		at++
	}
	return at == len(mask)
}

// assign brings a value into a column's type.
func assign(v any, c Column) (any, error) {
	switch x := v.(type) {
	case nil:
		if c.Required {
			return nil, failure(515, "Cannot insert the value NULL into column '%s'; column does not allow nulls. INSERT fails.", c.Name)
		}
		return nil, nil
	case string:
		if c.Type == "int" || c.Type == "bigint" || c.Type == "bit" {
			n, err := toNumber(x)
			if err != nil {
				return nil, err
			}
			return assign(n, c)
		}
		if c.Type == "nvarchar" {
			return x, nil
		}
	case int64:
		switch c.Type {
		case "bit":
			return x != 0, nil
		case "nvarchar":
			return strconv.FormatInt(x, 10), nil
		case "int", "bigint":
			return x, nil
		}
	case bool:
		return assign(bit(x), c)
	case []byte:
		if c.Type == "varbinary" {
			return x, nil
		}
	}
	return nil, fatal(257, "Implicit conversion to data type %s is not allowed. Use the CONVERT function to run this query.", c.Type)
}
