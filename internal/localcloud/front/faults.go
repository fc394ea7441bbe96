package front

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// When a fault strikes, as against the work of the request.
const (
	whenBefore = "before"
	whenAfter  = "after"
)

// injected is one fault that clients are to meet, as /_local/faults carries it.
// It strikes requests whose method and path match, until Times is used up.
type injected struct {
	Method      string  `json:"method,omitempty"` // empty: any
	Path        string  `json:"path,omitempty"`   // a regular expression, without regard to case; empty: any
	Status      int     `json:"status,omitempty"`
	Code        string  `json:"code,omitempty"`    // the error's code; empty: the usual one of the status
	Message     string  `json:"message,omitempty"` // the error's message; empty: a sentence
	RetryAfter  int     `json:"retryAfter,omitempty"`
	Drop        bool    `json:"drop,omitempty"`
	DelayMs     int     `json:"delayMs,omitempty"`
	When        string  `json:"when,omitempty"`        // before (the default) or after
	Times       int     `json:"times,omitempty"`       // how often; 0: without end
	Probability float64 `json:"probability,omitempty"` // 0: always

	path *regexp.Regexp
	left int
}

// faultCodes are the codes that a status usually comes with.
var faultCodes = map[int]string{
	http.StatusBadRequest:          "BadRequest",
	http.StatusUnauthorized:        "InvalidAuthenticationToken",
	http.StatusForbidden:           "AuthorizationFailed",
	http.StatusNotFound:            "ResourceNotFound",
	http.StatusConflict:            "Conflict",
	http.StatusPreconditionFailed:  "PreconditionFailed",
	http.StatusTooManyRequests:     "SubscriptionRequestsThrottled",
	http.StatusInternalServerError: "InternalServerError",
	http.StatusBadGateway:          "BadGateway",
	http.StatusServiceUnavailable:  "ServiceUnavailable",
	http.StatusGatewayTimeout:      "GatewayTimeout",
}

func (i *injected) check() error {
	if i.When == "" {
		i.When = whenBefore
	}
	i.When = strings.ToLower(i.When)
	switch {
	case i.When != whenBefore && i.When != whenAfter:
		return fmt.Errorf("when is %q, must be before or after", i.When)
	case i.Status == 0 && !i.Drop && i.DelayMs == 0:
		return fmt.Errorf("one of status, drop and delayMs must be given")
	case i.Status != 0 && (i.Status < 400 || i.Status > 599):
		return fmt.Errorf("status %d is not an error", i.Status)
	case i.Probability < 0 || i.Probability > 1 || i.Times < 0 || i.DelayMs < 0:
		return fmt.Errorf("probability must lie between 0 and 1, times and delayMs must not be negative")
	}
	var err error
	i.left = i.Times
	i.path, err = regexp.Compile("(?i)" + i.Path)
	return err
}

// strikes tells whether the fault replaces the answer, as against only delaying it.
func (i *injected) strikes() bool { return i.Drop || i.Status != 0 }

func (i *injected) reply() *reply {
	if i.Drop {
		return &reply{}
	}
	code, message := i.Code, i.Message
	if code == "" {
		code = faultCodes[i.Status]
	}
	if code == "" {
		code = strings.ReplaceAll(http.StatusText(i.Status), " ", "")
	}
	if message == "" {
		message = "The request was refused by an injected fault."
	}
	r := refusal(fault(i.Status, code, "%s", message))
	if i.RetryAfter > 0 || i.Status == http.StatusTooManyRequests {
		r.header = http.Header{"Retry-After": {fmt.Sprint(max(1, i.RetryAfter))}}
	}
	return r
}

// faultList holds the injected faults; the first that matches strikes.
type faultList struct {
	mu   sync.Mutex
	list []injected
}

// set replaces the list, all or nothing.
func (l *faultList) set(list []injected) error {
	for n := range list {
		if err := list[n].check(); err != nil {
			return fmt.Errorf("fault %d: %w", n, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = list
	return nil
}

// all returns the faults that can still strike, with the times they have left.
func (l *faultList) all() []injected {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := []injected{}
	for _, i := range l.list {
		if i.Times > 0 && i.left == 0 {
			continue
		}
		i.Times = i.left
		left = append(left, i)
	}
	return left
}

// take returns the fault that strikes a request now, or nil, and counts it.
func (l *faultList) take(method, path, when string) *injected {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range l.list {
		i := &l.list[n]
		spent := i.Times > 0 && i.left == 0
		if spent || i.When != when || i.Method != "" && !strings.EqualFold(i.Method, method) || !i.path.MatchString(path) {
			continue
		}
		if i.Probability > 0 && rand.Float64() >= i.Probability {
			continue
		}
		if i.Times > 0 {
			i.left--
		}
		taken := *i
		return &taken
	}
	return nil
}
