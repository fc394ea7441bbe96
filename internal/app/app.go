// Package app wires the rooms together: it holds the explicit maps of sources,
// facet drivers, probes and stores, opens the places where commands work, and runs
// the server and the local cloud.
//
// It decides nothing about connections. Everything it starts has an owner here
// that waits for it.
package app

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/patchbay/patchbay/internal/cli"
)

// version and commit are set when a release is built.
var (
	version = "dev"
	commit  = ""
)

// Main runs one command line and returns the process's exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	streams := cli.SystemStreams()
	return cli.Main(ctx, deps(streams, os.LookupEnv), args)
}

// deps gives the command line what it reaches outside itself; nothing is opened here.
func deps(streams cli.Streams, env func(string) (string, bool)) cli.Deps {
	a := &app{env: env, streams: streams}
	return cli.Deps{
		Streams: streams, Env: env,
		Version:    cli.Version{Version: version, Commit: revision()},
		Targets:    targetCommands(),
		Connect:    a.connect,
		Local:      &local{app: a},
		Contexts:   &contexts{app: a},
		Serve:      a.serve,
		Preview:    preview,
		SourceFile: sourceFile,
		Exec:       execute,
		Environ:    os.Environ,
	}
}

// app is one run of the program.
type app struct {
	env     func(string) (string, bool)
	streams cli.Streams
}

func (a *app) home() (home, error) { return openHome(a.env) }

func (a *app) variable(name string) string {
	v, _ := a.env(name)
	return v
}

func revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}

// contexts opens the home folder only when a command asks for it.
type contexts struct{ app *app }

// List implements cli.Contexts.
func (c *contexts) List() ([]cli.ContextInfo, error) {
	h, err := c.app.home()
	if err != nil {
		return nil, err
	}
	return h.List()
}

// Current implements cli.Contexts.
func (c *contexts) Current() (string, error) {
	h, err := c.app.home()
	if err != nil {
		return "", err
	}
	return h.Current()
}

// Use implements cli.Contexts.
func (c *contexts) Use(name string) error {
	h, err := c.app.home()
	if err != nil {
		return err
	}
	return h.Use(name)
}
