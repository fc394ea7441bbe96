package messaging

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/amqp"
	"github.com/patchbay/patchbay/internal/localcloud/kafka"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// plane is the running data plane of one namespace.
type plane struct {
	provider *Provider
	id       id.ID
	address  string
	amqp     *amqp.Server
	broker   *kafka.Broker // of event hubs only

	mu     sync.Mutex
	hubs   map[string]*hub   // by folded id
	queues map[string]*queue // of queues and subscriptions, by folded id
}

func openPlane(ctx context.Context, p *Provider, resource string) (*plane, error) {
	i, err := id.Parse(resource)
	if err != nil {
		return nil, err
	}
	one := &plane{provider: p, id: i, address: p.cloud.Address(resource), hubs: map[string]*hub{}, queues: map[string]*queue{}}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(one.address, amqpPort))
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	one.amqp = amqp.Serve(l, amqp.Options{Name: i.Name(), TLS: p.cloud.ServerTLS(),
		Mechanisms: []string{"MSSBCBS", amqp.Plain, amqp.Anonymous, amqp.External},
		Accept:     func(remote net.Addr) amqp.Peer { return &peer{plane: one, from: remote} }})
	if p.kafka {
		if err := one.openKafka(ctx); err != nil {
			return nil, errors.Join(err, one.amqp.Close())
		}
	}
	return one, nil
}

func (p *plane) openKafka(ctx context.Context) error {
	topics := map[string]int{}
	for _, doc := range p.provider.cloud.Store().Children(p.id.String(), p.provider.namespace+"/eventhubs") {
		properties, _ := doc["properties"].(map[string]any)
		topics[provider.Text(doc, "name")] = partitions(properties)
	}
	var err error
	p.broker, err = kafka.Open(ctx, kafka.Options{
		Address: net.JoinHostPort(p.address, kafkaPort), TLS: p.provider.cloud.ServerTLS(), Topics: topics,
		Admits: p.admits,
		Plain: func(user, secret string) (kafka.Session, error) {
			if user != "$ConnectionString" {
				return kafka.Session{}, errSignature
			}
			s, err := p.withConnectionString(secret)
			return p.kafkaSession(s), err
		},
		Token: func(token string) (kafka.Session, error) {
			s, err := p.withToken(token)
			return p.kafkaSession(s), err
		},
	})
	return err
}

// kafkaSession says what a pass is good for in Kafka's terms.
func (p *plane) kafkaSession(s pass) kafka.Session {
	rights := map[kafka.Right]string{kafka.Read: listen, kafka.Write: send, kafka.Manage: manage}
	return kafka.Session{Expires: s.expires, May: func(r kafka.Right, topic string) bool {
		path := s.path // no topic: whatever the pass is for
		if topic != "" {
			path = segments(topic)
		}
		return p.allows(s, rights[r], path)
	}}
}

func (p *plane) admits(from net.Addr) bool {
	at, err := netip.ParseAddrPort(from.String())
	return err == nil && p.provider.admits(p.id, at.Addr())
}

// made tells the data plane of an entity that was made or changed.
func (p *plane) made(i id.ID, doc provider.Document) {
	if p.broker == nil || !strings.HasSuffix(id.Fold(i.Type()), "/eventhubs") {
		return
	}
	properties, _ := doc["properties"].(map[string]any)
	if err := p.broker.Create(i.Name(), partitions(properties)); err != nil {
		p.provider.cloud.Logf("make topic %s: %v", i.Name(), err)
	}
}

// dropped ends what the data plane holds for an entity.
func (p *plane) dropped(i id.ID) {
	if p.broker != nil && strings.HasSuffix(id.Fold(i.Type()), "/eventhubs") {
		if err := p.broker.Drop(i.Name()); err != nil {
			p.provider.cloud.Logf("drop topic %s: %v", i.Name(), err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.hubs, i.Fold())
	for key, q := range p.queues {
		if key == i.Fold() || strings.HasPrefix(key, i.Fold()+"/") {
			q.close()
			delete(p.queues, key)
		}
	}
}

// hub finds the messages of an event hub, or begins to keep some.
func (p *plane) hub(i id.ID, doc provider.Document) *hub {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hubs[i.Fold()]
	if h == nil {
		properties, _ := doc["properties"].(map[string]any)
		h = newHub(i.Name(), partitions(properties), p.provider.cloud.Now)
		p.hubs[i.Fold()] = h
	}
	return h
}

// queue finds the messages of a queue or subscription, or begins to keep some.
func (p *plane) queue(i id.ID, doc provider.Document) *queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queues[i.Fold()]
	if q == nil {
		q = newQueue(doc)
		p.queues[i.Fold()] = q
	}
	return q
}

func (p *plane) close() error {
	err := p.amqp.Close()
	if p.broker != nil {
		err = errors.Join(err, p.broker.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.queues {
		q.close()
	}
	return err
}
