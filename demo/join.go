package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

// How long the raw state may take to become what a command promised, and the app
// to be started again by its platform.
const (
	settleLimit = 90 * time.Second
	startLimit  = 30 * time.Second
)

// state is the raw state of everything the story's connections touch.
type state struct {
	outside.Site
	roles   []outside.Role // on the storage account
	linkers map[string]outside.Linker
}

func (s *story) read(ctx context.Context) (state, error) {
	site, err := s.cloud.ReadSite(ctx, s.site())
	if err != nil {
		return state{}, err
	}
	roles, err := s.cloud.ReadRoles(ctx, s.storage())
	if err != nil {
		return state{}, err
	}
	linkers, err := s.cloud.ReadLinkers(ctx, s.site())
	return state{Site: site, roles: roles, linkers: linkers}, err
}

// expectBare holds the site to what the template says and nothing more.
func (s *story) expectBare(ctx context.Context) error {
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		same("setting names", now.Names(), []string{"GREETING"}),
		same("the site's identity", now.Identity, "None"),
		same("the identity's principal", now.Principal, ""))
}

// patchbay runs a command and shows it with what it said.
func (s *story) patchbay(ctx context.Context, wantCode int, args ...string) (string, error) {
	s.say("$ patchbay %s", strings.ReplaceAll(strings.Join(args, " "), s.program.Dir, "$DIR"))
	r, err := s.program.Run(ctx, args...)
	if err != nil {
		return "", err
	}
	shown := r.Stdout
	if slices.Contains(args, "json") {
		shown = "" // read as data
	}
	if wantCode == 0 {
		s.quote(r.Stderr, shown)
	} else { // the reason comes last
		s.quote(shown, r.Stderr)
	}
	return r.Stdout, same("exit status of patchbay "+strings.Join(args, " "), r.Code, wantCode)
}

// connection spells a command on one of the story's connections.
func (s *story) connection(verb []string, name string, rest ...string) []string {
	args := append([]string{"webapp", "connection"}, verb...)
	return append(append(args, "-g", group, "-n", siteName, "--connection", name), rest...)
}

// databaseTarget spells the database on the command line.
func databaseTarget() []string {
	return []string{"--tg", group, "--server", "demo-db", "--database", "visitors", "--client-type", "go"}
}

func (s *story) plan(ctx context.Context) error {
	before, err := s.read(ctx)
	if err != nil {
		return err
	}
	args := s.connection([]string{"create", "storage-blob"}, "files", "--tg", group, "--account", "demofiles", "--client-type", "none", "--system-identity", "--dry-run")
	if s.postgres {
		args = s.connection([]string{"create", "postgres-flexible"}, "visitors", append(databaseTarget(), "--system-identity", "--dry-run")...)
	}
	if _, err := s.patchbay(ctx, 0, args...); err != nil {
		return err
	}
	after, err := s.read(ctx)
	if err != nil {
		return err
	}
	return holds("a dry run changes nothing", reflect.DeepEqual(after, before))
}

// join creates a connection and returns the world before and after. It holds what
// is common to all: the connection stands, one setting is new, no other changed.
func (s *story) join(ctx context.Context, setting, target, name string, rest ...string) (before, after state, err error) {
	if before, err = s.read(ctx); err != nil {
		return before, after, err
	}
	args := s.connection([]string{"create", target}, name, append(rest, "-o", "none")...)
	if _, err = s.patchbay(ctx, 0, args...); err != nil {
		return before, after, err
	}
	if after, err = s.read(ctx); err != nil {
		return before, after, err
	}
	expected := maps.Clone(before.Settings)
	expected[setting] = after.Settings[setting]
	return before, after, errors.Join(
		same("state of connection "+name, after.linkers[name].State, "Succeeded"),
		same("number of connections", len(after.linkers), len(before.linkers)+1),
		sameSettings(after.Settings, expected),
		holds(setting+" has a value", after.Settings[setting] != ""))
}

func (s *story) joinCache(ctx context.Context) error {
	before, after, err := s.join(ctx, "AZURE_REDIS_CONNECTIONSTRING", "redis", "cache",
		"--tg", group, "--server", "demo-cache", "--database", "0", "--client-type", "go", "--secret")
	if err != nil {
		return err
	}
	return errors.Join(
		holds("the cache's setting is a TLS address", strings.HasPrefix(after.Settings["AZURE_REDIS_CONNECTIONSTRING"], "rediss://")),
		same("the site's identity", after.Identity, before.Identity))
}

func (s *story) joinDatabase(ctx context.Context) error {
	const setting = "AZURE_POSTGRESQL_CONNECTIONSTRING"
	_, after, err := s.join(ctx, setting, "postgres-flexible", "visitors", append(databaseTarget(), "--system-identity")...)
	if err != nil {
		return err
	}
	return errors.Join(
		holds("the database's setting carries no password", !strings.Contains(after.Settings[setting], "password")),
		same("the site's identity", after.Identity, "SystemAssigned"),
		holds("the site's identity has a principal", after.Principal != ""))
}

func (s *story) joinReports(ctx context.Context) error {
	const setting = "AZURE_POSTGRESQL_REPORTS_CONNECTIONSTRING"
	password, err := os.ReadFile(s.password)
	if err != nil {
		return err
	}
	before, after, err := s.join(ctx, setting, "postgres-flexible", "reports",
		append(databaseTarget(), "--secret", "name="+admin, "secret=@"+s.password)...)
	if err != nil {
		return err
	}
	return errors.Join(
		holds("the second database setting carries the password", strings.Contains(after.Settings[setting], string(password))),
		same("the identity's principal", after.Principal, before.Principal))
}

func (s *story) joinStorage(ctx context.Context) error {
	before, after, err := s.join(ctx, "AZURE_STORAGEBLOB_RESOURCEENDPOINT", "storage-blob", "files",
		"--tg", group, "--account", "demofiles", "--client-type", "none", "--system-identity")
	if err != nil {
		return err
	}
	if before.Principal != "" {
		err = same("the identity's principal", after.Principal, before.Principal)
	}
	return errors.Join(err,
		same("role assignments of the app on the storage account", len(outside.Of(after.Principal, after.roles)), 1),
		same("role assignments added", len(after.roles), len(before.roles)+1))
}

// validate validates every connection and reads the reports as data.
func (s *story) validate(ctx context.Context) error {
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	var wrong error
	for _, name := range slices.Sorted(maps.Keys(now.linkers)) {
		out, err := s.patchbay(ctx, 0, s.connection([]string{"validate"}, name, "-o", "json")...)
		wrong = errors.Join(wrong, err, s.healthy(name, out))
	}
	return errors.Join(wrong, holds("there is something to validate", len(now.linkers) > 0))
}

// healthy reads a validation's items: one at least, and each a success.
func (s *story) healthy(name, report string) error {
	var items []struct{ Name, Result, Description string }
	if err := json.Unmarshal([]byte(report), &items); err != nil {
		return fmt.Errorf("read the validation of %s: %w", name, err)
	}
	for _, item := range items {
		s.quote(fmt.Sprintf("%-8s %s", item.Result, item.Name))
		if item.Result != "success" {
			return fmt.Errorf("validation of %s: %s %s: %s", name, item.Name, item.Result, item.Description)
		}
	}
	return holds("the validation of "+name+" has items", len(items) > 0)
}

// expectCount waits until the app answers as its settings make it: the platform
// starts it again after every change.
func (s *story) expectCount(ctx context.Context, status int) error {
	return outside.Until(ctx, startLimit, fmt.Sprintf("the app to answer %d", status), func() (bool, error) {
		got, _, err := s.visit(ctx, http.MethodGet)
		if err != nil {
			return false, err
		}
		return got == status, same("status of GET /count", got, status)
	})
}
