package messaging

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/amqp"
)

// anyPartition lets the hub choose.
const anyPartition = -1

// hub holds the events of an event hub.
type hub struct {
	name    string
	created time.Time
	now     func() time.Time

	mu         sync.Mutex
	partitions []*partition
	next       int
}

// partition is a log; an event's number is its place in it.
type partition struct {
	events  []event
	readers map[*hubReader]bool
}

type event struct {
	at      time.Time
	message *amqp.Message
}

func newHub(name string, count int, now func() time.Time) *hub {
	h := &hub{name: name, created: now(), now: now}
	for range count {
		h.partitions = append(h.partitions, &partition{readers: map[*hubReader]bool{}})
	}
	return h
}

// index reads a partition's id.
func (h *hub) index(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n < len(h.partitions) && strconv.Itoa(n) == text
}

// hubTarget sends to a hub or to one partition of it.
type hubTarget struct {
	hub       *hub
	partition int
}

// Put implements amqp.Target. A batch stays together: all of it has one key.
func (t hubTarget) Put(m *amqp.Message, format uint32) *amqp.Error {
	all, err := m.Unpack(format)
	if err != nil {
		return &amqp.Error{Condition: amqp.DecodeError, Description: err.Error()}
	}
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	key := m.Annotations.Text(annKey)
	p := h.partitions[h.choose(t.partition, key)]
	for _, one := range all {
		if key == "" {
			key = one.Annotations.Text(annKey)
		}
		p.events = append(p.events, event{h.now(), one})
	}
	for r := range p.readers {
		r.poke()
	}
	return nil
}

// choose picks the partition of an event. The caller holds mu.
func (h *hub) choose(wanted int, key string) int {
	switch {
	case wanted != anyPartition:
		return wanted
	case key != "":
		sum := fnv.New32a()
		sum.Write([]byte(key)) //nolint:errcheck // never fails
		return int(sum.Sum32() % uint32(len(h.partitions)))
	}
	h.next = (h.next + 1) % len(h.partitions)
	return h.next
}

// outgoing is an event with what the service adds. Offsets count events here.
func (p *partition) outgoing(n int) *amqp.Message {
	e := p.events[n]
	m := *e.message
	m.Annotations = append(slices.Clone(m.Annotations),
		amqp.Pair{Key: amqp.Symbol(annSequence), Value: int64(n)},
		amqp.Pair{Key: amqp.Symbol(annOffset), Value: strconv.Itoa(n)},
		amqp.Pair{Key: amqp.Symbol(annEnqueued), Value: e.at})
	return &m
}

// position is where a receiver wants to begin.
type position struct {
	latest bool
	number int64 // of the first event
	after  time.Time
}

var positionPattern = regexp.MustCompile(`^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'?([^']*)'?\s*$`)

// parsePosition reads the expression that receivers send; none means the beginning.
func parsePosition(expression string) (position, error) {
	if expression == "" {
		return position{}, nil
	}
	m := positionPattern.FindStringSubmatch(expression)
	if m == nil {
		return position{}, fmt.Errorf("the filter %q is not understood", expression)
	}
	if m[3] == "@latest" {
		return position{latest: true}, nil
	}
	n, err := strconv.ParseInt(m[3], 10, 64)
	if err != nil {
		return position{}, fmt.Errorf("the filter %q has no number", expression)
	}
	if m[2] == ">" {
		n++
	}
	if m[1] == "enqueued-time" {
		return position{after: time.UnixMilli(n)}, nil
	}
	return position{number: max(n, 0)}, nil
}

// hubReader is one receiver of a partition.
type hubReader struct {
	hub   *hub
	from  *partition
	next  int
	ready chan struct{}
}

func (h *hub) reader(n int, at position) *hubReader {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.partitions[n]
	r := &hubReader{hub: h, from: p, ready: make(chan struct{}, 1)}
	switch {
	case at.latest:
		r.next = len(p.events)
	case !at.after.IsZero():
		r.next = len(p.events)
		if first := slices.IndexFunc(p.events, func(e event) bool { return !e.at.Before(at.after) }); first >= 0 {
			r.next = first
		}
	default:
		r.next = int(min(at.number, int64(len(p.events))))
	}
	p.readers[r] = true
	r.poke()
	return r
}

func (r *hubReader) poke() {
	select {
	case r.ready <- struct{}{}:
	default: // it knows already
	}
}

// Take implements amqp.Source.
func (r *hubReader) Take() *amqp.Delivery {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	if r.next >= len(r.from.events) {
		return nil
	}
	r.next++
	return &amqp.Delivery{Message: r.from.outgoing(r.next - 1)}
}

// Wake implements amqp.Source.
func (r *hubReader) Wake() <-chan struct{} { return r.ready }

// Settle implements amqp.Source. Events stay, whatever a receiver thinks of them.
func (r *hubReader) Settle([]byte, amqp.Outcome) *amqp.Error { return nil }

// Close implements amqp.Source.
func (r *hubReader) Close() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	delete(r.from.readers, r)
}

// describe tells of the hub what clients ask for.
func (h *hub) describe() amqp.Map {
	ids := amqp.Array{}
	for n := range h.partitions {
		ids = append(ids, strconv.Itoa(n))
	}
	return amqp.Map{{Key: "name", Value: h.name}, {Key: "type", Value: "com.microsoft:eventhub"}, {Key: "created_at", Value: h.created},
		{Key: "partition_count", Value: int32(len(h.partitions))}, {Key: "partition_ids", Value: ids}, {Key: "georeplication_factor", Value: int32(1)}}
}

func (h *hub) describePartition(n int) amqp.Map {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.partitions[n]
	last, at := int64(len(p.events)-1), time.Unix(0, 0)
	if last >= 0 {
		at = p.events[last].at
	}
	return amqp.Map{{Key: "name", Value: h.name}, {Key: "type", Value: "com.microsoft:partition"}, {Key: "partition", Value: strconv.Itoa(n)},
		{Key: "begin_sequence_number", Value: int64(0)}, {Key: "last_enqueued_sequence_number", Value: last},
		{Key: "last_enqueued_offset", Value: strconv.FormatInt(last, 10)}, {Key: "last_enqueued_time_utc", Value: at},
		{Key: "is_partition_empty", Value: last < 0}}
}
