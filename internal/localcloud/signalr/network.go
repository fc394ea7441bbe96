package signalr

import (
	"net/netip"
	"slices"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// admits decides whether an address may make a kind of request from the public network.
func admits(doc provider.Document, from netip.Addr, kind string) bool {
	if provider.Text(doc, "properties", "publicNetworkAccess") == "Disabled" {
		return false
	}
	acls, _ := provider.At(doc, "properties", "networkACLs").(map[string]any)
	if rules, _ := acls["ipRules"].([]any); len(rules) > 0 && !ruled(rules, from) {
		return false
	}
	for member, admitted := range map[string]bool{"allow": true, "deny": false} {
		kinds, _ := provider.At(acls, "publicNetwork", member).([]any)
		if slices.Contains(kinds, any(kind)) {
			return admitted
		}
	}
	return provider.Text(acls, "defaultAction") == "Allow"
}

// ruled tells what the first rule that holds the address says; none lets nobody in.
func ruled(rules []any, from netip.Addr) bool {
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if r, err := service.ParseAddresses(provider.Text(m, "value")); err == nil && r.Holds(from) {
			return provider.Text(m, "action") == "Allow"
		}
	}
	return false
}
