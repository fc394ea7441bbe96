package storage

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// addressRange is what one network rule lets in, both ends included.
type addressRange struct{ first, last netip.Addr }

func (r addressRange) holds(a netip.Addr) bool { return !a.Less(r.first) && !r.last.Less(a) }

// parseRule reads an IPv4 address, a prefix up to /30, or a range first-last.
func parseRule(value string) (addressRange, error) {
	if first, last, ok := strings.Cut(value, "-"); ok {
		a, err1 := netip.ParseAddr(first)
		b, err2 := netip.ParseAddr(last)
		if err := errors.Join(err1, err2); err != nil {
			return addressRange{}, err
		}
		return ordered(a, b)
	}
	if strings.Contains(value, "/") {
		return parsePrefix(value)
	}
	a, err := netip.ParseAddr(value)
	if err != nil {
		return addressRange{}, err
	}
	return ordered(a, a)
}

func ordered(a, b netip.Addr) (addressRange, error) {
	if !a.Is4() || !b.Is4() {
		return addressRange{}, errors.New("only IPv4 addresses are allowed")
	}
	if b.Less(a) {
		return addressRange{}, errors.New("the range ends before it starts")
	}
	return addressRange{a, b}, nil
}

func parsePrefix(value string) (addressRange, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return addressRange{}, err
	}
	if p.Bits() > 30 {
		return addressRange{}, errors.New("prefixes of /31 and /32 are written as single addresses")
	}
	if !p.Addr().Is4() {
		return addressRange{}, errors.New("only IPv4 addresses are allowed")
	}
	first := p.Masked().Addr()
	last := first.As4()
	for bit := p.Bits(); bit < 32; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	return ordered(first, netip.AddrFrom4(last))
}

// admits decides whether a client's address may speak to an account.
func admits(account provider.Document, from netip.Addr) bool {
	if account == nil || provider.Text(account, "properties", "publicNetworkAccess") == "Disabled" {
		return false
	}
	if provider.Text(account, "properties", "networkAcls", "defaultAction") != "Deny" {
		return true
	}
	rules, _ := provider.At(account, "properties", "networkAcls", "ipRules").([]any)
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if r, err := parseRule(provider.Text(m, "value")); err == nil && r.holds(from.Unmap()) {
			return true
		}
	}
	return false
}
