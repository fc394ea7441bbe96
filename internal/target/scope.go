package target

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// Scope is one of several places of a source that settings can go to, such as a container.
type Scope struct {
	Name     string // as a request's scope says it
	Resource string // what settings there are facets of
}

// factScopes are a source's scopes, a line each: name, a tab, resource.
const factScopes = "source.scopes"

// scopesText writes scopes as a fact.
func scopesText(scopes []Scope) string {
	var lines []string
	for _, s := range scopes {
		lines = append(lines, s.Name+"\t"+s.Resource)
	}
	return strings.Join(lines, "\n")
}

// inScope is where settings go at a source with several places for them: the one that the
// request names, else the first. At other sources it is home.
func (d *derivation) inScope(home string) (string, error) {
	fact, wanted := d.facts.Text(factScopes), d.c.Properties.Scope
	if fact == "" {
		return home, nil
	}
	var names []string
	for line := range strings.Lines(fact) {
		name, resource, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if wanted == "" || strings.EqualFold(wanted, name) {
			return resource, nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return "", problem.New(problem.BodyInvalid, d.c.Source, "scope is %q, and the source has no such container; it has: %s", wanted, strings.Join(names, ", ")).
		WithFix("--container %s", names[0])
}
