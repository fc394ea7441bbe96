package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return s.runVersion() },
	}
}

func (s *shell) runVersion() error {
	value := map[string]string{
		"patchbay": s.Version.Version, "commit": s.Version.Commit, "date": s.Version.Date,
		"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
	return s.own(value, func(t *texter) {
		commit := ""
		if s.Version.Commit != "" {
			commit = " (" + s.Version.Commit + ")"
		}
		t.line("patchbay %s%s %s %s", orElse(s.Version.Version, "dev"), commit, value["go"], value["platform"])
	})
}
