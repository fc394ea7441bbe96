package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func testRoot() *cobra.Command {
	w := newWorld()
	return New(w.deps(nil, &bytes.Buffer{}, &bytes.Buffer{}))
}

// TestReference holds docs/cli.md to the command tree.
func TestReference(t *testing.T) {
	t.Parallel()
	const page = "../../docs/cli.md"
	want := Reference(testRoot())
	if *update {
		if err := os.MkdirAll("../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./internal/cli -run TestReference -update", page)
	}
}

// TestEveryCommandExplainsItself: each has a short text, each option help that is a
// sentence, and each option of many words is one the words after it reach.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	kinds := wordOptions()
	walk(testRoot(), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || !unicode.IsUpper(rune(c.Short[0])) {
			t.Errorf("%s: short text %q", c.CommandPath(), c.Short)
		}
		if c.RunE == nil {
			t.Errorf("%s: does nothing", c.CommandPath())
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			if !strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: help %q", c.CommandPath(), f.Name, f.Usage)
			}
			if _, many := f.Value.(*wordList); many != (kinds[f.Name] == manyWords) {
				t.Errorf("%s --%s: takes many words: %v", c.CommandPath(), f.Name, many)
			}
		})
	})
}
