package catalog

import (
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// Ask takes facts of the target out of a request's further options of connection
// strings, where such a target's host or database is told there, and returns what is
// left. The names compare folded.
func (t *Target) Ask(options map[string]string) (facts, rest map[string]string) {
	facts, rest = map[string]string{}, map[string]string{}
	for name, text := range options {
		fact := t.askedBy(name)
		if fact == "" {
			rest[name] = text
		} else if text != "" {
			facts[fact] = text
		}
	}
	return facts, rest
}

func (t *Target) askedBy(option string) string {
	for fact, name := range t.Asked {
		if strings.EqualFold(name, option) {
			return fact
		}
	}
	return ""
}

// ask adds such facts to those that are known; what is known stays.
func (t *Target) ask(facts connection.Facts, options map[string]string) (connection.Facts, map[string]string) {
	told, rest := t.Ask(options)
	if len(told) == 0 {
		return facts, rest
	}
	out := connection.Facts{}
	for name, text := range told {
		out[name] = connection.Plain(text)
	}
	for name, value := range facts {
		out[name] = value
	}
	return out, rest
}
