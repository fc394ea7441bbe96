package tables

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"
)

// Entities keeps the rows of an account's tables in memory with a copy in one file.
// Rows of a table that is not in it any more are gone; which tables there are is not
// its business.
type Entities struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	last time.Time
	held map[string]map[rowID]*Entity // by folded table
}

type rowID struct{ partition, row string }

// OpenEntities reads the file, if there is one. An empty path keeps nothing on disk.
func OpenEntities(path string, now func() time.Time) (*Entities, error) {
	s := &Entities{path: path, now: now, held: map[string]map[rowID]*Entity{}}
	if path == "" {
		return s, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	stored := map[string][]*Entity{}
	if err := errors.Join(err, json.Unmarshal(raw, &stored)); err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	for table, rows := range stored {
		s.held[table] = map[rowID]*Entity{}
		for _, e := range rows {
			s.held[table][rowID{e.PartitionKey, e.RowKey}] = e
		}
	}
	return s, nil
}

// save writes the file; the caller holds the lock.
func (s *Entities) save() error {
	if s.path == "" {
		return nil
	}
	stored := map[string][]*Entity{}
	for table, rows := range s.held {
		stored[table] = []*Entity{}
		for _, e := range rows {
			stored[table] = append(stored[table], e)
		}
		inOrder(stored[table])
	}
	raw, err := json.Marshal(stored)
	if err == nil {
		err = os.WriteFile(s.path+".next", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".next", s.path)
	}
	if err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return nil
}

// Forget drops a table's rows.
func (s *Entities) Forget(table string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, strings.ToLower(table))
	return s.save()
}

// get returns a row, never changed after; nil when there is none.
func (s *Entities) get(table, partition, row string) *Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[strings.ToLower(table)][rowID{partition, row}]
}

// from lists rows in order, those before the mark left out.
func (s *Entities) from(table string, mark *Entity) []*Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Entity
	for _, e := range s.held[strings.ToLower(table)] {
		if mark == nil || !before(e, mark) {
			list = append(list, e)
		}
	}
	inOrder(list)
	return list
}

// mode is what a write does where a row is, or is not.
type mode int

const (
	insert mode = iota // fails where a row is
	replace
	merge
)

// put writes a row. ifMatch "" takes what is there, or nothing; "*" any row; a tag that one.
func (s *Entities) put(table string, e *Entity, m mode, ifMatch string) (*Entity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := rowID{e.PartitionKey, e.RowKey}
	old := s.held[strings.ToLower(table)][key]
	if m == insert && old != nil {
		return nil, errEntityExists
	}
	if err := matches(old, ifMatch); err != nil {
		return nil, err
	}
	next := &Entity{PartitionKey: e.PartitionKey, RowKey: e.RowKey, Properties: maps.Clone(e.Properties)}
	if m == merge && old != nil {
		next.Properties = maps.Clone(old.Properties)
		maps.Copy(next.Properties, e.Properties)
	}
	next.Timestamp = s.tick()
	return next, s.swap(table, key, next)
}

// tick is now, and never twice the same: entity tags are made of it.
func (s *Entities) tick() time.Time {
	at := s.now().UTC().Truncate(100 * time.Nanosecond)
	if !at.After(s.last) {
		at = s.last.Add(100 * time.Nanosecond)
	}
	s.last = at
	return at
}

func matches(old *Entity, ifMatch string) error {
	switch {
	case ifMatch == "":
		return nil
	case old == nil:
		return errNotFound
	case ifMatch != "*" && ifMatch != old.etag():
		return errCondition
	}
	return nil
}

// swap sets or, for nil, removes a row, and takes it back when the file cannot be written.
func (s *Entities) swap(table string, key rowID, next *Entity) error {
	table = strings.ToLower(table)
	if s.held[table] == nil {
		s.held[table] = map[rowID]*Entity{}
	}
	old := s.held[table][key]
	set := func(e *Entity) {
		if e == nil {
			delete(s.held[table], key)
		} else {
			s.held[table][key] = e
		}
	}
	set(next)
	err := s.save()
	if err != nil {
		set(old)
	}
	return err
}

func (s *Entities) remove(table, partition, row, ifMatch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := rowID{partition, row}
	if err := matches(s.held[strings.ToLower(table)][key], ifMatch); err != nil {
		return err
	}
	return s.swap(table, key, nil)
}
