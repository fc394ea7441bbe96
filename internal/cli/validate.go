package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

type validateOptions struct {
	*shell
	place *place
}

func newValidate(s *shell, source SourceCommand) *cobra.Command {
	o := &validateOptions{shell: s}
	c := &cobra.Command{
		Use: "validate", Short: "Check that a connection works, end to end", Args: noArgs,
		Long: "Check that a connection works: target, network, settings, identity, permissions and the\n" +
			"target's own protocol. Exit code 5 when a check fails.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.place = newPlace(s, c.Flags(), source).withConnection(c.Flags())
	return c
}

func (o *validateOptions) run(ctx context.Context) error {
	a, d, id, done, err := o.open(ctx, o.place)
	if err != nil {
		return err
	}
	defer done()
	accepted, err := a.ValidateLinker(ctx, id)
	if err != nil {
		return withNames(ctx, a, id, err)
	}
	report, err := o.waited(ctx, a, d, accepted)
	if err != nil {
		return err
	}
	items := objects(report["validationDetail"])
	if err := o.printRows(anyList(items), items, "name", "result", "description"); err != nil {
		return err
	}
	return failures(id, items)
}

// waited follows the validation to its end and returns what it found.
func (o *validateOptions) waited(ctx context.Context, a API, d Defaults, accepted *api.Accepted) (map[string]any, error) {
	status := accepted.Linker
	if accepted.StatusURL != "" {
		if accepted.Operation != "" {
			if err := o.follow(ctx, a, d, accepted.Operation); err != nil {
				return nil, err
			}
		}
		var err error
		if status, err = o.settled(ctx, a, accepted.StatusURL); err != nil {
			return nil, err
		}
	}
	report, _ := status["properties"].(map[string]any)
	return report, nil
}

// settled polls an operation's status until it has ended.
func (s *shell) settled(ctx context.Context, a API, statusURL string) (map[string]any, error) {
	for pause := s.pauses(); ; {
		status, done, err := a.Status(ctx, statusURL)
		if done || err != nil {
			return status, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// failures makes an error of the failed items; the first one's code stands.
func failures(id string, items []map[string]any) error {
	var lines []string
	var first map[string]any
	for _, item := range items {
		if text(item, "result") != "failure" {
			continue
		}
		if first == nil {
			first = item
		}
		lines = append(lines, strings.TrimSuffix(text(item, "name"), ".")+why(item))
	}
	if first == nil {
		return nil
	}
	code := problem.Code(text(first, "errorCode"))
	if row, ok := problem.Lookup(code); !ok || row.Exit != problem.ExitDrift {
		code = problem.DriftFound
	}
	p := problem.New(code, id, "%d of %d checks failed: %s", len(lines), len(items), strings.Join(lines, "; "))
	if fix := text(first, "fix"); fix != "" {
		p.Fix = fix
	}
	return p
}

func why(item map[string]any) string {
	for _, name := range []string{"errorMessage", "description"} {
		if reason := text(item, name); reason != "" {
			return fmt.Sprintf(" (%s)", reason)
		}
	}
	return ""
}

// objects reads a list of objects out of JSON.
func objects(v any) []map[string]any {
	switch list := v.(type) {
	case []map[string]any:
		return list
	case []any:
		out := make([]map[string]any, 0, len(list))
		for _, e := range list {
			if m, ok := e.(map[string]any); ok {
				out = append(out, m)
			}
		}
		return out
	}
	return nil
}

func anyList(list []map[string]any) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}
