package target_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	providers = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg/providers/"
	neonID    = providers + "Neon.Postgres/organizations/o"
	atlasID   = providers + "MongoDB.Atlas/organizations/o"
	singleID  = providers + "Microsoft.DBforPostgreSQL/servers/s/databases/d"
)

func asks(props map[string]string) func(*connection.Connection) {
	return configure(connection.Configuration{AdditionalConnection: props})
}

func named(user string) func(*connection.Connection) {
	return func(c *connection.Connection) { c.Properties.Auth.Name = user }
}

// TestTargetsToldByTheRequest: what ARM does not know of a target comes with the request.
func TestTargetsToldByTheRequest(t *testing.T) {
	t.Parallel()
	place := map[string]string{"server": "ep.neon.tech", "Database": "neondb"}
	for name, row := range map[string]struct {
		c            *connection.Connection
		given        string
		code         problem.Code // "" where all is well
		phrase, sets string
	}{
		"neon":              {link(neonID, secret, "go", named("app"), asks(place)), "p", "", "", "host=ep.neon.tech dbname=neondb sslmode=require user=app password=p"},
		"neon, parts":       {link(neonID, secret, "django", named("app"), asks(place)), "p", "", "", "ep.neon.tech"},
		"neon, no database": {link(neonID, secret, "go", named("app"), asks(map[string]string{"Server": "x"})), "p", problem.BodyInvalid, "--connstr-props Database=", ""},
		"neon, nothing":     {link(neonID, secret, "django", named("app")), "p", problem.BodyInvalid, "Database", ""},
		"neon, no user":     {link(neonID, secret, "go", asks(place)), "p", problem.SecretNeeded, "user", ""},
		"atlas":             {link(atlasID, secret, "go"), "mongodb+srv://u:p%40@c.mongodb.net/?w=majority", "", "", "mongodb+srv://u:p%40@c.mongodb.net/?w=majority"},
		"atlas for java":    {link(atlasID, secret, "java"), "mongodb+srv://u:p@c.mongodb.net/", "", "", "jdbc:mongodb+srv://u:p@c.mongodb.net/"},
		"atlas, a password": {link(atlasID, secret, "go"), "p", problem.BodyInvalid, "--secret secret=@FILE", ""},
		"atlas, nothing":    {link(atlasID, secret, "go"), "", problem.SecretNeeded, "", ""},
		"single server":     {link(singleID, secret, "go", named("app@s")), "p", "", "", ""},
	} {
		r := reader(t, world().answer(neonID, map[string]any{"location": "westeurope"}).answer(atlasID, map[string]any{"location": "westeurope"}))
		var secrets connection.Secrets
		if row.given != "" {
			secrets = given(row.given)
		}
		err := r.Check(row.c, secrets)
		if row.code != "" {
			if !problem.Is(err, row.code) || !strings.Contains(err.Error()+problem.As(err).Fix, row.phrase) {
				t.Errorf("%s: %v is not %s with %q", name, err, row.code, row.phrase)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if row.sets == "" {
			continue
		}
		facts, err := r.Facts(t.Context(), row.c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		facets, err := r.Derive(row.c, facts, secrets)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		found := false
		for _, f := range facets {
			found = found || f.Want[connection.AttrValue].Text == row.sets
		}
		if !found {
			t.Errorf("%s: no setting is %q: %+v", name, row.sets, facets)
		}
	}
}

// TestSingleServerIsGone: its ids are understood, and what they name is not there any more.
func TestSingleServerIsGone(t *testing.T) {
	t.Parallel()
	_, err := reader(t, world()).Facts(t.Context(), link(singleID, secret, "go", named("app@s")))
	if !problem.Is(err, problem.TargetNotFound) {
		t.Errorf("%v is not %s", err, problem.TargetNotFound)
	}
}
