package gremlin

import (
	"encoding/json"
	"slices"
)

// plain turns GraphSON of either version, and JSON, into plain values.
func plain(v any) (any, error) {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n, nil
		}
		f, err := x.Float64()
		if err != nil {
			return nil, refuse(codeMalformed, "a number is not readable")
		}
		return f, nil
	case []any:
		return plainList(x)
	case map[string]any:
		if kind, ok := x["@type"].(string); ok {
			return plainTyped(kind, x["@value"])
		}
		out := map[string]any{}
		for key, each := range x {
			value, err := plain(each)
			if err != nil {
				return nil, err
			}
			out[key] = value
		}
		return out, nil
	}
	return v, nil
}

func plainList(list []any) (any, error) {
	out := make([]any, len(list))
	for n, each := range list {
		value, err := plain(each)
		if err != nil {
			return nil, err
		}
		out[n] = value
	}
	return out, nil
}

// plainTyped reads a typed value. A map stands as a list of keys and values by turns.
func plainTyped(kind string, value any) (any, error) {
	switch kind {
	case "g:Int32", "g:Int64", "g:Double", "g:Float", "g:UUID", "g:List", "g:Set":
		return plain(value)
	case "g:Map":
		list, ok := value.([]any)
		if !ok || len(list)%2 != 0 {
			return nil, refuse(codeMalformed, "a g:Map needs keys and values by turns")
		}
		out := map[string]any{}
		for n := 0; n < len(list); n += 2 {
			key, ok := list[n].(string)
			if !ok {
				return nil, refuse(codeMalformed, "a g:Map needs words for keys")
			}
			v, err := plain(list[n+1])
			if err != nil {
				return nil, err
			}
			out[key] = v
		}
		return out, nil
	}
	return nil, refuse(codeMalformed, "values of type %s are not supported", kind)
}

// typed turns a plain value into GraphSON.
func typed(v any, d dialect) any {
	switch x := v.(type) {
	case int64:
		return map[string]any{"@type": "g:Int64", "@value": x}
	case float64:
		return map[string]any{"@type": "g:Double", "@value": x}
	case map[string]any:
		return typedMap(x, d)
	case *vertex:
		return typedElement("g:Vertex", map[string]any{"id": x.id, "label": x.label}, x.properties, d)
	case *edge:
		return map[string]any{"@type": "g:Edge", "@value": map[string]any{
			"id": x.id, "label": x.label, "outV": x.from.id, "outVLabel": x.from.label, "inV": x.to.id, "inVLabel": x.to.label,
		}}
	}
	return v
}

func typedMap(m map[string]any, d dialect) any {
	if d != graphSON3 {
		out := map[string]any{}
		for key, value := range m {
			out[key] = typed(value, d)
		}
		return out
	}
	keys := []string{}
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	list := []any{}
	for _, key := range keys {
		list = append(list, key, typed(m[key], d))
	}
	return map[string]any{"@type": "g:Map", "@value": list}
}

func typedElement(kind string, value map[string]any, properties []property, d dialect) any {
	all := map[string]any{}
	for _, p := range properties {
		all[p.name] = []any{map[string]any{"@type": "g:VertexProperty", "@value": map[string]any{
			"id": value["id"].(string) + "|" + p.name, "label": p.name, "value": typed(p.value, d),
		}}}
	}
	if len(all) > 0 {
		value["properties"] = all
	}
	return map[string]any{"@type": kind, "@value": value}
}
