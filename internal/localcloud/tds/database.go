package tds

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Owner is the user that administrators are in every database.
const Owner = "dbo"

// Types of principals.
const (
	typeUser     = "S" // of SQL Server itself
	typeExternal = "E" // of the directory
	typeGroup    = "X"
	typeRole     = "R"
)

// Principal is a user or a role of a database.
type Principal struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Type  string `json:"type"`
	SID   []byte `json:"sid,omitempty"`
	Fixed bool   `json:"fixed,omitempty"`
	Roles []int  `json:"roles,omitempty"`
}

// Schema is a namespace of objects.
type Schema struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Owner int    `json:"owner"`
}

// Column is one column of a table.
type Column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required,omitempty"`
	Key      bool   `json:"key,omitempty"`
}

// Table is a table with its rows; values are written out as text.
type Table struct {
	ID      int         `json:"id"`
	Schema  int         `json:"schema"`
	Name    string      `json:"name"`
	Columns []Column    `json:"columns"`
	Rows    [][]*string `json:"rows"`
}

// Grant is one permission of one principal.
type Grant struct {
	Principal  int    `json:"principal"`
	Permission string `json:"permission"`
	Class      string `json:"class"` // DATABASE, SCHEMA, OBJECT
	On         int    `json:"on"`    // id of the schema or the object
}

// Property is an extended property of a principal.
type Property struct {
	Principal int    `json:"principal"`
	Name      string `json:"name"`
	Value     string `json:"value"`
}

// state is all a database holds.
type state struct {
	Principals []Principal `json:"principals"`
	Schemas    []Schema    `json:"schemas"`
	Tables     []Table     `json:"tables"`
	Grants     []Grant     `json:"grants"`
	Properties []Property  `json:"properties"`
	Next       int         `json:"next"` // id of what is made next
}

// Database is one database. It is safe for many sessions.
type Database struct {
	name string
	keep func([]byte)

	mu    sync.Mutex
	state state
}

// fixed are the principals every database has.
func fixed() []Principal {
	list := []Principal{
		{ID: 0, Name: "public", Type: typeRole}, {ID: 1, Name: Owner, Type: typeUser, SID: []byte{1}}, {ID: 2, Name: "guest", Type: typeUser, SID: []byte{0}},
		{ID: 3, Name: "INFORMATION_SCHEMA", Type: typeUser}, {ID: 4, Name: "sys", Type: typeUser},
	}
	for n, role := range []string{"db_owner", "db_accessadmin", "db_securityadmin", "db_ddladmin", "", "db_backupoperator", "db_datareader", "db_datawriter", "db_denydatareader", "db_denydatawriter"} {
		if role != "" {
			list = append(list, Principal{ID: 16384 + n, Name: role, Type: typeRole, Fixed: true})
		}
	}
	return list
}

// firstID is where ids of users and objects begin.
const firstID = 5

// OpenDatabase makes a database from what keep was given last; nil makes an empty
// one. keep is called with the whole state after every change; it may be nil.
func OpenDatabase(name string, saved []byte, keep func([]byte)) (*Database, error) {
	d := &Database{name: name, keep: keep}
	if saved == nil {
		d.state = state{Principals: fixed(), Next: firstID, Schemas: []Schema{
			{1, Owner, 1}, {2, "guest", 2}, {3, "INFORMATION_SCHEMA", 3}, {4, "sys", 4}}}
		return d, nil
	}
	return d, d.restore(saved)
}

func (d *Database) restore(saved []byte) error {
	var s state
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("read database %s: %w", d.name, err)
	}
	d.state = s
	return nil
}

func (d *Database) save() []byte {
	raw, err := json.Marshal(d.state)
	if err != nil {
		panic(fmt.Sprintf("a database's state is no JSON: %v", err)) // nothing in it can be otherwise
	}
	return raw
}

func (d *Database) changed() {
	if d.keep != nil {
		d.keep(d.save())
	}
}

// UserOf finds the user that stands for a principal of the directory.
func (d *Database) UserOf(sid []byte) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.bySID(sid); p != nil {
		return p.Name, true
	}
	return "", false
}

func (d *Database) bySID(sid []byte) *Principal {
	for n := range d.state.Principals {
		if p := &d.state.Principals[n]; len(sid) > 0 && p.Type != typeRole && string(p.SID) == string(sid) {
			return p
		}
	}
	return nil
}

func (d *Database) principal(name string) *Principal {
	for n := range d.state.Principals {
		if strings.EqualFold(d.state.Principals[n].Name, name) {
			return &d.state.Principals[n]
		}
	}
	return nil
}

func (d *Database) byID(id int) *Principal {
	for n := range d.state.Principals {
		if d.state.Principals[n].ID == id {
			return &d.state.Principals[n]
		}
	}
	return nil
}

func (d *Database) schema(name string) *Schema {
	if name == "" {
		name = Owner
	}
	for n := range d.state.Schemas {
		if strings.EqualFold(d.state.Schemas[n].Name, name) {
			return &d.state.Schemas[n]
		}
	}
	return nil
}

func (d *Database) table(o objectName) *Table {
	s := d.schema(o.schema)
	for n := range d.state.Tables {
		if t := &d.state.Tables[n]; s != nil && t.Schema == s.ID && strings.EqualFold(t.Name, o.name) {
			return t
		}
	}
	return nil
}

func (d *Database) newID() int {
	d.state.Next++
	return d.state.Next - 1
}

// inRole tells whether a user is in a role, directly or through others.
func (d *Database) inRole(user *Principal, role string) bool {
	wanted := d.principal(role)
	if user == nil || wanted == nil {
		return false
	}
	seen := map[int]bool{}
	var in func(p *Principal) bool
	in = func(p *Principal) bool {
		if p == nil || seen[p.ID] {
			return false
		}
		seen[p.ID] = true
		return slices.ContainsFunc(p.Roles, func(id int) bool { return id == wanted.ID || in(d.byID(id)) })
	}
	return wanted.Name == "public" || in(user)
}

// may tells whether a user holds a permission on a schema's object (object 0: the
// database itself), by role, by grant or by owning the schema.
func (d *Database) may(name, permission string, schema, object int) bool {
	user := d.principal(name)
	if user == nil {
		return false
	}
	if user.Name == Owner || d.inRole(user, "db_owner") {
		return true
	}
	if role := roleFor(permission); role != "" && d.inRole(user, role) {
		return true
	}
	for _, s := range d.state.Schemas {
		if s.ID == schema && s.Owner == user.ID {
			return true
		}
	}
	return slices.ContainsFunc(d.state.Grants, func(g Grant) bool {
		holder := d.byID(g.Principal)
		if holder == nil || holder.ID != user.ID && !d.inRole(user, holder.Name) || g.Permission != permission && g.Permission != "CONTROL" {
			return false
		}
		return g.Class == "DATABASE" || g.Class == "SCHEMA" && g.On == schema || g.Class == "OBJECT" && g.On == object
	})
}

// roleFor is the fixed role that holds a permission.
func roleFor(permission string) string {
	return map[string]string{
		"SELECT": "db_datareader", "INSERT": "db_datawriter", "UPDATE": "db_datawriter", "DELETE": "db_datawriter",
		"CREATE TABLE": "db_ddladmin", "CREATE SCHEMA": "db_ddladmin", "ALTER": "db_ddladmin", "ALTER ANY USER": "db_accessadmin",
	}[permission]
}

// Values of a table's rows, written out and read back.

func written(v any) *string {
	var text string
	switch x := v.(type) {
	case nil:
		return nil
	case int64:
		text = strconv.FormatInt(x, 10)
	case bool:
		text = strconv.FormatBool(x)
	case []byte:
		text = hex.EncodeToString(x)
	case string:
		text = x
	}
	return &text
}

func readBack(text *string, c Column) any {
	if text == nil {
		return nil
	}
	switch c.Type {
	case "int", "bigint":
		n, _ := strconv.ParseInt(*text, 10, 64) // written wrote it
		return n
	case "bit":
		return *text == "true"
	case "varbinary":
		raw, _ := hex.DecodeString(*text) // written wrote it
		return raw
	}
	return *text
}

// SID is the bytes a database keeps of a directory's GUID, in the order SQL Server
// gives them: the first three groups turned round.
func SID(guid string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	if err != nil || len(raw) != 16 || len(guid) != 36 {
		return nil, fmt.Errorf("%q is no GUID", guid)
	}
	slices.Reverse(raw[0:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	return raw, nil
}
