// Package store keeps the local cloud's documents in memory and in one file.
//
// It promises that ids compare folded, that documents are copied in and out, and
// that a change is on disk (atomically, by rename) before the call that made it
// returns, so that killing the process loses nothing. The file holds private
// values too and is readable by its owner only. It must not know any resource type.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const fileName = "state.json"

// Store is a provider.Store. Make one with Open.
type Store struct {
	path string
	logf func(format string, args ...any)

	mu      sync.RWMutex
	entries map[string]*entry
	version uint64 // counts changes; also the source of etags

	saving sync.Mutex
	saved  uint64
}

// entry is one document with its private values and its encoded form, kept so
// that saving does not encode the unchanged ones again.
type entry struct {
	id, parent, kind string // parent and kind folded
	doc              provider.Document
	private          map[string]string
	encoded          []byte
}

type record struct {
	ID      string            `json:"id"`
	Doc     provider.Document `json:"doc,omitempty"`
	Private map[string]string `json:"private,omitempty"`
}

var _ provider.Store = (*Store)(nil)

// Open reads the store under dir, or starts an empty one there.
func Open(dir string, logf func(format string, args ...any)) (*Store, error) {
	s := &Store{path: filepath.Join(dir, fileName), logf: logf, entries: map[string]*entry{}}
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var file struct {
		Version uint64   `json:"version"`
		Entries []record `json:"entries"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("read state %s: %w", s.path, err)
	}
	s.version, s.saved = file.Version, file.Version
	for _, r := range file.Entries {
		e := newEntry(r.ID)
		e.doc, e.private = r.Doc, r.Private
		s.set(e)
	}
	return s, nil
}

func newEntry(raw string) *entry {
	e := &entry{id: raw}
	if parsed, err := id.Parse(raw); err == nil {
		e.parent = parsed.Parent().Fold()
	}
	return e
}

// set indexes an entry whose document or private values have changed.
func (s *Store) set(e *entry) {
	kind, _ := e.doc["type"].(string)
	e.kind = id.Fold(kind)
	e.encoded, _ = json.Marshal(record{ID: e.id, Doc: e.doc, Private: e.private})
	s.entries[id.Fold(e.id)] = e
}

// Get returns a copy of the document, as provider.Store says.
func (s *Store) Get(docID string) (provider.Document, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[id.Fold(docID)]
	if !ok || e.doc == nil {
		return nil, false
	}
	return clone(e.doc).(provider.Document), true
}

// Put stores a copy of the document; a member named etag gets a new value. The id
// keeps the casing it was first stored with.
func (s *Store) Put(docID string, d provider.Document) {
	normal := normalize(d)
	s.change(func() {
		if _, ok := normal["etag"]; ok {
			normal["etag"] = `"` + strconv.FormatUint(s.version, 16) + `"`
		}
		e := s.fresh(docID)
		e.doc = normal
		s.set(e)
	})
}

// fresh returns a copy of the entry under docID, or a new one, to be changed and
// set: readers may still hold the old one.
func (s *Store) fresh(docID string) *entry {
	if old, ok := s.entries[id.Fold(docID)]; ok {
		e := *old
		return &e
	}
	return newEntry(docID)
}

// Delete removes a document, its private values and everything beneath it.
func (s *Store) Delete(docID string) {
	s.change(func() {
		key := id.Fold(docID)
		for k := range s.entries {
			if k == key || strings.HasPrefix(k, key+"/") {
				delete(s.entries, k)
			}
		}
	})
}

// Children lists documents of one type directly under parent, ordered by id.
func (s *Store) Children(parent, kind string) []provider.Document {
	p, k := strings.TrimRight(id.Fold(parent), "/"), id.Fold(kind)
	return s.list(func(e *entry) bool { return e.kind == k && e.parent == p })
}

// Under lists documents of one type anywhere under scope, ordered by id.
func (s *Store) Under(scope, kind string) []provider.Document {
	prefix, k := strings.TrimRight(id.Fold(scope), "/")+"/", id.Fold(kind)
	return s.list(func(e *entry) bool {
		return e.kind == k && strings.HasPrefix(id.Fold(e.id), prefix)
	})
}

func (s *Store) list(match func(*entry) bool) []provider.Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*entry
	for _, e := range s.entries {
		if e.doc != nil && match(e) {
			found = append(found, e)
		}
	}
	sort.Slice(found, func(a, b int) bool { return id.Fold(found[a].id) < id.Fold(found[b].id) })
	docs := make([]provider.Document, len(found))
	for n, e := range found {
		docs[n] = clone(e.doc).(provider.Document)
	}
	return docs
}

// View walks the documents of one type without copying them. The function must
// not change or keep what it is given, nor call the store.
func (s *Store) View(kind string, visit func(docID string, d provider.Document, private map[string]string)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := id.Fold(kind)
	for _, e := range s.entries {
		if e.doc != nil && e.kind == k {
			visit(e.id, e.doc, e.private)
		}
	}
}

// Private returns a copy of a document's private values, never nil.
func (s *Store) Private(docID string) map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	values := map[string]string{}
	if e, ok := s.entries[id.Fold(docID)]; ok {
		for k, v := range e.private {
			values[k] = v
		}
	}
	return values
}

// SetPrivate replaces a document's private values.
func (s *Store) SetPrivate(docID string, values map[string]string) {
	kept := make(map[string]string, len(values))
	for k, v := range values {
		kept[k] = v
	}
	s.change(func() {
		e := s.fresh(docID)
		e.private = kept
		s.set(e)
	})
}

// change runs one mutation and returns when it is on disk.
func (s *Store) change(mutate func()) {
	s.mu.Lock()
	s.version++
	mutate()
	mine := s.version
	s.mu.Unlock()
	if err := s.save(mine); err != nil {
		s.logf("save state: %v", err)
	}
}

// save writes the file unless a concurrent save has already covered the change.
func (s *Store) save(mine uint64) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.saved >= mine {
		return nil
	}
	raw, version := s.encode()
	tmp := s.path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, s.path); err != nil {
		return err
	}
	s.saved = version
	return nil
}

func (s *Store) encode() ([]byte, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"version\":%d,\"entries\":[", s.version)
	sep := "\n"
	for _, e := range s.entries {
		b.WriteString(sep)
		b.Write(e.encoded)
		sep = ",\n"
	}
	b.WriteString("\n]}\n")
	return b.Bytes(), s.version
}
