package target

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func TestSettingsGoWhereTheScopeSays(t *testing.T) {
	t.Parallel()
	two := scopesText([]Scope{{"web", "/app/containers/web"}, {"side", "/app/containers/side"}})
	for name, c := range map[string]struct{ fact, scope, want string }{
		"one place":        {"", "", "/app"},
		"one place, named": {"", "web", "/app"},
		"nobody names one": {two, "", "/app/containers/web"},
		"the second":       {two, "side", "/app/containers/side"},
		"in another case":  {two, "SIDE", "/app/containers/side"},
		"none of them":     {two, "init", ""},
	} {
		d := &derivation{c: &connection.Connection{Properties: connection.Properties{Scope: c.scope}}, facts: connection.Facts{factScopes: connection.Plain(c.fact)}}
		got, err := d.inScope("/app")
		if got != c.want || (c.want == "") != problem.Is(err, problem.BodyInvalid) {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "side, web") {
			t.Errorf("%s: the refusal does not tell the names: %v", name, err)
		}
	}
}
