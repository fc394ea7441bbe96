package tables

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The protocol's types.
const (
	edmString   = "Edm.String"
	edmBoolean  = "Edm.Boolean"
	edmInt32    = "Edm.Int32"
	edmInt64    = "Edm.Int64"
	edmDouble   = "Edm.Double"
	edmDateTime = "Edm.DateTime"
	edmGUID     = "Edm.Guid"
	edmBinary   = "Edm.Binary"
)

// annotated are the types that JSON cannot tell and an annotation does.
var annotated = map[string]bool{edmInt64: true, edmDateTime: true, edmGUID: true, edmBinary: true}

// Value is a property's value: string, bool, int64, float64, time.Time or []byte, by
// its type.
type Value struct {
	Type string
	V    any
}

// Entity is one row.
type Entity struct {
	PartitionKey, RowKey string
	Timestamp            time.Time
	Properties           map[string]Value
}

// maxProperties is the protocol's bound, its own three left out.
const maxProperties = 252

// stamp is how the protocol writes a point in time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// etag is the entity's tag: its timestamp.
func (e *Entity) etag() string {
	return `W/"datetime'` + strings.ReplaceAll(stamp(e.Timestamp), ":", "%3A") + `'"`
}

// property finds a property, the three of the system included.
func (e *Entity) property(name string) (Value, bool) {
	switch name {
	case "PartitionKey":
		return Value{edmString, e.PartitionKey}, true
	case "RowKey":
		return Value{edmString, e.RowKey}, true
	case "Timestamp":
		return Value{edmDateTime, e.Timestamp}, true
	}
	v, ok := e.Properties[name]
	return v, ok
}

const annotation = "@odata.type"

// readEntity takes an entity out of a JSON object. Keys that the object lacks stay
// empty and are reported as missing.
func readEntity(raw []byte) (e *Entity, hasKeys bool, err error) {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&members); err != nil || members == nil || d.More() {
		return nil, false, errInput
	}
	e = &Entity{Properties: map[string]Value{}}
	found := 0
	for name, member := range members {
		switch {
		case strings.Contains(name, "@") || strings.HasPrefix(name, "odata.") || name == "Timestamp" || member == nil:
			continue
		case name == "PartitionKey" || name == "RowKey":
			text, ok := member.(string)
			if !ok || strings.ContainsAny(text, "/\\#?\t\n\r") {
				return nil, false, errInput
			}
			*map[string]*string{"PartitionKey": &e.PartitionKey, "RowKey": &e.RowKey}[name] = text
			found++
			continue
		}
		kind, _ := members[name+annotation].(string)
		v, err := readMember(kind, member)
		if err != nil {
			return nil, false, &Fault{Status: 400, Code: "InvalidInput", Message: "The property " + name + " is not valid: " + err.Error() + "."}
		}
		e.Properties[name] = v
	}
	if len(e.Properties) > maxProperties {
		return nil, false, &Fault{Status: 400, Code: "TooManyProperties", Message: "The entity contains more properties than allowed."}
	}
	return e, found == 2, nil
}

// readMember reads a JSON value, of its annotated type or of the one JSON tells.
func readMember(kind string, member any) (Value, error) {
	switch m := member.(type) {
	case bool:
		if kind == "" || kind == edmBoolean {
			return Value{edmBoolean, m}, nil
		}
	case json.Number:
		return readNumber(kind, m)
	case string:
		if kind == "" {
			kind = edmString
		}
		return readValue(kind, m)
	}
	return Value{}, fmt.Errorf("a value of type %T is no %s", member, kind)
}

func readNumber(kind string, n json.Number) (Value, error) {
	i, err := strconv.ParseInt(n.String(), 10, 64)
	whole := err == nil
	switch {
	case kind == edmInt64 && whole:
		return Value{edmInt64, i}, nil
	case (kind == edmInt32 || kind == "" && i >= math.MinInt32 && i <= math.MaxInt32) && whole:
		return Value{edmInt32, i}, nil
	case kind == edmDouble || kind == "":
		f, err := n.Float64()
		return Value{edmDouble, f}, err
	}
	return Value{}, fmt.Errorf("%s is no %s", n, kind)
}

// readValue reads the text form of a type.
func readValue(kind, text string) (Value, error) {
	var v any
	var err error
	switch kind {
	case edmString:
		v = text
	case edmBoolean:
		v, err = strconv.ParseBool(text)
	case edmInt32:
		v, err = strconv.ParseInt(text, 10, 32)
	case edmInt64:
		v, err = strconv.ParseInt(text, 10, 64)
	case edmDouble:
		v, err = strconv.ParseFloat(text, 64)
	case edmDateTime:
		v, err = parseTime(text)
	case edmGUID:
		_, err = uuid.Parse(text)
		v = strings.ToLower(text)
	case edmBinary:
		v, err = base64.StdEncoding.DecodeString(text)
	default:
		err = fmt.Errorf("the type %q is not known", kind)
	}
	return Value{kind, v}, err
}

func binaryLiteral(text string) (Value, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return Value{}, &FilterError{"a binary literal holds hexadecimal digits"}
	}
	return Value{edmBinary, raw}, nil
}

// plain is a value as JSON carries it.
func (v Value) plain() any {
	switch x := v.V.(type) {
	case int64:
		if v.Type == edmInt64 {
			return strconv.FormatInt(x, 10)
		}
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return strings.Replace(strconv.FormatFloat(x, 'g', -1, 64), "Inf", "Infinity", 1)
		}
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return json.RawMessage(strconv.FormatFloat(x, 'f', 1, 64)) // 5.0, or it reads back as an Int32
		}
	case time.Time:
		return stamp(x)
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	}
	return v.V
}

// write is an entity as JSON; selected empty means every property.
func (e *Entity) write(format string, selected []string) map[string]any {
	out := map[string]any{}
	put := func(name string, v Value) {
		out[name] = v.plain()
		if format != formatNone && annotated[v.Type] && (name != "Timestamp" || format == formatFull) {
			out[name+annotation] = v.Type
		}
	}
	if len(selected) == 0 {
		selected = []string{"PartitionKey", "RowKey", "Timestamp"}
		for name := range e.Properties {
			selected = append(selected, name)
		}
	}
	for _, name := range selected {
		if v, ok := e.property(name); ok {
			put(name, v)
		} else {
			out[name] = nil
		}
	}
	return out
}

// compare orders two values; false when their types cannot be compared.
func compare(a, b Value) (int, bool) {
	switch x := a.V.(type) {
	case string:
		y, ok := b.V.(string)
		return strings.Compare(x, y), ok && a.Type == b.Type
	case bool:
		y, ok := b.V.(bool)
		if x == y {
			return 0, ok
		}
		return map[bool]int{false: -1, true: 1}[x], ok
	case time.Time:
		y, ok := b.V.(time.Time)
		return x.Compare(y), ok
	case []byte:
		y, ok := b.V.([]byte)
		return bytes.Compare(x, y), ok
	}
	return compareNumbers(a.V, b.V)
}

func compareNumbers(a, b any) (int, bool) {
	x, xWhole := a.(int64)
	y, yWhole := b.(int64)
	if xWhole && yWhole {
		return cmp.Compare(x, y), true
	}
	f, ok1 := asFloat(a)
	g, ok2 := asFloat(b)
	return cmp.Compare(f, g), ok1 && ok2
}

func asFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// before is the order of a table.
func before(a, b *Entity) bool {
	if a.PartitionKey != b.PartitionKey {
		return a.PartitionKey < b.PartitionKey
	}
	return a.RowKey < b.RowKey
}

func inOrder(list []*Entity) {
	sort.Slice(list, func(i, j int) bool { return before(list[i], list[j]) })
}

// storedValue is a value on disk.
type storedValue struct {
	Type string `json:"t"`
	Text string `json:"v"`
}

// MarshalJSON keeps a value with its type.
func (v Value) MarshalJSON() ([]byte, error) {
	text := fmt.Sprint(v.V)
	switch x := v.V.(type) {
	case time.Time:
		text = x.Format(time.RFC3339Nano)
	case []byte:
		text = base64.StdEncoding.EncodeToString(x)
	case float64:
		text = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return json.Marshal(storedValue{v.Type, text})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value) UnmarshalJSON(raw []byte) error {
	var s storedValue
	err := json.Unmarshal(raw, &s)
	read, bad := readValue(s.Type, s.Text)
	*v = read
	return errors.Join(err, bad)
}
