package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// listed reads the mapping as an administrator sees it.
func (b *bench) listed(admin *pgx.Conn, onlyAdmins bool) (names []string) {
	b.t.Helper()
	rows, err := admin.Query(b.ctx, "SELECT rolname::text FROM pg_catalog.pgaadauth_list_principals($1)", onlyAdmins)
	if err != nil {
		b.t.Fatal(err)
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		b.t.Fatal(err)
	}
	return names
}

func TestPrincipalFunctions(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	root, admin := b.admin("root-admin")
	app := b.principal(admin, "app")

	var row struct {
		name, kind, oid, tenant string
		mfa, isAdmin            int
	}
	err := admin.QueryRow(b.ctx, "SELECT rolname, principaltype, objectid, tenantid, ismfa, isadmin FROM pgaadauth_list_principals(false) WHERE rolname = 'app'").
		Scan(&row.name, &row.kind, &row.oid, &row.tenant, &row.mfa, &row.isAdmin)
	if err != nil || row.kind != "service" || row.oid != app.ObjectID || row.tenant == "" || row.mfa != 0 || row.isAdmin != 0 {
		t.Errorf("listed %+v, %v", row, err)
	}
	if got := b.listed(admin, true); !slices.Equal(got, []string{"root-admin"}) {
		t.Errorf("administrators: %q", got)
	}

	create := "SELECT pgaadauth_create_principal_with_oid(%s, false, false)"
	update := "SELECT pgaadauth_update_principal_with_oid(%s, false, false)"
	appSession := b.session("app", b.token(app), "postgres")
	owner := b.session(login, password, "postgres")
	for name, c := range map[string]struct {
		conn      *pgx.Conn
		statement string
		state     string
	}{
		"duplicate":                {admin, fmt.Sprintf(create, "'app', '"+app.ObjectID+"', 'service'"), "42710"},
		"name of a password role":  {admin, fmt.Sprintf(create, "'"+login+"', '"+app.ObjectID+"', 'service'"), "42710"},
		"update of a missing role": {admin, fmt.Sprintf(update, "'ghost', '"+app.ObjectID+"', 'service'"), "42704"},
		"wrong type":               {admin, fmt.Sprintf(create, "'x1', '"+app.ObjectID+"', 'robot'"), "22023"},
		"wrong object id":          {admin, fmt.Sprintf(create, "'x2', 'me', 'service'"), "22023"},
		"null object id":           {admin, fmt.Sprintf(create, "'x3', NULL, 'service'"), "22023"},
		"platform role":            {admin, fmt.Sprintf(update, "'azuresu', '"+app.ObjectID+"', 'service'"), "42501"},
		"group role":               {admin, fmt.Sprintf(update, "'azure_pg_admin', '"+app.ObjectID+"', 'service'"), "42501"},
		"called by an ordinary":    {appSession, fmt.Sprintf(create, "'x4', '"+app.ObjectID+"', 'service'"), "42501"},
		"called by the password":   {owner, fmt.Sprintf(create, "'x5', '"+app.ObjectID+"', 'service'"), "42501"},
		"listed by an ordinary":    {appSession, "SELECT * FROM pgaadauth_list_principals(false)", "42501"},
		"mapping read directly":    {admin, "SELECT * FROM pgaadauth.principal", "42501"},
		"mapping bound directly":   {appSession, "SELECT pgaadauth.bind('app', '" + root.ObjectID + "', 'service', true, false)", "42501"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.conn.Exec(b.ctx, c.statement)
			b.state(err, c.state)
		})
	}
	// A mapping that failed left no role behind.
	if got := b.listed(admin, false); !slices.Equal(got, []string{"app", "root-admin"}) {
		t.Errorf("principals: %q", got)
	}
}

func TestRebindAndRename(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	before := b.principal(admin, "app")
	b.exec(admin, "GRANT CREATE ON DATABASE app TO app")
	b.exec(b.session("app", b.token(before), "app"), "CREATE SCHEMA s", "CREATE TABLE s.kept (n int)", "INSERT INTO s.kept VALUES (7)")

	after := b.identity("app") // the same app's identity, switched off and on
	b.refused("app", b.token(after), "app", "28000")
	b.exec(admin, fmt.Sprintf("SELECT pgaadauth_update_principal_with_oid('app', '%s', 'service', false, false)", after.ObjectID))
	b.refused("app", b.token(before), "app", "28000")
	var n int
	if err := b.session("app", b.token(after), "app").QueryRow(b.ctx, "SELECT n FROM s.kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("data after the rebind: %d, %v", n, err)
	}

	b.exec(admin, "ALTER ROLE app RENAME TO app2")
	b.session("app2", b.token(after), "app")
	b.refused("app", b.token(after), "app", "28P01") // no longer a role at all

	// An ordinary role becomes a mapped one and leaves its password behind.
	b.exec(admin, "CREATE ROLE plain LOGIN PASSWORD 'Pl4in-secret'")
	b.session("plain", "Pl4in-secret", "app")
	p := b.identity("plain")
	b.exec(admin, fmt.Sprintf("SELECT pgaadauth_update_principal_with_oid('plain', '%s', 'service', false, false)", p.ObjectID))
	b.refused("plain", "Pl4in-secret", "app", "28000")
	b.session("plain", b.token(p), "app")
}

func TestDropRole(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	app := b.principal(admin, "app")
	b.exec(admin, "GRANT CREATE ON DATABASE app TO app")
	b.exec(b.session("app", b.token(app), "app"), "CREATE SCHEMA s", "CREATE TABLE s.kept (n int)")

	_, err := admin.Exec(b.ctx, "DROP ROLE app")
	b.state(err, "2BP01")
	inApp := b.session("root-admin", b.token(b.principalOf("root-admin")), "app")
	b.exec(inApp, "GRANT app TO CURRENT_USER", "GRANT "+login+" TO CURRENT_USER",
		"REASSIGN OWNED BY app TO "+login, "REVOKE ALL ON DATABASE app FROM app", "DROP ROLE app")
	if got := b.listed(admin, false); !slices.Equal(got, []string{"root-admin"}) {
		t.Errorf("principals after the drop: %q", got)
	}
	b.refused("app", b.token(app), "app", "28P01")
	// The name is free again, and a role of that name made by hand is not mapped.
	b.exec(admin, "CREATE ROLE app LOGIN PASSWORD 'Th1rd-one'")
	b.session("app", "Th1rd-one", "app")
	b.refused("app", b.token(app), "app", "28P01")
	var owner string
	if err := inApp.QueryRow(b.ctx, "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'").Scan(&owner); err != nil || owner != login {
		t.Errorf("owner of the table: %q, %v", owner, err)
	}
}

// principalOf finds the principal behind an administrator's document.
func (b *bench) principalOf(role string) (p provider.Principal) {
	b.t.Helper()
	for _, doc := range b.cloud.Store().Children(serverID, adminType) {
		if provider.Text(doc, "properties", "principalName") == role {
			p, _ = b.cloud.Directory().Lookup(provider.Text(doc, "properties", "objectId"))
		}
	}
	return p
}

func TestAdministratorLeaves(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, stays := b.admin("stays")
	goes, conn := b.admin("goes")
	inApp := b.session("goes", b.token(goes), "app")
	b.exec(inApp, "CREATE SCHEMA theirs", "CREATE TABLE theirs.t (n int)", "GRANT ALL ON SCHEMA public TO goes")
	app := b.principal(conn, "app")
	b.exec(conn, "GRANT ALL ON DATABASE app TO app", "CREATE DATABASE another")

	doc := b.get("/administrators/" + goes.ObjectID)
	if provider.Text(doc, "properties", "principalName") != "goes" || provider.Text(doc, "properties", "objectId") != goes.ObjectID {
		t.Errorf("administrator reads as %v", doc)
	}
	b.run("DELETE", "/administrators/"+goes.ObjectID, nil)
	b.refused("goes", b.token(goes), "app", "28P01")
	if err := inApp.Ping(b.ctx); err == nil {
		t.Error("the session of a removed administrator lives on")
	}
	b.session("app", b.token(app), "app") // what it made stays
	if got := b.listed(stays, false); !slices.Equal(got, []string{"app", "stays"}) {
		t.Errorf("principals: %q", got)
	}
	owner := b.session(login, password, "app")
	var schema, database string
	if err := owner.QueryRow(b.ctx, "SELECT (SELECT tableowner FROM pg_tables WHERE schemaname = 'theirs'), (SELECT rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = 'another')").
		Scan(&schema, &database); err != nil || schema != login || database != login {
		t.Errorf("heirs: %q %q, %v", schema, database, err)
	}
	if s := b.run("DELETE", "/administrators/"+goes.ObjectID, nil).Status; s != 204 {
		t.Errorf("second delete: %d", s)
	}
	// One dropped by hand leaves a document that can still be deleted.
	b.run("PUT", "/administrators/"+goes.ObjectID, adminBody("goes"))
	b.exec(stays, "DROP ROLE goes")
	b.run("DELETE", "/administrators/"+goes.ObjectID, nil)
	// A second name for the same principal renames its role.
	b.run("PUT", "/administrators/"+goes.ObjectID, adminBody("one"))
	b.run("PUT", "/administrators/"+goes.ObjectID, adminBody("two"))
	b.session("two", b.token(goes), "postgres")
	b.refused("one", b.token(goes), "postgres", "28P01")
}

func TestEntraSwitch(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	root, admin := b.admin("root-admin")
	app := b.principal(admin, "app")
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"authConfig": map[string]any{"activeDirectoryAuth": "Disabled"}}})
	b.refused("root-admin", b.token(root), "postgres", "28000")
	b.refused("app", b.token(app), "app", "28000")
	b.session(login, password, "app")
	other := b.identity("other")
	if f := b.fault("PUT", "/administrators/"+other.ObjectID, adminBody("other")); f.Status != 400 || f.Code != "AadAuthDisabled" {
		t.Errorf("administrator while Entra sign-in is off: %v", f)
	}
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"authConfig": map[string]any{"activeDirectoryAuth": "Enabled", "passwordAuth": "Disabled"}}})
	b.session("app", b.token(app), "app")
	b.refused(login, password, "app", "28000")
	if f := b.fault("PATCH", "", provider.Document{"properties": map[string]any{"authConfig": map[string]any{"activeDirectoryAuth": "Disabled"}}}); f.Status != 400 {
		t.Errorf("both sign-ins off: %v", f)
	}
}

// TestGrantedEntraRole: being a member of a mapped role, which routes a sign-in to
// the token check, must not lock a password role out.
func TestGrantedEntraRole(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	app := b.principal(admin, "app")
	b.exec(admin, "CREATE ROLE plain LOGIN PASSWORD 'Pl4in-secret'", "GRANT app TO plain", "GRANT app TO "+login)
	b.session("plain", "Pl4in-secret", "app")
	b.session(login, password, "app")
	b.refused("plain", b.token(app), "app", "28000")
	b.refused("plain", "wrong", "app", "28000")
	b.run("PATCH", "", provider.Document{"properties": map[string]any{"authConfig": map[string]any{"passwordAuth": "Disabled"}}})
	b.refused("plain", "Pl4in-secret", "app", "28000")
}

// TestNoSuperuser: nobody signed in from outside reaches the platform's own role.
func TestNoSuperuser(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	owner := b.session(login, password, "postgres")
	for name, conn := range map[string]*pgx.Conn{"administrator login": owner, "Entra administrator": admin} {
		for _, s := range []string{
			"CREATE ROLE evil SUPERUSER", "GRANT azuresu TO CURRENT_USER", "SET ROLE azuresu", "ALTER ROLE azuresu PASSWORD 'x'",
			"COPY (SELECT 1) TO PROGRAM 'true'", "ALTER SYSTEM SET fsync = on", "SELECT pg_read_file('/etc/passwd')",
			"CREATE OR REPLACE FUNCTION pg_catalog.pgaadauth_list_principals(boolean) RETURNS int LANGUAGE sql AS 'SELECT 1'",
		} {
			t.Run(name+"/"+s, func(t *testing.T) {
				_, err := conn.Exec(b.ctx, s)
				b.state(err, "42501")
			})
		}
		for _, role := range []string{entraRole, adminRole} {
			_, err := conn.Exec(b.ctx, "DROP ROLE "+role)
			b.state(err, "2BP01")
		}
	}
	b.refused(superuser, password, "postgres", "28000")
}

// TestPlantedFunctions: a function put where names are looked up must not run as
// the platform, neither in its SECURITY DEFINER functions nor in its own sessions.
func TestPlantedFunctions(t *testing.T) {
	t.Parallel()
	b := withServer(t)
	_, admin := b.admin("root-admin")
	goes := b.identity("goes")
	b.run("PUT", "/administrators/"+goes.ObjectID, adminBody("goes"))
	plant := []string{
		"CREATE TABLE public.seen (who text)", "GRANT INSERT ON public.seen TO PUBLIC", "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC",
	}
	for signature, call := range map[string]string{
		"lower(text)": "lower($1)", "format(text, text)": "format($1, $2)", "format(text, VARIADIC text[])": "format($1, VARIADIC $2)",
	} {
		plant = append(plant, "CREATE FUNCTION public."+signature+" RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN pg_catalog."+call+"; END $$")
	}
	inPostgres, inApp := b.session(login, password, "postgres"), b.session(login, password, "app")
	b.exec(inPostgres, plant...)
	b.exec(inApp, plant...)
	b.exec(inApp, "ALTER DATABASE app SET search_path = public, pg_catalog")

	p := b.identity("late")
	b.exec(admin, "SET search_path = public, pg_catalog", fmt.Sprintf("SELECT pg_catalog.pgaadauth_create_principal_with_oid('late', '%s', 'Service', false, false)", p.ObjectID))
	b.run("DELETE", "/administrators/"+goes.ObjectID, nil) // the platform visits every database
	for name, conn := range map[string]*pgx.Conn{"postgres": inPostgres, "app": inApp} {
		var seen int
		if err := conn.QueryRow(b.ctx, "SELECT count(*) FROM public.seen WHERE who = 'azuresu'").Scan(&seen); err != nil || seen != 0 {
			t.Errorf("in %s: planted functions ran %d times as the platform, %v", name, seen, err)
		}
	}
}
