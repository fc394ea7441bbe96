package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// goType adds the component of a Go struct that is answered as it is.
func (d *document) goType(sample any) { d.reflected(reflect.TypeOf(sample)) }

func (d *document) reflected(t reflect.Type) node {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return node{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return node{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.nullable(t.Elem())
	case reflect.Struct:
		return d.structure(t)
	case reflect.Slice:
		return node{"type": "array", "items": d.reflected(t.Elem())}
	case reflect.Map:
		return node{"type": "object", "nullable": true, "additionalProperties": d.reflected(t.Elem())}
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return node{"type": "integer"}
	}
	return node{"type": "string"}
}

func (d *document) nullable(t reflect.Type) node {
	inner := d.reflected(t)
	if _, isRef := inner["$ref"]; isRef {
		return inner // such members are left out when unset
	}
	inner["nullable"] = true
	return inner
}

func (d *document) structure(t reflect.Type) node {
	out := node{"$ref": ref(t.Name())}
	if _, there := d.schemas[t.Name()]; there {
		return out
	}
	properties := node{}
	schema := node{"type": "object", "properties": properties}
	d.schemas[t.Name()] = schema
	var names []string
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		properties[name] = d.reflected(t.Field(i).Type)
		if options != "omitempty" {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		schema["required"] = names
	}
	return out
}
