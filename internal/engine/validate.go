package engine

import (
	"context"
	"fmt"
	"sort"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// Names of validation items, as the real service reports them.
const (
	ItemExistence   = "Target resource existence validated."
	ItemNetwork     = "Target network access validated."
	ItemFirewall    = "Target service firewall validated."
	ItemConfig      = "Configured connection information validated."
	ItemConfigPart  = "Configured connection information validated (except for username/password)."
	ItemIdentity    = "Managed Identity existence validated."
	ItemPermissions = "Managed Identity permissions validated."
)

// Results of a validation item.
const (
	ResultSuccess = connection.ResultSuccess
	ResultFailure = connection.ResultFailure
	ResultWarning = connection.ResultWarning
)

// validate looks at everything a connection stands for and knocks at the target.
// Scaffolding that lets the engine look inside stands only meanwhile.
func (r *run) validate(ctx context.Context) error {
	c := r.op.Before
	findings, err := r.look(ctx, c)
	if err != nil {
		if ctx.Err() != nil || halted(err) {
			return err
		}
		p := problem.As(err)
		findings = []Finding{{Name: itemOf(p.Code), Result: ResultFailure, Description: p.Error(), Code: string(p.Code), Fix: p.FixText()}}
	}
	r.report(Report{Findings: findings})
	return r.finish(ctx, ledger.Succeeded, c, nil)
}

func itemOf(code problem.Code) string {
	switch code {
	case problem.TargetNotFound, problem.TargetUnreadable, problem.TargetMissing:
		return ItemExistence
	}
	return ItemConfig
}

func (r *run) look(ctx context.Context, c *connection.Connection) ([]Finding, error) {
	memo := r.Memo(ctx)
	secrets, err := r.kept(ctx, c)
	if err != nil {
		return nil, err
	}
	copied := *c
	facts, facets, err := r.derive(memo, &copied, secrets)
	if problem.Is(err, problem.TargetNotFound) {
		return []Finding{{Name: ItemExistence, Result: ResultFailure, Description: problem.As(err).Error(),
			Code: string(problem.TargetMissing), Fix: deleteCommand(c)}}, nil
	}
	if problem.Is(err, problem.IdentityNotFound) {
		return r.withoutIdentity(c, err), nil
	}
	if err != nil {
		return nil, err
	}
	p, err := r.planInside(ctx, memo, facets, nil, plan.Mend)
	if err != nil {
		return nil, err
	}
	_, strike := scaffoldSteps(p.Steps)
	defer r.dismantle(ctx, strike)
	there := r.settingsThere(facets)
	if c.Local() {
		if there, err = r.handedOut(c, facts, secrets); err != nil {
			return nil, err
		}
	}
	findings := r.Prober.Probe(ctx, c, facts, there)
	return r.compose(c, differences(p), findings, facets), nil
}

func deleteCommand(c *connection.Connection) string {
	if c.Local() {
		return "patchbay connection delete --yes --id " + c.ID
	}
	if c.OnFile() {
		word := map[bool]string{true: "compose", false: "process"}[foldEqual(connection.TypeOf(c.Source), connection.TypeComposeService)]
		return "patchbay " + word + " connection delete --yes --id " + c.ID
	}
	return "patchbay webapp connection delete --yes --id " + c.ID
}

// settingsThere are the values the app has now.
func (r *run) settingsThere(facets []connection.Facet) map[string]connection.Value {
	out := map[string]connection.Value{}
	for _, f := range facets {
		if s := r.view.states[f.Fold()]; f.Kind == connection.KindSetting && s.Exists {
			out[f.Name] = s.Attrs[connection.AttrValue]
		}
	}
	return r.revealed(out, facets)
}

// fault is what a difference of one kind means to a person.
type fault struct {
	item string
	code problem.Code
	text string
}

// faults maps kind and reason to a finding; reason "" is any other.
func faults() map[connection.Kind]map[plan.Reason]fault {
	return map[connection.Kind]map[plan.Reason]fault{
		connection.KindSetting: {
			plan.Changed: {ItemConfig, problem.SettingChanged, "the setting %s was changed by somebody else"},
			plan.Moved:   {ItemConfig, problem.SettingChanged, "the setting %s carries an old value"},
			"":           {ItemConfig, problem.SettingMissing, "the setting %s is missing"},
		},
		connection.KindSecret: {
			plan.Changed: {ItemConfig, problem.SettingChanged, "the secret %s was changed by somebody else"},
			plan.Moved:   {ItemConfig, problem.SettingChanged, "the secret %s carries an old value"},
			"":           {ItemConfig, problem.SettingMissing, "the secret %s is missing in its vault"},
		},
		connection.KindConfigKey: {
			plan.Changed: {ItemConfig, problem.SettingChanged, "the key-value %s was changed by somebody else"},
			plan.Moved:   {ItemConfig, problem.SettingChanged, "the key-value %s carries an old value"},
			"":           {ItemConfig, problem.SettingMissing, "the key-value %s is missing in its store"},
		},
		connection.KindSticky:     {"": {ItemConfig, problem.SettingMissing, "the setting %s does not stay with its slot: a swap would carry it away"}},
		connection.KindIdentity:   {"": {ItemIdentity, problem.IdentityOff, "the app carries the identity %s no more"}},
		connection.KindObject:     {"": {ItemConfig, problem.SettingMissing, "the object %s is missing"}},
		connection.KindFederation: {"": {ItemIdentity, problem.IdentityOff, "the identity does not trust the workload's service account: the federated credential %s is missing"}},
		connection.KindRole: {
			plan.Replaced: {ItemPermissions, problem.IdentityReplaced, "the role %s was given to an identity that is another one now"},
			"":            {ItemPermissions, problem.RoleMissing, "the app's identity lacks the role %s"},
		},
		connection.KindAccess: {
			plan.Replaced: {ItemPermissions, problem.IdentityReplaced, "the access policy %s was given to an identity that is another one now"},
			"":            {ItemPermissions, problem.AccessMissing, "the app's identity lacks the access policy %s"},
		},
		connection.KindDBUser: {
			plan.Replaced: {ItemPermissions, problem.IdentityReplaced, "the database user %s is bound to an identity that is another one now"},
			"":            {ItemPermissions, problem.DBUserMissing, "the database has no user %s bound to the app's identity"},
		},
		connection.KindFeature:  {"": {ItemPermissions, problem.FeatureOff, "the switch %s is off on the target"}},
		connection.KindFirewall: {"": {ItemFirewall, problem.FirewallClosed, "the firewall rule %s is missing"}},
	}
}

func explain(c plan.Change) fault {
	byReason := faults()[c.Facet.Kind]
	if f, ok := byReason[c.Reason]; ok {
		return f
	}
	return byReason[""]
}

// compose joins what the probe found with what differs, in the published order.
func (r *run) compose(c *connection.Connection, diffs []plan.Change, probed []Finding, facets []connection.Facet) []Finding {
	byItem := map[string]Finding{}
	for _, f := range probed {
		byItem[f.Name] = f
	}
	fix := "patchbay repair --id " + c.ID
	for _, d := range diffs {
		f := explain(d)
		if old, ok := byItem[f.item]; ok && old.Result == ResultFailure && old.Fix == fix {
			continue
		}
		if f.item == ItemConfig {
			delete(byItem, ItemConfigPart)
		}
		command := fix
		if d.Action == plan.Leave {
			command += " --force"
		}
		byItem[f.item] = Finding{Name: f.item, Result: ResultFailure, Description: fmt.Sprintf(f.text, d.Facet.Name), Code: string(f.code), Fix: command}
	}
	if hasIdentity(facets) {
		r.identityItems(byItem)
	} else if _, ok := byItem[ItemPermissions]; !ok && c.Local() && grants(facets) {
		byItem[ItemPermissions] = Finding{Name: ItemPermissions, Result: ResultSuccess}
	}
	return inOrder(byItem)
}

// inOrder puts findings in the published order; what has no place there comes last.
func inOrder(byItem map[string]Finding) []Finding {
	out := []Finding{}
	for _, name := range []string{ItemExistence, ItemNetwork, ItemFirewall, ItemConfig, ItemConfigPart, ItemIdentity, ItemPermissions} {
		if f, ok := byItem[name]; ok {
			out = append(out, f)
			delete(byItem, name)
		}
	}
	rest := make([]string, 0, len(byItem))
	for name := range byItem {
		rest = append(rest, name)
	}
	sort.Strings(rest)
	for _, name := range rest {
		out = append(out, byItem[name])
	}
	return out
}

func hasIdentity(facets []connection.Facet) bool {
	for _, f := range facets {
		if f.Kind == connection.KindIdentity {
			return true
		}
	}
	return false
}

// identityItems fills in the two items of an identity connection that nothing spoke against.
func (r *run) identityItems(byItem map[string]Finding) {
	identity, off := byItem[ItemIdentity]
	if !off {
		byItem[ItemIdentity] = Finding{Name: ItemIdentity, Result: ResultSuccess}
	}
	if off && identity.Code == string(problem.IdentityOff) {
		byItem[ItemPermissions] = Finding{Name: ItemPermissions, Result: ResultWarning, Description: "not looked at: the identity is off"}
		return
	}
	if _, ok := byItem[ItemPermissions]; !ok {
		byItem[ItemPermissions] = Finding{Name: ItemPermissions, Result: ResultSuccess}
	}
}
