// Package messaging is the local cloud's Microsoft.EventHub and
// Microsoft.ServiceBus: namespaces with authorization rules, keys and a network
// rule set, their queues, topics and event hubs, and data planes that speak AMQP
// 1.0 on port 5671 and, for event hubs, Kafka's protocol on port 9093, all over TLS
// at the namespace's own address.
//
// Real: shared access signatures and keys are verified against the rules and their
// rights; Entra tokens are verified and held against role assignments, entity by
// entity; disableLocalAuth; the firewall by the caller's address, which lets
// everybody in while it has no rule; queues with peek-lock, completion, abandoning,
// dead lettering and duplicate-free settlement; topics that copy to their
// subscriptions; event hubs with partitions, positions and consumer groups.
//
// Not real: messages live in memory only; sessions, transactions, scheduling,
// filters of subscriptions, checkpoints' storage, capture and geo-recovery are
// missing; what is sent over AMQP is not seen over Kafka nor the other way round;
// virtual network rules are kept and admit nobody; AMQP over WebSockets is missing.
//
// The package must never write a key or a token to a log or a document.
package messaging

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Ports of the data planes.
const (
	amqpPort  = "5671"
	kafkaPort = "9093"
)

// flavour is what differs between the two services.
type flavour struct {
	namespace   string   // type of the namespace
	apiVersions []string // published
	kafka       bool
	audience    string            // of Entra tokens
	word        string            // in the local cloud's own audience
	walled      map[string]bool   // tiers that have a network rule set (mem)
	entities    map[string]entity // by type name below the namespace
}

// entity is one kind of thing a namespace holds.
type entity struct {
	defaults func() map[string]any
	ruled    bool   // has authorization rules of its own
	first    string // name of a child that comes with it, under the type in below
	below    string
}

func eventHubs() flavour {
	return flavour{
		namespace: "Microsoft.EventHub/namespaces", kafka: true, audience: "https://eventhubs.azure.net", word: "eventhubs",
		apiVersions: []string{"2017-04-01", "2018-01-01-preview", "2021-01-01-preview", "2021-06-01-preview", "2021-11-01", "2022-01-01-preview",
			"2022-10-01-preview", "2023-01-01-preview", "2024-01-01", "2024-05-01-preview", "2025-05-01-preview", "2026-01-01", "2026-07-01-preview"},
		walled: map[string]bool{"Standard": true, "Premium": true},
		entities: map[string]entity{
			"eventhubs": {defaults: func() map[string]any {
				return map[string]any{"partitionCount": 4.0, "messageRetentionInDays": 7.0, "status": "Active"}
			}, ruled: true, first: "$Default", below: "consumergroups"},
			"eventhubs/consumergroups": {defaults: func() map[string]any { return map[string]any{} }},
		},
	}
}

func serviceBus() flavour {
	queue := func() map[string]any {
		return map[string]any{"status": "Active", "maxSizeInMegabytes": 1024.0, "lockDuration": "PT1M", "maxDeliveryCount": 10.0,
			"requiresSession": false, "requiresDuplicateDetection": false, "deadLetteringOnMessageExpiration": false, "enablePartitioning": false}
	}
	return flavour{
		namespace: "Microsoft.ServiceBus/namespaces", audience: "https://servicebus.azure.net", word: "servicebus",
		apiVersions: []string{"2017-04-01", "2018-01-01-preview", "2021-01-01-preview", "2021-06-01-preview", "2021-11-01", "2022-01-01-preview",
			"2022-10-01-preview", "2023-01-01-preview", "2024-01-01", "2025-05-01-preview", "2026-01-01", "2026-07-01-preview"},
		walled: map[string]bool{"Premium": true},
		entities: map[string]entity{
			"queues":               {defaults: queue, ruled: true},
			"topics":               {defaults: func() map[string]any { return map[string]any{"status": "Active", "maxSizeInMegabytes": 1024.0} }, ruled: true},
			"topics/subscriptions": {defaults: queue},
		},
	}
}

// Provider serves one of the two namespaces; make one with NewEventHubs or NewServiceBus.
type Provider struct {
	cloud provider.Cloud
	flavour

	writes sync.Mutex // held while a namespace, its rules or keys are read and written back

	mu     sync.Mutex
	planes map[string]*plane // running data planes by folded id; nil once closed
}

// NewEventHubs makes the provider of Microsoft.EventHub. It starts nothing; Resume
// does, and so do writes.
func NewEventHubs(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, flavour: eventHubs(), planes: map[string]*plane{}}
}

// NewServiceBus makes the provider of Microsoft.ServiceBus. It starts nothing;
// Resume does, and so do writes.
func NewServiceBus(cloud provider.Cloud) provider.Provider {
	return &Provider{cloud: cloud, flavour: serviceBus(), planes: map[string]*plane{}}
}

// Types implements provider.Provider.
func (p *Provider) Types() []provider.Type {
	types := []provider.Type{
		{Name: p.namespace, Put: p.putNamespace, Patch: p.patchNamespace, Delete: p.deleteNamespace},
		{Name: p.namespace + "/networkRuleSets", Get: p.getRuleSet, List: p.listRuleSets, Put: p.putRuleSet},
		p.ruleType(p.namespace),
	}
	for name, kind := range p.entities {
		types = append(types, provider.Type{Name: p.namespace + "/" + name, Put: p.putEntity(name, kind), Delete: p.deleteEntity})
		if kind.ruled {
			types = append(types, p.ruleType(p.namespace+"/"+name))
		}
	}
	for n := range types {
		types[n].APIVersions = p.apiVersions
	}
	return types
}

func (p *Provider) ruleType(parent string) provider.Type {
	return provider.Type{Name: parent + "/authorizationRules", Put: p.putRule, Delete: p.deleteRule, Actions: map[string]provider.Action{
		"listkeys": {Handle: p.listKeys}, "regeneratekeys": {Handle: p.regenerateKeys},
	}}
}

// Resume implements provider.Provider: it opens every namespace's data plane
// again, with its entities and without their messages.
func (p *Provider) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", p.namespace) {
		resource := provider.Text(doc, "id")
		if _, err := p.serve(ctx, resource); err != nil {
			p.cloud.Logf("resume namespace %s: %v", resource, err)
			errs = append(errs, err)
			continue
		}
		p.settle(resource)
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Provider) Close() error {
	p.mu.Lock()
	running := p.planes
	p.planes = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range running {
		errs = append(errs, one.close())
	}
	return errors.Join(errs...)
}

// serve opens a namespace's data plane unless it is open.
func (p *Provider) serve(ctx context.Context, resource string) (*plane, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.planes == nil {
		return nil, errors.New("the local cloud is closing")
	}
	key := id.Fold(resource)
	if one, ok := p.planes[key]; ok {
		return one, nil
	}
	one, err := openPlane(ctx, p, resource)
	if err != nil {
		return nil, err
	}
	p.planes[key] = one
	return one, nil
}

// running finds an open data plane.
func (p *Provider) running(resource string) *plane {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.planes[id.Fold(resource)]
}

// end closes a namespace's data plane; its messages are gone.
func (p *Provider) end(resource string) error {
	p.mu.Lock()
	key := id.Fold(resource)
	one := p.planes[key]
	delete(p.planes, key)
	p.mu.Unlock()
	if one == nil {
		return nil
	}
	return one.close()
}

// namespaceOf is the id of the namespace that something lies in.
func namespaceOf(i id.ID) string {
	for strings.Count(i.Type(), "/") > 1 {
		i = i.Parent()
	}
	return i.String()
}

// entityPath is where something lies inside its namespace, as addresses of the
// data plane spell it: the event hub, queue or topic first.
func entityPath(i id.ID) []string {
	var names []string
	for ; strings.Count(i.Type(), "/") > 1; i = i.Parent() {
		names = append([]string{i.Name()}, names...)
	}
	return names
}
