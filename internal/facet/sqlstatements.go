package facet

import (
	"context"
	"database/sql"
	"encoding/hex"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// What a note says we did to its user.
const (
	noteMade   = "made"   // it would not be there without us
	noteJoined = "joined" // it was there; roles were added
)

// note is what stands on a user for one facet: our mark, what we did, and roles.
type note struct {
	mark, kind string
	roles      []string
}

// noteName is the extended property of a facet. Connections that share a facet share it.
func noteName(f connection.Facet) string { return markPrefix + strings.ToLower(f.Name) }

func (n note) String() string {
	return strings.TrimSpace(strings.Join([]string{"uid=" + n.mark, n.kind, strings.Join(n.roles, ",")}, " "))
}

func readNote(text string) note {
	words := strings.Fields(text)
	if len(words) < 2 {
		return note{}
	}
	n := note{mark: strings.TrimPrefix(words[0], "uid="), kind: words[1]}
	if len(words) > 2 {
		n.roles = strings.Split(words[2], ",")
	}
	return n
}

const (
	sqlUsersSQL   = `SELECT p.principal_id, p.name, p.sid FROM sys.database_principals p WHERE p.type IN ('E', 'X', 'S') AND (p.sid = @p1 OR p.name = @p2 OR p.principal_id = @p3)`
	sqlNotedSQL   = `SELECT major_id, name, value FROM sys.extended_properties WHERE class = 4 AND name LIKE @p1`
	sqlRolesSQL   = `SELECT r.name FROM sys.database_role_members m JOIN sys.database_principals r ON r.principal_id = m.role_principal_id WHERE m.member_principal_id = @p1 ORDER BY r.name`
	sqlSchemasSQL = `SELECT name FROM sys.schemas WHERE principal_id = @p1 ORDER BY name`
)

// sqlReader is a session or a transaction.
type sqlReader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// look reads the users in question: the one of the SID, the one of the name, the one
// with the note.
func (b *sqlUserBasis) look(ctx context.Context, r sqlReader, f connection.Facet) error {
	notes, noted, err := readNotes(ctx, r, noteName(f))
	if err != nil {
		return err
	}
	sid, err := wantedSID(f)
	if err != nil {
		return err
	}
	var users []*sqlPrincipal
	err = each(ctx, r, func(rows *sql.Rows) error {
		p := &sqlPrincipal{}
		users = append(users, p)
		return rows.Scan(&p.id, &p.name, &p.sid)
	}, sqlUsersSQL, sid, f.Name, noted)
	if err != nil {
		return err
	}
	for _, p := range users {
		if p.notes = notes[p.id]; p.notes == nil {
			p.notes = map[string]string{}
		}
		same := len(sid) > 0 && string(p.sid) == string(sid)
		if same {
			b.bound = p
		}
		if p.id == noted {
			b.noted = p
		}
		b.taken = b.taken || !same && strings.EqualFold(p.name, f.Name)
		if p.roles, err = names(ctx, r, sqlRolesSQL, p.id); err == nil {
			p.schemas, err = names(ctx, r, sqlSchemasSQL, p.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readNotes reads every note of ours, by user, and which user carries a given one.
func readNotes(ctx context.Context, r sqlReader, wanted string) (notes map[int64]map[string]string, noted int64, err error) {
	notes, noted = map[int64]map[string]string{}, -1
	err = each(ctx, r, func(rows *sql.Rows) error {
		var id int64
		var name string
		var value sql.NullString
		if err := rows.Scan(&id, &name, &value); err != nil {
			return err
		}
		if notes[id] == nil {
			notes[id] = map[string]string{}
		}
		notes[id][strings.ToLower(name)] = value.String
		if strings.EqualFold(name, wanted) {
			noted = id
		}
		return nil
	}, sqlNotedSQL, markPrefix+"%")
	return notes, noted, err
}

// wantedSID is what the user is to be bound to; nothing while it is not known.
func wantedSID(f connection.Facet) ([]byte, error) {
	guid := known(f.Want, connection.AttrClientID)
	if guid == "" {
		return []byte{}, nil
	}
	return sqlSID(guid)
}

func names(ctx context.Context, r sqlReader, query string, id int64) (out []string, err error) {
	err = each(ctx, r, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		out = append(out, name)
		return err
	}, query, id)
	return out, err
}

func each(ctx context.Context, r sqlReader, visit func(*sql.Rows) error, query string, args ...any) error {
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sqlWriter runs statements until one fails.
type sqlWriter struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

func (w *sqlWriter) exec(statement string, args ...any) {
	if w.err == nil {
		_, w.err = w.tx.ExecContext(w.ctx, statement, args...)
	}
}

// join sees to it that the principal has a user with its roles and our note.
func (w *sqlWriter) join(b *sqlUserBasis, f connection.Facet) {
	if _, w.err = needed(f, connection.AttrClientID); w.err != nil {
		return
	}
	user, kind := b.bound, noteMade
	switch {
	case b.noted != nil && b.noted != b.bound:
		user, kind = w.rebind(b, f), readNote(b.noted.notes[noteName(f)]).kind
	case b.bound == nil:
		user = w.create(labelFor(f, b.taken, w.sid(f)), f)
	case b.noted != nil:
		kind = readNote(user.notes[noteName(f)]).kind
	case len(user.notes) == 0: // somebody else's: it stays theirs
		kind = noteJoined
	}
	if w.err != nil {
		return
	}
	add, drop := joinRoles(user, f, kind == noteMade && len(user.notes) <= 1)
	w.members(user.name, add, drop)
	w.note(user, f, kind, add)
}

// inFabric tells whether a database is one of Microsoft Fabric, which has no ARM id.
func inFabric(f connection.Facet) bool { return strings.HasPrefix(f.Resource, "https://") }

func (w *sqlWriter) sid(f connection.Facet) []byte {
	sid, err := wantedSID(f)
	if w.err == nil {
		w.err = err
	}
	return sid
}

// create makes a user. The form with the SID needs no look into the directory: the other
// one, FROM EXTERNAL PROVIDER, makes the server search it, for which an engine that is an
// application needs a server identity with rights in the directory. Fabric brings that, and
// documents no other form.
func (w *sqlWriter) create(label string, f connection.Facet) *sqlPrincipal {
	sid := w.sid(f)
	if inFabric(f) {
		w.exec("CREATE USER " + sqlName(label) + " FROM EXTERNAL PROVIDER WITH OBJECT_ID = " + sqlText(f.Want[connection.AttrPrincipalID].Text))
	} else {
		w.exec("CREATE USER " + sqlName(label) + " WITH SID = 0x" + hex.EncodeToString(sid) + ", TYPE = E")
	}
	return &sqlPrincipal{name: label, sid: sid, notes: map[string]string{}}
}

// rebind puts a user for the new principal in the place of our user for an earlier one. A
// SID cannot be changed, so the user is made anew; roles and schemas pass over.
func (w *sqlWriter) rebind(b *sqlUserBasis, f connection.Facet) *sqlPrincipal {
	old := b.noted
	w.own(old.schemas, "dbo")
	w.exec("DROP USER " + sqlName(old.name))
	user := b.bound
	if user == nil {
		user = w.create(old.name, f)
	}
	w.own(old.schemas, user.name)
	w.members(user.name, sqlLacks(old.roles, user.roles), nil)
	user.roles = append(user.roles, old.roles...)
	return user
}

// leave takes back what our note says. A user that others of us still need passes to them.
func (w *sqlWriter) leave(user *sqlPrincipal, f connection.Facet) {
	if user == nil {
		return // nothing of ours is there
	}
	n := readNote(user.notes[noteName(f)])
	for name, text := range user.notes {
		if name == noteName(f) {
			continue
		}
		heir := readNote(text)
		heir.roles = append(heir.roles, n.roles...)
		if n.kind == noteMade {
			heir.kind, heir.roles = noteMade, nil
		}
		w.property("sp_updateextendedproperty", user.name, name, heir.String())
		w.property("sp_dropextendedproperty", user.name, noteName(f), "")
		return
	}
	if n.kind != noteMade {
		w.members(user.name, nil, n.roles)
		w.property("sp_dropextendedproperty", user.name, noteName(f), "")
		return
	}
	w.own(user.schemas, "dbo")
	w.exec("DROP USER " + sqlName(user.name))
}

func (w *sqlWriter) own(schemas []string, owner string) {
	for _, s := range schemas {
		w.exec("ALTER AUTHORIZATION ON SCHEMA::" + sqlName(s) + " TO " + sqlName(owner))
	}
}

func (w *sqlWriter) members(user string, add, drop []string) {
	for _, role := range add {
		w.exec("ALTER ROLE " + sqlName(role) + " ADD MEMBER " + sqlName(user))
	}
	for _, role := range drop {
		w.exec("ALTER ROLE " + sqlName(role) + " DROP MEMBER " + sqlName(user))
	}
}

// note writes down what we did, beside what an earlier note says.
func (w *sqlWriter) note(user *sqlPrincipal, f connection.Facet, kind string, added []string) {
	before, had := user.notes[noteName(f)]
	n := note{mark: f.Want[connection.AttrMark].Text, kind: kind}
	if kind == noteJoined {
		n.roles = append(readNote(before).roles, added...)
	}
	verb := "sp_addextendedproperty"
	if had {
		verb = "sp_updateextendedproperty"
	}
	w.property(verb, user.name, noteName(f), n.String())
}

func (w *sqlWriter) property(verb, user, name, value string) {
	args := []any{sql.Named("name", name), sql.Named("level0type", "USER"), sql.Named("level0name", user)}
	if verb != "sp_dropextendedproperty" {
		args = append(args, sql.Named("value", value))
	}
	w.exec("sys."+verb, args...)
}
