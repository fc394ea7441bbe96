package tds

import (
	"slices"
	"strings"
)

// The methods in this file carry statements out; the database's lock is held.

func (c *session) denied() error {
	return failure(15247, "User does not have permission to perform this action.")
}

// governs tells whether the session's user may manage users and roles.
func (c *session) governs() bool { return c.db.may(c.account.User, "ALTER ANY USER", 0, 0) }

func (c *createUser) run(s *session, _ map[string]any) (*result, error) {
	if !s.governs() {
		return nil, s.denied()
	}
	who := External{SID: c.sid, Group: c.kind == typeGroup}
	if c.external {
		if s.account.Resolve == nil {
			return nil, failure(33159, "Principal '%s' could not be created. Only connections established with Active Directory accounts can create other Active Directory users.", c.name)
		}
		var err error
		if who, err = s.account.Resolve(c.name, c.objectID); err != nil {
			return nil, err
		}
	}
	if len(who.SID) != 16 { // a GUID's bytes, which is all the directory has
		return nil, failure(15419, "Supplied parameter sid should be binary(16).")
	}
	if s.db.principal(c.name) != nil {
		return nil, failure(15023, "User, group, or role '%s' already exists in the current database.", c.name)
	}
	if s.db.bySID(who.SID) != nil {
		return nil, failure(15063, "The login already has an account under a different user name.")
	}
	kind := typeExternal
	if who.Group {
		kind = typeGroup
	}
	s.db.state.Principals = append(s.db.state.Principals, Principal{ID: s.db.newID(), Name: c.name, Type: kind, SID: who.SID})
	return nil, nil
}

func (c *dropUser) run(s *session, _ map[string]any) (*result, error) {
	p := s.db.principal(c.name)
	switch {
	case (p == nil || p.Type == typeRole) && c.ifExists && s.governs():
		return nil, nil
	case p == nil || p.Type == typeRole || !s.governs():
		return nil, failure(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", c.name)
	case p.ID < firstID:
		return nil, failure(15150, "Cannot drop the user '%s'.", p.Name)
	}
	for _, schema := range s.db.state.Schemas {
		if schema.Owner == p.ID {
			return nil, failure(15138, "The database principal owns a schema in the database, and cannot be dropped.")
		}
	}
	id := p.ID
	s.db.state.Principals = slices.DeleteFunc(s.db.state.Principals, func(p Principal) bool { return p.ID == id })
	s.db.state.Grants = slices.DeleteFunc(s.db.state.Grants, func(g Grant) bool { return g.Principal == id })
	s.db.state.Properties = slices.DeleteFunc(s.db.state.Properties, func(x Property) bool { return x.Principal == id })
	return nil, nil
}

func (c *alterRole) run(s *session, _ map[string]any) (*result, error) {
	role, member := s.db.principal(c.role), s.db.principal(c.member)
	if role == nil || role.Type != typeRole || !s.db.may(s.account.User, "CONTROL", 0, 0) {
		return nil, failure(15151, "Cannot alter the role '%s', because it does not exist or you do not have permission.", c.role)
	}
	verb := "drop"
	if c.add {
		verb = "add"
	}
	switch {
	case member == nil:
		return nil, failure(15151, "Cannot %s the principal '%s', because it does not exist or you do not have permission.", verb, c.member)
	case member.Name == Owner || member.ID == role.ID || role.Name == "public":
		return nil, failure(15405, "Cannot use the special principal '%s'.", c.member)
	}
	at := slices.Index(member.Roles, role.ID)
	switch {
	case c.add && at < 0:
		member.Roles = append(member.Roles, role.ID)
	case !c.add && at >= 0:
		member.Roles = slices.Delete(member.Roles, at, at+1)
	}
	return nil, nil
}

func (c *permit) run(s *session, _ map[string]any) (*result, error) {
	p := s.db.principal(c.principal)
	if p == nil || !s.db.may(s.account.User, "CONTROL", 0, 0) {
		return nil, failure(15151, "Cannot find the user '%s', because it does not exist or you do not have permission.", c.principal)
	}
	on := 0
	switch c.on.class {
	case "DATABASE":
		if name := c.on.object.name; name != "" && !strings.EqualFold(name, s.db.name) {
			return nil, failure(15151, "Cannot find the database '%s', because it does not exist or you do not have permission.", name)
		}
	case "SCHEMA":
		schema := s.db.schema(c.on.object.name)
		if schema == nil {
			return nil, failure(15151, "Cannot find the schema '%s', because it does not exist or you do not have permission.", c.on.object.name)
		}
		on = schema.ID
	default:
		t := s.db.table(c.on.object)
		if t == nil {
			return nil, failure(15151, "Cannot find the object '%s', because it does not exist or you do not have permission.", c.on.object.name)
		}
		on = t.ID
	}
	for _, permission := range c.permissions {
		g := Grant{p.ID, permission, c.on.class, on}
		at := slices.Index(s.db.state.Grants, g)
		switch {
		case !c.revoke && at < 0:
			s.db.state.Grants = append(s.db.state.Grants, g)
		case c.revoke && at >= 0:
			s.db.state.Grants = slices.Delete(s.db.state.Grants, at, at+1)
		}
	}
	return nil, nil
}

func (c *alterAuthorization) run(s *session, _ map[string]any) (*result, error) {
	schema, to := s.db.schema(c.schema), s.db.principal(c.to)
	if schema == nil || !s.db.may(s.account.User, "CONTROL", schema.ID, 0) {
		return nil, failure(15151, "Cannot find the schema '%s', because it does not exist or you do not have permission.", c.schema)
	}
	if to == nil {
		return nil, failure(15151, "Cannot find the principal '%s', because it does not exist or you do not have permission.", c.to)
	}
	schema.Owner = to.ID
	return nil, nil
}

func (c *createSchema) run(s *session, _ map[string]any) (*result, error) {
	if !s.db.may(s.account.User, "CREATE SCHEMA", 0, 0) {
		return nil, failure(262, "CREATE SCHEMA permission denied in database '%s'.", s.db.name)
	}
	if s.db.schema(c.name) != nil {
		return nil, failure(2714, "There is already an object named '%s' in the database.", c.name)
	}
	owner := s.db.principal(s.account.User)
	if c.owner != "" {
		owner = s.db.principal(c.owner)
	}
	if owner == nil {
		return nil, failure(15151, "Cannot find the user '%s', because it does not exist or you do not have permission.", c.owner)
	}
	s.db.state.Schemas = append(s.db.state.Schemas, Schema{s.db.newID(), c.name, owner.ID})
	return nil, nil
}

func (c *dropSchema) run(s *session, _ map[string]any) (*result, error) {
	schema := s.db.schema(c.name)
	switch {
	case schema == nil && c.ifExists:
		return nil, nil
	case schema == nil || schema.ID < firstID || !s.db.may(s.account.User, "ALTER", schema.ID, 0):
		return nil, failure(15151, "Cannot drop the schema '%s', because it does not exist or you do not have permission.", c.name)
	}
	for _, t := range s.db.state.Tables {
		if t.Schema == schema.ID {
			return nil, failure(3729, "Cannot drop schema '%s' because it is being referenced by object '%s'.", schema.Name, t.Name)
		}
	}
	id := schema.ID
	s.db.state.Schemas = slices.DeleteFunc(s.db.state.Schemas, func(x Schema) bool { return x.ID == id })
	return nil, nil
}

func (c *createTable) run(s *session, _ map[string]any) (*result, error) {
	schema := s.db.schema(c.name.schema)
	switch {
	case schema == nil:
		return nil, failure(2760, "The specified schema name \"%s\" either does not exist or you do not have permission to use it.", c.name.schema)
	case !s.db.may(s.account.User, "CREATE TABLE", 0, 0):
		return nil, failure(262, "CREATE TABLE permission denied in database '%s'.", s.db.name)
	case s.db.table(c.name) != nil:
		return nil, failure(2714, "There is already an object named '%s' in the database.", c.name.name)
	}
	s.db.state.Tables = append(s.db.state.Tables, Table{ID: s.db.newID(), Schema: schema.ID, Name: c.name.name, Columns: c.columns})
	return nil, nil
}

func (c *dropTable) run(s *session, _ map[string]any) (*result, error) {
	t := s.db.table(c.name)
	switch {
	case t == nil && c.ifExists:
		return nil, nil
	case t == nil || !s.db.may(s.account.User, "ALTER", t.Schema, t.ID):
		return nil, failure(3701, "Cannot drop the table '%s', because it does not exist or you do not have permission.", c.name)
	}
	id := t.ID
	s.db.state.Tables = slices.DeleteFunc(s.db.state.Tables, func(x Table) bool { return x.ID == id })
	return nil, nil
}

// open finds a table the session's user holds a permission on.
func (c *session) table(o objectName, permission string) (*Table, error) {
	t := c.db.table(o)
	if t == nil {
		return nil, fatal(208, "Invalid object name '%s'.", o)
	}
	if !c.db.may(c.account.User, permission, t.Schema, t.ID) {
		schema := o.schema
		if schema == "" {
			schema = Owner
		}
		return nil, failure(229, "The %s permission was denied on the object '%s', database '%s', schema '%s'.", permission, t.Name, c.db.name, schema)
	}
	return t, nil
}

func (c *insert) run(s *session, args map[string]any) (*result, error) {
	t, err := s.table(c.into, "INSERT")
	if err != nil {
		return nil, err
	}
	places, err := c.places(t)
	if err != nil {
		return nil, err
	}
	var rows [][]*string
	for _, values := range c.rows {
		if len(values) != len(places) {
			return nil, fatal(213, "Column name or number of supplied values does not match table definition.")
		}
		row := make([]any, len(t.Columns))
		for n, e := range values {
			if row[places[n]], err = e.eval(&scope{session: s, args: args}); err != nil {
				return nil, err
			}
		}
		out := make([]*string, len(row))
		for n, c := range t.Columns {
			v, err := assign(row[n], c)
			if err != nil {
				return nil, err
			}
			out[n] = written(v)
		}
		if t.holds(out, rows) {
			return nil, failure(2627, "Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object '%s'.", c.into)
		}
		rows = append(rows, out)
	}
	t.Rows = append(t.Rows, rows...)
	return &result{changed: len(rows), counts: true}, nil
}

// places are the columns the values go to.
func (c *insert) places(t *Table) ([]int, error) {
	var places []int
	if len(c.columns) == 0 {
		for n := range t.Columns {
			places = append(places, n)
		}
	}
	for _, name := range c.columns {
		at := slices.IndexFunc(t.Columns, func(x Column) bool { return strings.EqualFold(x.Name, name) })
		if at < 0 {
			return nil, fatal(207, "Invalid column name '%s'.", name)
		}
		places = append(places, at)
	}
	return places, nil
}

// holds tells whether a row has the key of another one.
func (t *Table) holds(row []*string, more [][]*string) bool {
	at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Key })
	return at >= 0 && slices.ContainsFunc(slices.Concat(t.Rows, more), func(other []*string) bool {
		return collated(*other[at]) == collated(*row[at])
	})
}

func (c *deletion) run(s *session, args map[string]any) (*result, error) {
	t, err := s.table(c.from, "DELETE")
	if err != nil {
		return nil, err
	}
	view, where := t.relation(), &scope{session: s, args: args}
	where.see(t.Name, view.columns)
	var kept [][]*string
	for n, row := range view.rows {
		where.row = row
		hit, err := holdsFor(c.where, where)
		if err != nil {
			return nil, err
		}
		if !hit {
			kept = append(kept, t.Rows[n])
		}
	}
	gone := len(t.Rows) - len(kept)
	t.Rows = kept
	return &result{changed: gone, counts: true}, nil
}

func (*quiet) run(*session, map[string]any) (*result, error) { return nil, nil }

func (c *use) run(s *session, _ map[string]any) (*result, error) {
	if !strings.EqualFold(c.database, s.db.name) {
		return nil, failure(40508, "USE statement is not supported to switch between databases. Use a new connection to connect to a different database.")
	}
	return nil, nil
}

func (c *transaction) run(s *session, _ map[string]any) (*result, error) {
	switch {
	case c.verb == "begin":
		if s.saved == nil {
			s.saved = s.db.save()
		}
	case s.saved == nil && c.verb == "commit":
		return nil, failure(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	case s.saved == nil:
		return nil, failure(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
	default:
		saved := s.saved
		s.saved = nil
		if c.verb == "rollback" {
			return nil, s.db.restore(saved)
		}
	}
	return nil, nil
}
