package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
)

// write plans or puts a linker and follows the operation.
func (s *shell) write(ctx context.Context, a API, d Defaults, id string, body map[string]any, w writeFlags) error {
	if w.dryRun {
		p, err := a.Plan(ctx, id, body, false)
		if err != nil {
			return err
		}
		return s.own(p, func(t *texter) { t.plan(p) })
	}
	accepted, err := a.PutLinker(ctx, id, body, api.PutOptions{NoKeepSecret: w.noKeep})
	if err != nil {
		return err
	}
	if w.noWait && !d.InProcess {
		s.accepted(accepted.Operation)
		return s.print(flat(accepted.Linker))
	}
	s.noteInProcess(w.noWait)
	if err := s.follow(ctx, a, d, accepted.Operation); err != nil {
		return err
	}
	linker, err := a.Linker(ctx, id)
	if err != nil {
		return err
	}
	return s.print(flat(linker))
}

// accepted tells how to follow an operation that nobody waits for.
func (s *shell) accepted(operation string) {
	s.note("accepted as operation %s; follow it with `patchbay operation show %s --follow`", operation, operation)
}

// noteInProcess explains why --no-wait waits when there is no server to go on.
func (s *shell) noteInProcess(noWait bool) {
	if noWait {
		s.note("no server is configured, so the work runs in this process: waiting for it")
	}
}

// ask reads one line from the terminal.
func (s *shell) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(s.Streams.Err, question)
	answer, err := unlessDone(ctx, func() (string, error) { return bufio.NewReader(s.Streams.In).ReadString('\n') })
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil && answer == "":
		return "", usage("there was no answer: %v", err)
	}
	return strings.TrimSpace(answer), nil
}

// confirmed asks for a yes.
func (s *shell) confirmed(ctx context.Context, question string) (bool, error) {
	answer, err := s.ask(ctx, question+" (y/N): ")
	if err != nil {
		return false, err
	}
	a := strings.ToLower(answer)
	return a == "y" || a == "yes", nil
}
