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

const messagingVersion = "2024-01-01"

// RuleSetFirewall drives the address rules of an Event Hubs or Service Bus
// namespace, entries of the one network rule set below it. Key.Resource is the rule
// set ("…/networkRuleSets/default"), Key.Name is opaque; Want holds start and end
// addresses. Everything beside the address rules is left as it is.
//
// A set that denies by default and has no rule lets everybody in: its first rule
// would close it to everybody else and removing the last would open it. Both are
// DEFAULT_FLIP. While it has none, every address counts as let in.
type RuleSetFirewall struct {
	arm    *arm.Client
	action string // prefix of the rights
}

// NewEventHubsFirewall drives the rule sets of Event Hubs namespaces.
func NewEventHubsFirewall(c *arm.Client) *RuleSetFirewall {
	return &RuleSetFirewall{c, "Microsoft.EventHub/namespaces/networkRuleSets/"}
}

// NewServiceBusFirewall drives the rule sets of Service Bus namespaces.
func NewServiceBusFirewall(c *arm.Client) *RuleSetFirewall {
	return &RuleSetFirewall{c, "Microsoft.ServiceBus/namespaces/networkRuleSets/"}
}

type ruleSetBasis struct {
	exists bool
	set    object // its properties
}

// entries are the address rules, each with its mask in our spelling.
func (b *ruleSetBasis) entries() (rules []any, masks []string) {
	rules, _ = b.set["ipRules"].([]any)
	for _, r := range rules {
		one, _ := r.(object)
		masks = append(masks, plainMask(text(one["ipMask"])))
	}
	return rules, masks
}

// plainMask leaves out the suffix of a block that is one address.
func plainMask(mask string) string {
	if n := len(mask) - len("/32"); n > 0 && mask[n:] == "/32" {
		return mask[:n]
	}
	return mask
}

// open tells that the set lets everybody in for want of any rule.
func (b *ruleSetBasis) open() bool {
	rules, _ := b.set["ipRules"].([]any)
	return b.exists && len(rules) == 0 && !b.subnets()
}

func (b *ruleSetBasis) subnets() bool {
	rules, _ := b.set["virtualNetworkRules"].([]any)
	return len(rules) > 0
}

// Path is the rule set: it is written whole.
func (d *RuleSetFirewall) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the set is replaced whole and has no ETag.
func (d *RuleSetFirewall) Fresh() bool { return true }

// Rights names reading and writing the rule set.
func (d *RuleSetFirewall) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, d.action, "read", "write")
}

// Read reads the rule set.
func (d *RuleSetFirewall) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *RuleSetFirewall) read(ctx context.Context, path string) (*ruleSetBasis, error) {
	var seen struct {
		Properties object `json:"properties"`
	}
	err := d.arm.Get(ctx, path, messagingVersion, &seen)
	if arm.IsNotFound(err) {
		return &ruleSetBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &ruleSetBasis{true, seen.Properties}, nil
}

// State tells whether every block of the range is let in by a rule of exactly that
// mask, or by a set that lets everybody in.
func (d *RuleSetFirewall) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*ruleSetBasis)
	start, end, err := addresses(f)
	if !ok || err != nil {
		return connection.State{}
	}
	there := connection.State{Exists: true, Attrs: rangeAttrs(start, end)}
	if basis.open() {
		there.Why = "there is no rule, so everybody is let in"
		return there
	}
	_, masks := basis.entries()
	for _, block := range blocks(start, end) {
		if !slices.Contains(masks, block) {
			return connection.State{}
		}
	}
	return there
}

// Flip tells whether the changes would turn the default around for everybody: nil
// when not, a DEFAULT_FLIP otherwise. It is pure.
func (d *RuleSetFirewall) Flip(b any, changes []plan.Change) error {
	basis, ok := b.(*ruleSetBasis)
	if !ok || !basis.exists || basis.subnets() || len(changes) == 0 {
		return nil
	}
	before, _ := basis.entries()
	after, _, err := basis.merge(changes)
	if err != nil {
		return err
	}
	resource := changes[0].Facet.Resource
	switch {
	case len(before) == 0 && len(after) > 0:
		return problem.New(problem.DefaultFlip, resource, "it has no network rule: the first one closes it to everybody else").While("add firewall rule")
	case len(before) > 0 && len(after) == 0:
		return problem.New(problem.DefaultFlip, resource, "it has no other network rule: removing the last one opens it to everybody").While("remove firewall rule")
	}
	return nil
}

// Write merges all changes into the fresh rules, writes the set once, and reads it back.
func (d *RuleSetFirewall) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	path := changes[0].Facet.Resource
	basis, ok := b.(*ruleSetBasis)
	if !ok {
		return nil, foreign(path)
	}
	if err := d.Flip(b, changes); err != nil {
		return nil, err
	}
	rules, changed, err := basis.merge(changes)
	if err != nil {
		return nil, err
	}
	if changed && basis.exists {
		if err := d.arm.Put(ctx, path, messagingVersion, object{"properties": basis.with(rules)}, nil); err != nil {
			return nil, err
		}
		if basis, err = d.read(ctx, path); err != nil {
			return nil, err
		}
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		states[n] = d.State(basis, c.Facet)
		if states[n].Exists != wanted(c) && basis.exists && !basis.open() {
			return nil, problem.New(problem.WriteLost, path, "the address rules are not as they were written").While("write firewall rules")
		}
	}
	return states, nil
}

// merge applies the changes to the rules there are; foreign ones stay as they are.
func (b *ruleSetBasis) merge(changes []plan.Change) (rules []any, changed bool, err error) {
	rules, masks := b.entries()
	rules = slices.Clone(rules)
	for _, c := range changes {
		start, end, err := addresses(c.Facet)
		if err != nil {
			return nil, false, err
		}
		for _, block := range blocks(start, end) {
			at := slices.Index(masks, block)
			switch {
			case wanted(c) && at < 0:
				rules, masks, changed = append(rules, object{"ipMask": block, "action": "Allow"}), append(masks, block), true
			case !wanted(c) && at >= 0:
				rules, masks, changed = slices.Delete(rules, at, at+1), slices.Delete(masks, at, at+1), true
			}
		}
	}
	return rules, changed, nil
}

// with is the whole set as a PUT takes it, with other address rules.
func (b *ruleSetBasis) with(rules []any) object {
	out := maps.Clone(b.set)
	if rules == nil {
		rules = []any{}
	}
	out["ipRules"] = rules
	return out
}
