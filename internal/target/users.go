package target

import (
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// userRules are what a kind of database server wants of its users.
type userRules struct {
	longest  int  // the longest name it keeps
	byClient bool // applications are known by their client id, not by their object id
	identity bool // it looks principals up with a user-assigned identity of its own
}

// userRulesOf are the rules by the servers' resource provider, folded.
func userRulesOf() map[string]userRules {
	return map[string]userRules{
		"microsoft.dbforpostgresql": {longest: maxUserName},
		"microsoft.dbformysql":      {longest: 32, byClient: true, identity: true},
		"microsoft.sql":             {longest: 128, byClient: true},
		"fabricplatform":            {longest: 128, byClient: true},
	}
}

// rulesFor finds the rules of the server that a target lies on; those of PostgreSQL stand
// for any other.
func rulesFor(targetID string) userRules {
	all := userRulesOf()
	for namespace, rules := range all {
		if strings.Contains(strings.ToLower(targetID), "/providers/"+namespace+"/") {
			return rules
		}
	}
	return userRules{longest: maxUserName}
}

// serverOf is what the rules go by: the target's id, or its word where it has none.
func serverOf(c *connection.Connection) string {
	if t := c.Properties.Target; t.ID == "" {
		return "/providers/" + t.Type + "/"
	}
	return c.Properties.Target.ID
}

// engineLogin is the name the engine goes by as a server's administrator.
func (d *derivation) engineLogin() connection.Value {
	login := d.facts.Text(factEngineLogin)
	if longest := rulesFor(serverOf(d.c)).longest; len(login) > longest {
		login = cut("patchbay_"+login, longest)
	}
	return connection.Plain(login)
}

// factIdentities is the fact that tells what identities a server carries, where it needs one
// of its own to know who signs in.
const factIdentities = "identities"

// readsDirectory refuses a server that cannot look anybody up.
func (d *derivation) readsDirectory() error {
	if !rulesFor(serverOf(d.c)).identity || strings.Contains(strings.ToLower(d.facts.Text(factIdentities)), "userassigned") {
		return nil
	}
	server := d.m.Resource(d.m.Target.DBUser.Of)
	return problem.New(problem.AuthUnsupported, server, "the server carries no user-assigned identity, without which nobody signs in to it with Entra ID").
		While("look at the server").
		WithFix("give it one that has User.Read.All, GroupMember.Read.All and Application.Read.All in Microsoft Graph: az mysql flexible-server identity assign --ids %s --identity IDENTITY", server)
}

// boundBy adds the id by which the server knows who signs in, where that is not the
// principal's own.
func (d *derivation) boundBy(want connection.Attrs, principal connection.Value) error {
	switch {
	case !rulesFor(serverOf(d.c)).byClient:
		return nil
	case principal.From != nil:
		for n := range d.facets {
			if d.facets[n].Fold() == principal.From.Facet.Fold() {
				d.facets[n].Want[connection.AttrTells] = connection.Plain(connection.OutClientID)
			}
		}
		want[connection.AttrClientID] = connection.Output(principal.From.Facet, connection.OutClientID)
	case d.c.Properties.Auth.Type == connection.AuthUserAccount: // a person has no client id
		want[connection.AttrClientID] = principal
	default:
		client := strings.ToLower(d.facts.Text(catalog.FactClientID))
		if client == "" {
			return fmt.Errorf("derive database user: %s is not known", catalog.FactClientID)
		}
		want[connection.AttrClientID] = connection.Plain(client)
	}
	return nil
}

// cut shortens a name to what a server keeps; the same long name gives the same short one.
func cut(name string, longest int) string {
	if len(name) <= longest {
		return name
	}
	tail := "_" + hash(name)
	return name[:longest-len(tail)] + tail
}
