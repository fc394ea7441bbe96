package facet

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// ruleShape is how one service spells a firewall rule that is an object of its own.
type ruleShape struct {
	start, end string // member names
	apiVersion string
	action     string // prefix of the rights
	// flips marks a service that is open to all while it has no rule: its first rule
	// closes it for everybody else, and removing the last opens it.
	flips bool
}

// ServerFirewall drives firewall rules that are child resources. Key.Resource is
// the server, Key.Name the rule's name; Want holds start and end addresses.
type ServerFirewall struct {
	arm   *arm.Client
	shape ruleShape
}

// NewPostgresFirewall drives the rules of a PostgreSQL flexible server.
func NewPostgresFirewall(c *arm.Client) *ServerFirewall {
	return &ServerFirewall{c, ruleShape{
		start: "startIpAddress", end: "endIpAddress", apiVersion: postgresVersion,
		action: "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules/",
	}}
}

// NewRedisFirewall drives the rules of Azure Cache for Redis. Adding the first
// and removing the last rule is DEFAULT_FLIP.
func NewRedisFirewall(c *arm.Client) *ServerFirewall {
	return &ServerFirewall{c, ruleShape{
		start: "startIP", end: "endIP", apiVersion: redisVersion,
		action: "Microsoft.Cache/redis/firewallRules/", flips: true,
	}}
}

type firewallRule struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Properties map[string]string `json:"properties"`
}

// ourRules is how the names of rules begin that a connection made.
const ourRules = "patchbay_"

type firewallBasis struct{ rules []firewallRule }

func (b *firewallBasis) rule(name string) *firewallRule {
	for n := range b.rules {
		if strings.EqualFold(lastName(b.rules[n].ID, b.rules[n].Name), name) {
			return &b.rules[n]
		}
	}
	return nil
}

// Path is the server's collection of rules: servers change one rule at a time.
func (d *ServerFirewall) Path(f connection.Facet) string {
	return connection.FoldID(f.Resource) + "/firewallrules"
}

// Fresh tells that Redis's rules are read again before a write, to see whether
// one would be the first or the last.
func (d *ServerFirewall) Fresh() bool { return d.shape.flips }

// Rights names reading, writing and deleting rules of the server.
func (d *ServerFirewall) Rights(f connection.Facet) []connection.Right {
	return rights(f.Resource, d.shape.action, "read", "write", "delete")
}

// Read lists the server's rules.
func (d *ServerFirewall) Read(ctx context.Context, facets []connection.Facet) (any, error) {
	all, err := arm.ListAll[firewallRule](ctx, d.arm, facets[0].Resource+"/firewallRules", d.shape.apiVersion)
	if err != nil && !arm.IsNotFound(err) {
		return nil, err
	}
	return &firewallBasis{all}, nil
}

// twin finds a rule of somebody else's that lets in the same range. One of another
// connection does not count: it goes with that connection.
func (b *firewallBasis) twin(shape ruleShape, f connection.Facet) *firewallRule {
	start, end := known(f.Want, connection.AttrStart), known(f.Want, connection.AttrEnd)
	for n := range b.rules {
		r := &b.rules[n]
		if start != "" && r.Properties[shape.start] == start && r.Properties[shape.end] == end && !strings.HasPrefix(strings.ToLower(lastName(r.ID, r.Name)), ourRules) {
			return r
		}
	}
	return nil
}

// State finds the rule of our name, or another one for the same range. Why warns when
// a service that is open without rules has none.
func (d *ServerFirewall) State(b any, f connection.Facet) connection.State {
	basis, ok := b.(*firewallBasis)
	if !ok {
		return connection.State{}
	}
	rule := basis.rule(f.Name)
	if rule == nil {
		rule = basis.twin(d.shape, f)
	}
	if rule == nil {
		state := connection.State{}
		if d.shape.flips && len(basis.rules) == 0 {
			state.Why = "there is no rule yet: the first one closes the service to everybody else"
		}
		return state
	}
	return connection.State{
		Exists: true,
		Attrs: connection.Attrs{
			connection.AttrStart: connection.Plain(rule.Properties[d.shape.start]),
			connection.AttrEnd:   connection.Plain(rule.Properties[d.shape.end]),
		},
		Outputs: map[string]string{connection.OutID: rule.ID},
	}
}

// Flip tells whether the changes would turn the service's default around for
// everybody: nil when not, a DEFAULT_FLIP otherwise. It is pure.
func (d *ServerFirewall) Flip(b any, changes []plan.Change) error {
	basis, ok := b.(*firewallBasis)
	if !ok || !d.shape.flips || len(changes) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, r := range basis.rules {
		names[strings.ToLower(lastName(r.ID, r.Name))] = true
	}
	before := len(names)
	for _, c := range changes {
		if name := strings.ToLower(c.Facet.Name); c.Action == plan.Remove && !restores(c) {
			delete(names, name)
		} else if c.Writes() {
			names[name] = true
		}
	}
	resource := changes[0].Facet.Resource
	switch after := len(names); {
	case before == 0 && after > 0:
		return problem.New(problem.DefaultFlip, resource, "it has no firewall rule: the first one closes it to everybody else").While("add firewall rule")
	case before > 0 && after == 0:
		return problem.New(problem.DefaultFlip, resource, "it has no other firewall rule: removing the last one opens it to everybody").While("remove firewall rule")
	}
	return nil
}

// Write puts and deletes rules, one at a time.
func (d *ServerFirewall) Write(ctx context.Context, b any, changes []plan.Change) ([]connection.State, error) {
	basis, ok := b.(*firewallBasis)
	if !ok {
		return nil, foreign(changes[0].Facet.Resource)
	}
	if err := d.Flip(b, changes); err != nil {
		return nil, err
	}
	states := make([]connection.State, len(changes))
	for n, c := range changes {
		state, err := d.write(ctx, basis, c)
		if err != nil {
			return nil, err
		}
		states[n] = state
	}
	return states, nil
}

func (d *ServerFirewall) write(ctx context.Context, b *firewallBasis, c plan.Change) (connection.State, error) {
	path := c.Facet.Resource + "/firewallRules/" + c.Facet.Name
	want := c.Facet
	if c.Action == plan.Remove {
		if !restores(c) {
			return connection.State{}, d.arm.Delete(ctx, path, d.shape.apiVersion)
		}
		want.Want = c.Restore.Attrs
	}
	start, end, err := addresses(want)
	if err != nil {
		return connection.State{}, err
	}
	if is := d.State(b, want); is.Exists && is.Attrs.Equal(rangeAttrs(start, end)) {
		return is, nil
	}
	body := object{"properties": object{d.shape.start: start.String(), d.shape.end: end.String()}}
	if err := d.arm.Put(ctx, path, d.shape.apiVersion, body, nil); err != nil {
		return connection.State{}, err
	}
	return connection.State{Exists: true, Attrs: rangeAttrs(start, end), Outputs: map[string]string{connection.OutID: path}}, nil
}

func rangeAttrs(start, end netip.Addr) connection.Attrs {
	return connection.Attrs{connection.AttrStart: connection.Plain(start.String()), connection.AttrEnd: connection.Plain(end.String())}
}

// addresses reads a wanted range.
func addresses(f connection.Facet) (start, end netip.Addr, err error) {
	if start, err = address(f, connection.AttrStart); err == nil {
		end, err = address(f, connection.AttrEnd)
	}
	if err == nil && end.Less(start) {
		err = problem.New(problem.BodyInvalid, f.Resource, "the range %s to %s ends before it starts", start, end).While("write firewall rule")
	}
	return start, end, err
}

func address(f connection.Facet, name string) (netip.Addr, error) {
	text, err := needed(f, name)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, problem.New(problem.BodyInvalid, f.Resource, "%q is not an IPv4 address", text).While("write firewall rule")
	}
	return a, nil
}

// blocks writes a range as the fewest blocks, in the spelling Storage takes:
// plain addresses instead of /31 and /32.
func blocks(start, end netip.Addr) []string {
	var list []string
	for at, last := number(start), number(end); at <= last; {
		bits := 32
		for bits > 0 {
			size := uint64(1) << (33 - bits)
			if at%size != 0 || at+size-1 > last {
				break
			}
			bits--
		}
		size := uint64(1) << (32 - bits)
		if bits >= 31 {
			for n := range size {
				list = append(list, dotted(at+n))
			}
		} else {
			list = append(list, fmt.Sprintf("%s/%d", dotted(at), bits))
		}
		at += size
	}
	return list
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

func dotted(n uint64) string {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}
