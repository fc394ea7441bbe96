package cql

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// column is one column of a table.
type column struct {
	name string
	kind kind
}

// row is the values of one row by column.
type row map[string][]byte

// table is a table's shape and rows, in order of first writing.
type table struct {
	keyspace, name     string
	columns            []column
	partition, cluster []string
	rows               []row
}

func (t *table) column(name string) (column, bool) {
	n := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if n < 0 {
		return column{}, false
	}
	return t.columns[n], true
}

func (t *table) key() []string { return slices.Concat(t.partition, t.cluster) }

// tables are the tables whose shape is known.
type tables struct {
	names Names
	mu    sync.Mutex
	byKey map[string]*table
}

func newTables(n Names) *tables { return &tables{names: n, byKey: map[string]*table{}} }

func placeOf(keyspace, name string) string {
	return strconv.Itoa(len(keyspace)) + "." + keyspace + "." + name
}

// find returns a table; the caller holds the lock.
func (t *tables) find(keyspace, name string) (*table, error) {
	if !slices.Contains(t.names.Databases(), keyspace) {
		return nil, refuse(errInvalid, "Keyspace %s does not exist", keyspace)
	}
	found := t.byKey[placeOf(keyspace, name)]
	if found == nil || !slices.Contains(t.names.Collections(keyspace), name) {
		return nil, refuse(errInvalid, "unconfigured table %s", name)
	}
	return found, nil
}

// all are the tables of the keyspaces there are, in order.
func (t *tables) all() []*table {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*table
	for _, keyspace := range t.names.Databases() {
		for _, name := range t.names.Collections(keyspace) {
			if found := t.byKey[placeOf(keyspace, name)]; found != nil {
				out = append(out, found)
			}
		}
	}
	return out
}

func (t *tables) makeKeyspace(s *statement) error {
	if slices.Contains(t.names.Databases(), s.keyspace) {
		if s.lenient {
			return nil
		}
		return &refusal{code: errExists, message: "Cannot add existing keyspace \"" + s.keyspace + "\"", names: []string{s.keyspace, ""}}
	}
	if err := t.names.Create(s.keyspace); err != nil {
		return refuse(errInvalid, "cannot create keyspace: %v", err)
	}
	return nil
}

func (t *tables) dropKeyspace(s *statement) error {
	if !slices.Contains(t.names.Databases(), s.keyspace) {
		if s.lenient {
			return nil
		}
		return refuse(errConfig, "Cannot drop non existing keyspace '%s'.", s.keyspace)
	}
	if err := t.names.Drop(s.keyspace); err != nil {
		return refuse(errInvalid, "cannot drop keyspace: %v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.byKey {
		if strings.HasPrefix(key, placeOf(s.keyspace, "")) {
			delete(t.byKey, key)
		}
	}
	return nil
}

func (t *tables) makeTable(s *statement) error {
	made := &table{keyspace: s.keyspace, name: s.table, columns: s.defined, partition: s.partition, cluster: s.cluster}
	if err := made.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.names.Databases(), s.keyspace) {
		return refuse(errConfig, "Keyspace '%s' doesn't exist", s.keyspace)
	}
	if _, err := t.find(s.keyspace, s.table); err == nil {
		if s.lenient {
			return nil
		}
		return &refusal{code: errExists, message: fmt.Sprintf("Cannot add already existing table %q to keyspace %q", s.table, s.keyspace), names: []string{s.keyspace, s.table}}
	}
	if !slices.Contains(t.names.Collections(s.keyspace), s.table) {
		if err := t.names.Create(s.keyspace, s.table); err != nil {
			return refuse(errInvalid, "cannot create table: %v", err)
		}
	}
	t.byKey[placeOf(s.keyspace, s.table)] = made
	return nil
}

// check holds a new table's shape to the rules.
func (t *table) check() error {
	seen := map[string]bool{}
	for _, c := range t.columns {
		if seen[c.name] {
			return refuse(errInvalid, "Multiple definition of identifier %s", c.name)
		}
		seen[c.name] = true
	}
	if len(t.partition) == 0 {
		return refuse(errInvalid, "No PRIMARY KEY specifed (exactly one required)")
	}
	for _, name := range t.key() {
		if !seen[name] {
			return refuse(errInvalid, "Unknown definition %s referenced in PRIMARY KEY", name)
		}
	}
	return nil
}

func (t *tables) dropTable(s *statement) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.names.Collections(s.keyspace), s.table) {
		if s.lenient {
			return nil
		}
		return refuse(errConfig, "Cannot drop non existing table '%s' in keyspace '%s'.", s.table, s.keyspace)
	}
	if err := t.names.Drop(s.keyspace, s.table); err != nil {
		return refuse(errInvalid, "cannot drop table: %v", err)
	}
	delete(t.byKey, placeOf(s.keyspace, s.table))
	return nil
}

// values turns pairs into bytes by column; what was left out of a bind stays as it is.
func (t *table) values(pairs []pair, bound []bound) (row, error) {
	out := row{}
	for _, p := range pairs {
		c, ok := t.column(p.name)
		if !ok {
			return nil, refuse(errInvalid, "Undefined column name %s", p.name)
		}
		if _, twice := out[p.name]; twice {
			return nil, refuse(errInvalid, "The column name %s has more than one value", p.name)
		}
		if p.bind < 0 {
			value, err := c.kind.literal(p.term)
			if err != nil {
				return nil, err
			}
			out[p.name] = value
			continue
		}
		value := bound[p.bind]
		if !c.kind.fits(value.bytes) {
			return nil, refuse(errInvalid, "Expected %d bytes for a %s (got %d) in column %s", c.kind.size, c.kind.name, len(value.bytes), c.name)
		}
		if value.set {
			out[p.name] = value.bytes
		}
	}
	return out, nil
}

// write inserts or updates one row by its whole key.
func (t *tables) write(s *statement, values []bound) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := t.find(s.keyspace, s.table)
	if err != nil {
		return err
	}
	set, err := found.values(s.set, values)
	if err != nil {
		return err
	}
	where, err := found.values(s.where, values)
	if err != nil {
		return err
	}
	key := set
	if s.verb == verbUpdate {
		key = where
	}
	if err := found.wholeKey(key, s.verb == verbUpdate); err != nil {
		return err
	}
	at := slices.IndexFunc(found.rows, func(r row) bool { return r.has(key, found.key()) })
	if at < 0 {
		found.rows = append(found.rows, row{})
		at = len(found.rows) - 1
	}
	for _, each := range []row{key, set} {
		for name, value := range each {
			if s.verb == verbUpdate && slices.Contains(found.key(), name) && !bytes.Equal(key[name], value) {
				return refuse(errInvalid, "PRIMARY KEY part %s found in SET part", name)
			}
			found.rows[at][name] = value
		}
	}
	return nil
}

// wholeKey wants every part of the key, and nothing else where only the key may stand.
func (t *table) wholeKey(key row, only bool) error {
	for _, name := range t.key() {
		if key[name] == nil {
			return refuse(errInvalid, "Some partition key parts are missing: %s", name)
		}
	}
	for name := range key {
		if only && !slices.Contains(t.key(), name) {
			return refuse(errInvalid, "Non PRIMARY KEY columns found in where clause: %s", name)
		}
	}
	return nil
}

func (r row) has(values row, names []string) bool {
	for _, name := range names {
		if !bytes.Equal(r[name], values[name]) || (r[name] == nil) != (values[name] == nil) {
			return false
		}
	}
	return true
}

func (t *tables) remove(s *statement, values []bound) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := t.find(s.keyspace, s.table)
	if err != nil {
		return err
	}
	key, err := found.values(s.where, values)
	if err != nil {
		return err
	}
	if err := found.wholeKey(key, true); err != nil {
		return err
	}
	found.rows = slices.DeleteFunc(found.rows, func(r row) bool { return r.has(key, found.key()) })
	return nil
}

// read returns the rows a select is about.
func (t *table) read(s *statement, values []bound) ([]row, error) {
	where, err := t.values(s.where, values)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(where))
	for name, value := range where {
		if value == nil {
			return nil, refuse(errInvalid, "Invalid null value in condition for column %s", name)
		}
		names = append(names, name)
	}
	if err := t.needsFiltering(names, s.filtering); err != nil {
		return nil, err
	}
	var out []row
	for _, r := range t.rows {
		if r.has(where, names) && (s.limit == 0 || len(out) < s.limit) {
			out = append(out, r)
		}
	}
	return out, nil
}

// needsFiltering refuses conditions that no key answers.
func (t *table) needsFiltering(names []string, allowed bool) error {
	if len(names) == 0 || allowed || len(t.partition) == 0 {
		return nil
	}
	for _, part := range t.partition {
		if !slices.Contains(names, part) {
			return refuse(errInvalid, "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING")
		}
	}
	for _, name := range names {
		if !slices.Contains(t.key(), name) {
			return refuse(errInvalid, "Predicates on non-primary-key columns (%s) are not yet supported for non secondary index queries", name)
		}
	}
	return nil
}
