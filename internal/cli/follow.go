package cli

import (
	"context"
	"errors"
	"time"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// follow shows an operation's progress until it has ended. When ctx ends first, it
// stops waiting, not the operation.
func (s *shell) follow(ctx context.Context, a API, d Defaults, id string) error {
	op, err := s.followed(ctx, a, d, id)
	switch {
	case ctx.Err() != nil:
		return stillRunning(d, id)
	case err != nil:
		return err
	}
	return s.outcome(op)
}

// followed watches the journal as it is written, and falls back to looking at it
// time and again when the stream breaks off.
func (s *shell) followed(ctx context.Context, a API, d Defaults, id string) (*api.Operation, error) {
	view := s.progress()
	defer view.close()
	op, err := a.Events(ctx, id, func(e api.JournalEntry) error {
		view.entry(e)
		return nil
	})
	if err == nil && op != nil {
		view.end(op)
		return op, nil
	}
	// In this process nobody works on it once the stream has ended: looking would not help.
	if refused(err) || d.InProcess && err != nil {
		return nil, err
	}
	s.detail("the events of operation %s cannot be followed (%v): looking every %v", id, err, s.Poll)
	return s.polled(ctx, a, id, view)
}

// refused tells an answer that will not change from a broken stream.
func refused(err error) bool {
	for _, code := range []problem.Code{problem.OperationNotFound, problem.CallerLacksRight,
		problem.TokenMissing, problem.TokenInvalid, problem.TokenExpired, problem.SignInFailed} {
		if problem.Is(err, code) {
			return true
		}
	}
	return false
}

func (s *shell) polled(ctx context.Context, a API, id string, view progress) (*api.Operation, error) {
	failures := 0
	for pause := s.pauses(); ; {
		op, err := a.Operation(ctx, id)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			if failures++; refused(err) || failures > 5 {
				return nil, err
			}
		default:
			failures = 0
			for _, e := range op.Journal {
				view.entry(e)
			}
			if op.Status == "Interrupted" || ended(op) {
				view.end(op)
				return op, nil
			}
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// pauses returns a function that waits between two looks: shortly at first, then
// one poll.
func (s *shell) pauses() func(context.Context) error {
	wait := min(100*time.Millisecond, s.Poll)
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, s.Poll)
		return nil
	}
}

func ended(op *api.Operation) bool {
	return op.Status == "Succeeded" || op.Status == "Failed" || op.Status == "Canceled"
}

// outcome turns an ended operation into an error, or none.
func (s *shell) outcome(op *api.Operation) error {
	if op.Message != "" {
		s.note("%s", op.Message)
	}
	switch op.Status {
	case "Succeeded":
		return nil
	case "Interrupted":
		return problem.New(problem.Interrupted, "", "the process that ran operation %s is gone", op.ID).
			WithFix("%s", orElse(op.Fix, "patchbay operation resume "+op.ID))
	case "Canceled":
		return problem.New(problem.OperationState, "", "operation %s was undone: everything is as it was before", op.ID).
			WithFix("patchbay operation show %s", op.ID)
	}
	return operationProblem(op)
}

// operationProblem is the error a failed operation ended with.
func operationProblem(op *api.Operation) error {
	if op.Problem == nil {
		return problem.New(problem.Internal, "", "operation %s ended as %s and does not say why", op.ID, op.Status).
			WithFix("patchbay operation show %s", op.ID)
	}
	p := problem.New(problem.Code(op.Problem.Code), op.Problem.Resource, "%s", op.Problem.Message)
	p.Fix = op.Problem.Fix
	return p.While(op.Verb + " " + connectionLabel(op.Connection))
}

func orElse(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

// stillRunning is the error of a wait that ended before the operation did.
func stillRunning(d Defaults, id string) error {
	if d.InProcess {
		return problem.New(problem.StillRunning, "", "stopped while operation %s was running in this process; nothing of it is lost", id).
			WithFix("patchbay operation resume %s, or patchbay operation undo %s", id, id).Because(errors.New("interrupted"))
	}
	return problem.New(problem.StillRunning, "", "stopped waiting; operation %s goes on", id).
		WithFix("patchbay operation show %s --follow", id)
}
