package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// Facts that come with the request, not from the target.
const (
	FactUserName       = "username"
	FactPassword       = "password"
	FactClientID       = "clientId"
	FactClientSecret   = "clientSecret"
	FactCertificate    = "clientCertificate"
	FactTenantID       = "tenantId"
	FactPrincipalID    = "principalId"
	FactSubscriptionID = "subscriptionId"
	FactResourceGroup  = "resourceGroup"
	FactManagement     = "management"            // address of the cloud's resource manager, without a slash at its end
	FactEndpoint       = connection.FactEndpoint // of a target without an ARM id: the address in the request
)

// requestFacts tells which facts come with a request and whether they are secret.
var requestFacts = map[string]bool{
	FactUserName: false, FactPassword: true, FactClientID: false, FactClientSecret: true, FactCertificate: true, FactTenantID: false,
	FactPrincipalID: false, FactSubscriptionID: false, FactResourceGroup: false, FactManagement: false,
}

// Kinds of a setting.
const (
	KindPlain     = "plain"     // the same everywhere
	KindTemplated = "templated" // holds facts, none of them secret
	KindSecret    = "secret"    // holds a credential
)

// AuthNone is the word of a target's file for no sign-in at all: a request has no
// authInfo then.
const AuthNone = "none"

var (
	authTypes = []string{
		connection.AuthSecret, connection.AuthAccessKey, connection.AuthSystemIdentity, connection.AuthUserIdentity,
		connection.AuthServicePrincipalSecret, connection.AuthServicePrincipalCertificate, connection.AuthUserAccount, connection.AuthEasyAuth,
		AuthNone,
	}
	variants = map[string]string{
		"":                      "",
		"springCloudAzure<4.0":  "For Spring Cloud Azure version 3.x and below.",
		"springCloudAzure>=4.0": "For Spring Cloud Azure version 4.0 and above.",
	}
	// audiences are the kinds of resource that a token can be made for.
	audiences = []string{
		"", "appconfig", "cognitive", "eventhubs", "management", "ossrdbms", "redis", "servicebus", "signalr", "sql", "storage", "vault", "webpubsub",
	}
	guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// check collects everything wrong with a file.
func (t *Target) check() error {
	var all []error
	for _, part := range []func() []error{t.checkIdentity, t.checkID, t.checkPlaces, t.checkPreview, t.checkReferences, t.checkRoles, t.checkRules, t.checkPairs, t.checkBindings} {
		all = append(all, part()...)
	}
	return errors.Join(all...)
}

func (t *Target) checkIdentity() (bad []error) {
	needed := map[string]string{"name": t.Name, "display": t.Display, "protocol": t.Protocol}
	if len(t.Types) == 0 {
		needed["namespace"], needed["apiVersion"] = t.Namespace, t.APIVersion
	}
	for what, value := range needed {
		if value == "" {
			bad = append(bad, fmt.Errorf("%s is empty", what))
		}
	}
	if (len(t.ID) == 0) != (len(t.Types) > 0) || len(t.Auth) == 0 || len(t.Clients) == 0 {
		bad = append(bad, errors.New("id, auth or clients is empty"))
	}
	if t.Status != "" && t.Status != StatusPreview {
		bad = append(bad, fmt.Errorf("status %q is unknown", t.Status))
	}
	if !slices.Contains(audiences, t.Audience) {
		bad = append(bad, fmt.Errorf("audience %q is unknown", t.Audience))
	}
	for auth := range t.Auth {
		if !slices.Contains(authTypes, auth) {
			bad = append(bad, fmt.Errorf("auth type %q is unknown", auth))
		}
	}
	return bad
}

func (t *Target) checkID() (bad []error) {
	for _, p := range t.ID {
		if p.Type == "" || (p.Fixed == "") == (p.Fact == "") || (p.Fact == "") != (p.Option == "") {
			bad = append(bad, fmt.Errorf("part %q of the id needs either a fact with an option or a fixed name", p.Type))
		}
		if _, err := regexp.Compile(p.Pattern); err != nil {
			bad = append(bad, fmt.Errorf("part %q of the id: %w", p.Type, err))
		}
	}
	return bad
}

func (t *Target) checkPlaces() (bad []error) {
	for name, r := range t.Resources {
		if r.Depth < 1 || r.Depth > len(t.ID) {
			bad = append(bad, fmt.Errorf("resource %s is not within the id", name))
		}
	}
	for name, p := range t.Facts {
		if _, ok := t.Resources[p.Of]; !ok || p.At == "" {
			bad = append(bad, fmt.Errorf("fact %s is read nowhere", name))
		}
	}
	for name, k := range t.Keys {
		if _, ok := t.Resources[k.Of]; !ok || k.At == "" || k.Action == "" {
			bad = append(bad, fmt.Errorf("key %s is read nowhere", name))
		}
	}
	for name, d := range t.Derived {
		if !t.knows(d.From) {
			bad = append(bad, fmt.Errorf("derived fact %s has no origin", name))
		}
		if _, err := d.pattern(nil); err != nil {
			bad = append(bad, fmt.Errorf("derived fact %s: %w", name, err))
		}
		bad = append(bad, t.checkTemplate("pattern of "+name, d.Match)...)
	}
	return bad
}

// checkPreview holds that a preview's templates name what a preview knows.
func (t *Target) checkPreview() (bad []error) {
	known := func(name string) bool { return t.knows(name) || t.previewName(name) || t.place(name) }
	for name, list := range t.Preview.Facts {
		if !t.knows(name) {
			bad = append(bad, fmt.Errorf("preview makes the unknown fact %q", name))
		}
		for _, text := range list {
			bad = append(bad, checkTemplate("preview of "+name, text, known)...)
		}
	}
	return bad
}

// checkReferences holds that every fact and resource that is named exists.
func (t *Target) checkReferences() (bad []error) {
	facts := map[string]string{"publicAccess": t.PublicAccess.Fact, "keyAccess": t.KeyAccess.Fact}
	resources := map[string]string{"roles": t.Roles.Of}
	if t.Stopped != nil {
		facts["stopped"], resources["stopped"] = t.Stopped.Fact, t.Stopped.Of
	}
	if t.Firewall != nil {
		facts["firewall"], resources["firewall"] = t.Firewall.When.Fact, t.Firewall.Of
		if !slices.Contains([]string{StyleRules, StyleAddresses, StyleRuleSet}, t.Firewall.Style) {
			bad = append(bad, fmt.Errorf("firewall style %q is unknown", t.Firewall.Style))
		}
	}
	if t.DBUser != nil {
		facts["dbuser host"] = t.DBUser.Host
		if t.DBUser.Of != "" {
			resources["dbuser"] = t.DBUser.Of
		}
		facts["dbuser database"], facts["dbuser owner"] = t.DBUser.Database, t.DBUser.Owner
		if t.DBUser.In != "" {
			resources["dbuser in"] = t.DBUser.In
		}
	}
	if t.Access != nil {
		resources["access"], facts["access"] = t.Access.Of, t.Access.When.Fact
		if len(t.Access.Policies) == 0 {
			bad = append(bad, errors.New("access has no policy"))
		}
	}
	for _, f := range t.Features {
		resources["feature "+f.Name] = f.Of
	}
	for where, fact := range facts {
		if fact != "" && !t.knows(fact) {
			bad = append(bad, fmt.Errorf("%s names the unknown fact %q", where, fact))
		}
	}
	if t.Roles.Of == "" && len(t.Roles.Known) == 0 {
		delete(resources, "roles") // nothing is granted by role
	}
	for where, of := range resources {
		if _, ok := t.Resources[of]; !ok {
			bad = append(bad, fmt.Errorf("%s names the unknown resource %q", where, of))
		}
	}
	return bad
}

func (t *Target) checkRoles() (bad []error) {
	if k := t.Keeps; k != nil {
		if _, ok := t.RoleID(k.Role); !ok || k.What != KeepsSecrets && k.What != KeepsSettings || t.Access != nil && k.Policy == "" {
			bad = append(bad, errors.New("keeps: it names no kind, no known role, or no policy where there are policies"))
		}
	}
	for _, r := range t.Roles.Known {
		if r.Name == "" || !guid.MatchString(r.ID) {
			bad = append(bad, fmt.Errorf("role %q has no GUID", r.Name))
		}
	}
	for _, name := range t.Roles.Default {
		if _, ok := t.RoleID(name); !ok {
			bad = append(bad, fmt.Errorf("default role %q is not among the known", name))
		}
	}
	for auth, how := range t.Auth {
		bad = append(bad, t.checkPermissions(auth, how)...)
		for _, key := range append([]string{how.Key}, how.With...) {
			if _, ok := t.Keys[key]; key != "" && !ok {
				bad = append(bad, fmt.Errorf("auth type %s names the unknown key %q", auth, key))
			}
		}
	}
	return bad
}

// checkPermissions holds that each key of a choice is a known fact with a place to read it.
func (t *Target) checkPermissions(auth string, how Auth) (bad []error) {
	if _, ok := t.Auth[how.As]; how.As != "" && !ok {
		bad = append(bad, fmt.Errorf("auth type %s stands for the unknown %q", auth, how.As))
	}
	for _, p := range how.Permissions {
		for fact, k := range p.Keys {
			if _, ok := t.Resources[k.Of]; !ok || !t.knows(fact) || k.At == "" || k.Action == "" {
				bad = append(bad, fmt.Errorf("permissions %v of %s: key %s is read nowhere", p.Names, auth, fact))
			}
			if r := how.Rule; strings.Contains(k.Action, RuleHole) && (r == nil || t.Resources[r.Of] == (Resource{}) || r.Child == "" || r.Rights == "" || r.Make == "") {
				bad = append(bad, fmt.Errorf("permissions %v of %s: nothing tells whose key %s is", p.Names, auth, fact))
			}
		}
	}
	return bad
}

func (t *Target) checkRules() (bad []error) {
	for _, rule := range t.Rules {
		bad = append(bad, t.checkPair(rule.Auth, rule.Clients)...)
		if !slices.Contains(t.forms(), rule.Form) {
			bad = append(bad, fmt.Errorf("form %q is unknown", rule.Form))
		}
		for _, row := range rule.Rows {
			bad = append(bad, t.checkRow(row)...)
		}
	}
	for _, gap := range t.Without {
		bad = append(bad, t.checkPair(gap.Auth, gap.Clients)...)
		if gap.Why == "" {
			bad = append(bad, errors.New("a gap has no reason"))
		}
	}
	return bad
}

func (t *Target) checkPair(auths, clients []string) (bad []error) {
	for _, auth := range auths {
		if _, ok := t.Auth[auth]; !ok {
			bad = append(bad, fmt.Errorf("auth type %q is not one of the target's", auth))
		}
	}
	for _, client := range clients {
		if !slices.Contains(t.Clients, client) {
			bad = append(bad, fmt.Errorf("client type %q is not one of the target's", client))
		}
	}
	return bad
}

func (t *Target) checkRow(row Row) (bad []error) {
	if row.Name == "" || len(row.Value) == 0 {
		bad = append(bad, errors.New("a row has no name or no value"))
	}
	if _, ok := grammar.Lookup(row.Grammar); !ok {
		bad = append(bad, fmt.Errorf("%s: notation %q is unknown", row.Name, row.Grammar))
	}
	if _, ok := variants[row.Variant]; !ok {
		bad = append(bad, fmt.Errorf("%s: variant %q is unknown", row.Name, row.Variant))
	}
	if row.Kind != "" && (row.Kind != KindPlain || t.kind(Row{Value: row.Value}) == KindSecret) {
		bad = append(bad, fmt.Errorf("%s: kind %q cannot be set", row.Name, row.Kind))
	}
	if d := row.Differs; d != nil && (d.Why == "" || d.Name == "" && d.Documented == "") {
		bad = append(bad, fmt.Errorf("%s: a difference needs a reason, and a name or a value", row.Name))
	}
	for _, text := range row.Value {
		bad = append(bad, t.checkTemplate(row.Name, text)...)
	}
	return bad
}

func (t *Target) checkTemplate(where, text string) []error {
	return checkTemplate(where, text, t.knows)
}

func checkTemplate(where, text string, known func(string) bool) (bad []error) {
	if _, err := pieces(text); err != nil {
		return []error{fmt.Errorf("%s: %w", where, err)}
	}
	for _, name := range placeholders(text) {
		if !known(name) {
			bad = append(bad, fmt.Errorf("%s: placeholder {%s} is unknown", where, name))
		}
	}
	return bad
}

// forms are the words a rule's form may be.
func (t *Target) forms() []string {
	return append(append([]string{""}, t.Types...), sortedKeys(t.Forms)...)
}

// checkPairs holds that every auth type has rows for every client type, or a reason why not.
func (t *Target) checkPairs() (bad []error) {
	for auth := range t.Auth {
		for _, client := range t.Clients {
			if (len(t.rows(auth, client, "")) == 0) == (t.gap(auth, client) == "") {
				bad = append(bad, fmt.Errorf("%s with %s needs either settings or a reason", auth, client))
			}
			for _, form := range t.forms() {
				bad = append(bad, checkTwice(auth, client, t.rows(auth, client, form))...)
			}
		}
	}
	return bad
}

func checkTwice(auth, client string, rows []Row) (bad []error) {
	names := map[string]bool{}
	for _, row := range rows {
		if names[strings.ToLower(row.Name)] {
			bad = append(bad, fmt.Errorf("%s with %s writes %s twice", auth, client, row.Name))
		}
		names[strings.ToLower(row.Name)] = true
	}
	return bad
}

// knows tells whether a fact has an origin.
func (t *Target) knows(fact string) bool {
	_, ok := t.secretFact(fact)
	return ok
}

// secretFact tells whether a fact exists, and whether it is secret.
func (t *Target) secretFact(fact string) (secret, ok bool) {
	if secret, ok = requestFacts[fact]; ok {
		return secret, true
	}
	if key, ok := t.Keys[fact]; ok {
		return !key.Open, true
	}
	if d, ok := t.Derived[fact]; ok {
		secret, _ = t.secretFact(d.From)
		return secret, true
	}
	for _, open := range []bool{has(t.Facts, fact), has(t.Given, fact)} {
		if open {
			return false, true
		}
	}
	named := func(p Part) bool { return p.Fact == fact }
	return false, fact != "" && slices.ContainsFunc(t.ID, named)
}

func has[V any](m map[string]V, name string) bool {
	_, ok := m[name]
	return ok
}
