package facet

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// mysqlGrant is what a user of MySQL may do in its database, by the word of the catalog.
type mysqlGrant struct {
	word       string
	privileges []string
}

// mysqlGrants go from the narrowest to the widest. Tables belong to nobody here, so that
// dropping and emptying them, whoever made them, is left to the widest; so is what runs
// with its maker's rights afterwards (views, routines, triggers, events). None lets a
// user pass its rights on.
func mysqlGrants() []mysqlGrant {
	read := []string{"SELECT", "SHOW VIEW"}
	write := append(slices.Clone(read), "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "REFERENCES",
		"CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE")
	return []mysqlGrant{
		{"read", read},
		{"readwrite", write},
		{"all", append(slices.Clone(write), "DROP", "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER", "EVENT")},
	}
}

// wantedMySQLGrant is what a facet asks for; the widest where it does not say.
func wantedMySQLGrant(f connection.Facet) mysqlGrant {
	all := mysqlGrants()
	for _, g := range all {
		if g.word == f.Want[connection.AttrGrant].Text {
			return g
		}
	}
	return all[len(all)-1]
}

// lacks are the grant's privileges that are not among those held.
func (g mysqlGrant) lacks(held []string) []string { return except(g.privileges, held) }

// beyond are the privileges held that the grant does not name.
func (g mysqlGrant) beyond(held []string) []string { return except(held, g.privileges) }

// except is what is in one list and not in the other.
func except(from, what []string) []string {
	var out []string
	for _, p := range from {
		if !slices.Contains(what, p) {
			out = append(out, p)
		}
	}
	return out
}

// mysqlIdent quotes an identifier of MySQL. A zero byte, which it knows no way to write,
// is left out.
func mysqlIdent(name string) string {
	return "`" + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), "`", "``") + "`"
}

// mysqlLiteral quotes a string of MySQL, read under a mode in which a backslash escapes:
// the one every session of ours asks for.
func mysqlLiteral(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`, "\x1a", `\Z`).Replace(text) + "'"
}

// mysqlPattern writes a database's name as the pattern that a grant reads, which is also
// how the server keeps it.
func mysqlPattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, `_`, `\_`, `%`, `\%`).Replace(name)
}

// mysqlDatabase quotes the database of a grant.
func mysqlDatabase(name string) string { return mysqlIdent(mysqlPattern(name)) }

// mysqlAccount names a user that may come from anywhere: the firewall decides where from.
func mysqlAccount(user string) string { return mysqlLiteral(user) + "@'%'" }
