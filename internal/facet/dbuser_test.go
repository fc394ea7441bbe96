package facet_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine/drivertest"
	"github.com/patchbay/patchbay/internal/facet"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// gate lets connections through to the shared server while it is open, whatever
// the name that was asked for: a firewall.
type gate struct{ closed atomic.Bool }

func (g *gate) options() facet.DBUserOptions {
	return facet.DBUserOptions{
		Token:  func(context.Context) (string, error) { return engineKey, nil },
		Roots:  shared.roots,
		Port:   shared.port,
		Lookup: func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if g.closed.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("the gate is closed")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		Patience: facet.Patience{Limit: 200 * time.Millisecond, Pause: time.Millisecond},
	}
}

var serial atomic.Int32

// roleName is one that every quoting mistake breaks.
func roleName() string { return fmt.Sprintf("aad_it's \"%d\" \\x;", serial.Add(1)) }

func dbuserFacet(role, database, principal string) connection.Facet {
	return facetOf(connection.KindDBUser, server, role, map[string]string{
		connection.AttrDatabase: database, connection.AttrHost: pgHost, connection.AttrPrincipalID: principal,
		connection.AttrLogin: engineLogin, connection.AttrOwner: owner, connection.AttrMark: uid})
}

func dbuserWorld(t *testing.T) drivertest.World {
	role, database, g := roleName(), shared.database(t), &gate{}
	shared.must(t, database, `CREATE TABLE public.theirs (n int); ALTER TABLE public.theirs OWNER TO azure_pg_admin; INSERT INTO public.theirs VALUES (1)`)
	return drivertest.World{
		Driver:     facet.NewDBUser(g.options()),
		Facet:      dbuserFacet(role, database, principal),
		Look:       func() any { return compact(shared.look(t, database, role)) },
		Refuse:     func() { g.closed.Store(true) },
		Unknowable: true,
		Parameters: []string{connection.AttrDatabase, connection.AttrHost, connection.AttrLogin, connection.AttrOwner},
	}
}

// compact evens out that PostgreSQL writes default rights down once any were granted.
func compact(lines []string) []string {
	for n, line := range lines {
		for _, standing := range []string{"{=Tc/azure_pg_admin,azure_pg_admin=CTc/azure_pg_admin}", "{azure_pg_admin=arwdDxt/azure_pg_admin}"} {
			line = strings.ReplaceAll(line, standing, "")
		}
		lines[n] = line
	}
	return lines
}

func TestDBUser(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Case{Make: dbuserWorld})
}

// asUser acts in a database as a role, the way its application would.
func asUser(t *testing.T, database, role string, statements ...string) error {
	t.Helper()
	return shared.exec(t.Context(), database, append([]string{"SET SESSION AUTHORIZATION " + pgx.Identifier{role}.Sanitize()}, statements...)...)
}

func TestDBUserMayWork(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	shared.must(t, database, `CREATE TABLE public.before (n serial); ALTER TABLE public.before OWNER TO azure_pg_admin`,
		`CREATE TABLE public.private (n int)`) // the superuser's: the engine cannot grant on it
	f := dbuserFacet(role, database, principal)
	state := drivertest.Apply(t, facet.NewDBUser((&gate{}).options()), plan.Create, f)[0]
	if !drivertest.Matches(f, state) || state.Mark != uid {
		t.Errorf("state %+v", state)
	}
	if err := asUser(t, database, role, "INSERT INTO before DEFAULT VALUES", "CREATE TABLE mine (n int)", "CREATE TEMPORARY TABLE scratch (n int)", "CREATE SCHEMA more"); err != nil {
		t.Error(err)
	}
	if err := asUser(t, database, role, "SELECT * FROM private"); err == nil {
		t.Error("may read what nobody let it read")
	}
}

// The identity came back under another principal: same role, same tables.
func TestDBUserRebinds(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	drivertest.Apply(t, d, plan.Create, f)
	if err := asUser(t, database, role, "CREATE TABLE counter (n int)", "INSERT INTO counter VALUES (41)"); err != nil {
		t.Fatal(err)
	}
	again := dbuserFacet(role, database, stranger)
	basis, err := d.Read(t.Context(), []connection.Facet{again})
	if err != nil {
		t.Fatal(err)
	}
	states, err := d.Write(t.Context(), basis, []plan.Change{{Facet: again, Action: plan.Update, Reason: plan.Replaced}})
	if err != nil || !drivertest.Matches(again, states[0]) {
		t.Fatalf("states %+v, %v", states, err)
	}
	if err := asUser(t, database, role, "UPDATE counter SET n = n + 1"); err != nil {
		t.Error(err)
	}
	if n := shared.text(t, database, "SELECT n::text FROM counter"); n != "42" {
		t.Errorf("counter is %q", n)
	}
}

// A name that belongs to somebody else is not ours, whatever the plan calls it.
func TestDBUserOfAnotherPrincipal(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"bound":    "SELECT pgaadauth_create_principal_with_oid(%s, '" + stranger + "', 'service', false, false)",
		"ordinary": "DO $do$ BEGIN EXECUTE format('CREATE ROLE %%I LOGIN', %s); END $do$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role, database := roleName(), shared.database(t)
			shared.must(t, "postgres", fmt.Sprintf(sql, facet.Literal(role)))
			d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
			if state := drivertest.Observe(t, d, f)[0]; !state.Exists || drivertest.Matches(f, state) {
				t.Errorf("state %+v", state)
			}
			for _, change := range []plan.Change{{Facet: f, Action: plan.Create, Reason: plan.New}, {Facet: f, Action: plan.Update, Reason: plan.New}} {
				basis, err := d.Read(t.Context(), []connection.Facet{f})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.Write(t.Context(), basis, []plan.Change{change}); !problem.Is(err, problem.DBUserMissing) || !strings.Contains(err.Error(), "another principal") {
					t.Errorf("%s: %v", change.Action, err)
				}
			}
			if got := shared.text(t, "postgres", "SELECT objectid FROM pg_catalog_principals WHERE rolname = $1", role); got == principal {
				t.Error("the role was taken over")
			}
		})
	}
}

// A user without its grants is missing, and made whole without a new role.
func TestDBUserWithoutGrants(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	drivertest.Apply(t, d, plan.Create, f)
	shared.must(t, database, "REVOKE CREATE ON SCHEMA public FROM "+facet.Ident(role))
	if state := drivertest.Observe(t, d, f)[0]; state.Exists || state.Why == "" {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Create, f)
	if state := drivertest.Observe(t, d, f)[0]; !drivertest.Matches(f, state) {
		t.Errorf("state %+v", state)
	}
}

// Removing the user keeps every row; what it owned passes to the owner.
func TestDBUserLeavesItsData(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	drivertest.Apply(t, d, plan.Create, f)
	if err := asUser(t, database, role, "CREATE TABLE kept (n serial, s text)", "INSERT INTO kept (s) VALUES ('row')", "CREATE VIEW seen AS SELECT * FROM kept", "CREATE SCHEMA own", "CREATE TABLE own.deep (n int)", "INSERT INTO own.deep VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	members := shared.look(t, database, engineLogin)
	drivertest.Apply(t, d, plan.Remove, f)
	if got := shared.text(t, database, "SELECT s || (SELECT n FROM own.deep) FROM seen"); got != "row7" {
		t.Errorf("rows %q", got)
	}
	if got := shared.text(t, database, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'kept'"); got != owner {
		t.Errorf("kept belongs to %q", got)
	}
	if got := shared.text(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE rolname = $1", role); got != "" {
		t.Errorf("role %q is still there", got)
	}
	if after := shared.look(t, database, engineLogin); fmt.Sprint(memberLines(after)) != fmt.Sprint(memberLines(members)) {
		t.Errorf("the engine's memberships were %v and are %v", members, after)
	}
}

func memberLines(lines []string) (out []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, "member") {
			out = append(out, l)
		}
	}
	return out
}

// What the user has in other databases keeps the role; this database is let go.
func TestDBUserElsewhere(t *testing.T) {
	t.Parallel()
	role, here, there := roleName(), shared.database(t), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, here, principal)
	drivertest.Apply(t, d, plan.Create, f)
	shared.must(t, there, "CREATE TABLE elsewhere (n int); INSERT INTO elsewhere VALUES (3); ALTER TABLE elsewhere OWNER TO "+facet.Ident(role))
	_, err := drivertest.TryApply(t, d, plan.Remove, f)
	if !problem.Is(err, problem.Remainder) || !strings.Contains(err.Error(), there) || !strings.Contains(problem.As(err).Fix, facet.Ident(role)) {
		t.Fatalf("got %v", err)
	}
	if got := shared.text(t, there, "SELECT n::text FROM elsewhere"); got != "3" {
		t.Errorf("row %q", got)
	}
	if err := asUser(t, here, role, "CREATE TABLE again (n int)"); err == nil {
		t.Error("may still create here")
	}
	shared.must(t, there, "REASSIGN OWNED BY "+facet.Ident(role)+" TO "+owner)
	drivertest.Apply(t, d, plan.Remove, f)
}

// Without somebody to inherit, nothing is dropped.
func TestDBUserWithoutHeir(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	delete(f.Want, connection.AttrOwner)
	drivertest.Apply(t, d, plan.Create, f)
	if err := asUser(t, database, role, "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := drivertest.TryApply(t, d, plan.Remove, f); err == nil {
		t.Error("removed without an heir")
	}
	if got := shared.text(t, database, "SELECT tablename::text FROM pg_tables WHERE tablename = 'kept'"); got != "kept" {
		t.Error("the table is gone")
	}
}

func TestDBUserOfADroppedDatabase(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	drivertest.Apply(t, d, plan.Create, f)
	shared.must(t, "postgres", "DROP DATABASE "+facet.Ident(database))
	if state := drivertest.Observe(t, d, f)[0]; state.Exists {
		t.Errorf("state %+v", state)
	}
	drivertest.Apply(t, d, plan.Remove, f)
	if got := shared.text(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE rolname = $1", role); got != "" {
		t.Errorf("role %q is still there", got)
	}
}

// Each way of not getting in is an unknown state with a reason, and a problem
// when something must be written.
func TestDBUserLockedOut(t *testing.T) {
	t.Parallel()
	closed := &gate{}
	closed.closed.Store(true)
	for name, change := range map[string]func(*facet.DBUserOptions, connection.Facet){
		"firewall": func(o *facet.DBUserOptions, _ connection.Facet) { *o = closed.options() },
		"token refused": func(o *facet.DBUserOptions, _ connection.Facet) {
			o.Token = func(context.Context) (string, error) { return "no-canary", nil }
		},
		"no token": func(o *facet.DBUserOptions, _ connection.Facet) {
			o.Token = func(context.Context) (string, error) { return "", problem.New(problem.SignInFailed, "", "no") }
		},
		"not administrator": func(_ *facet.DBUserOptions, f connection.Facet) {
			f.Want[connection.AttrLogin] = connection.Plain("nobody")
		},
		"untrusted server": func(o *facet.DBUserOptions, _ connection.Facet) { o.Roots = nil },
		"another host": func(_ *facet.DBUserOptions, f connection.Facet) {
			f.Want[connection.AttrHost] = connection.Plain("other.test")
		},
		"unknown login": func(_ *facet.DBUserOptions, f connection.Facet) { delete(f.Want, connection.AttrLogin) },
		"odd port": func(_ *facet.DBUserOptions, f connection.Facet) {
			f.Want[connection.AttrHost] = connection.Plain("h:x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, f := (&gate{}).options(), dbuserFacet(roleName(), "postgres", principal)
			change(&o, f)
			d := facet.NewDBUser(o)
			state := drivertest.Observe(t, d, f)[0]
			if !state.Unknown || state.Why == "" || strings.Contains(state.Why, "canary") || strings.Contains(state.Why, engineKey) {
				t.Errorf("state %+v", state)
			}
			_, err := drivertest.TryApply(t, d, plan.Create, f)
			if p := problem.As(err); p == nil || p.Code == problem.Internal || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The firewall rule takes a moment to work: the write waits for it.
func TestDBUserWaitsToBeLetIn(t *testing.T) {
	t.Parallel()
	g := &gate{}
	g.closed.Store(true)
	o := g.options()
	o.Patience.Limit = 20 * time.Second
	tries, dial := atomic.Int32{}, o.Dial
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if tries.Add(1) == 3 {
			g.closed.Store(false)
		}
		return dial(ctx, network, address)
	}
	f := dbuserFacet(roleName(), shared.database(t), principal)
	drivertest.Apply(t, facet.NewDBUser(o), plan.Create, f)
}

// An earlier binding comes back.
func TestDBUserRestores(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	d, f := facet.NewDBUser((&gate{}).options()), dbuserFacet(role, database, principal)
	before := drivertest.Apply(t, d, plan.Create, f)[0]
	again := dbuserFacet(role, database, stranger)
	basis, err := d.Read(t.Context(), []connection.Facet{again})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), basis, []plan.Change{{Facet: again, Action: plan.Remove, Restore: &before}}); err != nil {
		t.Fatal(err)
	}
	if state := drivertest.Observe(t, d, f)[0]; !drivertest.Matches(f, state) {
		t.Errorf("state %+v", state)
	}
}

// FuzzQuoting sends what the quoters make through the server's own parser.
func FuzzQuoting(f *testing.F) {
	for _, seed := range []string{"", "plain", `a"b`, `a'b`, `a\'b`, "a;--", "ünïcode", "a\x00b", "$1", "\\", "E'"} {
		f.Add(seed)
	}
	conn, err := pgx.Connect(f.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres sslmode=disable", shared.port, superuser))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, text string) {
		clean := strings.ReplaceAll(text, "\x00", "")
		if clean != strings.ToValidUTF8(clean, "") {
			return // no text to the server in any quoting
		}
		if got := oneRow(t, conn, "SELECT "+facet.Literal(text)); got != clean {
			t.Errorf("literal of %q came back as %q", text, got)
		}
		if clean == "" || len(clean) > 63 {
			return // no identifier
		}
		if got := oneRow(t, conn, "SELECT row_to_json(x)::json->>"+facet.Literal(text)+" FROM (SELECT 'same' AS "+facet.Ident(text)+") AS x"); got != "same" {
			t.Errorf("identifier %q came back as %q", text, got)
		}
	})
}

func oneRow(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	results, err := conn.PgConn().Exec(context.Background(), query).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		t.Fatalf("%s: %v, %d results", query, err, len(results))
	}
	return string(results[0].Rows[0][0])
}

// What a user may do follows the word of the catalog, wider or narrower than before; its
// own tables stay its own.
func TestDBUserGrants(t *testing.T) {
	t.Parallel()
	role, database := roleName(), shared.database(t)
	shared.must(t, database, `CREATE TABLE public.shop (n int); ALTER TABLE public.shop OWNER TO azure_pg_admin`)
	d := facet.NewDBUser((&gate{}).options())
	action := plan.Create
	for _, row := range []struct {
		grant      string
		may, might string // statements the grant lets the user do, and one it does not
	}{
		{"readwrite", "INSERT INTO shop VALUES (1); CREATE TABLE mine (n int)", "CREATE SCHEMA more"},
		{"all", "CREATE SCHEMA more; TRUNCATE shop", "CREATE ROLE other"},
		{"read", "SELECT * FROM shop; INSERT INTO mine VALUES (1)", "INSERT INTO shop VALUES (2)"},
		{"readwrite", "DELETE FROM shop", "TRUNCATE shop"},
	} {
		f := dbuserFacet(role, database, principal)
		f.Want[connection.AttrGrant] = connection.Plain(row.grant)
		if state := drivertest.Apply(t, d, action, f)[0]; !drivertest.Matches(f, state) {
			t.Fatalf("%s: state %+v", row.grant, state)
		}
		action = plan.Update
		if err := asUser(t, database, role, strings.Split(row.may, "; ")...); err != nil {
			t.Errorf("%s: %v", row.grant, err)
		}
		if err := asUser(t, database, role, row.might); err == nil {
			t.Errorf("%s: may %s", row.grant, row.might)
		}
	}
}
