package front

import (
	"sync"
	"time"
)

// keptEntries bounds the request log; the oldest go first.
const keptEntries = 50000

// Entry is one management call in the request log. Bodies are there only when the
// cloud records them.
type Entry struct {
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	APIVersion string    `json:"apiVersion"`
	Status     int       `json:"status"` // 0 when the connection was dropped
	Start      time.Time `json:"start"`
	DurationMs float64   `json:"durationMs"`
	Caller     string    `json:"caller,omitempty"` // object id
	UserAgent  string    `json:"userAgent,omitempty"`
	Dropped    bool      `json:"dropped,omitempty"`

	RequestBody string `json:"requestBody,omitempty"`
	AnswerBody  string `json:"answerBody,omitempty"`
}

type requestLog struct {
	mu      sync.Mutex
	entries []Entry
}

func (l *requestLog) add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= keptEntries {
		l.entries = append([]Entry{}, l.entries[keptEntries/10:]...)
	}
	l.entries = append(l.entries, e)
}

func (l *requestLog) all() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Entry{}, l.entries...)
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
