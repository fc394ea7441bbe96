package arm

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pollTiming says how long to wait between two looks at a long-running operation.
type pollTiming struct {
	interval time.Duration // when the cloud does not say
	cap      time.Duration // 0: none
}

func (t pollTiming) after(h http.Header) time.Duration {
	wait := retryAfter(h)
	if wait <= 0 {
		wait = t.interval
	}
	if t.cap > 0 && wait > t.cap {
		wait = t.cap
	}
	return wait
}

// operation is one write that may take longer than its first answer.
type operation struct {
	method   string
	resource string // for messages
	address  string // of the resource itself
	wanted   bool   // the caller wants the final resource
}

// changes tells whether the write leaves a resource to read.
func (op operation) changes() bool {
	return op.method == http.MethodPut || op.method == http.MethodPatch
}

// progress is the body of a status document, or of a resource, as far as it
// tells how far things are.
type progress struct {
	Status     string          `json:"status"`
	Error      *errorBody      `json:"error"`
	Properties json.RawMessage `json:"properties"`
}

func (p progress) provisioning() string {
	var inner struct {
		State string `json:"provisioningState"`
	}
	_ = json.Unmarshal(p.Properties, &inner) // properties of an action's answer may be anything
	return inner.State
}

// settle waits for a write's end in the order of preference ARM gives:
// Azure-AsyncOperation, then Location, then the resource's own provisioningState.
func (c *Client) settle(ctx context.Context, op operation, first *answer, out any) error {
	for _, way := range []struct {
		header string
		follow func(context.Context, operation, string, *answer, any) error
	}{
		{"Azure-AsyncOperation", c.followStatus},
		{"Location", c.followLocation},
	} {
		address := first.header.Get(way.header)
		// Location beside 200 or 201 is only the new resource's address.
		if address == "" || (way.header == "Location" && first.status != http.StatusAccepted) {
			continue
		}
		address, err := c.ours(address, op.resource)
		if err != nil {
			return err
		}
		return way.follow(ctx, op, address, first, out)
	}
	return c.followResource(ctx, op, first, out)
}

// followStatus polls a status document, then reads the resource.
func (c *Client) followStatus(ctx context.Context, op operation, address string, last *answer, out any) error {
	location := last.header.Get("Location")
	for {
		if err := c.pause(ctx, last); err != nil {
			return err
		}
		next, err := c.send(ctx, http.MethodGet, address, nil, op.resource)
		if err != nil {
			return err
		}
		var status progress
		if err := decode(next.body, &status, op.resource); err != nil {
			return err
		}
		switch strings.ToLower(status.Status) {
		case "succeeded":
			return c.result(ctx, op, location, status, out)
		case "failed", "canceled", "cancelled":
			return operationFailed(op.method, op.resource, status.Status, status.Error)
		}
		last = next
	}
}

// result reads what a finished status document stands for.
func (c *Client) result(ctx context.Context, op operation, location string, status progress, out any) error {
	if !op.wanted || op.method == http.MethodDelete {
		return nil
	}
	address := op.address
	if op.method == http.MethodPost {
		if location == "" {
			return decode(status.Properties, out, op.resource)
		}
		var err error
		if address, err = c.ours(location, op.resource); err != nil {
			return err
		}
	}
	final, err := c.send(ctx, http.MethodGet, address, nil, op.resource)
	if err != nil {
		return err
	}
	return decode(final.body, out, op.resource)
}

// followLocation asks until the answer is no longer 202; that answer is the result.
func (c *Client) followLocation(ctx context.Context, op operation, address string, last *answer, out any) error {
	for {
		if err := c.pause(ctx, last); err != nil {
			return err
		}
		next, err := c.send(ctx, http.MethodGet, address, nil, op.resource)
		if err != nil {
			if op.method == http.MethodDelete && IsNotFound(err) {
				return nil
			}
			return asFailedOperation(err)
		}
		if next.status != http.StatusAccepted {
			return c.locationResult(ctx, op, next, out)
		}
		if moved := next.header.Get("Location"); moved != "" {
			if address, err = c.ours(moved, op.resource); err != nil {
				return err
			}
		}
		last = next
	}
}

func (c *Client) locationResult(ctx context.Context, op operation, last *answer, out any) error {
	if !op.wanted || !op.changes() {
		return decode(last.body, out, op.resource)
	}
	final, err := c.send(ctx, http.MethodGet, op.address, nil, op.resource)
	if err != nil {
		return err
	}
	return decode(final.body, out, op.resource)
}

// followResource reads the resource until its provisioningState is terminal; none
// at all means it is done.
func (c *Client) followResource(ctx context.Context, op operation, last *answer, out any) error {
	for {
		var seen progress
		if !op.changes() {
			return decode(last.body, out, op.resource)
		}
		_ = json.Unmarshal(last.body, &seen) // an empty or odd body has no state: done
		state := seen.provisioning()
		if state == "" && last.status == http.StatusAccepted {
			state = "Accepted" // taken in, and nothing said yet
		}
		switch strings.ToLower(state) {
		case "", "succeeded":
			return decode(last.body, out, op.resource)
		case "failed", "canceled", "cancelled":
			return operationFailed(op.method, op.resource, state, seen.Error)
		}
		if err := c.pause(ctx, last); err != nil {
			return err
		}
		next, err := c.send(ctx, http.MethodGet, op.address, nil, op.resource)
		if err != nil {
			return err
		}
		last = next
	}
}

func (c *Client) pause(ctx context.Context, last *answer) error {
	return sleep(ctx, c.poll.after(last.header))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads Retry-After in whole seconds or as a date, and the finer
// headers some providers send. 0 means none.
func retryAfter(h http.Header) time.Duration {
	for _, finer := range []string{"retry-after-ms", "x-ms-retry-after-ms"} {
		if ms, err := strconv.Atoi(h.Get(finer)); err == nil && ms > 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
