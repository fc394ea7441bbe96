package keyvault

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// normalise checks the network rules and writes them out the way the service does: an
// address alone becomes a block of one.
func normalise(properties map[string]any) error {
	acls, _ := properties["networkAcls"].(map[string]any)
	if acls == nil {
		return nil
	}
	acls = provider.Merge(map[string]any{"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}}, acls)
	properties["networkAcls"] = acls
	if a := provider.Text(acls, "defaultAction"); a != "Allow" && a != "Deny" {
		return provider.BadRequest("BadRequest", "The value of networkAcls.defaultAction is Allow or Deny.")
	}
	rules := []any{}
	given, _ := acls["ipRules"].([]any)
	for _, rule := range given {
		m, _ := rule.(map[string]any)
		block, err := parseRule(provider.Text(m, "value"))
		if err != nil {
			return provider.BadRequest("BadRequest", "The network rule is not valid: "+err.Error()+".")
		}
		rules = append(rules, map[string]any{"value": block.String()})
	}
	acls["ipRules"] = rules
	return nil
}

// parseRule reads an IPv4 address or a prefix.
func parseRule(value string) (netip.Prefix, error) {
	if !strings.Contains(value, "/") {
		value += "/32"
	}
	block, err := netip.ParsePrefix(value)
	switch {
	case err != nil:
		return block, err
	case !block.Addr().Is4():
		return block, errors.New("only IPv4 addresses are allowed")
	}
	return block, nil
}

// wall tells why a client's address may not speak to a vault; nil lets it in.
func wall(vault provider.Document, from netip.Addr) *planeError {
	if strings.EqualFold(provider.Text(vault, "properties", "publicNetworkAccess"), "Disabled") {
		return errConnection
	}
	if provider.Text(vault, "properties", "networkAcls", "defaultAction") != "Deny" {
		return nil
	}
	rules, _ := provider.At(vault, "properties", "networkAcls", "ipRules").([]any)
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if block, err := parseRule(provider.Text(m, "value")); err == nil && block.Contains(from.Unmap()) {
			return nil
		}
	}
	return errFirewall
}
