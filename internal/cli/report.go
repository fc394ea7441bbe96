package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// exitInterrupted is what a shell expects of a command that ctrl-C ended.
const exitInterrupted = 130

// report prints one error the way all errors look: the sentence, the code, the fix.
func (s *shell) report(err error) {
	if interrupted(err) {
		fmt.Fprintln(s.Streams.Err, "interrupted")
		return
	}
	p := problem.As(err)
	fmt.Fprintf(s.Streams.Err, "%s %s\n", s.paint(red, "error:"), printableLines(p.Error()))
	fmt.Fprintf(s.Streams.Err, "  code: %s\n", p.Code)
	if p.Resource != "" && !strings.Contains(p.Error(), p.Resource) {
		fmt.Fprintf(s.Streams.Err, "  resource: %s\n", printable(p.Resource))
	}
	if fix := p.FixText(); fix != "" {
		fmt.Fprintf(s.Streams.Err, "  fix: %s\n", printableLines(fix))
	}
}

func exitCode(err error) int {
	if interrupted(err) {
		return exitInterrupted
	}
	return problem.ExitCode(err)
}

// interrupted tells a bare cancellation from a problem that was caused by one.
func interrupted(err error) bool {
	var p *problem.Error
	return errors.Is(err, context.Canceled) && (!errors.As(err, &p) || p.Code == problem.Internal)
}

// note prints one line for people; --only-show-errors silences it.
func (s *shell) note(format string, args ...any) {
	if !s.g.onlyErrors {
		s.line("%s "+format, append([]any{s.paint(dim, "note:")}, args...)...)
	}
}

// detail prints a note that only --verbose wants.
func (s *shell) detail(format string, args ...any) {
	if s.g.verbose {
		s.line(format, args...)
	}
}

func (s *shell) line(format string, args ...any) {
	fmt.Fprintf(s.Streams.Err, format+"\n", printableArgs(args)...)
}

// The few colours in use.
const (
	red   = "31"
	green = "32"
	amber = "33"
	dim   = "2"
	bold  = "1"
)

// paint colours text for standard error, when that is a terminal that wants it.
func (s *shell) paint(colour, text string) painted {
	return colored(s.colours(s.Streams.ErrTerminal), colour, text)
}

func colored(on bool, colour, text string) painted {
	if !on {
		return painted(printable(text))
	}
	return painted("\x1b[" + colour + "m" + printable(text) + "\x1b[0m")
}

func (s *shell) colours(terminal bool) bool {
	noColor, _ := s.Env("NO_COLOR")
	return terminal && noColor == "" && !s.dumb()
}

// dumb tells whether the terminal cannot move its cursor.
func (s *shell) dumb() bool {
	t, _ := s.Env("TERM")
	return t == "dumb"
}

// usage makes an error of a wrong command line.
func usage(format string, args ...any) *problem.Error {
	return problem.New(problem.UsageInvalid, "", format, args...)
}

// complaints gathers what is wrong with a command line, to say it all at once.
type complaints struct{ list []*problem.Error }

func (c *complaints) add(err error) {
	if err != nil {
		c.list = append(c.list, problem.As(err))
	}
}

// err returns one error that holds them all, or nil. The first one's code stands.
func (c *complaints) err(example string) error {
	if len(c.list) == 0 {
		return nil
	}
	if len(c.list) == 1 {
		return withExample(c.list[0], example)
	}
	lines := make([]string, len(c.list))
	for i, p := range c.list {
		lines[i] = "\n  - " + p.Error()
	}
	all := problem.New(c.list[0].Code, "", "%d things are not right:%s", len(lines), strings.Join(lines, ""))
	return withExample(all, example)
}

func withExample(p *problem.Error, example string) error {
	if p.Fix == "" && example != "" {
		p.Fix = example
	}
	return p
}
