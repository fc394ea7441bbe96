package catalog

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Support is one row of the matrix of supported pairs.
type Support struct {
	Target, Display string
	ID              []Part // the tail of its ARM id
	IDTemplate      string // all of it, with the command line's options in braces
	AuthTypes       []string
	ClientTypes     []string
	KeysFetched     bool     // secret authentication fetches the key, none is given
	Nameless        bool     // the secret that is given is a whole connection string, without a user name
	Linkers         []Linker // of a target without ARM id
	Grants          []string
	StringType      string // App Service's word for its connection strings, "" when it has none
	Service         string // as configurationNames calls it
	Dapr            bool   // there are components for it
	Bindings        []Binding
	APIVersion      string // that reads the target
}

// Support returns the matrix, one row per target, from the heads of the files alone.
// ready limits the auth types to those that can be carried out, and the targets to
// those that connections can be made to; nil keeps every one the files hold.
func (c *Catalog) Support(ready []string) []Support {
	var rows []Support
	for _, e := range c.entries {
		t := e.head
		if ready != nil && t.Status == StatusPreview {
			continue
		}
		row := Support{
			Target: t.Name, Display: t.Display, ID: slices.Clone(t.ID), IDTemplate: t.IDTemplate(),
			ClientTypes: slices.Clone(t.Clients), KeysFetched: t.Auth[connection.AuthSecret].Key != "",
			Nameless:   t.Auth[connection.AuthSecret].Whole,
			StringType: t.StringType, Linkers: t.linkers(), Service: t.Service(), Dapr: hasComponents(t.Name), Bindings: t.Bindings, APIVersion: t.APIVersion,
		}
		if t.DBUser != nil {
			row.Grants = slices.Clone(t.DBUser.Grants)
		}
		row.AuthTypes = t.Offered(ready)
		rows = append(rows, row)
	}
	return rows
}

// AuthTypes returns the target's auth types in the order they are offered: the first is
// the default. An identity goes before keys, as in the Azure CLI, but not before a
// user's password: a database user has to be made for it.
func (t *Target) AuthTypes() []string {
	var out []string
	for _, auth := range authTypes {
		if _, ok := t.Auth[auth]; ok {
			out = append(out, auth)
		}
	}
	at := slices.Index(out, connection.AuthSystemIdentity)
	if at > 0 && !t.Auth[connection.AuthSecret].Given {
		out = slices.Insert(slices.Delete(out, at, at+1), 0, connection.AuthSystemIdentity)
	}
	return out
}

// ClientTypes returns the client types that have settings with an auth type.
func (t *Target) ClientTypes(auth string) []string {
	var out []string
	for _, client := range t.Clients {
		if len(t.rows(auth, client, "")) > 0 {
			out = append(out, client)
		}
	}
	return out
}

// CheckAuth refuses an auth type the target does not have or that is not among the ready ones (nil: all).
func (t *Target) CheckAuth(auth string, ready []string) error {
	allowed := t.Offered(ready)
	if slices.Contains(allowed, auth) {
		return nil
	}
	return t.authUnsupported(auth, allowed)
}

// linkers are the connections the target takes: as its file says, or one by its address.
func (t *Target) linkers() []Linker {
	if len(t.Types) > 0 && len(t.Linkers) == 0 {
		return []Linker{{Type: t.Types[0], Endpoint: "endpoint", Help: "Address of the target."}}
	}
	return t.Linkers
}

// Offered are those of the target's auth types that are among the ready ones (nil: all).
func (t *Target) Offered(ready []string) []string {
	var out []string
	for _, a := range t.AuthTypes() {
		if ready == nil || slices.Contains(ready, a) {
			out = append(out, a)
		}
	}
	return out
}

func (t *Target) authUnsupported(auth string, allowed []string) error {
	return problem.New(problem.AuthUnsupported, "", "%s cannot be reached with auth type %q; %s", t.Name, auth, OneOf(auth, allowed))
}

// RoleID returns the GUID of a role given by name, by GUID or by the id of its definition.
func (t *Target) RoleID(role string) (string, bool) {
	for _, r := range t.Roles.Known {
		if strings.EqualFold(r.Name, role) {
			return r.ID, true
		}
	}
	id := strings.ToLower(role[strings.LastIndex(role, "/")+1:])
	return id, guid.MatchString(id)
}

// RoleNames returns the names RoleID knows.
func (t *Target) RoleNames() []string {
	var names []string
	for _, r := range t.Roles.Known {
		names = append(names, r.Name)
	}
	return names
}

// Policy returns the access policy of that name in its own spelling.
func (t *Target) Policy(name string) (string, bool) {
	if t.Access == nil {
		return "", false
	}
	for _, p := range t.Access.Policies {
		if strings.EqualFold(p, name) {
			return p, true
		}
	}
	return "", false
}

// OneOf lists what is allowed, with the nearest match first.
func OneOf(given string, allowed []string) string {
	list := "allowed: " + strings.Join(allowed, ", ")
	if near := Nearest(given, allowed); near != "" {
		return fmt.Sprintf("did you mean %q? %s", near, list)
	}
	return list
}

// Nearest returns the word of a list that was most likely meant, or "".
func Nearest(given string, allowed []string) string {
	best, most := "", len([]rune(given))/2+1
	meant := strings.ToLower(given)
	for _, word := range allowed {
		low := strings.ToLower(word)
		d := distance([]rune(meant), []rune(low))
		if len(given) > 2 && strings.Contains(low, meant) {
			d = min(d, 1) // "mysql" is mysql-flexible
		}
		if d < most {
			best, most = word, d
		}
	}
	return best
}

func pick(given string, allowed []string) string {
	if near := Nearest(given, allowed); near != "" {
		return near
	}
	return allowed[len(allowed)-1]
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		corner := row[0]
		row[0] = i + 1
		for j := range b {
			above := row[j+1]
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			corner = above
		}
	}
	return row[len(b)]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
