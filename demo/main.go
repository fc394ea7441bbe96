// Command demo joins a web app to a database, a cache and a storage account in a
// local cloud, breaks it with a template rerun, repairs it, and proves each step
// by reading the cloud's raw state. It uses the built binary and HTTP only.
//
// Exit status 0 means every fact was as it should be; 1 that one was not, and the
// last line says which. Whatever happens, it leaves nothing running.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

func main() {
	binary := flag.String("patchbay", filepath.Join("bin", "patchbay"), "the built `binary`")
	app := flag.String("app", filepath.Join("bin", "counter"), "the sample app's `binary`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *binary, *app); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run tells the story and cleans up after it, also after a failure or Ctrl-C.
func run(ctx context.Context, out io.Writer, binary, app string) (err error) {
	program, err := outside.NewProgram(binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(program.Dir)) }()
	t := &teller{out: out}
	s, err := newStory(t, program, app)
	if err != nil {
		return err
	}
	defer func() {
		if s.cloud != nil { // a step failed before the last one stopped it
			err = errors.Join(err, s.cloud.Stop(context.WithoutCancel(ctx)))
		}
	}()
	begun := time.Now()
	for _, step := range s.steps() {
		if err := t.step(ctx, step); ctx.Err() != nil {
			return errors.New("interrupted")
		} else if err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n%s, every one checked against the raw state, in %.1f s.\n", plural(t.told, "step"), time.Since(begun).Seconds())
	fmt.Fprint(out, farewell)
	return nil
}

const farewell = `
Three things to try next:
  bin/patchbay local start                       a cloud of your own; then repeat any command above
  eval "$(bin/patchbay local env)"               point the Azure CLI at it: az webapp connection create ...
  bin/patchbay webapp connection create --help   what can be joined, and how
`

// step is one line of the story.
type step struct {
	title string
	play  func(ctx context.Context) error
}

// teller prints the story as it happens.
type teller struct {
	out  io.Writer
	told int
}

func (t *teller) step(ctx context.Context, s step) error {
	begun := time.Now()
	if err := s.play(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.title, err)
	}
	t.told++
	fmt.Fprintf(t.out, "%2d. %-66s %6.2f s\n", t.told, s.title, time.Since(begun).Seconds())
	return nil
}

// say prints a remark under the next step's line.
func (t *teller) say(format string, args ...any) {
	fmt.Fprintf(t.out, "    "+format+"\n", args...)
}

// quote prints what a program said.
func (t *teller) quote(texts ...string) {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			fmt.Fprintln(t.out, strings.TrimRight("      "+line, " \r\n"))
		}
	}
}

func plural(n int, word string) string { return fmt.Sprintf("%d %ss", n, word) }
