package tds

import "strings"

// view is a relation the server makes up from its state.
func (d *Database) view(o objectName) (table, bool) {
	if !strings.EqualFold(o.schema, "sys") {
		return table{}, false
	}
	make, ok := map[string]func() table{
		"database_principals": d.principalsView, "database_role_members": d.membersView, "schemas": d.schemasView,
		"database_permissions": d.permissionsView, "tables": d.tablesView, "extended_properties": d.propertiesView,
		"databases": d.databasesView,
	}[strings.ToLower(o.name)]
	if !ok {
		return table{}, false
	}
	return make(), true
}

func (d *Database) principalsView() table {
	t := table{columns: []string{"name", "principal_id", "type", "type_desc", "default_schema_name", "owning_principal_id", "sid",
		"is_fixed_role", "authentication_type", "authentication_type_desc"}}
	for _, p := range d.state.Principals {
		kind := map[string]string{typeUser: "SQL_USER", typeExternal: "EXTERNAL_USER", typeGroup: "EXTERNAL_GROUPS", typeRole: "DATABASE_ROLE"}[p.Type]
		var schema, owner, sid any
		number, how := int64(0), "NONE"
		switch p.Type {
		case typeRole:
			owner = int64(1)
		case typeUser:
			if p.Name == Owner {
				number, how = 1, "INSTANCE"
			}
			schema = Owner
		default:
			number, how, schema = 4, "EXTERNAL", Owner
		}
		if p.SID != nil {
			sid = p.SID
		}
		t.rows = append(t.rows, []any{p.Name, int64(p.ID), p.Type, kind, schema, owner, sid, p.Fixed, number, how})
	}
	return t
}

func (d *Database) membersView() table {
	t := table{columns: []string{"role_principal_id", "member_principal_id"}}
	for _, p := range d.state.Principals {
		for _, role := range p.Roles {
			t.rows = append(t.rows, []any{int64(role), int64(p.ID)})
		}
	}
	return t
}

func (d *Database) schemasView() table {
	t := table{columns: []string{"name", "schema_id", "principal_id"}}
	for _, s := range d.state.Schemas {
		t.rows = append(t.rows, []any{s.Name, int64(s.ID), int64(s.Owner)})
	}
	return t
}

func (d *Database) permissionsView() table {
	t := table{columns: []string{"class", "class_desc", "major_id", "grantee_principal_id", "permission_name", "state", "state_desc"}}
	for _, p := range d.state.Principals {
		if p.Type == typeExternal || p.Type == typeGroup { // every user may connect
			t.rows = append(t.rows, []any{int64(0), "DATABASE", int64(0), int64(p.ID), "CONNECT", "G", "GRANT"})
		}
	}
	for _, g := range d.state.Grants {
		number, name := int64(0), "DATABASE"
		switch g.Class {
		case "SCHEMA":
			number, name = 3, "SCHEMA"
		case "OBJECT":
			number, name = 1, "OBJECT_OR_COLUMN"
		}
		t.rows = append(t.rows, []any{number, name, int64(g.On), int64(g.Principal), g.Permission, "G", "GRANT"})
	}
	return t
}

func (d *Database) tablesView() table {
	t := table{columns: []string{"name", "object_id", "schema_id", "type"}}
	for _, one := range d.state.Tables {
		t.rows = append(t.rows, []any{one.Name, int64(one.ID), int64(one.Schema), "U "})
	}
	return t
}

func (d *Database) propertiesView() table {
	t := table{columns: []string{"class", "class_desc", "major_id", "minor_id", "name", "value"}}
	for _, p := range d.state.Properties {
		t.rows = append(t.rows, []any{int64(4), "DATABASE_PRINCIPAL", int64(p.Principal), int64(0), p.Name, p.Value})
	}
	return t
}

func (d *Database) databasesView() table {
	t := table{columns: []string{"name", "database_id", "state", "state_desc"}}
	t.rows = append(t.rows, []any{"master", int64(1), int64(0), "ONLINE"})
	if !strings.EqualFold(d.name, "master") {
		t.rows = append(t.rows, []any{d.name, int64(5), int64(0), "ONLINE"})
	}
	return t
}
