package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// distance is the number of single edits (insert, delete, replace, swap of
// neighbours) between two words, letters compared folded.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			best := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				best = min(best, rows[i-2][j-2]+1)
			}
			rows[i][j] = best
		}
	}
	return rows[len(x)][len(y)]
}

// nearest returns the word of list that given most likely meant, or "".
func nearest(given string, list []string) string {
	best, at := "", len([]rune(given))/2+1
	for _, word := range list {
		d := distance(given, word)
		switch i := strings.Index(strings.ToLower(word), strings.ToLower(given)); {
		case i == 0 && given != "":
			d = min(d, 1)
		case i > 0 && len(given) > 2:
			d = min(d, 2)
		}
		if d < at {
			best, at = word, d
		}
	}
	return best
}

// unknownValue is the error for a value that is not one of a fixed list.
func unknownValue(what, given string, allowed []string) *problem.Error {
	return usage("%s cannot be %q; %s", what, given, oneOf(given, allowed))
}

// oneOf lists what is allowed, with the nearest match first.
func oneOf(given string, allowed []string) string {
	if near := nearest(given, allowed); near != "" {
		return fmt.Sprintf("did you mean %q? Allowed: %s", near, strings.Join(allowed, ", "))
	}
	return "allowed: " + strings.Join(allowed, ", ")
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// group makes a command that only holds others; what names them in messages.
func group(use, short, what string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		// Options of the missing or misspelt subcommand must not be the complaint.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, what, args[0])
		},
	}
	c.AddCommand(subs...)
	return c
}

func unknownCommand(c *cobra.Command, what, given string) error {
	var allowed []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			allowed = append(allowed, sub.Name())
		}
	}
	sort.Strings(allowed)
	p := usage("there is no %s %q; %s", what, given, oneOf(given, allowed))
	if near := nearest(given, allowed); near != "" {
		return p.WithFix("%s %s --help", c.CommandPath(), near)
	}
	return p.WithFix("%s --help", c.CommandPath())
}

// flagError turns a parser's complaint about an option into ours.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	name, unknown := strings.CutPrefix(text, "unknown flag: ")
	if !unknown {
		// The parser quotes values; a value may be a secret given to the wrong option.
		return usage("%s", withoutValue(text)).WithFix("%s --help", c.CommandPath())
	}
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	detail := fmt.Sprintf("there is no option %s", name)
	if near := nearest(name, known); near != "" {
		detail += fmt.Sprintf("; did you mean %s?", near)
	}
	return usage("%s", detail).WithFix("%s --help", c.CommandPath())
}

func withoutValue(text string) string {
	if _, rest, ok := strings.Cut(text, `" for "`); ok && strings.HasPrefix(text, "invalid argument ") {
		flag, cause, _ := strings.Cut(rest, `" flag: `)
		if i := strings.LastIndex(cause, ": "); i >= 0 {
			cause = cause[i+2:]
		}
		return "the value of " + flag + " is not right: " + cause
	}
	return text
}

// noArgs refuses words after a command without repeating them: one may be a secret
// whose option was forgotten.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("%s takes options only, but there is a word that belongs to none", c.CommandPath()).
		WithFix("%s --help", c.CommandPath())
}

// exactArgs demands the named words.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage("%s needs %s, not %d words", c.CommandPath(), strings.Join(names, " and "), len(args)).
			WithFix("%s", strings.TrimSpace(c.CommandPath()+" "+strings.Join(names, " ")))
	}
}
