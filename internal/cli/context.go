package cli

import (
	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/problem"
)

// newContext makes "patchbay context …".
func newContext(s *shell) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the saved contexts", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return s.runContextList() },
	}
	use := &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: exactArgs("NAME"),
		RunE: func(_ *cobra.Command, args []string) error { return s.runContextUse(args[0]) },
	}
	return group("context", "Choose the cloud or server the commands talk to", "command", list, use)
}

func (s *shell) runContextList() error {
	list, err := s.Contexts.List()
	if err != nil {
		return err
	}
	if list == nil {
		list = []ContextInfo{}
	}
	return s.own(list, func(t *texter) {
		if len(list) == 0 {
			t.line("There are no saved contexts; `patchbay local start` makes one.")
			return
		}
		var rows [][]string
		for _, c := range list {
			rows = append(rows, []string{mark(c.Current), c.Name, c.Endpoint, workWhere(c), c.Subscription})
		}
		t.table([]string{"", "Name", "Endpoint", "Work", "Subscription"}, rows)
	})
}

func mark(on bool) string {
	if on {
		return "*"
	}
	return ""
}

func workWhere(c ContextInfo) string {
	if c.Server {
		return "on the server"
	}
	return "in this process"
}

func (s *shell) runContextUse(name string) error {
	list, err := s.Contexts.List()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(list))
	for _, c := range list {
		names = append(names, c.Name)
	}
	if !contains(names, name) {
		return problem.New(problem.NoContext, "", "there is no context %q; %s", name, oneOf(name, names)).
			WithFix("patchbay context list")
	}
	if err := s.Contexts.Use(name); err != nil {
		return err
	}
	s.note("the current context is %s", name)
	return nil
}
