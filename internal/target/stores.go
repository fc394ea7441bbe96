package target

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// keeper is a target that keeps settings of a connection to another one.
type keeper struct {
	member string // of the request, for people; its facts begin with it
	option string // of the command line
	id     string
	what   string // secrets or settings
}

// keepers are those that a request names. Who writes no settings keeps none.
func keepers(c *connection.Connection) []keeper {
	p := c.Properties
	var out []keeper
	if !waysOf(c).settings {
		return nil
	}
	if p.SecretStore != nil && p.SecretStore.KeyVaultID != "" {
		out = append(out, keeper{"secretStore.keyVaultId", "--vault-id", p.SecretStore.KeyVaultID, catalog.KeepsSecrets})
	}
	if p.Configuration != nil && p.Configuration.AppConfigurationID != "" {
		out = append(out, keeper{"configurationStore.appConfigurationId", "--appconfig-id", p.Configuration.AppConfigurationID, catalog.KeepsSettings})
	}
	return out
}

func (k keeper) fact(name string) string { return k.member + "." + name }

// match finds the catalog's target of a keeper.
func (k keeper) match(all *catalog.Catalog) (*catalog.Match, error) {
	m, err := all.Match(k.id)
	if err != nil || m.Target.Keeps == nil || m.Target.Keeps.What != k.what {
		return nil, problem.New(problem.OptionUnsupported, k.id, "%s is not the id of something that keeps %s", k.member, k.what).
			WithFix("give the resource id with %s", k.option)
	}
	return m, nil
}

// secretNames is what a vault can call a secret.
var secretNames = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// checkKeepers refuses stores for what none of them keeps.
func (r *Reader) checkKeepers(c *connection.Connection) error {
	for _, k := range keepers(c) {
		if _, err := k.match(r.Catalog); err != nil {
			return err
		}
		if c.Local() || c.OnFile() {
			return problem.New(problem.OptionUnsupported, c.ID, "%s is for apps that run in the cloud; where no cloud runs the app, its settings are handed out or kept in files", k.member)
		}
		if a := c.Properties.Auth; k.what == catalog.KeepsSecrets && (a == nil || !bearsSecret(a.Type)) {
			return problem.New(problem.OptionUnsupported, c.ID, "%s keeps secrets, and a connection without a secret has none", k.member).
				WithFix("leave %s out", k.option)
		}
	}
	s := c.Properties.SecretStore
	if s != nil && s.KeyVaultSecretName != "" && !secretNames.MatchString(s.KeyVaultSecretName) {
		return problem.New(problem.BodyInvalid, c.ID, "secretStore.keyVaultSecretName is %q, which no secret can be called", s.KeyVaultSecretName).
			WithFix("use letters, digits and hyphens")
	}
	return nil
}

// keeperRights names what reading the keepers needs.
func (r *Reader) keeperRights(c *connection.Connection) []connection.Right {
	var rights []connection.Right
	for _, k := range keepers(c) {
		if m, err := k.match(r.Catalog); err == nil {
			for _, name := range resourcesToRead(c, m.Target) {
				rights = append(rights, connection.Right{Action: m.Target.ResourceType(name) + "/read", Scope: m.Resource(name)})
			}
		}
	}
	return rights
}

// readKeeper reads the facts of a keeper, as the catalog says, under its member's name.
func (r *reading) readKeeper(ctx context.Context, k keeper) error {
	m, err := k.match(r.reader.Catalog)
	if err != nil {
		return err
	}
	own := &reading{reader: r.reader, c: r.c, m: m, answers: map[string]any{}, facts: connection.Facts{}}
	for _, name := range resourcesToRead(r.c, m.Target) {
		var answer any
		if err := r.reader.Client.Get(ctx, m.Resource(name), m.Target.APIVersion, &answer); err != nil {
			return own.unreadable(name, err)
		}
		own.answer(m.Resource(name), answer)
	}
	for _, name := range sortedKeys(m.Target.Facts) {
		if err := own.place(name, m.Target.Facts[name]); err != nil {
			return err
		}
		r.put(k.fact(name), own.facts.Text(name))
	}
	return nil
}

// lostKeepers joins what the reading of keepers came to with what else is gone.
func (r *reading) lostKeepers(gone error) (error, error) {
	if err := r.failed[fromVault]; err != nil && gone == nil {
		return nil, err
	}
	for _, k := range keepers(r.c) {
		failed := r.failed[k.member]
		switch {
		case failed == nil:
		case !problem.Is(failed, problem.TargetNotFound):
			return nil, failed
		default:
			if r.facts.Text(connection.FactGone) == "" {
				r.facts[connection.FactGone] = connection.Plain(k.id)
			}
			if gone == nil {
				gone = failed
			}
		}
	}
	return gone, nil
}

// kept is a keeper of a connection that is derived.
type kept struct {
	keeper
	m     *catalog.Match
	facts connection.Facts
	doors []connection.Key // what lets the engine in while it writes there
}

// openKeepers adds, for every keeper, what lets the engine write there: a role or a
// policy, and its address where a firewall shuts it out.
func (d *derivation) openKeepers(all *catalog.Catalog) error {
	for _, k := range keepers(d.c) {
		m, err := k.match(all)
		if err != nil {
			return err
		}
		one := &kept{keeper: k, m: m, facts: connection.Facts{}}
		for name, value := range d.facts {
			if own, ok := strings.CutPrefix(name, k.member+"."); ok {
				one.facts[own] = value
			}
		}
		if isOff(m.Target.PublicAccess, one.facts) && waysOf(d.c).network {
			return problem.New(problem.PublicAccessDenied, k.id, "the %s denies all public network access, so nothing can be written there from outside", m.Target.Display).
				WithFix("open public access on it, or run Patchbay inside its network and add --opt-out publicnetwork")
		}
		if err := d.openKeeper(one); err != nil {
			return err
		}
		d.kept = append(d.kept, one)
	}
	return nil
}

func (d *derivation) openKeeper(k *kept) error {
	t, principal := k.m.Target, d.facts.Text(factEnginePrincipal)
	if principal == "" {
		return fmt.Errorf("derive store: %s is not known", factEnginePrincipal)
	}
	want := connection.Attrs{connection.AttrPrincipalID: connection.Plain(principal)}
	key := connection.Key{Kind: connection.KindAccess, Resource: k.m.Resource(t.Roles.Of), Name: "patchbay-engine-" + hash(principal)}
	if accessHolds(t, k.facts) == policyInstead {
		want[connection.AttrPolicy] = connection.Plain(t.Keeps.Policy)
	} else {
		role, _ := t.RoleID(t.Keeps.Role) // the catalog's check holds that it is known
		key.Kind, key.Name = connection.KindRole, role+" engine:"+hash(principal)
		want[connection.AttrRoleID] = connection.Plain(role)
		if kind := d.facts.Text(factEngineType); kind != "" {
			want[connection.AttrPrincipalType] = connection.Plain(kind)
		}
	}
	k.doors = append(k.doors, d.scaffold(key, want))
	address := d.facts.Text(factEngineAddress)
	if w := t.Firewall; w != nil && address != "" && waysOf(d.c).network && holds(w.When, k.facts) {
		door := connection.Key{Kind: connection.KindFirewall, Resource: k.m.Resource(w.Of), Name: "patchbay_engine_" + hash(address)}
		k.doors = append(k.doors, d.scaffold(door, span{address, address}.attrs()))
	}
	return nil
}

func (d *derivation) scaffold(key connection.Key, want connection.Attrs) connection.Key {
	if !d.has(key) {
		d.add(connection.Facet{Key: key, Want: want, Scaffold: true})
	}
	return key
}

// keeper finds who keeps secrets, or settings, of this connection; nil for the source itself.
func (d *derivation) keeper(what string) *kept {
	at := slices.IndexFunc(d.kept, func(k *kept) bool { return k.what == what })
	if at < 0 {
		return nil
	}
	return d.kept[at]
}

// intoVault puts what is secret of the settings into the vault, one secret for each, and
// leaves references in their place. For a service principal the client id is kept there
// too, as the service does.
func (d *derivation) intoVault(rendered []catalog.Setting) ([]catalog.Setting, error) {
	k := d.keeper(catalog.KeepsSecrets)
	if k == nil {
		return rendered, nil
	}
	out, count := slices.Clone(rendered), 0
	for n, s := range out {
		if s.Value.From != nil || !d.confides(s) {
			continue
		}
		if given := d.facts.Text(factConfidedURI); s.Value.Text == d.facts.Text(catalog.FactPassword) && strings.HasPrefix(given, strings.TrimRight(k.facts.Text(connection.FactEndpoint), "/")+"/") {
			out[n].Value = connection.Plain(connection.SecretReference(given)) // it lies there already
			continue
		}
		count++
		name := d.secretName(s.Name)
		uri := strings.TrimRight(k.facts.Text(connection.FactEndpoint), "/") + "/secrets/" + name
		d.add(connection.Facet{
			Key: connection.Key{Kind: connection.KindSecret, Resource: k.id, Name: name},
			Want: connection.Attrs{
				connection.AttrValue: connection.Hidden(s.Value.Text), connection.AttrURI: connection.Plain(uri), connection.AttrMark: connection.Plain(d.c.UID),
			},
			After: k.doors,
		})
		out[n].Value = connection.Plain(connection.SecretReference(uri))
		out[n].Kind = catalog.KindSecret
	}
	if count > 1 && d.c.Properties.SecretStore.KeyVaultSecretName != "" {
		return nil, problem.New(problem.OptionUnsupported, d.c.ID, "secretStore.keyVaultSecretName names one secret, and this connection has %d", count).
			WithFix("leave keyVaultSecretName out, or choose a client type with one connection string")
	}
	return out, nil
}

// confides tells whether a setting belongs into a vault.
func (d *derivation) confides(s catalog.Setting) bool {
	if s.Value.Secret {
		return true
	}
	id := d.facts.Text(catalog.FactClientID)
	principal := d.c.Properties.Auth.Type == connection.AuthServicePrincipalSecret || d.c.Properties.Auth.Type == connection.AuthServicePrincipalCertificate
	return principal && id != "" && s.Value.Text == id
}

// unfit is what a secret's name cannot hold.
var unfit = regexp.MustCompile(`[^0-9a-z]+`)

// secretName is stable and of this connection alone: vaults are shared by many apps.
func (d *derivation) secretName(setting string) string {
	if name := d.c.Properties.SecretStore.KeyVaultSecretName; name != "" {
		return name
	}
	words := strings.Trim(unfit.ReplaceAllString(strings.ToLower(setting), "-"), "-")
	return words[:min(len(words), 100)] + "-" + hash(d.c.ID)
}

// intoStore writes a setting as a key-value where a store keeps the settings: the source
// gets none then. A secret in a vault is a reference there as well, in the store's form.
func (d *derivation) intoStore(s catalog.Setting, after []connection.Key) bool {
	k := d.keeper(catalog.KeepsSettings)
	if k == nil {
		return false
	}
	value, contentType := s.Value, ""
	if uri, ok := connection.ReferredSecret(value.Text); ok {
		raw, _ := json.Marshal(map[string]string{"uri": uri}) // a text encodes
		value, contentType = connection.Plain(string(raw)), connection.SecretContentType
	}
	d.add(connection.Facet{
		Key: connection.Key{Kind: connection.KindConfigKey, Resource: k.id, Name: s.Name},
		Want: connection.Attrs{
			connection.AttrValue: value, connection.AttrContentType: connection.Plain(contentType),
			connection.AttrURI: connection.Plain(k.facts.Text(connection.FactEndpoint)), connection.AttrMark: connection.Plain(d.c.UID),
		},
		After: append(slices.Clone(after), k.doors...),
	})
	return true
}
