package facet

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const vaultVersion = "2024-11-01"

// vault is what the drivers of this file read of a vault.
type vault struct {
	exists   bool
	tenant   string
	policies []accessPolicy
	acls     object
}

type accessPolicy struct {
	TenantID      string        `json:"tenantId"`
	ObjectID      string        `json:"objectId"`
	ApplicationID string        `json:"applicationId,omitempty"`
	Permissions   vaultsPermits `json:"permissions"`
}

type vaultsPermits struct {
	Secrets []string `json:"secrets"`
}

func readVault(ctx context.Context, c *arm.Client, path string) (*vault, error) {
	var seen struct {
		Properties struct {
			TenantID       string         `json:"tenantId"`
			AccessPolicies []accessPolicy `json:"accessPolicies"`
			NetworkACLs    object         `json:"networkAcls"`
		} `json:"properties"`
	}
	err := c.Get(ctx, path, vaultVersion, &seen)
	if arm.IsNotFound(err) {
		return &vault{}, nil
	}
	if err != nil {
		return nil, err
	}
	p := seen.Properties
	return &vault{true, p.TenantID, p.AccessPolicies, p.NetworkACLs}, nil
}

// VaultAccess drives the entries of a Key Vault's access policies. Key.Resource is
// the vault, Key.Name is opaque; Want holds policy (permissions on secrets, separated
// by commas) and principalId.
//
// A vault has one entry per principal: what stands in it besides is neither widened nor
// taken away, because the service itself adds and removes what we name.
type VaultAccess struct{ arm *arm.Client }

// NewVaultAccess makes the driver.
func NewVaultAccess(c *arm.Client) *VaultAccess { return &VaultAccess{c} }

// Outputs that say which permissions are ours: those we added to what an entry had.
const (
	outAdded = "added"
	outHad   = "had"
)

// Path is the vault's list of policies.
func (d *VaultAccess) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/accesspolicies"
}

// Fresh is true: what we add is what was not there just before.
func (d *VaultAccess) Fresh() bool { return true }

// Rights names reading the vault and writing its policies.
func (d *VaultAccess) Rights(f connection.Facet) []connection.Right {
	return append(rights(f.Resource, "Microsoft.KeyVault/vaults/", "read"), rights(f.Resource, "Microsoft.KeyVault/vaults/accessPolicies/", "write")...)
}

// Read reads the vault.
func (d *VaultAccess) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return readVault(ctx, d.arm, facets[0].Resource)
}

// permissions reads a list such as "get, list".
func permissions(list string) []string {
	var out []string
	for _, word := range strings.Split(list, ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			out = append(out, word)
		}
	}
	return out
}

// minus are the words of one list that are not in another, case aside.
func minus(list, gone []string) []string {
	var out []string
	for _, word := range list {
		if !slices.ContainsFunc(gone, func(g string) bool { return strings.EqualFold(g, word) }) {
			out = append(out, word)
		}
	}
	return out
}

// has are the permissions on secrets that a principal's own entry gives.
func (v *vault) has(principal string) []string {
	for _, p := range v.policies {
		if strings.EqualFold(p.ObjectID, principal) && p.ApplicationID == "" {
			return p.Permissions.Secrets
		}
	}
	return nil
}

// State tells whether the principal's entry gives all that is wanted, maybe more.
func (d *VaultAccess) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*vault)
	principal := known(f.Want, connection.AttrPrincipalID)
	if !ok || !basis.exists || principal == "" {
		return connection.State{}
	}
	had := basis.has(principal)
	wanted := permissions(known(f.Want, connection.AttrPolicy))
	if all := slices.ContainsFunc(had, func(p string) bool { return strings.EqualFold(p, "all") }); !all && len(minus(wanted, had)) > 0 {
		return connection.State{Outputs: map[string]string{outHad: strings.Join(had, ",")}}
	}
	return connection.State{Exists: true, Attrs: connection.Attrs{
		connection.AttrPolicy: f.Want[connection.AttrPolicy], connection.AttrPrincipalID: f.Want[connection.AttrPrincipalID],
	}}
}

// Write adds and removes permissions, one principal per change.
func (d *VaultAccess) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		basis, ok := b.(*vault)
		if !ok {
			return nil, foreign(c.Facet.Resource)
		}
		state, err := d.write(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *VaultAccess) write(ctx context.Context, b *vault, c plan.Change) (connection.State, error) {
	principal, err := needed(c.Facet, connection.AttrPrincipalID)
	if err != nil {
		return connection.State{}, err
	}
	if !wanted(c) {
		return connection.State{}, d.remove(ctx, b, c, principal)
	}
	policy, err := needed(c.Facet, connection.AttrPolicy)
	if err != nil {
		return connection.State{}, err
	}
	ours := minus(permissions(policy), b.has(principal))
	if is := d.State(b, c.Facet); is.Exists {
		// Written before: what we added then is still what is ours.
		is.Outputs = map[string]string{outAdded: c.Was[outAdded]}
		return is, nil
	}
	if err := d.put(ctx, b, c.Facet.Resource, "add", principal, ours); err != nil {
		return connection.State{}, err
	}
	after, err := readVault(ctx, d.arm, c.Facet.Resource)
	if err != nil {
		return connection.State{}, err
	}
	state := d.State(after, c.Facet)
	if !state.Exists {
		return state, problem.New(problem.WriteLost, c.Facet.Resource, "the access policy of %s is not as it was written", principal).While("write access policy")
	}
	state.Outputs = map[string]string{outAdded: strings.Join(ours, ",")}
	return state, nil
}

// remove takes away what we added: as recorded, or what the entry did not have before
// the operation that is taken down.
func (d *VaultAccess) remove(ctx context.Context, b *vault, c plan.Change, principal string) error {
	ours, recorded := c.Was[outAdded]
	gone := permissions(ours)
	if !recorded {
		gone = minus(permissions(known(c.Facet.Want, connection.AttrPolicy)), permissions(c.Before.Outputs[outHad]))
	}
	has := b.has(principal)
	gone = slices.DeleteFunc(gone, func(p string) bool { return len(minus([]string{p}, has)) > 0 })
	if !b.exists || len(gone) == 0 {
		return nil
	}
	return d.put(ctx, b, c.Facet.Resource, "remove", principal, gone)
}

func (d *VaultAccess) put(ctx context.Context, b *vault, path, kind, principal string, secrets []string) error {
	entry := accessPolicy{TenantID: b.tenant, ObjectID: principal, Permissions: vaultsPermits{secrets}}
	body := object{"properties": object{"accessPolicies": []accessPolicy{entry}}}
	return d.arm.Put(ctx, path+"/accessPolicies/"+kind, vaultVersion, body, nil)
}

// VaultFirewall drives the address rules of a Key Vault, an array on the vault itself.
// Key.Resource is the vault, Key.Name is opaque; Want holds start and end addresses. The
// default action is left as it is.
type VaultFirewall struct{ arm *arm.Client }

// NewVaultFirewall makes the driver.
func NewVaultFirewall(c *arm.Client) *VaultFirewall { return &VaultFirewall{c} }

// Path is the vault: rules are written by changing it.
func (d *VaultFirewall) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the array is replaced whole and has no ETag.
func (d *VaultFirewall) Fresh() bool { return true }

// Rights names reading and changing the vault.
func (d *VaultFirewall) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.KeyVault/vaults/", "read", "write")
}

// Read reads the vault.
func (d *VaultFirewall) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return readVault(ctx, d.arm, facets[0].Resource)
}

// vaultBlocks are a range's blocks in the spelling a vault stores: a single address has
// a length too.
func vaultBlocks(start, end netip.Addr) []string {
	list := blocks(start, end)
	for n, block := range list {
		if !strings.Contains(block, "/") {
			list[n] = block + "/32"
		}
	}
	return list
}

// values are the vault's address rules; clients write single addresses without a length.
func (v *vault) values() []string {
	rules, _ := v.acls["ipRules"].([]any)
	var out []string
	for _, r := range rules {
		one, _ := r.(object)
		value := text(one["value"])
		if !strings.Contains(value, "/") {
			value += "/32"
		}
		out = append(out, value)
	}
	return out
}

// State tells whether every block of the range is let in by a rule of its own.
func (d *VaultFirewall) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*vault)
	start, end, err := addresses(f)
	if !ok || err != nil || len(minus(vaultBlocks(start, end), basis.values())) > 0 {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: rangeAttrs(start, end)}
}

// Write merges all changes into the fresh rules, writes them once, and reads them back.
func (d *VaultFirewall) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	path := changes[0].Facet.Resource
	basis, ok := b.(*vault)
	if !ok {
		return nil, foreign(path)
	}
	before := basis.values()
	after, err := merged(before, changes)
	if err != nil {
		return nil, err
	}
	if basis.exists && !slices.Equal(before, after) {
		if err := d.arm.Patch(ctx, path, vaultVersion, object{"properties": object{"networkAcls": basis.writable(after)}}, nil); err != nil {
			return nil, err
		}
		if basis, err = readVault(ctx, d.arm, path); err != nil {
			return nil, err
		}
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(basis, c.Facet)
		if states[n].Exists != wanted(c) && basis.exists {
			return nil, problem.New(problem.WriteLost, path, "the address rules are not as they were written").While("write firewall rules")
		}
	}
	return states, nil
}

func merged(values []string, changes []plan.Change) ([]string, error) {
	out := slices.Clone(values)
	for _, c := range changes {
		start, end, err := addresses(c.Facet)
		if err != nil {
			return nil, err
		}
		ours := vaultBlocks(start, end)
		if wanted(c) {
			out = append(out, minus(ours, out)...)
		} else {
			out = minus(out, ours)
		}
	}
	return out, nil
}

// writable is the vault's network rules as a PATCH takes them.
func (v *vault) writable(values []string) object {
	out := maps.Clone(v.acls)
	if out == nil {
		out = object{}
	}
	for member, absent := range map[string]string{"defaultAction": "Allow", "bypass": "AzureServices"} {
		if text(out[member]) == "" {
			out[member] = absent
		}
	}
	rules := []any{}
	for _, value := range values {
		rules = append(rules, object{"value": value})
	}
	out["ipRules"] = rules
	return out
}
