package gremlin

import (
	"slices"
	"sync"

	"github.com/google/uuid"
)

type property struct {
	name  string
	value any
}

type vertex struct {
	id, label  string
	properties []property
	fresh      bool // made by the traversal under way
}

type edge struct {
	id, label  string
	from, to   *vertex
	properties []property
}

// graph is vertices and edges in order of their making.
type graph struct {
	mu       sync.Mutex
	vertices []*vertex
	edges    []*edge
}

// run brings a traversal to its end. Elements in the answer are copies.
func (g *graph) run(t *traversal) ([]any, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	flow, err := g.flow(t)
	for _, v := range g.vertices {
		v.fresh = false
	}
	if err != nil {
		return nil, err
	}
	for n, each := range flow {
		switch x := each.(type) {
		case *vertex:
			copied := *x
			copied.properties = slices.Clone(x.properties)
			flow[n] = &copied
		case *edge:
			copied := *x
			from, to := *x.from, *x.to
			copied.from, copied.to = &from, &to
			flow[n] = &copied
		}
	}
	return flow, nil
}

func (g *graph) flow(t *traversal) ([]any, error) {
	var flow []any
	for n, s := range t.steps {
		var err error
		if s.name == "addE" {
			flow, err = g.addEdges(flow, s.args[0].(string), t.steps[n+1].args[0].(*traversal))
		} else if s.name != "to" {
			flow, err = g.step(flow, s)
		}
		if err != nil {
			return nil, err
		}
	}
	return flow, nil
}

func (g *graph) step(flow []any, s step) ([]any, error) {
	switch s.name {
	case "V", "E":
		return g.all(s), nil
	case "addV":
		v := &vertex{id: uuid.NewString(), label: s.args[0].(string), fresh: true}
		g.vertices = append(g.vertices, v)
		return []any{v}, nil
	case "property":
		return flow, g.set(flow, s)
	case "count":
		return []any{int64(len(flow))}, nil
	case "limit":
		return flow[:min(int64(len(flow)), s.args[0].(int64))], nil
	case "drop":
		g.drop(flow)
		return nil, nil
	case "out":
		return g.out(flow, s), nil
	}
	out := []any{}
	for _, each := range flow {
		out = append(out, one(each, s)...)
	}
	return out, nil
}

// one is what a step that looks at elements one by one makes of one.
func one(each any, s step) []any {
	id, label, properties := parts(each)
	keep := func(ok bool) []any {
		if ok {
			return []any{each}
		}
		return nil
	}
	switch s.name {
	case "id":
		return []any{id}
	case "label":
		return []any{label}
	case "hasId":
		return keep(id == s.args[0])
	case "hasLabel":
		return keep(label == s.args[0])
	}
	value, ok := lookup(properties, id, label, s.args[0].(string))
	if s.name == "has" {
		return keep(ok && value == s.args[1])
	}
	if !ok {
		return nil
	}
	return []any{value}
}

func parts(each any) (id, label string, properties []property) {
	switch x := each.(type) {
	case *vertex:
		return x.id, x.label, x.properties
	case *edge:
		return x.id, x.label, x.properties
	}
	return "", "", nil
}

func lookup(list []property, id, label, name string) (any, bool) {
	switch name {
	case "id":
		return id, true
	case "label":
		return label, true
	}
	for _, p := range list {
		if p.name == name {
			return p.value, true
		}
	}
	return nil, false
}

func (g *graph) all(s step) []any {
	out := []any{}
	if s.name == "V" {
		for _, v := range g.vertices {
			if len(s.args) == 0 || s.args[0] == v.id {
				out = append(out, v)
			}
		}
		return out
	}
	for _, e := range g.edges {
		if len(s.args) == 0 || s.args[0] == e.id {
			out = append(out, e)
		}
	}
	return out
}

// set writes a property; that named id is the element's own, once.
func (g *graph) set(flow []any, s step) error {
	name := s.args[0].(string)
	for _, each := range flow {
		switch x := each.(type) {
		case *vertex:
			if name != "id" {
				x.properties = with(x.properties, name, s.args[1])
				continue
			}
			id, ok := s.args[1].(string)
			if !ok || !x.fresh {
				return &refusal{code: codeServer, status: 400, message: "Bad Request: an id is a string, given when the vertex is made"}
			}
			if slices.ContainsFunc(g.vertices, func(v *vertex) bool { return v != x && v.id == id }) {
				g.vertices = slices.DeleteFunc(g.vertices, func(v *vertex) bool { return v == x })
				return &refusal{code: codeServer, status: 409, message: "Conflict: a vertex with that id exists already"}
			}
			x.id = id
		case *edge:
			x.properties = with(x.properties, name, s.args[1])
		}
	}
	return nil
}

func with(list []property, name string, value any) []property {
	for n := range list {
		if list[n].name == name {
			list[n].value = value
			return list
		}
	}
	return append(list, property{name, value})
}

func (g *graph) drop(flow []any) {
	gone := func(each any) bool { return slices.Contains(flow, each) }
	g.vertices = slices.DeleteFunc(g.vertices, func(v *vertex) bool { return gone(v) })
	g.edges = slices.DeleteFunc(g.edges, func(e *edge) bool { return gone(e) || gone(e.from) || gone(e.to) })
}

func (g *graph) out(flow []any, s step) []any {
	out := []any{}
	for _, each := range flow {
		for _, e := range g.edges {
			if e.from == each && (len(s.args) == 0 || e.label == s.args[0]) {
				out = append(out, e.to)
			}
		}
	}
	return out
}

func (g *graph) addEdges(flow []any, label string, to *traversal) ([]any, error) {
	ends, err := g.flow(to)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, each := range flow {
		end, ok := first(ends)
		from, isVertex := each.(*vertex)
		if !ok || !isVertex {
			return nil, &refusal{code: codeServer, status: 404, message: "Not Found: an edge needs vertices at both ends"}
		}
		e := &edge{id: uuid.NewString(), label: label, from: from, to: end}
		g.edges = append(g.edges, e)
		out = append(out, e)
	}
	return out, nil
}

func first(list []any) (*vertex, bool) {
	if len(list) == 0 {
		return nil, false
	}
	v, ok := list[0].(*vertex)
	return v, ok
}
