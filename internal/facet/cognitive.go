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

// rulesShape is how one service spells address rules that are an array on the resource.
type rulesShape struct {
	apiVersion string
	action     string // prefix of the rights
	member     string // of properties: the network rules
	// ordered marks a service whose rules have an action each, of which the first that holds
	// an address counts; without any rule every address gets through.
	ordered bool
}

// AddressRules drives address rules in the network rules of a resource: an array
// without ETag that is replaced whole. Key.Resource is the resource, Key.Name is
// opaque; Want holds start and end addresses. What stands beside the rules stays.
type AddressRules struct {
	arm   *arm.Client
	shape rulesShape
}

// NewCognitiveFirewall drives the address rules of an account of AI services.
func NewCognitiveFirewall(c *arm.Client) *AddressRules {
	return &AddressRules{c, rulesShape{apiVersion: "2025-09-01", action: "Microsoft.CognitiveServices/accounts/", member: "networkAcls"}}
}

// addressRule is one entry of the array.
type addressRule struct{ value, action string }

func (r addressRule) allows() bool { return r.action == "" || strings.EqualFold(r.action, "Allow") }

// holds tells whether the rule's block holds a whole range.
func (r addressRule) holds(start, end netip.Addr) bool {
	if p, err := netip.ParsePrefix(r.value); err == nil {
		return p.Contains(start) && p.Contains(end)
	}
	a, err := netip.ParseAddr(r.value)
	return err == nil && a == start && a == end
}

// touches tells whether the rule's block holds any address of a range.
func (r addressRule) touches(start, end netip.Addr) bool {
	p, err := netip.ParsePrefix(r.value)
	if err != nil {
		a, err := netip.ParseAddr(r.value)
		return err == nil && a.Is4() && !a.Less(start) && !end.Less(a)
	}
	return p.Contains(start) || p.Contains(end) || p.Addr().Is4() && !p.Masked().Addr().Less(start) && !end.Less(p.Masked().Addr())
}

type rulesBasis struct {
	exists bool
	acls   object
	rules  []any
}

func (b *rulesBasis) rule(n int) addressRule {
	one, _ := b.rules[n].(object)
	return addressRule{text(one["value"]), text(one["action"])}
}

// at finds the rule that lets in exactly one block, -1 when there is none.
func (b *rulesBasis) at(block string) int {
	for n := range b.rules {
		if r := b.rule(n); r.value == block && r.allows() {
			return n
		}
	}
	return -1
}

// open tells whether a range is let in: by rules of exactly its blocks, or, where rules
// have an order, by the first that says something about it.
func (b *rulesBasis) open(start, end netip.Addr, ordered bool) bool {
	if ordered {
		for n := range b.rules {
			if r := b.rule(n); r.touches(start, end) {
				if r.holds(start, end) {
					return r.allows()
				}
				break
			}
		}
	}
	return !slices.ContainsFunc(blocks(start, end), func(block string) bool { return b.at(block) < 0 })
}

// Path is the resource: rules are written by changing it.
func (d *AddressRules) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the array is replaced whole and has no ETag.
func (d *AddressRules) Fresh() bool { return true }

// Rights names reading and changing the resource.
func (d *AddressRules) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, d.shape.action, "read", "write")
}

// Read reads the resource.
func (d *AddressRules) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *AddressRules) read(ctx context.Context, resource string) (*rulesBasis, error) {
	var seen struct {
		Properties map[string]any `json:"properties"`
	}
	err := d.arm.Get(ctx, resource, d.shape.apiVersion, &seen)
	if arm.IsNotFound(err) {
		return &rulesBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	acls, _ := seen.Properties[d.shape.member].(object)
	rules, _ := acls["ipRules"].([]any)
	return &rulesBasis{true, acls, rules}, nil
}

// State tells whether the range is let in.
func (d *AddressRules) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*rulesBasis)
	start, end, err := addresses(f)
	if !ok || err != nil || !basis.open(start, end, d.shape.ordered) {
		return connection.State{}
	}
	return connection.State{Exists: true, Attrs: rangeAttrs(start, end)}
}

// Flip tells whether the changes would turn a service around that is open to all while
// it has no rule: nil when not, a DEFAULT_FLIP otherwise. It is pure.
func (d *AddressRules) Flip(b any, changes []plan.Change) error {
	basis, ok := b.(*rulesBasis)
	if !ok || !d.shape.ordered || !basis.exists || len(changes) == 0 {
		return nil
	}
	after, _, err := d.merge(basis, changes)
	if err != nil {
		return err
	}
	resource := changes[0].Facet.Resource
	switch before := len(basis.rules); {
	case before == 0 && len(after) > 0:
		return problem.New(problem.DefaultFlip, resource, "it has no address rule: the first one closes it to everybody else").While("add firewall rule")
	case before > 0 && len(after) == 0:
		return problem.New(problem.DefaultFlip, resource, "it has no other address rule: removing the last one opens it to everybody").While("remove firewall rule")
	}
	return nil
}

// Write merges all changes into the fresh rules, writes them once, and reads them back.
func (d *AddressRules) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	resource := changes[0].Facet.Resource
	basis, ok := b.(*rulesBasis)
	if !ok {
		return nil, foreign(resource)
	}
	if err := d.Flip(b, changes); err != nil {
		return nil, err
	}
	rules, changed, err := d.merge(basis, changes)
	if err != nil {
		return nil, err
	}
	if changed && basis.exists {
		body := object{"properties": object{d.shape.member: writable(basis.acls, rules)}}
		if err := d.arm.Patch(ctx, resource, d.shape.apiVersion, body, nil); err != nil {
			return nil, err
		}
		if basis, err = d.read(ctx, resource); err != nil {
			return nil, err
		}
	}
	if _, left, err := d.merge(basis, changes); err != nil || left && basis.exists {
		return nil, problem.New(problem.WriteLost, resource, "the address rules are not as they were written").While("write firewall rules")
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		if wanted(c) {
			states[n] = d.State(basis, c.Facet)
		}
	}
	return states, nil
}

// merge applies the changes to the rules there are; foreign ones stay as they are.
func (d *AddressRules) merge(b *rulesBasis, changes []plan.Change) (rules []any, changed bool, err error) {
	next := &rulesBasis{b.exists, b.acls, slices.Clone(b.rules)}
	for _, c := range changes {
		start, end, err := addresses(c.Facet)
		if err != nil {
			return nil, false, err
		}
		if wanted(c) && next.open(start, end, d.shape.ordered) {
			continue
		}
		for _, block := range blocks(start, end) {
			at := next.at(block)
			switch {
			case wanted(c) && at >= 0 && !d.shape.ordered, !wanted(c) && at < 0:
				continue
			case !wanted(c):
				next.rules = slices.Delete(next.rules, at, at+1)
			default:
				next.insert(block, start, end, d.shape.ordered)
			}
			changed = true
		}
	}
	return next.rules, changed, nil
}

// insert adds a rule: at the end, or before the first one that would shadow it.
func (b *rulesBasis) insert(block string, start, end netip.Addr, ordered bool) {
	entry, place := object{"value": block}, len(b.rules)
	if ordered {
		entry["action"] = "Allow"
		for n := len(b.rules) - 1; n >= 0; n-- {
			if r := b.rule(n); !r.allows() && r.touches(start, end) {
				place = n
			}
		}
	}
	b.rules = slices.Insert(b.rules, place, any(maps.Clone(entry)))
}
