package storage

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// message is one message of a queue.
type message struct {
	ID       string    `json:"id"`
	Receipt  string    `json:"receipt"`
	Text     string    `json:"text"`
	Inserted time.Time `json:"inserted"`
	Expires  time.Time `json:"expires"`
	Visible  time.Time `json:"visible"`
	Dequeued int64     `json:"dequeued"`
}

// never is the expiry of a message that has none.
var never = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// queues keeps the messages of an account in memory with a copy in one file. Which
// queues there are is not its business; a queue that is gone was forgotten.
type queues struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	held map[string][]*message // by queue, oldest first
}

func openQueues(path string, now func() time.Time) (*queues, error) {
	q := &queues{path: path, now: now, held: map[string][]*message{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return q, nil
	}
	if err := errors.Join(err, json.Unmarshal(raw, &q.held)); err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	return q, nil
}

// save writes the file; the caller holds the lock.
func (q *queues) save() error {
	raw, err := json.Marshal(q.held)
	if err == nil {
		err = os.WriteFile(q.path+".next", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(q.path+".next", q.path)
	}
	if err != nil {
		return fmt.Errorf("write queues: %w", err)
	}
	return nil
}

// live is a queue's messages without the expired; the caller holds the lock.
func (q *queues) live(queue string) []*message {
	now := q.now()
	q.held[queue] = slices.DeleteFunc(q.held[queue], func(m *message) bool { return !m.Expires.After(now) })
	return q.held[queue]
}

func (q *queues) forget(queue string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.held, queue)
	return q.save()
}

// count is about how many messages a queue holds, hidden ones included.
func (q *queues) count(queue string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.live(queue))
}

func (q *queues) put(queue, text string, hidden, life time.Duration) (message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now().UTC().Truncate(time.Second)
	m := &message{ID: uuid.NewString(), Receipt: receipt(), Text: text, Inserted: now, Visible: now.Add(hidden), Expires: never}
	if life > 0 {
		m.Expires = now.Add(life)
	}
	q.held[queue] = append(q.live(queue), m)
	return *m, q.save()
}

func receipt() string { return uuid.NewString() }

// take hides up to n visible messages for a while and hands them out.
func (q *queues) take(queue string, n int, hidden time.Duration) ([]message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now().UTC()
	var out []message
	for _, m := range q.visible(queue) {
		if len(out) == n {
			break
		}
		m.Visible, m.Receipt = now.Add(hidden), receipt()
		m.Dequeued++
		out = append(out, *m)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, q.save()
}

// visible is what may be taken, the longest visible first; the caller holds the lock.
func (q *queues) visible(queue string) []*message {
	now := q.now()
	list := slices.DeleteFunc(slices.Clone(q.live(queue)), func(m *message) bool { return m.Visible.After(now) })
	slices.SortStableFunc(list, func(a, b *message) int { return cmp.Compare(a.Visible.UnixNano(), b.Visible.UnixNano()) })
	return list
}

// peek shows up to n visible messages and changes nothing.
func (q *queues) peek(queue string, n int) []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []message
	for _, m := range q.visible(queue) {
		if len(out) < n {
			out = append(out, *m)
		}
	}
	return out
}

// find looks for a message with the receipt its last taker got; the caller holds the lock.
func (q *queues) find(queue, id, receipt string) (int, error) {
	n := slices.IndexFunc(q.live(queue), func(m *message) bool { return m.ID == id })
	if n < 0 {
		return 0, errMessageNotFound
	}
	if q.held[queue][n].Receipt != receipt {
		return 0, errReceipt
	}
	return n, nil
}

func (q *queues) remove(queue, id, receipt string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := q.find(queue, id, receipt)
	if err != nil {
		return err
	}
	q.held[queue] = slices.Delete(q.held[queue], n, n+1)
	return q.save()
}

// change hides a message anew and, where text is not nil, gives it other content.
func (q *queues) change(queue, id, given string, text *string, hidden time.Duration) (message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := q.find(queue, id, given)
	if err != nil {
		return message{}, err
	}
	m := q.held[queue][n]
	m.Visible, m.Receipt = q.now().UTC().Add(hidden), receipt()
	if text != nil {
		m.Text = *text
	}
	return *m, q.save()
}
