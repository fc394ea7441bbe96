package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// ParseObject reads a body that must be one JSON object. The error is
// BODY_NOT_JSON, or BODY_INVALID when it is JSON of another kind.
func ParseObject(body []byte) (map[string]any, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, problem.New(problem.BodyNotJSON, "", "the body is empty")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, problem.New(problem.BodyNotJSON, "", "the body is not JSON: %s", jsonReason(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, problem.New(problem.BodyNotJSON, "", "the body goes on after its JSON value")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, invalid("", "must be an object, not %s", typeName(value))
	}
	return object, nil
}

// jsonReason says why JSON could not be read without quoting the body, which may hold a secret.
func jsonReason(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return "syntax error at byte " + decimal(syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return "it cannot be read"
}

func decimal(n int64) string {
	return strconv.FormatInt(n, 10)
}

// invalid makes a BODY_INVALID error for the member at a JSON pointer.
func invalid(pointer, detail string, args ...any) *problem.Error {
	at := pointer
	if at == "" {
		at = "the body"
	}
	return problem.New(problem.BodyInvalid, pointer, at+" "+detail, args...)
}

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}

func join(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// reader checks a request's value against the table. What it returns holds only
// members the version knows and takes; null stays as nil, so that a PATCH can tell
// it from absence.
type reader struct {
	version Version
	patch   bool
	// stored is the auth type the connection has: its secrets need not be given again,
	// and a PATCH need not repeat what it requires.
	stored string
}

func (r reader) object(pointer string, s *shape, value any) (map[string]any, error) {
	in, ok := value.(map[string]any)
	if !ok {
		return nil, invalid(pointer, "must be an object, not %s", typeName(value))
	}
	out := map[string]any{}
	tag := s.tagOf(in)
	for _, m := range s.of(r.version, tag) {
		raw, there := in[m.name]
		if m.is(readOnly) {
			continue
		}
		if m.is(required) && raw == nil {
			if r.excused(s, m, tag) {
				continue
			}
			return nil, invalid(join(pointer, m.name), "is missing")
		}
		if !there {
			continue
		}
		clean, keep, err := r.member(join(pointer, m.name), m, raw)
		if err != nil {
			return nil, err
		}
		if keep {
			out[m.name] = clean
		}
	}
	return out, nil
}

// excused tells whether a required member may be left out because it is stored.
func (r reader) excused(s *shape, m member, tag string) bool {
	if r.patch && s.name == linkerName {
		return true
	}
	if s.tag == "" || m.name == s.tag || r.stored == "" || tag != r.stored {
		return false
	}
	return r.patch || m.is(writeOnly)
}

func (r reader) member(pointer string, m member, value any) (clean any, keep bool, err error) {
	if value == nil {
		return nil, true, nil
	}
	switch m.kind {
	case object:
		if m.is(blankRemoves) && blankTag(value) {
			return nil, true, nil
		}
		clean, err := r.object(pointer, m.shape, value)
		return clean, err == nil, err
	case rows:
		clean, err := r.rows(pointer, m, value)
		return clean, err == nil, err
	case texts:
		clean, err := r.texts(pointer, value)
		return clean, err == nil, err
	case list:
		clean, err := stringArray(pointer, value)
		return clean, err == nil, err
	case flag:
		b, ok := value.(bool)
		if !ok {
			return nil, false, mistyped(pointer, m, value)
		}
		return b, true, nil
	}
	s, ok := value.(string)
	if !ok {
		return nil, false, mistyped(pointer, m, value)
	}
	if s == "" && m.is(required) {
		return nil, false, invalid(pointer, "is empty")
	}
	return s, s != "" || !m.is(blankIsNone), nil
}

func mistyped(pointer string, m member, value any) error {
	return invalid(pointer, "must be %s, not %s", kindNames[m.kind], typeName(value))
}

// blankTag tells whether an object's type is the empty string: clients send
// that where they mean null.
func blankTag(value any) bool {
	in, ok := value.(map[string]any)
	if !ok {
		return false
	}
	kind, there := in["type"].(string)
	return there && kind == ""
}

func (r reader) rows(pointer string, m member, value any) ([]any, error) {
	in, ok := value.([]any)
	if !ok {
		return nil, mistyped(pointer, m, value)
	}
	out := make([]any, len(in))
	for i, raw := range in {
		row, err := r.object(join(pointer, decimal(int64(i))), m.shape, raw)
		if err != nil {
			return nil, err
		}
		out[i] = withoutNulls(row)
	}
	return out, nil
}

func (r reader) texts(pointer string, value any) (map[string]any, error) {
	in, ok := value.(map[string]any)
	if !ok {
		return nil, invalid(pointer, "must be an object of strings, not %s", typeName(value))
	}
	out := make(map[string]any, len(in))
	for name, raw := range in {
		if _, ok := raw.(string); !ok && raw != nil {
			return nil, invalid(join(pointer, name), "must be a string, not %s", typeName(raw))
		}
		out[name] = raw
	}
	return out, nil
}

func stringArray(pointer string, value any) ([]any, error) {
	in, ok := value.([]any)
	if !ok {
		return nil, invalid(pointer, "must be an array of strings, not %s", typeName(value))
	}
	for i, raw := range in {
		if _, ok := raw.(string); !ok {
			return nil, invalid(join(pointer, decimal(int64(i))), "must be a string, not %s", typeName(raw))
		}
	}
	return in, nil
}
