package tds

import (
	"slices"
	"strings"
)

// relation is a table's rows as values.
func (t *Table) relation() table {
	out := table{}
	for _, c := range t.Columns {
		out.columns = append(out.columns, c.Name)
	}
	for _, row := range t.Rows {
		values := make([]any, len(row))
		for n, text := range row {
			values[n] = readBack(text, t.Columns[n])
		}
		out.rows = append(out.rows, values)
	}
	return out
}

// see adds a relation's columns to a scope.
func (s *scope) see(alias string, columns []string) {
	for _, c := range columns {
		s.aliases, s.columns = append(s.aliases, strings.ToLower(alias)), append(s.columns, strings.ToLower(c))
	}
}

// holdsFor tells whether a condition is true, which unknown is not; none is true.
func holdsFor(e expr, s *scope) (bool, error) {
	if e == nil {
		return true, nil
	}
	v, err := e.eval(s)
	return v == true, err
}

func (q *query) run(s *session, args map[string]any) (*result, error) {
	sc := &scope{session: s, args: args}
	rows, names, err := q.gather(s, sc)
	if err != nil {
		return nil, err
	}
	if rows, err = q.sorted(sc, rows); err != nil {
		return nil, err
	}
	if q.top >= 0 && len(rows) > q.top {
		rows = rows[:q.top]
	}
	out, err := q.project(sc, rows, names)
	if err != nil {
		return nil, err
	}
	return &result{rows: out, changed: len(out.rows), counts: true}, nil
}

// gather joins the sources and keeps the rows the condition holds for. A query
// without a source has one row of nothing.
func (q *query) gather(s *session, sc *scope) (rows [][]any, names []string, err error) {
	rows = [][]any{{}}
	for _, from := range q.from {
		view, err := s.relationOf(from.object)
		if err != nil {
			return nil, nil, err
		}
		sc.see(from.alias, view.columns)
		names = append(names, view.columns...)
		if rows, err = joined(sc, rows, view, from); err != nil {
			return nil, nil, err
		}
	}
	if q.where == nil {
		return rows, names, nil
	}
	if _, err := q.where.eval(sc); err != nil { // names count even where there are no rows
		return nil, nil, err
	}
	var kept [][]any
	for _, row := range rows {
		sc.row = row
		hit, err := holdsFor(q.where, sc)
		if err != nil {
			return nil, nil, err
		}
		if hit {
			kept = append(kept, row)
		}
	}
	sc.row = nil
	return kept, names, nil
}

func (c *session) relationOf(o objectName) (table, error) {
	if view, ok := c.db.view(o); ok {
		return view, nil
	}
	t, err := c.table(o, "SELECT")
	if err != nil {
		return table{}, err
	}
	return t.relation(), nil
}

// joined puts every row beside every row of the next source that the condition holds for.
func joined(sc *scope, rows [][]any, view table, from source) ([][]any, error) {
	if from.on != nil {
		if _, err := from.on.eval(sc); err != nil {
			return nil, err
		}
	}
	defer func() { sc.row = nil }()
	var out [][]any
	for _, row := range rows {
		before := len(out)
		for _, other := range view.rows {
			sc.row = slices.Concat(row, other)
			hit, err := holdsFor(from.on, sc)
			if err != nil {
				return nil, err
			}
			if hit {
				out = append(out, sc.row)
			}
		}
		if from.left && len(out) == before {
			out = append(out, slices.Concat(row, make([]any, len(view.columns))))
		}
	}
	return out, nil
}

func (q *query) sorted(sc *scope, rows [][]any) ([][]any, error) {
	if len(q.order) == 0 {
		return rows, nil
	}
	var failed error
	value := func(e expr, row []any) any {
		sc.row = row
		v, err := e.eval(sc)
		if err != nil && failed == nil {
			failed = err
		}
		return v
	}
	slices.SortStableFunc(rows, func(a, b []any) int {
		for _, o := range q.order {
			x, y := value(o.by, a), value(o.by, b)
			if o.down {
				x, y = y, x
			}
			if n := ranked(x, y); n != 0 {
				return n
			}
		}
		return 0
	})
	sc.row = nil
	return rows, failed
}

// ranked orders values with nothing first, as the server does.
func ranked(x, y any) int {
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return -1
	case y == nil:
		return 1
	}
	n, _ := compare(x, y) // of one column, so of one type
	return n
}

// project makes the result set.
func (q *query) project(sc *scope, rows [][]any, names []string) (*table, error) {
	out := &table{}
	for _, i := range q.items {
		switch {
		case i.star && len(names) == 0:
			return nil, fatal(263, "Must specify table to select from.")
		case i.star:
			out.columns = append(out.columns, names...)
		default:
			out.columns = append(out.columns, i.name)
		}
		if i.value == nil {
			continue
		}
		if _, err := i.value.eval(sc); err != nil && len(q.from) > 0 {
			return nil, err
		}
	}
	if slices.ContainsFunc(q.items, func(i item) bool { return i.count }) {
		if len(q.items) > 1 {
			return nil, fatal(8120, "Column is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.")
		}
		out.rows = [][]any{{int64(len(rows))}}
		return out, nil
	}
	for _, row := range rows {
		sc.row = row
		var values []any
		for _, i := range q.items {
			if i.star {
				values = append(values, row...)
				continue
			}
			v, err := i.value.eval(sc)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		out.rows = append(out.rows, values)
	}
	return out, nil
}
