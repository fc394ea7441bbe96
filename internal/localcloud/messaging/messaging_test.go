package messaging

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/providertest"
)

const (
	hubsID = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.EventHub/namespaces/hubs-space"
	busID  = "/subscriptions/0000/resourceGroups/Rg/providers/Microsoft.ServiceBus/namespaces/bus-space"
)

// bench is a namespace of one of the two services.
type bench struct {
	t     *testing.T
	ctx   context.Context
	cloud *providertest.Cloud
	front *providertest.Front
	id    string
}

func newBench(t *testing.T, id string, made func(provider.Cloud) provider.Provider) *bench {
	t.Helper()
	cloud := providertest.New(t)
	p := made(cloud)
	t.Cleanup(func() { _ = p.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	b := &bench{t: t, ctx: ctx, cloud: cloud, front: providertest.NewFront(cloud, p), id: id}
	b.run("PUT", "", provider.Document{"location": "westeurope", "sku": map[string]any{"name": "Premium"}, "properties": map[string]any{}})
	return b
}

func withHub(t *testing.T) *bench {
	b := newBench(t, hubsID, NewEventHubs)
	b.run("PUT", "/eventhubs/Orders", provider.Document{"properties": map[string]any{"partitionCount": 2.0}})
	return b
}

func withQueue(t *testing.T) *bench {
	b := newBench(t, busID, NewServiceBus)
	b.run("PUT", "/queues/orders", provider.Document{"properties": map[string]any{"lockDuration": "PT5S", "maxDeliveryCount": 2.0}})
	return b
}

func (b *bench) run(method, path string, d provider.Document) *providertest.Result {
	b.t.Helper()
	r, err := b.front.Run(b.ctx, method, b.id+path, d)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// connectionString of a rule of the namespace, or of one of its entities.
func (b *bench) connectionString(rule string) string {
	b.t.Helper()
	return provider.Text(b.run("POST", rule+"/listKeys", nil).Body, "primaryConnectionString")
}

const root = "/authorizationRules/" + rootRule

func (b *bench) rule(name string, rights ...any) string {
	path := "/authorizationRules/" + name
	b.run("PUT", path, provider.Document{"properties": map[string]any{"rights": rights}})
	return b.connectionString(path)
}

func (b *bench) host() string { return b.cloud.Address(b.id) }

// deny closes the namespace to everybody but one address.
func (b *bench) deny(mask string) {
	b.run("PUT", "/networkRuleSets/default", provider.Document{"properties": map[string]any{
		"defaultAction": "Deny", "ipRules": []any{map[string]any{"ipMask": mask, "action": "Allow"}}}})
}

// principal is an identity of the directory that gets tokens like an SDK's credential.
type principal struct {
	cloud    *providertest.Cloud
	id       string
	audience string
}

func (b *bench) principal(audience string) *principal {
	return &principal{b.cloud, b.cloud.Directory().NewManagedIdentity("/app", "app").ObjectID, audience}
}

func (p *principal) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, expires, err := p.cloud.Directory().Token(p.id, p.audience)
	return azcore.AccessToken{Token: token, ExpiresOn: expires}, err
}

// from dials from one loopback address.
func from(address string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
}
