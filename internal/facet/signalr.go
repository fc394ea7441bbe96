package facet

import "github.com/patchbay/patchbay/internal/arm"

const signalRVersion = "2024-03-01"

// NewSignalRFirewall drives the address rules of a SignalR service. Adding the first
// and removing the last is DEFAULT_FLIP.
func NewSignalRFirewall(c *arm.Client) *AddressRules {
	return &AddressRules{c, rulesShape{apiVersion: signalRVersion, action: "Microsoft.SignalRService/SignalR/", member: "networkACLs", ordered: true}}
}

// NewWebPubSubFirewall drives the address rules of a Web PubSub service. Adding the
// first and removing the last is DEFAULT_FLIP.
func NewWebPubSubFirewall(c *arm.Client) *AddressRules {
	return &AddressRules{c, rulesShape{apiVersion: signalRVersion, action: "Microsoft.SignalRService/WebPubSub/", member: "networkACLs", ordered: true}}
}
