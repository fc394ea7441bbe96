package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// newLocal makes "patchbay local …".
func newLocal(s *shell) *cobra.Command {
	simple := func(use, short string, run func(context.Context) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error { return run(c.Context()) }}
	}
	return group("local", "A small Azure on this machine, to try and test connections offline", "command",
		newLocalStart(s), simple("stop", "Stop it and go back to the former context", s.runLocalStop),
		simple("status", "Say whether it runs, and where", s.runLocalStatus),
		newLocalReset(s), newLocalEnv(s))
}

type localStartOptions struct {
	*shell
	LocalStartOptions
	foreground bool
}

func newLocalStart(s *shell) *cobra.Command {
	o := &localStartOptions{shell: s}
	c := &cobra.Command{
		Use: "start", Short: "Start it", Args: noArgs,
		Long: "Start the local cloud: resource management, sign-in and ServiceLinker at one endpoint, and\n" +
			"real data planes behind it. In the background it saves a context, so that the next commands\n" +
			"need no option; in the foreground it prints one JSON line when it is ready.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", "", "Keep its state in this `folder` across restarts. Default: nothing is kept.")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "Listen on this `address`; port 0 takes any free one.")
	f.BoolVar(&o.foreground, "foreground", false, "Stay in the foreground until interrupted.")
	f.StringVar(&o.ReadyFile, "ready-file", "", "Write one JSON line to this `file` (mode 0600) when it is ready.")
	f.BoolVar(&o.RecordBodies, "record-bodies", false, "Keep bodies in its request log. They hold secrets.")
	f.BoolVar(&o.CloudOnly, "cloud-only", false, "Without the ServiceLinker server.")
	_ = f.MarkHidden("cloud-only")
	return c
}

func (o *localStartOptions) run(ctx context.Context) error {
	if o.foreground {
		return o.Local.RunForeground(ctx, o.LocalStartOptions, func(r ReadyInfo) { o.ready(r) })
	}
	r, err := o.Local.Start(ctx, o.LocalStartOptions)
	if err != nil {
		return err
	}
	return o.own(r, func(t *texter) {
		t.line("The local cloud answers at %s", r.Endpoint)
		t.line("subscription %s", r.SubscriptionID)
		t.line("")
		t.line("The commands of this machine talk to it now. Next:")
		t.line("  patchbay rest PUT '/subscriptions/{subscription}/resourceGroups/rg1' -b '{\"location\":\"westeurope\"}'")
		t.line("  patchbay local env     point az, Terraform and the SDKs at it")
		t.line("  patchbay local stop    stop it")
	})
}

// ready prints the one line that tells a supervising program that all is up.
func (s *shell) ready(r ReadyInfo) {
	b, err := json.Marshal(r)
	if err != nil {
		s.line("printing what is ready: %v", err)
		return
	}
	fmt.Fprintln(s.Streams.Out, string(b))
}

func (s *shell) runLocalStop(ctx context.Context) error {
	if err := s.Local.Stop(ctx); err != nil {
		return err
	}
	s.note("the local cloud is stopped")
	return nil
}

func (s *shell) runLocalStatus(ctx context.Context) error {
	status, err := s.Local.Status(ctx)
	if err != nil {
		return err
	}
	return s.own(status, func(t *texter) {
		if !status.Running {
			t.line("No local cloud is running. Start one: patchbay local start")
			return
		}
		for _, f := range [][2]string{{"endpoint", status.Endpoint}, {"subscription", status.SubscriptionID},
			{"process", fmt.Sprint(status.PID)}, {"since", stamp(&status.Since)}, {"data", orElse(status.Data, "not kept")}, {"log", status.Log}} {
			if f[1] != "" {
				t.line("%-13s %s", f[0]+":", f[1])
			}
		}
	})
}

func newLocalReset(s *shell) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "reset", Short: "Empty it: every resource, role and log entry goes", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.runLocalReset(c.Context(), yes) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "Do not ask.")
	return c
}

func (s *shell) runLocalReset(ctx context.Context, yes bool) error {
	if !yes {
		if !s.Streams.InTerminal {
			return problem.New(problem.ConfirmNeeded, "", "emptying the local cloud asks for a yes, and nobody is there to give it")
		}
		sure, err := s.confirmed(ctx, "Delete everything in the local cloud?")
		if err != nil || !sure {
			return err
		}
	}
	if err := s.Local.Reset(ctx); err != nil {
		return err
	}
	s.note("the local cloud is empty")
	return nil
}

func newLocalEnv(s *shell) *cobra.Command {
	var shellName string
	c := &cobra.Command{
		Use: "env", Short: "Print shell lines that point az, Terraform and the SDKs at it", Args: noArgs,
		Long:    "Print shell lines that point the Azure CLI, Terraform and the SDKs at the local cloud.\nThey hold its client secret.",
		Example: "  eval \"$(patchbay local env)\"",
		RunE:    func(c *cobra.Command, _ []string) error { return s.runLocalEnv(c.Context(), shellName) },
	}
	c.Flags().StringVar(&shellName, "shell", "sh", "Write for this `shell`: "+strings.Join(shells(), ", ")+".")
	_ = c.RegisterFlagCompletionFunc("shell", words(shells()...))
	return c
}

// shells are the words --shell takes.
func shells() []string { return []string{"sh", "fish", "powershell"} }

func (s *shell) runLocalEnv(ctx context.Context, shellName string) error {
	if !contains(shells(), shellName) {
		return unknownValue("--shell", shellName, shells())
	}
	list, err := s.Local.Env(ctx)
	if err != nil {
		return err
	}
	value := map[string]string{}
	for _, v := range list {
		value[v.Name] = v.Value
	}
	return s.own(value, func(t *texter) {
		for _, v := range list {
			t.line("%s", shellLine(shellName, v))
		}
	})
}

// shellLine sets one variable in the shell's own quoting.
func shellLine(shellName string, v EnvVar) string {
	switch shellName {
	case "fish":
		return "set -gx " + v.Name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.Value) + "'"
	case "powershell":
		return "$env:" + v.Name + " = '" + strings.ReplaceAll(v.Value, "'", "''") + "'"
	}
	return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'"
}
