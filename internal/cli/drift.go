package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/internal/api"
	"github.com/patchbay/patchbay/internal/problem"
)

// States of a connection's drift.
const (
	inSync     = "InSync"
	drifted    = "Drifted"
	unreadable = "Unreadable"
)

// scopeFlags name what drift and repair look at: a connection, an app, everything.
type scopeFlags struct {
	place *place
	all   bool
}

func newScopeFlags(s *shell, c *cobra.Command) *scopeFlags {
	o := &scopeFlags{place: newPlace(s, c.Flags(), s.Sources[0]).withConnection(c.Flags())}
	c.Flags().BoolVar(&o.all, "all", false, "Every connection there is.")
	return o
}

// named tells whether the command line says where to look.
func (o *scopeFlags) named() bool { return o.all || o.place.id != "" || o.place.given() }

func (o *scopeFlags) check() error {
	narrow := o.place.id != "" || o.place.given() || o.place.name != ""
	switch {
	case o.all && narrow:
		return usage("--all goes with no other name")
	case o.all || !narrow:
		return nil
	case o.place.name != "" || o.place.id != "":
		return o.place.checkConnection()
	}
	return o.place.checkSource()
}

// scope returns a connection's id, a source's id, or "" for everything.
func (o *scopeFlags) scope(subscription string) (string, error) {
	switch {
	case o.place.id != "" || o.place.name != "":
		return o.place.connectionOf(subscription)
	case o.place.given():
		return o.place.sourceOf(subscription)
	}
	return "", nil
}

type driftOptions struct {
	*shell
	scope *scopeFlags
}

func newDrift(s *shell) *cobra.Command {
	o := &driftOptions{shell: s}
	c := &cobra.Command{
		Use: "drift", Short: "Show what differs from what the connections need", Args: noArgs,
		Long: "Show what differs from what a connection, an app's connections or (without a name) all\n" +
			"connections need. Nothing is written. Exit code 5 when something differs.",
		Example: "  patchbay drift\n  patchbay drift -g GROUP -n APP --connection NAME",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.scope = newScopeFlags(s, c)
	return c
}

func (o *driftOptions) run(ctx context.Context) error {
	if err := o.scope.check(); err != nil {
		return err
	}
	a, d, done, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	scope, err := o.scope.scope(d.Subscription)
	if err != nil {
		return err
	}
	list, err := a.Drift(ctx, scope)
	if err != nil {
		return withNames(ctx, a, scope, err)
	}
	if list == nil {
		list = []api.Drift{}
	}
	if err := o.own(list, func(t *texter) { t.drift(list) }); err != nil {
		return err
	}
	return driftFound(list)
}

// driftFound is the error that tells scripts that something differs.
func driftFound(list []api.Drift) error {
	var off []string
	fix := ""
	for _, d := range list {
		if d.State != inSync {
			off = append(off, connectionLabel(d.Connection))
			fix = "patchbay repair --id " + d.Connection
		}
	}
	if len(off) == 0 {
		return nil
	}
	if len(off) == 1 {
		return problem.New(problem.DriftFound, "", "%s is not as needed", off[0]).WithFix("%s", fix)
	}
	return problem.New(problem.DriftFound, "", "%d of %d connections are not as needed: %s", len(off), len(list), strings.Join(off, ", ")).
		WithFix("patchbay repair --all")
}

// drift prints each connection's state and what differs.
func (t *texter) drift(list []api.Drift) {
	if len(list) == 0 {
		t.line("There are no connections.")
	}
	for i, d := range list {
		if i > 0 && len(d.Changes) > 0 {
			t.line("")
		}
		colour := map[string]string{inSync: green, drifted: red, unreadable: amber}[d.State]
		t.line("%s  %s", t.paint(orElse(colour, amber), fmt.Sprintf("%-10s", d.State)), connectionLabel(d.Connection))
		for _, c := range d.Changes {
			t.change(c)
		}
		if d.Problem != nil {
			t.line("   %s (%s)", d.Problem.Message, d.Problem.Code)
		}
	}
}
