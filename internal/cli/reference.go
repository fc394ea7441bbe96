package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Reference writes the page of every command and option (docs/cli.md) from the
// tree itself.
func Reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString(optionTable(root.PersistentFlags()))
	walk(root, func(c *cobra.Command) {
		if !c.HasAvailableSubCommands() {
			b.WriteString(commandPage(c))
		}
	})
	return b.String()
}

const referenceHead = `# Command line

This page is made from the command tree; ` + "`go test ./internal/cli -run TestReference -update`" + ` writes it anew.

Data goes to standard output, everything else to standard error. Options that take several
words take them as the Azure CLI does: ` + "`--secret name=USER secret=VALUE`" + `. A secret may also be
` + "`secret=@FILE` or `secret=-`" + ` (standard input), so that it is no process argument; ` + "`@@`" + ` begins a
secret that begins with @.

Without ` + "`--output`" + `, connections and ` + "`rest`" + ` print JSON, as the Azure CLI does, and the other commands print
text for people; the environment variable PATCHBAY_OUTPUT sets another default. NO_COLOR switches colours off.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line is not right |
| 3 | not found |
| 4 | sign-in or permission |
| 5 | drift or validation found problems |
| 8 | the operation is still running |
| 130 | interrupted before anything was asked for |

## Options of every command

`

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	subs := c.Commands()
	sort.Slice(subs, func(i, j int) bool { return subs[i].Name() < subs[j].Name() })
	for _, sub := range subs {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			walk(sub, visit)
		}
	}
}

func commandPage(c *cobra.Command) string {
	var b strings.Builder
	words := strings.TrimSpace(strings.TrimPrefix(c.Use, c.Name()))
	fmt.Fprintf(&b, "\n## %s\n\n", strings.TrimSpace(c.CommandPath()+" "+words))
	fmt.Fprintf(&b, "%s\n", orElse(c.Long, c.Short+"."))
	if c.Example != "" {
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindent(c.Example))
	}
	if c.HasAvailableLocalFlags() {
		b.WriteString("\n" + optionTable(c.LocalNonPersistentFlags()))
	}
	return b.String()
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func optionTable(set *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("| option | meaning |\n|---|---|\n")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, help := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name += ", -" + f.Shorthand
		}
		if value != "" {
			name += " " + value
		}
		fmt.Fprintf(&b, "| `%s` | %s%s |\n", name, strings.ReplaceAll(help, "|", "\\|"), defaultText(f))
	})
	return b.String()
}

func defaultText(f *pflag.Flag) string {
	if f.DefValue == "" || f.DefValue == "false" || strings.Contains(f.Usage, "Default:") {
		return ""
	}
	return " Default: " + f.DefValue + "."
}
