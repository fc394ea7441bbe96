package cli

import (
	"context"
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
	var lines, fixes []string
	var code problem.Code
	for _, item := range items {
		if text(item, "result") != "failure" {
			continue
		}
		if len(lines) == 0 {
			code = problem.Code(text(item, "errorCode"))
		}
		line := strings.TrimSuffix(text(item, "name"), ".")
		if why := text(item, "description"); why != "" {
			line += " (" + why + ")"
		}
		lines = append(lines, line)
		if fix := fixOf(id, item); fix != "" && !contains(fixes, fix) {
			fixes = append(fixes, fix)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	if row, ok := problem.Lookup(code); !ok || row.Exit != problem.ExitDrift {
		code = problem.DriftFound
	}
	p := problem.New(code, id, "%d of %d checks failed: %s", len(lines), len(items), strings.Join(lines, "; "))
	p.Fix = strings.Join(fixes, "\n       ")
	return p
}

// fixOf is what to do about a failed item: its own words, or the registry's, which
// do not know the connection.
func fixOf(id string, item map[string]any) string {
	if fix := text(item, "errorMessage"); fix != "" {
		return fix
	}
	row, _ := problem.Lookup(problem.Code(text(item, "errorCode")))
	for _, command := range []string{"patchbay repair --all --force", "patchbay repair --all"} {
		if strings.Contains(row.Fix, "`"+command+"`") {
			return strings.Replace(command, "--all", "--id "+id, 1)
		}
	}
	return row.Fix
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
