package postgres

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// azureServices is the rule 0.0.0.0-0.0.0.0: whatever runs inside Azure. In the
// local cloud that is everything on loopback.
var azureServices = addressRange{netip.IPv4Unspecified(), netip.IPv4Unspecified()}

type addressRange struct{ first, last netip.Addr }

func parseRange(first, last string) (addressRange, error) {
	a, err := netip.ParseAddr(first)
	if err != nil {
		return addressRange{}, fmt.Errorf("startIpAddress: %w", err)
	}
	b, err := netip.ParseAddr(last)
	if err != nil {
		return addressRange{}, fmt.Errorf("endIpAddress: %w", err)
	}
	if !a.Is4() || !b.Is4() {
		return addressRange{}, errors.New("only IPv4 addresses are allowed")
	}
	if b.Less(a) {
		return addressRange{}, errors.New("endIpAddress lies before startIpAddress")
	}
	return addressRange{a, b}, nil
}

func (r addressRange) holds(a netip.Addr) bool {
	if r == azureServices {
		return a.IsLoopback()
	}
	return !a.Less(r.first) && !r.last.Less(a)
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
	if provider.Text(server, "properties", "network", "publicNetworkAccess") == "Disabled" {
		return closed
	}
	for _, rule := range rules {
		r, err := parseRange(provider.Text(rule, "properties", "startIpAddress"), provider.Text(rule, "properties", "endIpAddress"))
		if err == nil && r.holds(from.Unmap()) {
			return open
		}
	}
	return denied
}
