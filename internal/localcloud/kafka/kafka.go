// Package kafka is the local cloud's Kafka: a broker that keeps records in memory,
// behind a gate that speaks TLS, signs clients in and holds every request to the
// rights of whoever sent it.
//
// Real: the protocol as far as the embedded broker has it (produce, fetch, groups,
// offsets, transactions), PLAIN and OAUTHBEARER with the answers clients expect of a
// refusal, sessions that end with their token, rights by topic, the caller's
// address. Not real: there is one broker, its records are in memory, and clients
// that send several requests without waiting are answered one after the other.
//
// It must know nothing of any cloud: who may sign in and what for is decided by the
// functions it is given. It never logs what clients show.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Right is what a request needs.
type Right int

// Rights.
const (
	Read Right = iota
	Write
	Manage
)

// Session is what a client may do once it has signed in.
type Session struct {
	Expires time.Time // zero: as long as the connection
	// May tells whether it holds a right on a topic now; no topic means anywhere.
	May func(r Right, topic string) bool
}

// Options say how a broker is reached.
type Options struct {
	Address string // host and port, as clients reach it
	TLS     *tls.Config
	Topics  map[string]int // that are there from the beginning, with their partitions
	// Admits decides by the client's address; nil admits everybody.
	Admits func(from net.Addr) bool
	// Plain and Token sign clients in; nil switches the mechanism off.
	Plain func(user, secret string) (Session, error)
	Token func(token string) (Session, error)
}

// Broker is a running broker. Make one with Open.
type Broker struct {
	options Options
	cluster *kfake.Cluster
	outside net.Listener
	inside  *inside
	work    sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // nil once closed
}

// Open starts a broker and listens.
func Open(ctx context.Context, o Options) (*Broker, error) {
	var lc net.ListenConfig
	outside, err := lc.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	in := &inside{address: outside.Addr(), dialled: make(chan net.Conn), closed: make(chan struct{})}
	settings := []kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(func(string, string) (net.Listener, error) { return in, nil })}
	for topic, partitions := range o.Topics {
		settings = append(settings, kfake.SeedTopics(int32(partitions), topic))
	}
	cluster, err := kfake.NewCluster(settings...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start broker: %w", err), outside.Close())
	}
	b := &Broker{options: o, cluster: cluster, outside: outside, inside: in, open: map[net.Conn]bool{}}
	b.work.Go(b.accept)
	return b, nil
}

// Create makes a topic unless there is one.
func (b *Broker) Create(topic string, partitions int) error {
	if b.cluster.TopicInfo(topic) != nil {
		return nil
	}
	return b.cluster.CreateTopic(topic, int32(partitions), nil)
}

// Drop deletes a topic and its records.
func (b *Broker) Drop(topic string) error {
	if b.cluster.TopicInfo(topic) == nil {
		return nil
	}
	return b.cluster.DeleteTopic(topic)
}

func (b *Broker) accept() {
	for {
		raw, err := b.outside.Accept()
		if err != nil {
			return // closed
		}
		if b.options.Admits != nil && !b.options.Admits(raw.RemoteAddr()) {
			_ = raw.Close() // whom the firewall shuts out gets no word
			continue
		}
		if !b.keep(raw) {
			_ = raw.Close()
			return
		}
		b.work.Go(func() {
			defer b.forget(raw)
			b.serve(raw)
		})
	}
}

// keep remembers a connection so that Close can end it.
func (b *Broker) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		return false
	}
	b.open[c] = true
	return true
}

func (b *Broker) forget(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

// Close stops listening, ends every connection and waits.
func (b *Broker) Close() error {
	err := b.outside.Close()
	b.mu.Lock()
	for c := range b.open {
		_ = c.Close()
	}
	b.open = nil
	b.mu.Unlock()
	_ = b.inside.Close()
	b.work.Wait()
	b.cluster.Close()
	return err
}

// inside is the listener of the embedded broker: the gate dials it through pipes,
// and its address is the one that clients are told.
type inside struct {
	address net.Addr
	dialled chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

var errClosed = errors.New("the broker is closed")

// Accept implements net.Listener.
func (l *inside) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.closed:
		return nil, errClosed
	}
}

// Addr implements net.Listener.
func (l *inside) Addr() net.Addr { return l.address }

// Close implements net.Listener.
func (l *inside) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *inside) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.dialled <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errClosed
	}
}
