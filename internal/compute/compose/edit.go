package compose

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Keys of a Compose file.
const (
	keyEnvFile     = "env_file"
	keySecrets     = "secrets"
	keyEnvironment = "environment"
)

// list is one list of one service, and which of its items is meant.
type list struct {
	service, key string
	is           func(item string) bool
}

// has tells whether the item is there.
func (l list) has(d *document) bool {
	n, _, err := d.serviceNode(l.service)
	if n == nil || err != nil {
		return false
	}
	value, _ := find(n, l.key)
	return slices.ContainsFunc(entries(value), l.is)
}

// rest is what a file means besides the list; others are the list's other items.
func (l list) rest(d *document) string {
	without := map[*yaml.Node]bool{}
	n, _, _ := d.serviceNode(l.service)
	value, at := find(n, l.key)
	others := []string{}
	if at >= 0 {
		without[n.Content[at]] = true
		others = slices.DeleteFunc(entries(value), l.is)
	}
	kept := []string{}
	if value != nil && value.Kind == yaml.SequenceNode {
		for i, c := range value.Content {
			if !l.is(entries(value)[i]) {
				kept = append(kept, shape(c, nil))
			}
		}
	} else if value != nil && len(others) > 0 {
		kept = append(kept, shape(value, nil))
	}
	return fmt.Sprintf("%s %q", shape(d.root, without), kept)
}

// add puts an item into the list, as its last.
func (l list) add(d *document, item string) ([]byte, error) {
	if l.has(d) {
		return d.raw, nil
	}
	n, line, err := d.serviceNode(l.service)
	if err != nil {
		return nil, err
	}
	value, _ := find(n, l.key)
	switch {
	case value == nil && merged(n, l.key):
		return nil, fmt.Errorf("the service %s takes its %s over from elsewhere (<<), and one of its own would hide that", l.service, l.key)
	case value == nil:
		return d.try(d.addPair(n, line, l.key, "["+quoted(item)+"]"), l.rest, l.has)
	case value.Kind == yaml.AliasNode || value.Anchor != "" && d.used(d.root, value):
		return nil, fmt.Errorf("the %s of the service %s is shared with other parts of the file", l.key, l.service)
	}
	return d.try(d.addItem(value, quoted(item)), l.rest, l.has)
}

// drop takes the item out; a list that is gone holds it no more.
func (l list) drop(d *document) ([]byte, error) {
	if !l.has(d) {
		return d.raw, nil
	}
	n, _, err := d.serviceNode(l.service)
	if err != nil {
		return nil, err
	}
	value, at := find(n, l.key)
	i := 0
	for k, text := range entries(value) {
		if l.is(text) {
			i = k
		}
	}
	return d.try(d.dropItem(n, at, i), l.rest, func(after *document) bool { return !l.has(after) })
}

// declared is one secret on the file's first level.
type declared struct{ name string }

func (s declared) file(d *document) (string, bool) {
	all, _ := find(d.root, keySecrets)
	one, at := find(all, s.name)
	if at < 0 {
		return "", false
	}
	file, _ := find(one, "file")
	if file == nil {
		return "", true
	}
	return unquoted(file.Value), true
}

func (s declared) has(d *document) bool { _, there := s.file(d); return there }

// rest is what a file means besides the secret; a level without secrets is like none.
func (s declared) rest(d *document) string {
	without := map[*yaml.Node]bool{}
	all, at := find(d.root, keySecrets)
	if _, i := find(all, s.name); i >= 0 {
		without[all.Content[i]] = true
		if len(all.Content) == 2 {
			without[d.root.Content[at]] = true
		}
	} else if all != nil && all.Kind == yaml.MappingNode && len(all.Content) == 0 {
		without[d.root.Content[at]] = true
	}
	return shape(d.root, without)
}

func (s declared) add(d *document, path string) ([]byte, error) {
	if s.has(d) {
		return d.raw, nil
	}
	value := "{file: " + quoted(path) + "}"
	all, at := find(d.root, keySecrets)
	if all == nil {
		return d.try(d.addPair(d.root, 0, keySecrets, "{"+s.name+": "+value+"}"), s.rest, s.has)
	}
	if all.Kind != yaml.MappingNode {
		return nil, errShape
	}
	return d.try(d.addPair(all, d.root.Content[at].Line, s.name, value), s.rest, s.has)
}

func (s declared) drop(d *document) ([]byte, error) {
	if !s.has(d) {
		return d.raw, nil
	}
	all, at := find(d.root, keySecrets)
	_, i := find(all, s.name)
	edits := d.removePair(all, i)
	if len(all.Content) == 2 && flow(all) {
		edits = d.dropOrEmpty(d.root, at, edits)
	} else if len(all.Content) == 2 {
		edits = d.removePair(d.root, at)
	}
	return d.try(edits, s.rest, func(after *document) bool { return !s.has(after) })
}

// environment are the names that a service sets itself, which go before env files.
func environment(n *yaml.Node) map[string]bool {
	out := map[string]bool{}
	value, _ := find(n, keyEnvironment)
	if value == nil {
		return out
	}
	for i, c := range value.Content {
		switch {
		case value.Kind == yaml.MappingNode && i%2 == 0:
			out[c.Value] = true
		case value.Kind == yaml.SequenceNode:
			name := c.Value
			for j := range name {
				if name[j] == '=' {
					name = name[:j]
					break
				}
			}
			out[name] = true
		}
	}
	return out
}
