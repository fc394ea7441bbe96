package mongo

import (
	"slices"
	"sync"
)

// Memory is Names kept in memory, for servers whose databases nobody else lists.
// The zero value is empty and ready.
type Memory struct {
	mu        sync.Mutex
	databases []string
	below     map[string][]string
}

// Databases implements Names.
func (m *Memory) Databases() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.databases)
}

// Collections implements Names.
func (m *Memory) Collections(database string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.below[database])
}

// Create implements Names.
func (m *Memory) Create(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.databases = with(m.databases, names[0])
	if len(names) > 1 {
		if m.below == nil {
			m.below = map[string][]string{}
		}
		m.below[names[0]] = with(m.below[names[0]], names[1])
	}
	return nil
}

// Drop implements Names.
func (m *Memory) Drop(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(names) > 1 {
		m.below[names[0]] = slices.DeleteFunc(m.below[names[0]], func(n string) bool { return n == names[1] })
		return nil
	}
	m.databases = slices.DeleteFunc(m.databases, func(n string) bool { return n == names[0] })
	delete(m.below, names[0])
	return nil
}

// with adds a name where it is not there yet and keeps the order.
func with(list []string, name string) []string {
	at, found := slices.BinarySearch(list, name)
	if found {
		return list
	}
	return slices.Insert(list, at, name)
}
