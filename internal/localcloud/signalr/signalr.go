// Package signalr is the local cloud's Microsoft.SignalRService: SignalR and Web
// PubSub services with keys, network rules and a data plane over HTTPS.
//
// Real: access keys and connection strings; JSON web tokens signed with either key,
// whose audience is the address asked for, and Entra tokens with the data actions of
// role assignments; disableLocalAuth and disableAadAuth; publicNetworkAccess, address
// rules and request kinds; client connections over web sockets (JSON hub protocol of
// SignalR, plain clients of Web PubSub), messages to a hub, a group, a user or one
// connection, joining of groups, presence, client tokens.
//
// Not real: app servers (every service works serverless), upstream and event handlers,
// the JSON subprotocols of Web PubSub, tags, replicas, custom domains and live traces,
// which are documents at most. An address rule set without any rule lets every address
// through to the request kinds, and with rules the first that holds the address counts:
// this order is from memory, the published pages leave it open.
//
// The package must never write a key or a token to a log or a document.
package signalr

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// apiVersions are those published for both types.
var apiVersions = []string{
	"2021-10-01", "2022-02-01", "2022-08-01-preview", "2023-02-01", "2023-03-01-preview", "2023-06-01-preview", "2023-08-01-preview",
	"2024-01-01-preview", "2024-03-01", "2024-04-01-preview", "2024-08-01-preview", "2024-10-01-preview", "2025-01-01-preview",
}

// flavour is what differs between the two services.
type flavour struct {
	kind     string // resource type
	local    string // last word of the cloud's own audience
	audience string // what tokens for Azure's are made for
	routes   func(*plane) []route
}

// flavours are the services of the namespace.
func flavours() []flavour {
	return []flavour{
		{kind: "Microsoft.SignalRService/SignalR", local: "signalr", audience: "https://signalr.azure.com", routes: signalRRoutes},
		{kind: "Microsoft.SignalRService/WebPubSub", local: "webpubsub", audience: "https://webpubsub.azure.com", routes: webPubSubRoutes},
	}
}

// platform are members only the platform sets.
var platform = []string{"hostName", "externalIP", "publicPort", "serverPort", "version", "provisioningState", "privateEndpointConnections", "sharedPrivateLinkResources", "hostNamePrefix"}

var serviceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,61}[A-Za-z0-9]$`)

// Names of the access keys, as they are kept beside the document.
const (
	primary   = "primary"
	secondary = "secondary"
)

// Provider serves the namespace; make one with New.
type Provider struct {
	cloud  provider.Cloud
	served []served
}

// served is one flavour with what runs of it.
type served struct {
	flavour
	accounts  *service.Accounts
	endpoints *service.Set
}

// New makes the provider. It starts nothing; Resume does, and so do writes.
func New(cloud provider.Cloud) provider.Provider {
	p := &Provider{cloud: cloud}
	for _, f := range flavours() {
		s := served{flavour: f}
		s.endpoints = service.NewSet(cloud, func(resourceID string) http.Handler { return newPlane(cloud, s.accounts, f, resourceID) })
		s.accounts = service.NewAccounts(cloud, service.Kind{
			Type: f.kind, Platform: platform, Keys: []string{primary, secondary}, NewKey: service.Base64Key, Global: true,
			Defaults: defaults, Check: check, Fill: fill,
		}, s.endpoints)
		p.served = append(p.served, s)
	}
	return p
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	var types []provider.Type
	for _, s := range p.served {
		types = append(types, s.accounts.Type(apiVersions, s.accounts.KeyActions(p.keys(s), keyName)))
	}
	return types
}

// Resume implements provider.Provider: it opens every service again.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, s := range p.served {
		errs = append(errs, s.endpoints.Resume(ctx, s.kind))
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	var errs []error
	for _, s := range p.served {
		errs = append(errs, s.endpoints.Close())
	}
	return errors.Join(errs...)
}

// requestKinds are what network rules tell apart.
var requestKinds = []any{"ServerConnection", "ClientConnection", "RESTAPI", "Trace"}

// defaults is what a new service has where the request says nothing: its default
// action is Deny, and the public network is allowed everything by name.
func defaults() map[string]any {
	return map[string]any{
		"publicNetworkAccess": "Enabled", "disableLocalAuth": false, "disableAadAuth": false, "tls": map[string]any{"clientCertEnabled": false},
		"networkACLs": map[string]any{
			"defaultAction": "Deny", "publicNetwork": map[string]any{"allow": requestKinds, "deny": []any{}}, "privateEndpoints": []any{}, "ipRules": []any{},
		},
	}
}

func check(doc provider.Document) error {
	if !serviceName.MatchString(provider.Text(doc, "name")) {
		return provider.BadRequest("InvalidResourceName", "The name of a service has 3 to 63 letters, digits and hyphens, starts with a letter and ends with a letter or digit.")
	}
	if provider.Text(doc, "sku", "name") == "" {
		return provider.BadRequest("InvalidRequestBody", "The sku.name is required.")
	}
	for _, member := range []string{"disableLocalAuth", "disableAadAuth"} {
		if _, ok := provider.At(doc, "properties", member).(bool); !ok {
			return provider.BadRequest("InvalidRequestBody", "The value of "+member+" is true or false.")
		}
	}
	acls, _ := provider.At(doc, "properties", "networkACLs").(map[string]any)
	if a := provider.Text(acls, "defaultAction"); a != "Allow" && a != "Deny" {
		return provider.BadRequest("InvalidRequestBody", "The value of networkACLs.defaultAction is Allow or Deny.")
	}
	rules, _ := acls["ipRules"].([]any)
	for _, rule := range rules {
		m, _ := rule.(map[string]any)
		if a := provider.Text(m, "action"); a != "Allow" && a != "Deny" {
			return provider.BadRequest("InvalidRequestBody", "The action of an ipRule is Allow or Deny.")
		}
		if _, err := service.ParseAddresses(provider.Text(m, "value")); err != nil && provider.Text(m, "value") != "::/0" {
			return provider.BadRequest("InvalidRequestBody", "The ipRule is not valid: "+err.Error()+".")
		}
	}
	return nil
}

func fill(_ provider.Document, e *service.Endpoint) map[string]any {
	return map[string]any{"hostName": e.Host(), "publicPort": 443.0, "serverPort": 443.0, "version": "1.0"}
}

// keys is the answer of listKeys.
func (p *Provider) keys(s served) func(resourceID string) any {
	return func(resourceID string) any {
		doc, _ := p.cloud.Store().Get(resourceID)
		keys, host := s.accounts.Keys(resourceID), provider.Text(doc, "properties", "hostName")
		text := func(name string) string {
			return "Endpoint=https://" + host + ";AccessKey=" + keys[name] + ";Version=1.0;"
		}
		return map[string]any{"primaryKey": keys[primary], "secondaryKey": keys[secondary],
			"primaryConnectionString": text(primary), "secondaryConnectionString": text(secondary)}
	}
}

func keyName(body provider.Document) string { return strings.ToLower(provider.Text(body, "keyType")) }
