package cql

import (
	"encoding/binary"
	"slices"
)

// parse reads a statement and gives it the keyspace it works in.
func (s *session) parse(p prepared) (*statement, error) {
	st, err := parse(p.text)
	if err != nil {
		return nil, err
	}
	if st.keyspace == "" {
		st.keyspace = p.keyspace
	}
	if st.keyspace == "" {
		return nil, refuse(errInvalid, "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename")
	}
	return st, nil
}

// shape is the table a statement is about, for what it is bound to; an empty one for
// statements about none.
func (s *session) shape(st *statement) (*table, error) {
	if !slices.Contains([]string{verbSelect, verbInsert, verbUpdate, verbDelete}, st.verb) {
		return &table{keyspace: st.keyspace}, nil
	}
	if t := s.server.systemTable(st.keyspace, st.table); t != nil && st.verb == verbSelect {
		return t, nil
	}
	tables := s.server.tables
	tables.mu.Lock()
	defer tables.mu.Unlock()
	found, err := tables.find(st.keyspace, st.table)
	if err != nil {
		return nil, err
	}
	copied := *found
	copied.rows = slices.Clone(found.rows)
	return &copied, nil
}

func (s *session) runText(p prepared, with parameters) (*frame, error) {
	st, err := s.parse(p)
	if err != nil {
		return nil, err
	}
	if len(with.values) != st.binds {
		return nil, refuse(errInvalid, "Invalid amount of bind variables: %d given, %d wanted", len(with.values), st.binds)
	}
	if st.verb != verbSelect && st.verb != verbUse && s.secret.ReadOnly {
		return nil, refuse(errUnauthorized, "User %s has no MODIFY permission on <keyspace %s> or any of its parents", s.user, st.keyspace)
	}
	if slices.Contains(systemKeyspaces, st.keyspace) && st.verb != verbSelect && st.verb != verbUse {
		return nil, refuse(errUnauthorized, "%s keyspace is not user-modifiable.", st.keyspace)
	}
	return s.runStatement(st, with)
}

func (s *session) runStatement(st *statement, with parameters) (*frame, error) {
	tables := s.server.tables
	switch st.verb {
	case verbUse:
		return s.use(st)
	case verbSelect:
		return s.selectRows(st, with)
	case verbInsert, verbUpdate:
		return void(tables.write(st, with.values))
	case verbDelete:
		return void(tables.remove(st, with.values))
	case verbMakeKeyspace:
		return changed("CREATED", st, tables.makeKeyspace(st))
	case verbDropKeyspace:
		return changed("DROPPED", st, tables.dropKeyspace(st))
	case verbMakeTable:
		return changed("CREATED", st, tables.makeTable(st))
	}
	return changed("DROPPED", st, tables.dropTable(st))
}

func void(err error) (*frame, error) {
	if err != nil {
		return nil, err
	}
	w := &writer{}
	w.int(1)
	return w.frame(opResult), nil
}

// changed tells of a change of the schema.
func changed(how string, st *statement, err error) (*frame, error) {
	if err != nil {
		return nil, err
	}
	w := &writer{}
	w.int(5)
	w.string(how)
	if st.table == "" {
		w.string("KEYSPACE")
		w.string(st.keyspace)
	} else {
		w.string("TABLE")
		w.string(st.keyspace)
		w.string(st.table)
	}
	return w.frame(opResult), nil
}

func (s *session) use(st *statement) (*frame, error) {
	if !slices.Contains(systemKeyspaces, st.keyspace) && !slices.Contains(s.server.config.Host.Databases(), st.keyspace) {
		return nil, refuse(errInvalid, "Keyspace '%s' does not exist", st.keyspace)
	}
	s.keyspace = st.keyspace
	w := &writer{}
	w.int(3)
	w.string(st.keyspace)
	return w.frame(opResult), nil
}

func (s *session) selectRows(st *statement, with parameters) (*frame, error) {
	t, err := s.shape(st)
	if err != nil {
		return nil, err
	}
	columns, err := t.selected(st)
	if err != nil {
		return nil, err
	}
	list, err := t.read(st, with.values)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	w.int(2)
	t.writeColumns(w, columns, with.skipMetadata)
	if st.count {
		w.int(1)
		w.bytes(binary.BigEndian.AppendUint64(nil, uint64(len(list))))
		return w.frame(opResult), nil
	}
	w.int(int32(len(list)))
	for _, r := range list {
		for _, c := range columns {
			w.bytes(r[c.name])
		}
	}
	return w.frame(opResult), nil
}

// selected are the columns of a select's answer.
func (t *table) selected(st *statement) ([]column, error) {
	if st.count {
		return []column{{name: "count", kind: kindLong}}, nil
	}
	if len(st.columns) == 0 {
		return t.columns, nil
	}
	var out []column
	for _, name := range st.columns {
		c, ok := t.column(name)
		if !ok {
			return nil, refuse(errInvalid, "Undefined column name %s", name)
		}
		out = append(out, c)
	}
	return out, nil
}

// writeColumns is a result's metadata; skip leaves the columns to who prepared it.
func (t *table) writeColumns(w *writer, columns []column, skip bool) {
	const global, none = 1, 4
	if skip {
		w.int(none)
		w.int(int32(len(columns)))
		return
	}
	w.int(global)
	w.int(int32(len(columns)))
	w.string(t.keyspace)
	w.string(t.name)
	for _, c := range columns {
		w.string(c.name)
		c.kind.write(w)
	}
}

// writeBinds is what a prepared statement wants bound, and which of it is the partition's key.
func (t *table) writeBinds(w *writer, st *statement) error {
	columns := make([]column, st.binds)
	for _, p := range slices.Concat(st.set, st.where) {
		c, ok := t.column(p.name)
		if !ok {
			return refuse(errInvalid, "Undefined column name %s", p.name)
		}
		if p.bind >= 0 {
			columns[p.bind] = c
		}
	}
	var key []int
	for _, name := range t.partition {
		if n := slices.IndexFunc(columns, func(c column) bool { return c.name == name }); n >= 0 {
			key = append(key, n)
		}
	}
	if len(key) < len(t.partition) {
		key = nil
	}
	const global = 1
	w.int(global)
	w.int(int32(len(columns)))
	w.int(int32(len(key)))
	for _, n := range key {
		w.short(n)
	}
	w.string(t.keyspace)
	w.string(t.name)
	for _, c := range columns {
		w.string(c.name)
		c.kind.write(w)
	}
	return nil
}
