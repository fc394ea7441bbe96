package front

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Throttle is a token bucket per caller and kind of call; a zero size is no limit.
type Throttle struct {
	Reads, Writes, Deletes int
	Refill                 time.Duration // per call given back; zero means a second
}

// unlimited is the remaining count that callers see where there is no limit.
const unlimited = 11999

// limiter holds the buckets. Its limits can change while it runs.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	limits  Throttle
	buckets map[string]*bucket
}

type bucket struct {
	level float64
	at    time.Time
}

func newLimiter(t Throttle, now func() time.Time) *limiter {
	return &limiter{now: now, limits: t, buckets: map[string]*bucket{}}
}

func (l *limiter) set(t Throttle) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits, l.buckets = t, map[string]*bucket{}
}

// kindOf is the kind that a method counts as; list actions by POST count as writes.
func kindOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "read"
	case http.MethodDelete:
		return "delete"
	}
	return "write"
}

// take counts a call. It returns how long to wait when the bucket is empty, and
// tells the caller what is left.
func (l *limiter) take(x *exchange, caller string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := kindOf(x.r.Method)
	size := map[string]int{"read": l.limits.Reads, "write": l.limits.Writes, "delete": l.limits.Deletes}[kind]
	remaining := "X-Ms-Ratelimit-Remaining-Subscription-" + map[string]string{"read": "Reads", "write": "Writes", "delete": "Deletes"}[kind]
	if size == 0 {
		x.header.Set(remaining, strconv.Itoa(unlimited))
		return 0
	}
	refill := l.limits.Refill
	if refill <= 0 {
		refill = time.Second
	}
	now, key := l.now(), caller+"/"+kind
	b := l.buckets[key]
	if b == nil {
		b = &bucket{level: float64(size), at: now}
		l.buckets[key] = b
	}
	b.level = math.Min(float64(size), b.level+float64(now.Sub(b.at))/float64(refill))
	b.at = now
	if b.level < 1 {
		x.header.Set(remaining, "0")
		return time.Duration((1 - b.level) * float64(refill))
	}
	b.level--
	x.header.Set(remaining, strconv.Itoa(int(b.level)))
	return 0
}

func throttled(c *call, wait time.Duration) *reply {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	sub := ""
	if t, ok := route(c.method, c.path); ok {
		sub = t.id.Subscription()
	}
	r := refusal(fault(http.StatusTooManyRequests, "SubscriptionRequestsThrottled",
		"Number of '%s' requests for subscription '%s' actor '%s' exceeded. Please try again after '%d' seconds.",
		kindOf(c.method), sub, c.caller.ObjectID, seconds))
	r.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return r
}
