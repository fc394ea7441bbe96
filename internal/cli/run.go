package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

type runOptions struct {
	*shell
	settings *settingsOf
}

func newRun(s *shell) *cobra.Command {
	o := &runOptions{shell: s}
	c := &cobra.Command{
		Use: "run --connection NAME -- COMMAND [ARGUMENT ...]", Short: "Run a program with a connection's settings in its environment",
		Long: "Run a program with a connection's settings in its environment. The values stand nowhere else:\n" +
			"on no command line, in no file, and they are not printed. Its exit code is this command's, and\n" +
			"signals reach it. For several connections, run one inside the other.",
		Example: "  patchbay run -g GROUP --connection cache -- python app.py\n" +
			"  patchbay run -g GROUP --connection cache -- patchbay run -g GROUP --connection db -- ./server",
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	o.settings = newSettingsOf(s, c)
	return c
}

// exitError carries the exit code of a program that ran; nothing is printed about it.
type exitError int

func (e exitError) Error() string { return "the program ended" }

func (o *runOptions) run(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return usage("no program is given").WithFix("write it after --, as in `patchbay run -g GROUP --connection NAME -- COMMAND`")
	}
	settings, err := o.settings.read(ctx, o.shell)
	if err != nil {
		return err
	}
	own := map[string]bool{}
	var env []string
	for _, s := range settings {
		if strings.ContainsRune(s.value, 0) || strings.ContainsAny(s.name, "=\x00") {
			return unwritable(s.name, "no process can have it in its environment")
		}
		own[s.name] = true
		env = append(env, s.name+"="+s.value)
	}
	for _, line := range o.Environ() {
		if name, _, _ := strings.Cut(line, "="); !own[name] {
			env = append(env, line)
		}
	}
	code, err := o.Exec(argv, env)
	switch {
	case err != nil:
		return problem.New(problem.UsageInvalid, "", "%s cannot be run", argv[0]).Because(err).WithFix("give the name of a program, or its path")
	case code != 0:
		return exitError(code)
	}
	return nil
}

// ranAndFailed tells whether an error is only the exit code of a program.
func ranAndFailed(err error) (int, bool) {
	var code exitError
	if errors.As(err, &code) {
		return int(code), true
	}
	return 0, false
}

// envSetting is one setting as a process gets it.
type envSetting struct{ name, value string }

// settingsOf reads the settings of one connection, local or of a source.
type settingsOf struct{ place *place }

func newSettingsOf(s *shell, c *cobra.Command) *settingsOf {
	return &settingsOf{newPlace(s, c.Flags(), localConnections()).withConnection(c.Flags())}
}

// read asks with the person's own rights, and leaves nothing open behind it.
func (o *settingsOf) read(ctx context.Context, s *shell) ([]envSetting, error) {
	a, _, id, done, err := s.open(ctx, o.place)
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := a.ListConfigurations(ctx, id)
	if err != nil {
		return nil, withNames(ctx, a, id, err)
	}
	if components(rows) {
		return nil, problem.New(problem.OptionUnsupported, id, "the connection is a Dapr component, which is a file and no environment").
			WithFix("%s generate-configuration --id %s -o yaml", commandOf(id), id)
	}
	out := make([]envSetting, 0, len(rows))
	for _, row := range rows {
		out = append(out, envSetting{text(row, "name"), text(row, "value")})
	}
	return out, nil
}

func unwritable(name, why string) *problem.Error {
	return problem.New(problem.SettingName, "", "the setting %s cannot be written: %s", name, why)
}
