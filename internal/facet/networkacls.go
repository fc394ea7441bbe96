package facet

import (
	"context"
	"maps"
	"slices"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const storageVersion = "2025-06-01"

// StorageFirewall drives the address rules of a storage account, an array on the
// account itself. Key.Resource is the account, Key.Name is opaque; Want holds
// start and end addresses. The default action is left as it is.
type StorageFirewall struct{ arm *arm.Client }

// NewStorageFirewall makes the driver.
func NewStorageFirewall(c *arm.Client) *StorageFirewall { return &StorageFirewall{c} }

type aclBasis struct {
	exists bool
	acls   object
}

// entries are the address rules, each with its value.
func (b *aclBasis) entries() (rules []any, values []string) {
	rules, _ = b.acls["ipRules"].([]any)
	for _, r := range rules {
		one, _ := r.(object)
		values = append(values, text(one["value"]))
	}
	return rules, values
}

// Path is the account: rules are written by changing it.
func (d *StorageFirewall) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the array is replaced whole and has no ETag.
func (d *StorageFirewall) Fresh() bool { return true }

// Rights names reading and changing the account.
func (d *StorageFirewall) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, "Microsoft.Storage/storageAccounts/", "read", "write")
}

// Read reads the account.
func (d *StorageFirewall) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *StorageFirewall) read(ctx context.Context, account string) (*aclBasis, error) {
	var seen struct {
		Properties struct {
			NetworkACLs object `json:"networkAcls"`
		} `json:"properties"`
	}
	err := d.arm.Get(ctx, account, storageVersion, &seen)
	if arm.IsNotFound(err) {
		return &aclBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &aclBasis{true, seen.Properties.NetworkACLs}, nil
}

// State tells whether every block of the range is let in by a rule of exactly
// that spelling.
func (d *StorageFirewall) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*aclBasis)
	start, end, err := addresses(f)
	if !ok || err != nil {
		return connection.State{}
	}
	_, values := basis.entries()
	for _, block := range blocks(start, end) {
		if !slices.Contains(values, block) {
			return connection.State{}
		}
	}
	return connection.State{Exists: true, Attrs: rangeAttrs(start, end)}
}

// Write merges all changes into the fresh rules, writes them once, and reads
// them back.
func (d *StorageFirewall) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	account := changes[0].Facet.Resource
	basis, ok := b.(*aclBasis)
	if !ok {
		return nil, foreign(account)
	}
	rules, changed, err := merge(basis, changes)
	if err != nil {
		return nil, err
	}
	if changed && basis.exists {
		if err := d.arm.Patch(ctx, account, storageVersion, object{"properties": object{"networkAcls": writable(basis.acls, rules)}}, nil); err != nil {
			return nil, err
		}
		if basis, err = d.read(ctx, account); err != nil {
			return nil, err
		}
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(basis, c.Facet)
		if states[n].Exists != wanted(c) && basis.exists {
			return nil, problem.New(problem.WriteLost, account, "the address rules are not as they were written").While("write firewall rules")
		}
	}
	return states, nil
}

// wanted tells whether a change leaves its facet in place.
func wanted(c plan.Change) bool { return c.Action != plan.Remove || restores(c) }

// merge applies the changes to the rules there are; foreign ones stay as they are.
func merge(b *aclBasis, changes []plan.Change) (rules []any, changed bool, err error) {
	rules, values := b.entries()
	rules = slices.Clone(rules)
	for _, c := range changes {
		start, end, err := addresses(c.Facet)
		if err != nil {
			return nil, false, err
		}
		for _, block := range blocks(start, end) {
			at := slices.Index(values, block)
			switch {
			case wanted(c) && at < 0:
				rules, values, changed = append(rules, object{"value": block, "action": "Allow"}), append(values, block), true
			case !wanted(c) && at >= 0:
				rules, values, changed = slices.Delete(rules, at, at+1), slices.Delete(values, at, at+1), true
			}
		}
	}
	return rules, changed, nil
}

// writable is the account's network rules as a PATCH takes them: everything that
// stands beside the address rules is sent back unchanged, states left out.
func writable(acls object, rules []any) object {
	out := maps.Clone(acls)
	if out == nil {
		out = object{}
	}
	if text(out["defaultAction"]) == "" {
		out["defaultAction"] = "Allow"
	}
	if subnets, ok := out["virtualNetworkRules"].([]any); ok {
		clean := make([]any, 0, len(subnets))
		for _, s := range subnets {
			one, _ := s.(object)
			one = maps.Clone(one)
			delete(one, "state")
			clean = append(clean, one)
		}
		out["virtualNetworkRules"] = clean
	}
	if rules == nil {
		rules = []any{}
	}
	out["ipRules"] = rules
	return out
}
