package target

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// ReadyAuth lists the auth types of an app that Derive can carry out; the catalog's
// files may hold more.
func ReadyAuth() []string {
	return []string{connection.AuthSecret, connection.AuthAccessKey, connection.AuthSystemIdentity, connection.AuthUserIdentity,
		connection.AuthServicePrincipalSecret, connection.AuthServicePrincipalCertificate, catalog.AuthNone}
}

// LocalAuth lists those of a connection without a source: a person signs in, and no
// identity is there to be switched on.
func LocalAuth() []string {
	return []string{connection.AuthSecret, connection.AuthAccessKey, connection.AuthUserAccount,
		connection.AuthServicePrincipalSecret, connection.AuthServicePrincipalCertificate}
}

func readyFor(c *connection.Connection) []string {
	switch {
	case sourceless(c):
		return LocalAuth()
	case c.OnFile():
		return append(LocalAuth(), catalog.AuthNone)
	case connection.OnKubernetes(c.Source):
		return ClusterAuth()
	}
	return ReadyAuth()
}

var (
	connectionName = regexp.MustCompile(`^[A-Za-z0-9._]+$`)
	// settingName is what the settings of a source can be called; documented names all are.
	settingName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)
)

// Check refuses a connection that can never work. It is pure.
func (r *Reader) Check(c *connection.Connection, given connection.Secrets) error {
	if !connectionName.MatchString(c.Name) {
		return problem.New(problem.ConnectionName, c.ID, "%q is not a connection name", c.Name).
			WithFix("use letters, digits, periods and underscores only")
	}
	m, err := r.match(c)
	if err != nil {
		return err
	}
	if err := checkOptions(c); err != nil {
		return err
	}
	if err := checkCluster(c); err != nil {
		return err
	}
	if err := r.checkKeepers(c); err != nil {
		return err
	}
	return checkAuth(c, m, given)
}

// option is one member of a request that is refused.
type option struct {
	refused bool
	what    string
}

// checkOptions refuses what is asked for and not done, rather than leave it out silently.
func checkOptions(c *connection.Connection) error {
	p := c.Properties
	options := []option{
		{p.VNet != nil && p.VNet.Type != "", "vNetSolution (service and private endpoints)"},
		{len(p.Target.ResourceProperties) > 0, "targetService.resourceProperties"},
	}
	if n := p.PublicNetwork; n != nil {
		options = append(options,
			option{!slices.Contains([]string{"", "enable", optOut}, n.Action), "publicNetworkSolution.action " + n.Action})
	}
	if f := p.Configuration; f != nil {
		options = append(options,
			option{!slices.Contains([]string{"", "enable", optOut}, f.Action), "configurationInfo.action " + f.Action},
			option{len(f.Dapr) > 0 && p.ClientType != catalog.ClientDapr, "daprProperties without client type dapr"})
	}
	if a := p.Auth; a != nil {
		options = append(options,
			option{!slices.Contains([]string{"", "rawValue", secretByURI, secretByName}, a.SecretType), "secretInfo of type " + a.SecretType},
			option{a.Mode != "" && a.Mode != "optInAllAuth" && a.Mode != authOptOut, "authMode " + a.Mode})
	}
	for _, o := range options {
		if o.refused {
			return problem.New(problem.OptionUnsupported, c.ID, "%s is not supported for this pair", o.what)
		}
	}
	_, err := askedSpans(c)
	return err
}

func checkAuth(c *connection.Connection, m *catalog.Match, given connection.Secrets) error {
	a, t := c.Properties.Auth, m.Target
	if a == nil {
		if !waysOf(c).settings {
			return nil
		}
		if authType(c, t) == catalog.AuthNone {
			return checkOpen(c, m)
		}
		return problem.New(problem.AuthUnsupported, c.ID, "no auth type is given; allowed for %s: %s", t.Name, strings.Join(t.Offered(readyFor(c)), ", "))
	}
	if err := checkMachine(c); err != nil {
		return err
	}
	if err := t.CheckAuth(a.Type, readyFor(c)); err != nil {
		return err
	}
	for _, check := range []func() error{
		func() error { return checkPrincipal(c) },
		func() error { return checkRoles(c, t) },
		func() error { return checkPermissions(c, t) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if !waysOf(c).settings {
		return nil
	}
	if c.Properties.ClientType == catalog.ClientDapr {
		return checkDapr(c, t, given)
	}
	rows, err := m.Rows(a.Type, c.Properties.ClientType)
	if err != nil {
		return err
	}
	if err := checkSecret(c, t, given); err != nil {
		return err
	}
	if err := checkConnectionOptions(c, t, rows); err != nil {
		return err
	}
	return checkNames(c, rows)
}

// checkMachine refuses managed identities where no cloud runs the app.
func checkMachine(c *connection.Connection) error {
	if auth := c.Properties.Auth.Type; c.OnFile() && (auth == connection.AuthSystemIdentity || auth == connection.AuthUserIdentity) {
		return problem.New(problem.AuthUnsupported, c.ID, "a managed identity is for apps that run in Azure; this one runs on a machine of your own").
			WithFix("sign in with --secret, --service-principal or --user-account")
	}
	return nil
}

// checkOpen judges a connection to a target that asks for no sign-in.
func checkOpen(c *connection.Connection, m *catalog.Match) error {
	rows, err := m.Rows(catalog.AuthNone, c.Properties.ClientType)
	if err != nil {
		return err
	}
	if err := checkConnectionOptions(c, m.Target, rows); err != nil {
		return err
	}
	return checkNames(c, rows)
}

// checkRoles refuses names of roles and policies that mean nothing for the target;
// which of the two it takes may only be known once it is read.
func checkRoles(c *connection.Connection, t *catalog.Target) error {
	if !waysOf(c).grants {
		return nil
	}
	w := rolesOnly
	if t.Access != nil {
		w = policyAsked
	}
	_, _, err := chosen(t, c.Properties.Auth.Roles, w)
	return err
}

// checkPermissions refuses permissions that no key of the target holds together.
func checkPermissions(c *connection.Connection, t *catalog.Target) error {
	a := c.Properties.Auth
	if len(a.Permissions) == 0 {
		return nil
	}
	how := t.Auth[a.Type]
	var allowed []string
	for _, p := range how.Permissions {
		if p.Covers(a.Permissions) {
			return nil
		}
		for _, name := range p.Names {
			if !slices.Contains(allowed, name) {
				allowed = append(allowed, name)
			}
		}
	}
	if len(allowed) == 0 {
		return problem.New(problem.OptionUnsupported, c.ID, "authInfo.permissions have no meaning for %s with %s", t.Name, a.Type)
	}
	return problem.New(problem.OptionUnsupported, c.ID, "no key of %s holds the permissions %s; allowed: %s", t.Name, strings.Join(a.Permissions, ", "), strings.Join(allowed, ", "))
}

// GUIDs as people and programs write them.
var guid = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// checkPrincipal refuses an identity that is not named, or named by what cannot be an
// id: such a request would fail halfway, after a look at the cloud or a write.
func checkPrincipal(c *connection.Connection) error {
	a, ways := c.Properties.Auth, waysOf(c)
	example := map[string]string{
		connection.AuthUserIdentity:           "--user-identity client-id=CLIENT_ID subs-id=SUBSCRIPTION_ID",
		connection.AuthServicePrincipalSecret: "--service-principal client-id=CLIENT_ID object-id=OBJECT_ID secret=@FILE",

		connection.AuthServicePrincipalCertificate: "--service-principal client-id=CLIENT_ID object-id=OBJECT_ID certificate=@FILE",
		connection.AuthUserAccount:                 "--user-account object-id=OBJECT_ID",
	}[a.Type]
	if example == "" {
		return nil
	}
	sp := isPrincipal(a.Type)
	for _, member := range []struct {
		needed             bool
		name, value, whose string
	}{
		{(ways.settings || ways.grants && !sp) && a.Type != connection.AuthUserAccount, "clientId", a.ClientID, "client id"},
		{ways.grants && sp, "principalId", a.PrincipalID, "object id"},
	} {
		switch {
		case !member.needed:
		case member.value == "":
			return problem.New(problem.BodyInvalid, c.ID, "authInfo.%s is missing: %s needs the %s of who signs in", member.name, a.Type, member.whose).WithFix("%s", example)
		case !guid.MatchString(member.value):
			return problem.New(problem.BodyInvalid, c.ID, "authInfo.%s is %q, which is no GUID", member.name, member.value).WithFix("%s", example)
		}
	}
	if a.SubscriptionID != "" && !guid.MatchString(a.SubscriptionID) {
		return problem.New(problem.BodyInvalid, c.ID, "authInfo.subscriptionId is %q, which is no GUID", a.SubscriptionID).WithFix("%s", example)
	}
	return nil
}

func checkSecret(c *connection.Connection, t *catalog.Target, given connection.Secrets) error {
	a := c.Properties.Auth
	_, have := given[connection.SecretSlot]
	switch how := t.Auth[a.Type]; {
	case how.Given && !how.Whole && a.Name == "":
		return problem.New(problem.SecretNeeded, c.ID, "%s needs the name of a database user", t.Name)
	case lacksSecret(c, t, given) != nil:
		return lacksSecret(c, t, given)
	case how.Whole && have && !strings.Contains(given[connection.SecretSlot].Reveal(), "://"):
		return problem.New(problem.BodyInvalid, c.ID, "the secret of %s is its whole connection string, a URL with user name and password", t.Name).
			WithFix("give it with --secret secret=@FILE")
	case confided(c):
		return checkConfided(c, t)
	case (how.Key != "" || len(how.Permissions) > 0) && (have || a.Name != ""):
		return problem.New(problem.OptionUnsupported, c.ID, "the key of %s is fetched from the target, none can be given", t.Name).
			WithFix("write --secret without name and value")
	}
	return nil
}

// lacksSecret names a secret that only a person can give and that is not at hand.
func lacksSecret(c *connection.Connection, t *catalog.Target, given connection.Secrets) error {
	a := c.Properties.Auth
	slot, needed := secretSlot(c, t)
	_, have := given[slot]
	switch {
	case !needed || have:
	case isPrincipal(a.Type):
		return problem.New(problem.SecretNeeded, c.ID, "%s needs the %s of service principal %s", t.Name, slot, a.ClientID).
			WithFix("give it with --service-principal client-id=%s object-id=%s %s=VALUE", a.ClientID, a.PrincipalID, slot)
	case t.Auth[a.Type].Whole:
		return problem.New(problem.SecretNeeded, c.ID, "%s needs the connection string of the cluster", t.Name).
			WithFix("give it with --secret secret=@FILE")
	default:
		return problem.New(problem.SecretNeeded, c.ID, "%s needs the password of %s", t.Name, a.Name).
			WithFix("give it with --secret name=%s secret=VALUE", a.Name)
	}
	return nil
}

// checkConnectionOptions refuses further options of a connection string where there is
// none, and misses those that say where the target is.
func checkConnectionOptions(c *connection.Connection, t *catalog.Target, rows []catalog.Row) error {
	cfg := c.Properties.Configuration
	if cfg == nil {
		cfg = &connection.Configuration{}
	}
	told, rest := t.Ask(cfg.AdditionalConnection)
	for _, fact := range sortedKeys(t.Asked) {
		if told[fact] == "" {
			return problem.New(problem.BodyInvalid, c.ID, "configurationInfo.additionalConnectionStringProperties.%s is missing: %s is told by nobody else", t.Asked[fact], strings.ToLower(t.Given[fact])).
				WithFix("add --connstr-props %s=VALUE", t.Asked[fact])
		}
	}
	if len(rest) == 0 {
		return nil
	}
	found := false
	for _, row := range rows {
		g, _ := grammar.Lookup(row.Grammar)
		if g.Add == nil {
			continue
		}
		found = true
		for _, key := range sortedKeys(rest) {
			if _, err := g.Add("", key, rest[key]); err != nil {
				return problem.New(problem.OptionUnsupported, c.ID, "%s cannot be an option of %s: %s", key, g.Title, err)
			}
		}
	}
	if found {
		return nil
	}
	return problem.New(problem.OptionUnsupported, c.ID, "client type %s gets no connection string that options could be added to", catalog.ClientType(c.Properties.ClientType)).
		WithFix("leave --connstr-props out, or choose another client type")
}

// checkNames refuses names the source cannot carry, custom keys that rename
// nothing, and two settings of one name.
func checkNames(c *connection.Connection, rows []catalog.Row) error {
	cfg := c.Properties.Configuration
	if cfg == nil {
		cfg = &connection.Configuration{}
	}
	var defaults, names []string
	for _, row := range rows {
		defaults = append(defaults, row.Name)
		names = append(names, c.SettingName(row.Name))
	}
	for _, old := range sortedKeys(cfg.CustomizedKeys) {
		if !renames(old, defaults, c.Infix) {
			return problem.New(problem.OptionUnsupported, c.ID, "there is no setting %q to rename; %s", old, catalog.OneOf(old, defaults))
		}
	}
	names = append(names, sortedKeys(cfg.Additional)...)
	seen := map[string]bool{}
	for _, name := range names {
		if !settingName.MatchString(name) {
			return problem.New(problem.SettingName, c.Source, "%q cannot be the name of a setting", name)
		}
		if seen[strings.ToLower(name)] {
			return problem.New(problem.SettingClash, c.Source, "two settings of this connection would be called %s", name).
				WithFix("choose another name with --customized-keys")
		}
		seen[strings.ToLower(name)] = true
	}
	return nil
}

// renames tells whether a custom key names one of the default settings, with or without the infix.
func renames(old string, defaults []string, infix string) bool {
	return slices.ContainsFunc(defaults, func(name string) bool {
		return strings.EqualFold(old, name) || strings.EqualFold(old, connection.SettingName(name, infix, nil))
	})
}

// Names returns the names of the settings a connection would write if its infix
// were the given one; for choosing an infix before create.
func (r *Reader) Names(c *connection.Connection, infix string) ([]string, error) {
	m, err := r.match(c)
	if err != nil || authType(c, m.Target) == "" || !waysOf(c).settings {
		return nil, err
	}
	rows, err := m.Rows(authType(c, m.Target), c.Properties.ClientType)
	if err != nil {
		return nil, fmt.Errorf("name settings: %w", err)
	}
	copied := *c
	copied.Infix = infix
	var names []string
	for _, row := range rows {
		names = append(names, copied.SettingName(row.Name))
	}
	return names, nil
}
