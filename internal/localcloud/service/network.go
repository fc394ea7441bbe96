package service

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// Addresses is a range of IPv4 addresses, both ends included.
type Addresses struct{ first, last netip.Addr }

// Holds tells whether an address lies in the range.
func (r Addresses) Holds(a netip.Addr) bool {
	a = a.Unmap()
	return a.Is4() && !a.Less(r.first) && !r.last.Less(a)
}

// ParseAddresses reads an IPv4 address, a prefix or a range first-last.
func ParseAddresses(text string) (Addresses, error) {
	first, last, ranged := strings.Cut(text, "-")
	if p, err := netip.ParsePrefix(text); err == nil {
		if !p.Addr().Is4() {
			return Addresses{}, errors.New("only IPv4 addresses are allowed")
		}
		end := p.Masked().Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			end[bit/8] |= 1 << (7 - bit%8)
		}
		return Addresses{p.Masked().Addr(), netip.AddrFrom4(end)}, nil
	}
	if !ranged {
		last = first
	}
	a, err1 := netip.ParseAddr(first)
	b, err2 := netip.ParseAddr(last)
	if err := errors.Join(err1, err2); err != nil {
		return Addresses{}, err
	}
	if !a.Is4() || !b.Is4() {
		return Addresses{}, errors.New("only IPv4 addresses are allowed")
	}
	if b.Less(a) {
		return Addresses{}, errors.New("the range ends before it starts")
	}
	return Addresses{a, b}, nil
}

// Caller is the address a request came from.
func Caller(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}

// Bearer is the token of a request's Authorization header, "" without one.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
