package target

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/problem"
)

// readKeys asks for the keys behind a path. Where the path leaves open whose keys they
// are, the rule is found first that holds the rights asked for and no others.
func (r *reading) readKeys(ctx context.Context, path string) error {
	at := path
	if strings.Contains(path, catalog.RuleHole) {
		name, err := r.rule(ctx)
		if err != nil {
			return err
		}
		at = strings.Replace(path, catalog.RuleHole, name, 1)
	}
	var answer any
	err := r.reader.Client.Post(ctx, at, r.m.Target.APIVersion, nil, &answer)
	r.answer(path, answer)
	return err
}

// rule is the name of the rule whose key the app gets, the first by its name. A key with
// more rights than were asked for is never taken instead.
func (r *reading) rule(ctx context.Context) (string, error) {
	how := r.m.Target.Auth[r.c.Properties.Auth.Type]
	asked, list := permitted(r.c.Properties.Auth, how).Names, r.m.Resource(how.Rule.Of)+"/"+how.Rule.Child
	found := ""
	err := r.reader.Client.List(ctx, list, r.m.Target.APIVersion, func(item json.RawMessage) error {
		var entry any
		if err := json.Unmarshal(item, &entry); err != nil {
			return err
		}
		name := member(entry, "name")
		if holdsJust(entry, how.Rule.Rights, asked) && (found == "" || name < found) {
			found = name
		}
		return nil
	})
	if err != nil || found != "" {
		return found, err
	}
	command := how.Rule.Make
	for name, value := range r.m.Facts {
		command = strings.ReplaceAll(command, "{"+name+"}", value.Text)
	}
	return "", problem.New(problem.OptionUnsupported, list, "no rule of %s holds the permissions %s and no more", r.m.Target.Name, strings.Join(asked, ", ")).
		WithFix("make one: %s --name %s --rights %s", command, strings.ToLower(strings.Join(asked, "-")), strings.Join(asked, " "))
}

// holdsJust tells whether an entry's rights are the ones asked for.
func holdsJust(entry any, at string, asked []string) bool {
	var rights []string
	for i := 0; ; i++ {
		right := member(entry, at+"."+strconv.Itoa(i))
		if right == "" {
			break
		}
		rights = append(rights, right)
	}
	return len(rights) == len(asked) && !slices.ContainsFunc(asked, func(name string) bool {
		return !slices.ContainsFunc(rights, func(right string) bool { return strings.EqualFold(name, right) })
	})
}
