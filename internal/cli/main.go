package cli

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// shell is what the commands share during one run.
type shell struct {
	Deps
	g    globals
	here bool // the command is about files of this machine
	// only is the command that will run, "" when any may: the targets of other commands'
	// sources, some hundreds of commands, are left out then.
	only string
}

// globals are the options every command has.
type globals struct {
	output, query         string
	subscription, context string
	onlyErrors            bool
	verbose, debug        bool
	compiled              *query
}

// Main runs one command line and returns the process's exit code. When ctx ends a
// command stops waiting; what it has started goes on.
func Main(ctx context.Context, deps Deps, args []string) int {
	root, sh := build(deps, firstWord(args))
	root.SetArgs(expandWords(args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return problem.ExitOK
	}
	if code, ran := ranAndFailed(err); ran {
		return code
	}
	sh.report(err)
	return exitCode(err)
}

// New makes the command tree. Arguments of several words (--secret name=u
// secret=p) are understood only when they come through Main.
func New(deps Deps) *cobra.Command {
	root, _ := build(deps, "")
	return root
}

// firstWord is the command a line begins with; "" where it does not begin with one, or
// with one that looks at all the others.
func firstWord(args []string) string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], "__") || args[0] == "help" || args[0] == "completion" {
		return ""
	}
	return args[0]
}

func build(deps Deps, only string) (*cobra.Command, *shell) {
	sh := &shell{Deps: deps, only: only}
	if sh.Sources == nil {
		sh.Sources = []SourceCommand{WebApp(), FunctionApp(), ContainerApp(), Compose(), Process(), AKS()}
	}
	if sh.Env == nil {
		sh.Env = func(string) (string, bool) { return "", false }
	}
	if sh.Poll == 0 {
		sh.Poll = time.Second
	}
	root := group("patchbay", "Join apps to backing services, and keep them joined", "command")
	root.Long = rootLong
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetOut(deps.Streams.Out)
	root.SetErr(deps.Streams.Err)
	root.SetIn(deps.Streams.In)
	root.SetFlagErrorFunc(flagError)
	root.SetGlobalNormalizationFunc(aliasFlags)
	sh.addGlobals(root)
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return sh.prepare() }
	for _, source := range sh.Sources {
		root.AddCommand(newSource(sh, source))
	}
	root.AddCommand(newLocalConnections(sh), newRun(sh), newEnv(sh))
	root.AddCommand(newDrift(sh), newRepair(sh), newOperation(sh), newRest(sh), newPreview(sh), newLocal(sh),
		newServe(sh), newContext(sh), newVersion(sh))
	if deps.Extra != nil {
		root.AddCommand(deps.Extra()...)
	}
	return root, sh
}

const rootLong = `Patchbay joins an app to a backing service with one command and keeps it joined:
settings, identity, roles, database users and firewall rules are planned, written
together or not at all, and repaired when they drift.

Try it offline:

  patchbay local start
  patchbay webapp connection create --help`

func (s *shell) addGlobals(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&s.g.output, "output", "o", "", "Output `format`: "+formatList()+" (json or text if not given).")
	f.StringVar(&s.g.query, "query", "", "JMESPath `expression` over the output. See https://jmespath.org.")
	f.StringVar(&s.g.subscription, "subscription", "", "Subscription `id`. Default: the context's.")
	f.StringVar(&s.g.context, "context", "", "Saved context to use, by `name`. Default: the current one.")
	f.BoolVar(&s.g.onlyErrors, "only-show-errors", false, "Show errors only: no notes, no progress.")
	f.BoolVar(&s.g.verbose, "verbose", false, "Show more of what is going on.")
	f.BoolVar(&s.g.debug, "debug", false, "Show every request: method, path, status and time; never bodies or secrets.")
	_ = root.RegisterFlagCompletionFunc("output", words(formats()...))
}

// words completes from a fixed list.
func words(list ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// prepare checks the global options before anything is started, so that a wrong
// query is not found only after the work is done.
func (s *shell) prepare() error {
	if s.g.output == "" {
		s.g.output, _ = s.Env("PATCHBAY_OUTPUT")
	}
	if s.g.output != "" && !contains(formats(), s.g.output) {
		return unknownValue("--output", s.g.output, formats())
	}
	if s.g.query == "" {
		return nil
	}
	compiled, err := compileQuery(s.g.query)
	s.g.compiled = compiled
	return err
}

// connect opens the API; the returned function closes it.
func (s *shell) connect(ctx context.Context) (API, Defaults, func(), error) {
	o := ContextOptions{Context: s.g.context, Subscription: s.g.subscription, Here: s.here}
	if s.g.debug {
		o.Logf = func(format string, args ...any) { s.line("debug: "+format, args...) }
	}
	a, d, err := s.Connect(ctx, o)
	if err != nil {
		return nil, d, nil, err
	}
	if s.g.subscription != "" {
		d.Subscription = s.g.subscription
	}
	return a, d, func() {
		if c, ok := a.(io.Closer); ok {
			if err := c.Close(); err != nil {
				s.note("closing: %v", err)
			}
		}
	}, nil
}
