package target

import (
	"net/netip"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// span is an address range, both ends included.
type span struct{ start, end string }

func (s span) attrs() connection.Attrs {
	return connection.Attrs{connection.AttrStart: connection.Plain(s.start), connection.AttrEnd: connection.Plain(s.end)}
}

func (s span) String() string {
	if s.start == s.end {
		return s.start
	}
	return s.start + "-" + s.end
}

// opens tells whether the target has a firewall that is ours to open and that
// lets nobody else in.
func (d *derivation) opens() bool {
	w := d.m.Target.Firewall
	return w != nil && waysOf(d.c).network && !isOff(d.m.Target.PublicAccess, d.facts) && holds(w.When, d.facts)
}

// engineDoor lets the engine itself in while an operation runs. Nothing that stays
// waits for it unless the engine writes inside the target; a validation signs in
// through it.
func (d *derivation) engineDoor() []connection.Key {
	address := d.facts.Text(factEngineAddress)
	if address == "" || !d.opens() {
		return nil
	}
	key := connection.Key{Kind: connection.KindFirewall, Resource: d.m.Resource(d.m.Target.Firewall.Of), Name: "patchbay_engine_" + hash(address)}
	if !d.has(key) {
		d.add(connection.Facet{Key: key, Want: span{address, address}.attrs(), Scaffold: true})
	}
	return []connection.Key{key}
}

// firewall lets in the source's outbound addresses and the ranges asked for.
func (d *derivation) firewall() error {
	if !d.opens() {
		return nil
	}
	asked, err := askedSpans(d.c)
	if err != nil {
		return err
	}
	w := d.m.Target.Firewall
	for _, s := range append(outbound(d.facts.Text(connection.FactAddresses)), asked...) {
		name := s.String() // entries of an array have no name but themselves
		if w.Style == catalog.StyleRules {
			name = "patchbay_" + hash(d.c.Source) + "_" + hash(s.String())
		}
		key := connection.Key{Kind: connection.KindFirewall, Resource: d.m.Resource(w.Of), Name: name}
		if !d.has(key) {
			d.add(connection.Facet{Key: key, Want: s.attrs()})
		}
	}
	return nil
}

func (d *derivation) has(k connection.Key) bool {
	for _, f := range d.facets {
		if f.Fold() == k.Fold() {
			return true
		}
	}
	return false
}

// outbound reads the source's addresses, in order. Firewalls here know IPv4 only;
// an IPv6 address cannot be let in and is left out.
func outbound(list string) []span {
	var spans []span
	for _, text := range strings.Split(list, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil && a.Unmap().Is4() {
			spans = append(spans, span{a.Unmap().String(), a.Unmap().String()})
		}
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].start < spans[j].start })
	return spans
}

// azureServices is the range that stands for every Azure service; it is written only when asked for by name.
const azureServices = "0.0.0.0"

func askedSpans(c *connection.Connection) ([]span, error) {
	p := c.Properties.PublicNetwork
	if p == nil {
		return nil, nil
	}
	var spans []span
	for _, text := range p.IPRanges {
		s, err := parseSpan(text)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	if strings.EqualFold(p.AzureServices, "true") {
		spans = append(spans, span{azureServices, azureServices})
	}
	if strings.EqualFold(p.CallerClientIP, "true") {
		spans = append(spans, outbound(p.CallerAddress)...)
	}
	return spans, nil
}

// parseSpan reads an IPv4 address, a block (10.0.0.0/24) or a range (10.0.0.1-10.0.0.9).
// Everything at once is refused: an opening is never wider than somebody's own network.
func parseSpan(text string) (span, error) {
	bad := problem.New(problem.BodyInvalid, "", "%q is not an IPv4 address, block or range", text).While("read firewall rules").
		WithFix("write 203.0.113.7, 203.0.113.0/24 or 203.0.113.1-203.0.113.9")
	text = strings.TrimSpace(text)
	if block, err := netip.ParsePrefix(text); err == nil && block.Addr().Is4() && block.Bits() > 0 {
		return blockSpan(block.Masked()), nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	start, err := netip.ParseAddr(strings.TrimSpace(from))
	if err != nil || !start.Is4() {
		return span{}, bad
	}
	end, err := netip.ParseAddr(strings.TrimSpace(to))
	if err != nil || !end.Is4() || end.Less(start) || (start.String() == "0.0.0.0" && end.String() == "255.255.255.255") {
		return span{}, bad
	}
	return span{start.String(), end.String()}, nil
}

func blockSpan(block netip.Prefix) span {
	last := block.Addr().As4()
	for bit := block.Bits(); bit < 32; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	return span{block.Addr().String(), netip.AddrFrom4(last).String()}
}
