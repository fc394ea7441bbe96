package catalog

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// Names are the settings of one target, client type and auth type, without values.
type Names struct {
	Service string // namespace and types of the target, in upper case
	Client  string
	Auth    string
	Names   []Name
}

// Name is one setting.
type Name struct {
	Value, Description string
	Required           bool // false where it is for one generation of a library only
}

// ConfigurationNames lists the settings of every target, auth type and client type.
func (c *Catalog) ConfigurationNames() []Names {
	var out []Names
	for _, t := range c.Targets() {
		for _, client := range t.Clients {
			for _, auth := range t.AuthTypes() {
				if rows := t.rows(auth, client, ""); len(rows) > 0 {
					out = append(out, Names{Service: t.Service(), Client: client, Auth: auth, Names: t.names(auth, rows)})
				}
			}
		}
	}
	return out
}

// Service is the namespace and types of the target's id, in upper case; a target without
// them goes by its name with periods.
func (t *Target) Service() string {
	if t.Namespace == "" {
		return strings.ToUpper(strings.ReplaceAll(t.Name, "-", "."))
	}
	parts := []string{t.Namespace}
	for _, p := range t.ID {
		parts = append(parts, p.Type)
	}
	return strings.ToUpper(strings.Join(parts, "/"))
}

func (t *Target) names(auth string, rows []Row) []Name {
	out := make([]Name, 0, len(rows))
	for _, row := range rows {
		if slices.ContainsFunc(out, func(n Name) bool { return n.Value == row.Name }) {
			continue
		}
		out = append(out, Name{Value: row.Name, Description: t.about(auth, row), Required: row.Variant == ""})
	}
	return out
}

// whose says whose ids a setting holds, by auth type.
var whose = map[string]string{
	connection.AuthUserIdentity:                "User Identity",
	connection.AuthServicePrincipalSecret:      "Service Principal",
	connection.AuthServicePrincipalCertificate: "Service Principal",
}

// factWords describe settings that hold one fact and nothing else.
var factWords = map[string]string{
	FactClientID: "client id", FactClientSecret: "client secret", FactCertificate: "client certificate", FactTenantID: "tenant id",
}

// tails describe settings by the end of their names.
var tails = []struct{ end, words string }{
	{"_CONNECTIONSTRING", "connection string"}, {"_RESOURCEENDPOINT", "endpoint"}, {"_LISTCONNECTIONSTRINGURL", "address that lists connection strings"},
	{"_LISTKEYURL", "address that lists keys"}, {"_ENDPOINT", "endpoint"}, {"_SCOPE", "scope for getting token"}, {"_HOST", "host name"}, {"_PORT", "port"},
	{"_USERNAME", "user name"}, {"_USER", "user name"}, {"_PASSWORD", "password"}, {"_PASS", "password"}, {"_KEY", "key"}, {"_DATABASE", "database name"}, {"_NAME", "name"},
}

// about says what a setting is.
func (t *Target) about(auth string, row Row) string {
	words := t.Display + " setting"
	for _, tail := range tails {
		if strings.HasSuffix(strings.ToUpper(strings.ReplaceAll(row.Name, ".", "_")), tail.end) {
			words = tail.words
			break
		}
	}
	if g, ok := grammar.Lookup(row.Grammar); ok && row.Grammar != "" && g.Add != nil {
		words = "connection string"
	}
	if len(row.Value) > 0 {
		if names := placeholders(row.Value[0]); len(names) == 1 && row.Value[0] == "{"+names[0]+"}" && factWords[names[0]] != "" {
			words = strings.TrimSpace(whose[auth] + " " + factWords[names[0]])
		}
	}
	if words == "endpoint" {
		words = t.Display + " endpoint"
	}
	if more := row.Description(); more != "" {
		words += "; " + more
	}
	return words
}
