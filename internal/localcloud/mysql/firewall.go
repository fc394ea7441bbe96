package mysql

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// azureServices is the rule 0.0.0.0-0.0.0.0: whatever runs inside Azure. In the
// local cloud that is everything on loopback.
var azureServices = span{netip.IPv4Unspecified(), netip.IPv4Unspecified()}

// span is what one firewall rule lets in, both ends included.
type span struct{ first, last netip.Addr }

func parseSpan(first, last string) (span, error) {
	a, err := netip.ParseAddr(first)
	if err != nil {
		return span{}, fmt.Errorf("startIpAddress: %w", err)
	}
	b, err := netip.ParseAddr(last)
	if err != nil {
		return span{}, fmt.Errorf("endIpAddress: %w", err)
	}
	switch {
	case !a.Is4() || !b.Is4():
		return span{}, errors.New("only IPv4 addresses are allowed")
	case b.Less(a):
		return span{}, errors.New("endIpAddress lies before startIpAddress")
	}
	return span{a, b}, nil
}

func (s span) holds(a netip.Addr) bool {
	if s == azureServices {
		return a.IsLoopback()
	}
	return !a.Less(s.first) && !s.last.Less(a)
}

// verdict is what becomes of a connection.
type verdict int

const (
	open   verdict = iota
	denied         // told so in the protocol
	closed         // hung up on
)

// admit decides by the server's document and its rules.
func admit(server provider.Document, rules []provider.Document, from netip.Addr) verdict {
	if provider.Text(server, "properties", "network", "publicNetworkAccess") == disabled {
		return closed
	}
	for _, rule := range rules {
		s, err := parseSpan(provider.Text(rule, "properties", "startIpAddress"), provider.Text(rule, "properties", "endIpAddress"))
		if err == nil && s.holds(from.Unmap()) {
			return open
		}
	}
	return denied
}
