package catalog

import (
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// beLike takes over the rows of the target that this one is like. Its own rules stay
// and come first.
func (t *Target) beLike(from fs.FS) error {
	if t.Like == nil {
		return nil
	}
	text, err := fs.ReadFile(from, "targets/"+t.Like.Target+".yaml")
	if err != nil {
		return fmt.Errorf("be like %s: %w", t.Like.Target, err)
	}
	other := &Target{}
	if err := yaml.Unmarshal(text, other); err != nil {
		return fmt.Errorf("be like %s: %w", t.Like.Target, err)
	}
	used := map[string]bool{}
	for _, rule := range other.Rules {
		if auth, clients := t.shared(rule.Auth, rule.Clients); rule.Form == t.Like.Form && len(auth) > 0 && len(clients) > 0 {
			t.Rules = append(t.Rules, Rule{Auth: auth, Clients: clients, Rows: t.Like.rows(rule.Rows, used)})
		}
	}
	for _, gap := range other.Without {
		if auth, clients := t.shared(gap.Auth, gap.Clients); len(auth) > 0 && len(clients) > 0 {
			t.Without = append(t.Without, Gap{Auth: auth, Clients: clients, Why: gap.Why})
		}
	}
	for _, s := range t.Like.Swap {
		if !used[s.From] {
			return fmt.Errorf("be like %s: no template holds %q", t.Like.Target, s.From)
		}
	}
	return nil
}

// shared are those of some auth and client types that the target has too.
func (t *Target) shared(auths, clients []string) (auth, client []string) {
	for _, a := range auths {
		if has(t.Auth, a) {
			auth = append(auth, a)
		}
	}
	for _, c := range clients {
		if slices.Contains(t.Clients, c) {
			client = append(client, c)
		}
	}
	return auth, client
}

// rows copies rows with the texts swapped, and notes which swaps found their text.
func (l *Like) rows(rows []Row, used map[string]bool) []Row {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Differs = nil
		out[i].Value = slices.Clone(out[i].Value)
		for n, text := range out[i].Value {
			for _, s := range l.Swap {
				if strings.Contains(text, s.From) {
					used[s.From] = true
					text = strings.ReplaceAll(text, s.From, s.To)
				}
			}
			out[i].Value[n] = text
		}
	}
	return out
}

// checkAddress refuses an address that does not tell what the settings need of it, and one
// checkAddress refuses an address that is none, that holds a password, or out of which
// the settings of such a connection could not be made.
func (m *Match) checkAddress(kind, endpoint string) error {
	t := m.Target
	bad := func(why string) error {
		return problem.New(problem.BodyInvalid, "", "the endpoint of a %s %s", t.Name, why).WithFix("%s", t.addressOption(kind))
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil && len(t.Schemes) > 0 && !strings.Contains(endpoint, ","): // several brokers stand in one address
		return bad("is no URL")
	case strings.Contains(endpoint, "@") || u != nil && u.User != nil:
		return bad("must not hold a user name or a password")
	}
	told, err := t.derive(connection.Facts{FactEndpoint: connection.Plain(endpoint)})
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(t.Derived) {
		if t.Derived[name].From == FactEndpoint && !has(told, name) && t.tells(m.Form, name) {
			return bad("does not tell the " + name)
		}
	}
	return nil
}

// tells tells whether settings of a form need a fact; where there is one form, all count.
func (t *Target) tells(form, fact string) bool {
	return form == "" || slices.ContainsFunc(t.Rules, func(r Rule) bool {
		return r.Form == form && slices.ContainsFunc(r.Rows, func(row Row) bool {
			return slices.ContainsFunc(row.Value, func(text string) bool { return slices.Contains(placeholders(text), fact) })
		})
	})
}

// addressOption is how the address is given on a command line.
func (t *Target) addressOption(kind string) string {
	for _, l := range t.linkers() {
		if strings.EqualFold(l.Type, kind) {
			if t.Example != "" {
				return fmt.Sprintf("write it like --%s %s, and give user name and password with --secret name=USER secret=@FILE", l.Endpoint, t.Example)
			}
			return fmt.Sprintf("give it with --%s: %s", l.Endpoint, l.Help)
		}
	}
	return "write it like " + t.Example
}
