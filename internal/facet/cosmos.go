package facet

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

const (
	cosmosVersion = "2025-10-15"
	cosmosAction  = "Microsoft.DocumentDB/databaseAccounts/"
)

// CosmosFirewall drives the address rules of a Cosmos DB account, an array on the
// account itself. Key.Resource is the account, Key.Name is opaque; Want holds start
// and end addresses.
//
// An account without any rule is open to all: its first rule closes it to everybody
// else and removing the last opens it. Both are DEFAULT_FLIP.
type CosmosFirewall struct{ arm *arm.Client }

// NewCosmosFirewall makes the driver.
func NewCosmosFirewall(c *arm.Client) *CosmosFirewall { return &CosmosFirewall{c} }

type ipBasis struct {
	exists bool
	subnet bool // subnets are let in, so that it is closed without any address rule
	rules  []any
}

// at finds the rule of exactly one block, -1 when there is none.
func (b *ipBasis) at(block string) int {
	return slices.IndexFunc(b.rules, func(r any) bool {
		one, _ := r.(object)
		return strings.TrimSuffix(text(one["ipAddressOrRange"]), "/32") == block
	})
}

// open tells whether every block of a range is let in by a rule of exactly that spelling.
func (b *ipBasis) open(start, end netip.Addr) bool {
	return !slices.ContainsFunc(blocks(start, end), func(block string) bool { return b.at(block) < 0 })
}

// Path is the account, which takes one write at a time.
func (d *CosmosFirewall) Path(f connection.Facet) string { return connection.FoldID(f.Resource) }

// Fresh is true: the array is replaced whole and has no ETag.
func (d *CosmosFirewall) Fresh() bool { return true }

// Rights names reading and changing the account.
func (d *CosmosFirewall) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, cosmosAction, "read", "write")
}

// Read reads the account.
func (d *CosmosFirewall) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	return d.read(ctx, facets[0].Resource)
}

func (d *CosmosFirewall) read(ctx context.Context, account string) (*ipBasis, error) {
	var seen struct {
		Properties struct {
			IPRules  []any `json:"ipRules"`
			Filtered bool  `json:"isVirtualNetworkFilterEnabled"`
		} `json:"properties"`
	}
	err := d.arm.Get(ctx, account, cosmosVersion, &seen)
	if arm.IsNotFound(err) {
		return &ipBasis{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &ipBasis{true, seen.Properties.Filtered, seen.Properties.IPRules}, nil
}

// State tells whether the range is let in. Why warns where there is no rule yet.
func (d *CosmosFirewall) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*ipBasis)
	start, end, err := addresses(f)
	switch {
	case !ok || err != nil:
		return connection.State{}
	case basis.open(start, end):
		return connection.State{Exists: true, Attrs: rangeAttrs(start, end)}
	case basis.exists && len(basis.rules) == 0 && !basis.subnet:
		return connection.State{Why: "there is no rule yet: the first one closes the service to everybody else"}
	}
	return connection.State{}
}

// Flip tells whether the changes would turn the account's default around for
// everybody: nil when not, a DEFAULT_FLIP otherwise. It is pure.
func (d *CosmosFirewall) Flip(b any, changes []plan.Change) error {
	basis, ok := b.(*ipBasis)
	if !ok || !basis.exists || basis.subnet || len(changes) == 0 {
		return nil
	}
	after, _, err := basis.merge(changes)
	if err != nil {
		return err
	}
	account := changes[0].Facet.Resource
	switch before := len(basis.rules); {
	case before == 0 && len(after) > 0:
		return problem.New(problem.DefaultFlip, account, "it has no address rule: the first one closes it to everybody else").While("add firewall rule")
	case before > 0 && len(after) == 0:
		return problem.New(problem.DefaultFlip, account, "it has no other address rule: removing the last one opens it to everybody").While("remove firewall rule")
	}
	return nil
}

// Write merges all changes into the fresh rules, writes them once, and reads them back.
func (d *CosmosFirewall) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	account := changes[0].Facet.Resource
	basis, ok := b.(*ipBasis)
	if !ok {
		return nil, foreign(account)
	}
	if err := d.Flip(b, changes); err != nil {
		return nil, err
	}
	rules, changed, err := basis.merge(changes)
	if err != nil {
		return nil, err
	}
	if changed && basis.exists {
		if err := d.arm.Patch(ctx, account, cosmosVersion, object{"properties": object{"ipRules": rules}}, nil); err != nil {
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

// merge applies the changes to the rules there are; foreign ones stay as they are.
func (b *ipBasis) merge(changes []plan.Change) (rules []any, changed bool, err error) {
	next := &ipBasis{b.exists, b.subnet, slices.Clone(b.rules)}
	for _, c := range changes {
		start, end, err := addresses(c.Facet)
		if err != nil {
			return nil, false, err
		}
		for _, block := range blocks(start, end) {
			at := next.at(block)
			switch {
			case wanted(c) && at < 0:
				next.rules, changed = append(next.rules, object{"ipAddressOrRange": block}), true
			case !wanted(c) && at >= 0:
				next.rules, changed = slices.Delete(next.rules, at, at+1), true
			}
		}
	}
	if next.rules == nil {
		next.rules = []any{}
	}
	return next.rules, changed, nil
}
