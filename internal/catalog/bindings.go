package catalog

import (
	"fmt"
	"slices"
)

// Binding says under which names the bindings of a function app read a target's settings.
// A binding has a name, and its settings are that name with something after it.
type Binding struct {
	Auth []string `yaml:"auth"`
	// Clients are the client types whose settings carry what the binding reads; the first
	// is taken where none is asked for.
	Clients []string `yaml:"clients"`
	// Names tell what follows the binding's name, by documented setting; nothing where the
	// setting takes the name itself.
	Names map[string]string `yaml:"names"`
	// Shared replaces some of them where connections to several services share one name: a
	// blob trigger's, and that of the host's own storage.
	Shared map[string]string `yaml:"shared"`
	// Add are further settings; {clientId} in them is that of a user-assigned identity.
	Add map[string]string `yaml:"add"`
	// Tells are further settings that a member of the target's ARM document gives.
	Tells map[string]Told `yaml:"tells"`
	// Roles are what the identity needs in place of the defaults, when none are asked for.
	Roles []string `yaml:"roles"`
}

// Told is a value made of a member of the target's document, which stands for {}.
type Told struct {
	At    string `yaml:"at"`
	Value string `yaml:"value"`
}

// checkBindings holds the names against the settings there are.
func (t *Target) checkBindings() (bad []error) {
	for _, b := range t.Bindings {
		if len(b.Auth) == 0 || len(b.Clients) == 0 || len(b.Names)+len(b.Tells) == 0 {
			bad = append(bad, fmt.Errorf("a binding lacks auth, clients or names"))
		}
		for _, auth := range b.Auth {
			for _, client := range b.Clients {
				rows := t.rows(auth, client, "")
				for _, name := range sortedNames(b.Names, b.Shared) {
					if !slices.ContainsFunc(rows, func(r Row) bool { return r.Name == name }) {
						bad = append(bad, fmt.Errorf("a binding names %s, which %s with %s does not write", name, client, auth))
					}
				}
			}
		}
	}
	return bad
}

func sortedNames(maps ...map[string]string) []string {
	var out []string
	for _, m := range maps {
		for name := range m {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
