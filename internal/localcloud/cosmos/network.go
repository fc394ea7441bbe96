package cosmos

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// azureServices is the rule for whatever runs inside Azure; in the local cloud that is
// everything on loopback.
const azureServices = "0.0.0.0"

// ruleBlocks reads the address rules: IPv4 addresses and CIDR blocks.
func ruleBlocks(properties map[string]any) ([]string, error) {
	list, _ := properties["ipRules"].([]any)
	var out []string
	for _, one := range list {
		m, _ := one.(map[string]any)
		text := provider.Text(m, "ipAddressOrRange")
		if _, err := block(text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

func block(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		text += "/32"
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && !p.Addr().Is4() {
		err = errors.New("only IPv4 addresses are allowed")
	}
	return p, err
}

func checkNetwork(properties map[string]any) error {
	if _, err := ruleBlocks(properties); err != nil {
		return provider.BadRequest("BadRequest", "The ipRules are not valid: "+err.Error()+".")
	}
	return nil
}

// admits decides whether a client's address may speak to an account. Without rules
// everybody may; the first rule closes it to everybody else.
func admits(account provider.Document, from netip.Addr) bool {
	properties, _ := account["properties"].(map[string]any)
	if account == nil || strings.EqualFold(provider.Text(properties, "publicNetworkAccess"), "Disabled") {
		return false
	}
	rules, _ := ruleBlocks(properties)
	filtered, _ := properties["isVirtualNetworkFilterEnabled"].(bool)
	if len(rules) == 0 && !filtered {
		return true
	}
	from = from.Unmap()
	for _, rule := range rules {
		b, _ := block(rule)
		if b.Contains(from) || rule == azureServices && from.IsLoopback() {
			return true
		}
	}
	return false
}
