package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
)

// linkerBody is a linker that is to be written.
type linkerBody struct {
	id   string
	body map[string]any
}

// write plans or puts a linker and follows the operation.
func (s *shell) write(ctx context.Context, a API, d Defaults, id string, body map[string]any, w writeFlags) error {
	return s.writeAll(ctx, a, d, []linkerBody{{id, body}}, w)
}

// writeAll does so for several, one after the other, and prints one linker or all of them.
func (s *shell) writeAll(ctx context.Context, a API, d Defaults, linkers []linkerBody, w writeFlags) error {
	var written []any
	for _, l := range linkers {
		if w.dryRun {
			p, err := a.Plan(ctx, l.id, l.body, false)
			if err == nil {
				err = s.own(p, func(t *texter) { t.plan(p) })
			}
			if err != nil {
				return err
			}
			continue
		}
		linker, err := s.put(ctx, a, d, l, w)
		if err != nil {
			return err
		}
		written = append(written, linker)
	}
	switch len(written) {
	case 0:
		return nil
	case 1:
		return s.print(written[0])
	}
	return s.print(written)
}

// put writes one linker and returns it as it then stands.
func (s *shell) put(ctx context.Context, a API, d Defaults, l linkerBody, w writeFlags) (any, error) {
	accepted, err := a.PutLinker(ctx, l.id, l.body, api.PutOptions{NoKeepSecret: w.noKeep})
	if err != nil {
		return nil, err
	}
	if w.noWait && !d.InProcess {
		s.accepted(accepted.Operation)
		return flat(accepted.Linker), nil
	}
	s.noteInProcess(w.noWait)
	if err := s.follow(ctx, a, d, accepted.Operation); err != nil {
		return nil, err
	}
	linker, err := a.Linker(ctx, l.id)
	if err != nil {
		return nil, err
	}
	return flat(linker), nil
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
