package target

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// derivation gathers the facets of one connection.
type derivation struct {
	c      *connection.Connection
	m      *catalog.Match
	facts  connection.Facts
	facets []connection.Facet
	kept   []*kept // who keeps settings in place of the source
}

// Derive is pure: the facets of a connection from its facts and secrets. The
// settings come last and after everything else, because writing them restarts the app.
func (r *Reader) Derive(c *connection.Connection, facts connection.Facts, secrets connection.Secrets) ([]connection.Facet, error) {
	m, err := r.settled(c, facts)
	if err != nil {
		return nil, err
	}
	if err := checkKeyAccess(c, m, facts); err != nil {
		return nil, err
	}
	if err := checkPublicAccess(c, m.Target, facts); err != nil {
		return nil, err
	}
	if err := lacksSecret(c, m.Target, secrets); err != nil {
		return nil, err
	}
	d := &derivation{c: c, m: m, facts: withRequest(c, facts, secrets)}
	if cfg := c.Properties.Configuration; cfg != nil {
		told, _ := m.Target.Ask(cfg.AdditionalConnection)
		for name, text := range told {
			d.facts[name] = connection.Plain(text)
		}
	}
	if waysOf(c).grants {
		if err := d.grants(); err != nil {
			return nil, err
		}
	}
	if provesLogin(c, m.Target) {
		d.engineDoor()
	}
	if err := d.firewall(); err != nil {
		return nil, err
	}
	if err := d.openKeepers(r.Catalog); err != nil {
		return nil, err
	}
	if err := d.settings(); err != nil {
		return nil, err
	}
	if r.Place != nil {
		return r.Place(c, d.facets)
	}
	return d.facets, nil
}

// withRequest adds what the request says to the facts of the world.
func withRequest(c *connection.Connection, facts connection.Facts, secrets connection.Secrets) connection.Facts {
	all := connection.Facts{}
	for name, value := range facts {
		all[name] = value
	}
	a := c.Properties.Auth
	if a == nil {
		return all
	}
	user := a.Name
	if !byKey(a.Type) {
		user = UserName(c)
	}
	for name, text := range map[string]string{catalog.FactUserName: user, catalog.FactClientID: a.ClientID, catalog.FactPrincipalID: a.PrincipalID} {
		if text != "" {
			all[name] = connection.Plain(text)
		}
	}
	for slot, fact := range map[string]string{
		connection.SecretSlot:      map[bool]string{true: catalog.FactPassword, false: catalog.FactClientSecret}[byKey(a.Type)],
		connection.CertificateSlot: catalog.FactCertificate,
	} {
		if secret, ok := secrets[slot]; ok && !confided(c) {
			all[fact] = connection.Hidden(secret.Reveal())
		}
	}
	return all
}

func (d *derivation) add(f connection.Facet) connection.Key {
	d.facets = append(d.facets, f)
	return f.Key
}

// grants adds the identity and everything that lets it in. What is granted is named
// after who it is granted to, so that connections that sign in as the same share it.
func (d *derivation) grants() error {
	who, err := d.grantee()
	if err != nil {
		return err
	}
	principal := who.principal
	roles, policy, err := chosen(d.m.Target, d.c.Properties.Auth.Roles, accessHolds(d.m.Target, d.facts))
	if err != nil {
		return err
	}
	for _, role := range roles {
		d.add(connection.Facet{
			Key: connection.Key{
				Kind: connection.KindRole, Resource: d.m.Resource(d.m.Target.Roles.Of),
				Name: role + " " + who.name,
			},
			Want: d.granted(connection.Attrs{connection.AttrRoleID: connection.Plain(role), connection.AttrPrincipalID: principal}),
		})
	}
	features := d.features()
	if a := d.m.Target.Access; a != nil && policy != "" {
		resource := d.m.Resource(a.Of)
		if a.Child != "" {
			resource += "/" + a.Child
		}
		d.add(connection.Facet{
			Key:   connection.Key{Kind: connection.KindAccess, Resource: resource, Name: "patchbay-" + who.hash},
			Want:  connection.Attrs{connection.AttrPolicy: connection.Plain(policy), connection.AttrPrincipalID: principal},
			After: features,
		})
	}
	if d.m.Target.DBUser != nil {
		return d.databaseUser(principal, features)
	}
	return nil
}

// granted adds what kind of principal it is where that is a person: everything else
// that signs in counts as a service principal.
func (d *derivation) granted(want connection.Attrs) connection.Attrs {
	if a := d.c.Properties.Auth; a.Type == connection.AuthUserAccount && a.PrincipalType == "" {
		want[connection.AttrPrincipalType] = connection.Plain("User")
	}
	return want
}

func (d *derivation) features() []connection.Key {
	var keys []connection.Key
	for _, f := range d.m.Target.Features {
		keys = append(keys, d.add(connection.Facet{
			Key:  connection.Key{Kind: connection.KindFeature, Resource: d.m.Resource(f.Of), Name: f.Name},
			Want: connection.Attrs{connection.AttrValue: connection.Plain(f.Value)},
		}))
	}
	return keys
}

// databaseUser adds the user and the scaffolding the engine needs to make it:
// itself as administrator, and its address in the firewall.
func (d *derivation) databaseUser(principal connection.Value, features []connection.Key) error {
	u := d.m.Target.DBUser
	server := d.m.Resource(u.Of)
	for _, name := range []string{factEnginePrincipal, factEngineLogin, u.Host, u.Database} {
		if d.facts.Text(name) == "" {
			return fmt.Errorf("derive database user: %s is not known", name)
		}
	}
	if err := d.readsDirectory(); err != nil {
		return err
	}
	after := append([]connection.Key{}, features...)
	if u.Of == "" { // without ARM there is no administrator to become: who owns the place has let the engine in
		server = d.m.ID
	} else {
		after = append(after, d.add(connection.Facet{
			Key: connection.Key{Kind: connection.KindAccess, Resource: server, Name: d.facts.Text(factEnginePrincipal)},
			Want: connection.Attrs{
				connection.AttrPrincipalID: d.facts[factEnginePrincipal],
				connection.AttrLogin:       d.engineLogin(),
			},
			After: features, Scaffold: true,
		}))
		after = append(after, d.engineDoor()...)
	}
	want := connection.Attrs{
		connection.AttrDatabase: d.facts[u.Database], connection.AttrHost: d.facts[u.Host],
		connection.AttrPrincipalID: principal, connection.AttrLogin: d.engineLogin(),
	}
	if err := d.boundBy(want, principal); err != nil {
		return err
	}
	if g := grant(d.m.Target, d.c.Properties.Auth.Roles); g != "" {
		want[connection.AttrGrant] = connection.Plain(g)
	}
	if owner := d.facts.Text(u.Owner); owner != "" {
		want[connection.AttrOwner] = connection.Plain(owner)
	}
	home := server
	if u.In != "" {
		home = d.m.Resource(u.In)
	}
	d.add(connection.Facet{
		Key:  connection.Key{Kind: connection.KindDBUser, Resource: home, Name: UserName(d.c)},
		Want: d.granted(want), After: after,
	})
	return nil
}

// settings adds what the app reads, after everything that stays.
func (d *derivation) settings() error {
	if !waysOf(d.c).settings {
		return nil
	}
	rendered, err := d.render()
	if err != nil {
		return err
	}
	if err := d.checkChosenNames(); err != nil {
		return err
	}
	if rendered, err = d.intoVault(rendered); err != nil {
		return err
	}
	home, err := d.inScope(d.settingsHome(len(rendered)))
	if err != nil {
		return err
	}
	var after []connection.Key
	for _, f := range d.facets {
		if !f.Scaffold {
			after = append(after, f.Key)
		}
	}
	for _, s := range rendered {
		if d.intoStore(s, after) {
			continue
		}
		f := connection.Facet{
			Key:  connection.Key{Kind: connection.KindSetting, Resource: home, Name: s.Name},
			Want: connection.Attrs{connection.AttrValue: s.Value}, After: after,
		}
		if s.String && d.c.Properties.ClientType == catalog.ClientConnectionString {
			if f.Resource = d.facts.Text(factConnectionStrings); f.Resource == "" {
				return problem.New(problem.OptionUnsupported, d.c.Source, "the source keeps no connection strings apart from its settings").
					WithFix("choose client type dotnet: leave --config-connstr out")
			}
			f.Want[connection.AttrType] = connection.Plain(d.m.Target.ConnectionStringType())
		}
		d.trigger(&f)
		d.stick(&f)
		d.add(f)
	}
	return nil
}

// checkChosenNames refuses names that a person chose and the source cannot carry. The
// documented names are written as they are.
func (d *derivation) checkChosenNames() error {
	cfg, bad := d.c.Properties.Configuration, d.facts.Text(factNotInNames)
	if cfg == nil || bad == "" {
		return nil
	}
	names := sortedKeys(cfg.Additional)
	for _, old := range sortedKeys(cfg.CustomizedKeys) {
		names = append(names, cfg.CustomizedKeys[old])
	}
	for _, name := range names {
		if at := strings.IndexAny(name, bad); at >= 0 {
			return problem.New(problem.SettingName, d.c.Source, "the source cannot carry a setting called %q: %q does not reach the app", name, name[at:at+1]).
				WithFix("use letters, digits, periods and underscores only: %s", strings.Map(func(r rune) rune {
					if strings.ContainsRune(bad, r) {
						return '_'
					}
					return r
				}, name))
		}
	}
	return nil
}

// render writes the catalog's rows and the request's further settings.
func (d *derivation) render() ([]catalog.Setting, error) {
	cfg := d.c.Properties.Configuration
	if cfg == nil {
		cfg = &connection.Configuration{}
	}
	var out []catalog.Setting
	if a := d.c.Properties.Auth; a != nil && d.c.Properties.ClientType == catalog.ClientDapr {
		component, err := d.m.Target.RenderDapr(a.Type, d.facts, daprRequest(d.c))
		return []catalog.Setting{component}, err
	} else if auth := authType(d.c, d.m.Target); auth != "" {
		var err error
		out, err = d.m.Target.Settings(auth, d.c.Properties.ClientType, d.facts, catalog.Options{
			Infix: d.c.Infix, Custom: cfg.CustomizedKeys, Connection: cfg.AdditionalConnection, Form: d.m.Form,
		})
		if err != nil {
			return nil, err
		}
	}
	for _, name := range sortedKeys(cfg.Additional) {
		out = append(out, catalog.Setting{Name: name, Documented: name, Value: connection.Plain(cfg.Additional[name]), Kind: catalog.KindPlain})
	}
	return out, nil
}

// Describe returns, by folded setting name, which generation of a library reads a
// setting; most settings need no such remark and are absent.
func (r *Reader) Describe(c *connection.Connection) map[string]string {
	out := map[string]string{}
	m, err := r.match(c)
	if err != nil || authType(c, m.Target) == "" {
		return out
	}
	rows, err := m.Rows(authType(c, m.Target), c.Properties.ClientType)
	if err != nil {
		return out
	}
	for _, row := range rows {
		if text := row.Description(); text != "" {
			out[strings.ToLower(c.SettingName(row.Name))] = text
		}
	}
	return out
}

// maxUserName is the longest name a PostgreSQL role keeps, in bytes.
const maxUserName = 63

// UserName is the database user of an identity connection: the one that was
// chosen, or aad_ and the connection's name, cut to what a database keeps.
func UserName(c *connection.Connection) string {
	longest := rulesFor(serverOf(c)).longest
	if a := c.Properties.Auth; a != nil && a.UserName != "" {
		if strings.HasPrefix(a.UserName, "aad_") { // a default name, with a tail when the first was taken
			return cut(a.UserName, longest)
		}
		return a.UserName
	}
	return cut("aad_"+c.Name, longest)
}

// SecondUserName is for when UserName is bound to another principal already: the
// same with a hash of the source.
func SecondUserName(c *connection.Connection) string {
	return cut("aad_"+c.Name+"_"+hash(c.Source), rulesFor(serverOf(c)).longest)
}

// hash is a short, stable name for an id or an address.
func hash(text string) string {
	sum := sha256.Sum256([]byte(connection.FoldID(text)))
	return hex.EncodeToString(sum[:])[:10]
}

// way is how a target's own policies stand to its roles.
type way int

const (
	rolesOnly     way = iota // policies count for nothing
	policyBeside             // a policy always, and the roles asked for
	policyInstead            // a policy and no default role
	policyAsked              // a policy instead of the default roles, when one is asked for
)

// accessHolds tells which way a target goes, from its facts.
func accessHolds(t *catalog.Target, facts connection.Facts) way {
	switch a := t.Access; {
	case a == nil:
		return rolesOnly
	case a.Optional:
		return policyAsked
	case a.When.Fact == "":
		return policyBeside
	case holds(a.When, facts):
		return policyInstead
	}
	return rolesOnly
}

// chosen turns the roles a user asked for into GUIDs and an access policy; the
// target's defaults stand where none was asked for. What may be done inside a database
// is asked for among them, and is not answered here.
func chosen(t *catalog.Target, asked []string, w way) (roles []string, policy string, err error) {
	if w == policyBeside || w == policyInstead {
		policy = t.Access.Policies[0]
	}
	if len(asked) == 0 && w != policyInstead {
		asked = t.Roles.Default
	}
	for _, name := range asked {
		if _, ok := grantNamed(t, name); ok {
			continue
		}
		if p, ok := t.Policy(name); ok {
			if w == rolesOnly {
				return nil, "", problem.New(problem.OptionUnsupported, "", "the access policy %q has no effect: this %s takes roles", name, t.Name).
					WithFix("choose one of %s", strings.Join(t.RoleNames(), ", "))
			}
			policy = p
			continue
		}
		id, ok := t.RoleID(name)
		if !ok {
			return nil, "", unknownRole(t, name)
		}
		roles = append(roles, id)
	}
	return unique(roles), policy, nil
}

// grantNamed finds what a user may do inside a database by its name.
func grantNamed(t *catalog.Target, name string) (string, bool) {
	if t.DBUser != nil {
		for _, g := range t.DBUser.Grants {
			if strings.EqualFold(g, name) {
				return g, true
			}
		}
	}
	return "", false
}

// grant is what the database user may do: what was asked for, or the target's default;
// "" where its driver knows one way only.
func grant(t *catalog.Target, asked []string) string {
	for _, name := range asked {
		if g, ok := grantNamed(t, name); ok {
			return g
		}
	}
	if len(t.DBUser.Grants) > 0 {
		return t.DBUser.Grants[0]
	}
	return ""
}

func unknownRole(t *catalog.Target, name string) error {
	known := t.RoleNames()
	if t.DBUser != nil {
		known = append(known, t.DBUser.Grants...)
	}
	if t.Access != nil {
		known = append(known, t.Access.Policies...)
	}
	detail := "give the role's GUID"
	if len(known) > 0 {
		detail = catalog.OneOf(name, known) + ", or a role's GUID"
	}
	return problem.New(problem.OptionUnsupported, "", "the role %q is not known for %s; %s", name, t.Name, detail)
}

func unique(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
