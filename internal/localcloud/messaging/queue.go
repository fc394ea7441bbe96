package messaging

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/amqp"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// Names of the annotations that the service writes.
const (
	annSequence = "x-opt-sequence-number"
	annEnqueued = "x-opt-enqueued-time"
	annLocked   = "x-opt-locked-until"
	annOffset   = "x-opt-offset"
	annKey      = "x-opt-partition-key"
)

const (
	defaultLock     = time.Minute
	defaultDelivery = 10
)

// item is one message of a queue.
type item struct {
	sequence int64
	enqueued time.Time
	tries    uint32 // deliveries that came to nothing
	message  *amqp.Message
	lock     amqp.UUID
	timer    *time.Timer // ends the lock
}

// queue holds the messages of a queue or a subscription, in order.
type queue struct {
	lock     time.Duration
	maxTries uint32
	sessions bool
	dead     *queue // nil on a dead letter queue

	mu       sync.Mutex
	sequence int64
	waiting  []*item
	locked   map[amqp.UUID]*item
	readers  map[*queueReader]bool
}

func newQueue(doc provider.Document) *queue {
	q := bareQueue(parseLock(provider.Text(doc, "properties", "lockDuration")))
	if n, ok := provider.At(doc, "properties", "maxDeliveryCount").(float64); ok && n >= 1 {
		q.maxTries = uint32(n)
	}
	q.sessions = flag(doc, "properties", "requiresSession")
	q.dead = bareQueue(q.lock)
	return q
}

func bareQueue(lock time.Duration) *queue {
	return &queue{lock: lock, maxTries: defaultDelivery, locked: map[amqp.UUID]*item{}, readers: map[*queueReader]bool{}}
}

// parseLock reads the durations the service takes for a lock: PT30S, PT1M, PT4M30S.
func parseLock(text string) time.Duration {
	if len(text) < 3 || text[:2] != "PT" {
		return defaultLock
	}
	d, err := time.ParseDuration(lowerASCII(text[2:]))
	if err != nil || d <= 0 || d > 5*time.Minute {
		return defaultLock
	}
	return d
}

func lowerASCII(s string) string {
	b := []byte(s)
	for n, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[n] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// put adds a message at the end.
func (q *queue) put(m *amqp.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sequence++
	q.waiting = append(q.waiting, &item{sequence: q.sequence, enqueued: time.Now(), message: m})
	q.wake()
}

// wake tells every reader that there is something. The caller holds mu.
func (q *queue) wake() {
	for r := range q.readers {
		r.poke()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, one := range q.locked {
		one.timer.Stop()
	}
	q.locked, q.waiting = map[amqp.UUID]*item{}, nil
	if q.dead != nil {
		q.dead.close()
	}
}

// take locks the first message that waits.
func (q *queue) take() *amqp.Delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	one := q.waiting[0]
	q.waiting = q.waiting[1:]
	one.lock = amqp.UUID(uuid.New())
	key := one.lock
	one.timer = time.AfterFunc(q.lock, func() { q.settle(key, amqp.Modified) })
	q.locked[key] = one
	return &amqp.Delivery{Tag: lockTag(key), Message: q.outgoing(one)}
}

// lockTag is a lock in the byte order clients expect tags in: the first three
// groups of a UUID turned around.
func lockTag(u amqp.UUID) []byte {
	b := slices.Clone(u[:])
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}

// outgoing is a message with what the service adds.
func (q *queue) outgoing(one *item) *amqp.Message {
	m := *one.message
	header := make([]any, 5)
	copy(header, m.Header)
	header[4] = one.tries
	m.Header = header
	m.Annotations = append(slices.Clone(m.Annotations),
		amqp.Pair{Key: amqp.Symbol(annSequence), Value: one.sequence},
		amqp.Pair{Key: amqp.Symbol("x-opt-enqueue-sequence-number"), Value: one.sequence},
		amqp.Pair{Key: amqp.Symbol(annEnqueued), Value: one.enqueued},
		amqp.Pair{Key: amqp.Symbol(annLocked), Value: time.Now().Add(q.lock)})
	return &m
}

// settle ends a lock; false when there was none any more.
func (q *queue) settle(key amqp.UUID, o amqp.Outcome) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	one, ok := q.locked[key]
	if !ok {
		return false
	}
	one.timer.Stop()
	delete(q.locked, key)
	if o == amqp.Accepted {
		return true
	}
	one.tries++
	if q.dead != nil && (o == amqp.Rejected || one.tries >= q.maxTries) {
		q.dead.put(one.message)
		return true
	}
	at, _ := slices.BinarySearchFunc(q.waiting, one.sequence, func(w *item, n int64) int { return int(w.sequence - n) })
	q.waiting = slices.Insert(q.waiting, at, one)
	q.wake()
	return true
}

// queueTarget puts messages into every queue that stands behind an address.
type queueTarget struct{ queues func() []*queue }

// Put implements amqp.Target.
func (t queueTarget) Put(m *amqp.Message, format uint32) *amqp.Error {
	all, err := m.Unpack(format)
	if err != nil {
		return &amqp.Error{Condition: amqp.DecodeError, Description: err.Error()}
	}
	for _, q := range t.queues() {
		for _, one := range all {
			q.put(one)
		}
	}
	return nil
}

// queueReader is one receiver of a queue.
type queueReader struct {
	queue *queue
	ready chan struct{}
	locks map[string]amqp.UUID // by tag
}

func (q *queue) reader() *queueReader {
	r := &queueReader{queue: q, ready: make(chan struct{}, 1), locks: map[string]amqp.UUID{}}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readers[r] = true
	r.poke()
	return r
}

func (r *queueReader) poke() {
	select {
	case r.ready <- struct{}{}:
	default: // it knows already
	}
}

// Take implements amqp.Source.
func (r *queueReader) Take() *amqp.Delivery {
	d := r.queue.take()
	if d != nil {
		key := amqp.UUID(lockTag(amqp.UUID(d.Tag))) // turning around twice gives the lock
		r.locks[string(d.Tag)] = key
	}
	return d
}

// Wake implements amqp.Source.
func (r *queueReader) Wake() <-chan struct{} { return r.ready }

// Settle implements amqp.Source.
func (r *queueReader) Settle(tag []byte, o amqp.Outcome) *amqp.Error {
	key, ok := r.locks[string(tag)]
	delete(r.locks, string(tag))
	if ok && r.queue.settle(key, o) {
		return nil
	}
	return &amqp.Error{Condition: "com.microsoft:message-lock-lost",
		Description: "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."}
}

// Close implements amqp.Source. Locks last: the service gives a message to the
// next receiver only when its lock has ended.
func (r *queueReader) Close() {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	maps.DeleteFunc(r.queue.readers, func(one *queueReader, _ bool) bool { return one == r })
}
