package messaging

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/go-amqp"
	"github.com/twmb/franz-go/pkg/kgo"

	local "github.com/patchbay/patchbay/internal/localcloud/amqp"
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

// amqpFrom opens a connection and a session from an address.
func (b *bench) amqpFrom(address string) error {
	raw, err := from(address).DialContext(b.ctx, "tcp", net.JoinHostPort(b.host(), amqpPort))
	if err != nil {
		return err
	}
	defer raw.Close()
	config := b.cloud.ClientTLS()
	config.ServerName = b.host()
	conn, err := amqp.NewConn(b.ctx, tls.Client(raw, config), &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		return err
	}
	_, err = conn.NewSession(b.ctx, nil)
	return err
}

// kafkaFrom signs in from an address.
func (b *bench) kafkaFrom(connection, address string) error {
	config := b.cloud.ClientTLS()
	c := b.kafka(withString(connection), kgo.Dialer(func(ctx context.Context, network, at string) (net.Conn, error) {
		raw, err := from(address).DialContext(ctx, network, at)
		if err != nil {
			return nil, err
		}
		config.ServerName = b.host()
		return tls.Client(raw, config), nil
	}))
	defer c.Close()
	return c.Ping(b.ctx)
}

// Words of package amqp that the client's own package has too.
var amqpMessage = local.Message{}

const accepted = local.Accepted
