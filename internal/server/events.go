package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
)

// heartbeat keeps proxies from closing a quiet stream.
const heartbeat = 15 * time.Second

// followOperation streams an operation's journal as server-sent events until the
// operation has ended or the client is gone.
func (x *exchange) followOperation() error {
	op, journal, err := x.operation(actionRead)
	if err != nil {
		return err
	}
	s := &stream{exchange: x, control: http.NewResponseController(x.w)}
	if last, err := strconv.ParseInt(x.r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		s.seen = last // a client that comes back goes on where it was
	}
	// A journal takes as long as the work does: the listener's write timeout is not for it.
	_ = s.control.SetWriteDeadline(time.Time{}) // not every writer has one
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("X-Accel-Buffering", "no")
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	if err := s.follow(op, journal); err != nil {
		x.Log.Debug("stream of events ended early", "operation", op.ID, "error", err)
	}
	return nil
}

// stream is one client that follows an operation.
type stream struct {
	*exchange
	control *http.ResponseController
	seen    int64
}

func (s *stream) follow(op *engine.Operation, journal []engine.Entry) error {
	ctx := s.r.Context()
	tick := time.NewTicker(s.Follow)
	defer tick.Stop()
	quiet := s.Now()
	for {
		sent, err := s.news(op, journal)
		if err != nil || op.Status.Done() {
			return err
		}
		if now := s.Now(); sent {
			quiet = now
		} else if now.Sub(quiet) >= heartbeat {
			quiet = now
			if err := s.send(": waiting\n\n"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if op, journal, err = s.Engine.Operation(ctx, op.ID); err != nil {
			return s.broken(err)
		}
	}
}

// news sends the entries not sent yet, and the end when the operation has ended.
func (s *stream) news(op *engine.Operation, journal []engine.Entry) (sent bool, err error) {
	for _, e := range journal {
		if e.Seq <= s.seen {
			continue
		}
		s.seen, sent = e.Seq, true
		if err := s.event(api.EventEntry, e.Seq, entryView(e)); err != nil {
			return sent, err
		}
	}
	if op.Status.Done() {
		return true, s.event(api.EventEnd, 0, operationView(op, nil))
	}
	if !sent && s.seen == 0 {
		return false, s.control.Flush()
	}
	return sent, nil
}

// broken tells the client why the stream ends before the operation does.
func (s *stream) broken(err error) error {
	if s.r.Context().Err() != nil {
		return s.r.Context().Err()
	}
	return s.event(api.EventError, 0, api.ErrorBody{Error: detail(problem.As(err))})
}

func (s *stream) event(name string, seq int64, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	id := ""
	if seq > 0 {
		id = fmt.Sprintf("id: %d\n", seq)
	}
	return s.send(fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, name, raw))
}

func (s *stream) send(text string) error {
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
