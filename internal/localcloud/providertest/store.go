package providertest

import (
	"encoding/json"
	"maps"
	"sort"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Store is a provider.Store in memory.
type Store struct {
	mu      sync.Mutex
	docs    map[string]provider.Document
	private map[string]map[string]string
}

var _ provider.Store = (*Store)(nil)

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{docs: map[string]provider.Document{}, private: map[string]map[string]string{}}
}

func clone(d provider.Document) provider.Document {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // a document holds JSON values only; anything else is a fault of the provider
	}
	var out provider.Document
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// Get implements provider.Store.
func (s *Store) Get(key string) (provider.Document, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.docs[id.Fold(key)]
	if !ok {
		return nil, false
	}
	return clone(d), true
}

// Put implements provider.Store.
func (s *Store) Put(key string, d provider.Document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[id.Fold(key)] = clone(d)
}

// Delete implements provider.Store.
func (s *Store) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := func(k string) bool { return k == id.Fold(key) || strings.HasPrefix(k, id.Fold(key)+"/") }
	maps.DeleteFunc(s.docs, func(k string, _ provider.Document) bool { return gone(k) })
	maps.DeleteFunc(s.private, func(k string, _ map[string]string) bool { return gone(k) })
}

// Children implements provider.Store.
func (s *Store) Children(parent, kind string) []provider.Document {
	p := id.MustParse(parent)
	return s.list(kind, func(i id.ID) bool { return id.Equal(i.Parent().String(), p.String()) })
}

// Under implements provider.Store.
func (s *Store) Under(scope, kind string) []provider.Document {
	p := id.MustParse(scope)
	return s.list(kind, func(i id.ID) bool { return i.Within(p) })
}

func (s *Store) list(kind string, keep func(id.ID) bool) []provider.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.docs))
	for key := range s.docs {
		if i, err := id.Parse(key); err == nil && strings.EqualFold(i.Type(), kind) && keep(i) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	out := make([]provider.Document, 0, len(keys))
	for _, key := range keys {
		out = append(out, clone(s.docs[key]))
	}
	return out
}

// Private implements provider.Store.
func (s *Store) Private(key string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	maps.Copy(out, s.private[id.Fold(key)])
	return out
}

// SetPrivate implements provider.Store.
func (s *Store) SetPrivate(key string, values map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private[id.Fold(key)] = maps.Clone(values)
}
