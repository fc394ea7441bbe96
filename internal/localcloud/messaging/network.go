package messaging

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const maxRules = 128

// ruleSet is the network rule set of a namespace, which exists with it. Whether
// there is public access at all is told by the namespace.
func (p *Provider) ruleSet(namespace id.ID) (provider.Document, error) {
	space, exists := p.cloud.Store().Get(namespace.String())
	if !exists {
		return nil, notFound(namespace.String())
	}
	i := namespace.Child("networkRuleSets", "default")
	doc, stored := p.cloud.Store().Get(i.String())
	if !stored {
		doc = provider.Identify(i, i.Type(), map[string]any{"properties": map[string]any{
			"defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}, "trustedServiceAccessEnabled": false,
		}})
	}
	properties, _ := doc["properties"].(map[string]any)
	doc["properties"] = provider.Merge(properties, map[string]any{"publicNetworkAccess": provider.Text(space, "properties", "publicNetworkAccess")})
	doc["location"] = space["location"]
	return doc, nil
}

func (p *Provider) getRuleSet(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), "default") {
		return nil, notFound(r.ID.String())
	}
	doc, err := p.ruleSet(r.ID.Parent())
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: doc}, nil
}

func (p *Provider) listRuleSets(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	doc, err := p.ruleSet(r.ID)
	if err != nil {
		return nil, err
	}
	return &provider.Answer{Status: http.StatusOK, Body: map[string]any{"value": []any{map[string]any(doc)}}}, nil
}

// putRuleSet replaces the set whole: what the request leaves out is gone.
func (p *Provider) putRuleSet(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if !strings.EqualFold(r.ID.Name(), "default") {
		return nil, provider.BadRequest("BadRequest", "The network rule set is called default.")
	}
	p.writes.Lock()
	defer p.writes.Unlock()
	space, exists := p.cloud.Store().Get(r.ID.Parent().String())
	if !exists {
		return nil, notFound(r.ID.Parent().String())
	}
	if !p.walled[provider.Text(space, "sku", "name")] {
		return nil, provider.BadRequest("BadRequest", "Network rule sets are not supported for namespaces of the tier "+provider.Text(space, "sku", "name")+".")
	}
	properties, err := whole(r.Body)
	if err != nil {
		return nil, err
	}
	if access := provider.Text(r.Body, "properties", "publicNetworkAccess"); access != "" {
		before, _ := space["properties"].(map[string]any)
		space["properties"] = provider.Merge(before, map[string]any{"publicNetworkAccess": access})
		p.cloud.Store().Put(r.ID.Parent().String(), space)
	}
	p.cloud.Store().Put(r.ID.String(), provider.Identify(r.ID, r.ID.Type(), map[string]any{"properties": properties}))
	doc, err := p.ruleSet(r.ID.Parent())
	return &provider.Answer{Status: http.StatusOK, Body: doc}, err
}

// whole reads a rule set out of a request, with what the service fills in.
func whole(body provider.Document) (map[string]any, error) {
	action := provider.Text(body, "properties", "defaultAction")
	if action == "" {
		action = "Allow" // as a set has it that nobody wrote (mem)
	}
	if action != "Allow" && action != "Deny" {
		return nil, provider.BadRequest("BadRequest", "The defaultAction is Allow or Deny.")
	}
	addresses, err := addressRules(body)
	if err != nil {
		return nil, err
	}
	subnets := []any{}
	given, _ := provider.At(body, "properties", "virtualNetworkRules").([]any)
	for _, rule := range given {
		m, _ := rule.(map[string]any)
		if provider.Text(m, "subnet", "id") == "" {
			return nil, provider.BadRequest("BadRequest", "Each virtual network rule needs a subnet id.")
		}
		subnets = append(subnets, provider.Merge(map[string]any{"ignoreMissingVnetServiceEndpoint": false}, m))
	}
	return map[string]any{"defaultAction": action, "ipRules": addresses, "virtualNetworkRules": subnets,
		"trustedServiceAccessEnabled": flag(body, "properties", "trustedServiceAccessEnabled")}, nil
}

func addressRules(body provider.Document) ([]any, error) {
	rules := []any{}
	given, _ := provider.At(body, "properties", "ipRules").([]any)
	if len(given) > maxRules {
		return nil, provider.BadRequest("BadRequest", "A network rule set holds 128 address rules at most.")
	}
	for _, rule := range given {
		m, _ := rule.(map[string]any)
		mask := provider.Text(m, "ipMask")
		if _, err := parseMask(mask); err != nil {
			return nil, provider.BadRequest("BadRequest", "The ipMask '"+mask+"' is not an IPv4 address or block.")
		}
		rules = append(rules, map[string]any{"ipMask": mask, "action": "Allow"})
	}
	return rules, nil
}

// parseMask reads an address or a block.
func parseMask(mask string) (netip.Prefix, error) {
	if !strings.Contains(mask, "/") {
		mask += "/32"
	}
	block, err := netip.ParsePrefix(mask)
	if err == nil && !block.Addr().Is4() {
		err = provider.BadRequest("BadRequest", "Only IPv4 addresses are allowed.")
	}
	return block, err
}

// admits decides whether an address may come in. A set without any rule lets
// everybody in, whatever its default action says.
func (p *Provider) admits(namespace id.ID, from netip.Addr) bool {
	doc, err := p.ruleSet(namespace)
	if err != nil || provider.Text(doc, "properties", "publicNetworkAccess") == "Disabled" {
		return false
	}
	rules, _ := provider.At(doc, "properties", "ipRules").([]any)
	subnets, _ := provider.At(doc, "properties", "virtualNetworkRules").([]any)
	if provider.Text(doc, "properties", "defaultAction") != "Deny" || len(rules)+len(subnets) == 0 {
		return true
	}
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if block, err := parseMask(provider.Text(m, "ipMask")); err == nil && block.Contains(from.Unmap()) {
			return true
		}
	}
	return false
}
