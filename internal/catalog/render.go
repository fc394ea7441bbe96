package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// Setting is one key and value for the app.
type Setting struct {
	Name        string           // as it is written
	Documented  string           // as the documentation has it
	Value       connection.Value // Hidden when it holds a credential; a reference stays one
	Kind        string           // plain, templated, secret
	Description string           // which generation of a library reads it; usually empty
	String      bool             // a connection string, by its documented name
}

// Options are what a request may change about the settings.
type Options struct {
	Infix      string            // goes into the names of a further connection of the same target
	Custom     map[string]string // own names, by default name
	Connection map[string]string // further options of connection strings
	Form       string            // one of the target's forms or types; empty for the ordinary connection
}

// Settings renders the rows of a pair from facts. A fact that is needed and not
// known is an error; so is a value the notation cannot carry.
func (t *Target) Settings(auth, client string, facts connection.Facts, o Options) ([]Setting, error) {
	rows, err := t.rowsOf(auth, client, o.Form)
	if err != nil {
		return nil, err
	}
	facts, o.Connection = t.ask(facts, o.Connection)
	facts, err = t.derive(facts)
	if err != nil {
		return nil, err
	}
	var settings []Setting
	for _, row := range rows {
		value, err := t.render(row, facts, o.Connection)
		if err != nil {
			return nil, err
		}
		settings = append(settings, Setting{
			Name: connection.SettingName(row.Name, o.Infix, o.Custom), Documented: row.Name,
			Value: value, Kind: t.kind(row), Description: row.Description(), String: strings.HasSuffix(row.Name, "CONNECTIONSTRING"),
		})
	}
	return settings, nil
}

// Rows returns the rows of a pair; *problem.Error AUTH_UNSUPPORTED or CLIENT_UNSUPPORTED when there are none.
func (t *Target) Rows(auth, client string) ([]Row, error) { return t.rowsOf(auth, client, "") }

func (t *Target) rowsOf(auth, client, form string) ([]Row, error) {
	if _, ok := t.Auth[auth]; !ok {
		return nil, t.authUnsupported(auth, t.AuthTypes())
	}
	rows := t.rows(auth, ClientType(client), form)
	if len(rows) > 0 {
		return rows, nil
	}
	allowed := t.ClientTypes(auth)
	detail := fmt.Sprintf("%s with %s has no settings for client type %q", t.Name, auth, client)
	if why := t.gap(auth, ClientType(client)); why != "" {
		detail += " (" + why + ")"
	}
	return nil, problem.New(problem.ClientUnsupported, "", "%s; %s", detail, OneOf(client, allowed)).
		WithFix("add --client-type %s", pick(client, allowed))
}

// ClientType is the client type whose settings are written for one named in a
// request: absent means none, and the variant for internal use is the public one.
func ClientType(wire string) string {
	switch wire {
	case "":
		return "none"
	case "dotnet-internal", ClientConnectionString:
		return "dotnet"
	}
	return wire
}

// ClientConnectionString is .NET whose connection string goes among the connection
// strings of App Service instead of its settings.
const ClientConnectionString = "dotnet-connectionString"

// FormRows are the rows of a pair in one of the target's forms or types, "" for the
// ordinary connection; none where the pair has none.
func (t *Target) FormRows(auth, client, form string) []Row { return t.rows(auth, client, form) }

// rows are those of a form. The ordinary connection of a target that takes several
// linkers is all of them together; a rule without a form belongs to each.
func (t *Target) rows(auth, client, form string) []Row {
	if as := t.Auth[auth].As; as != "" {
		return actAs(auth, t.rows(as, client, form))
	}
	var rows []Row
	for _, rule := range t.Rules {
		meant := rule.Form == form || form == "" && slices.Contains(t.Types, rule.Form) || rule.Form == "" && slices.Contains(t.Types, form)
		if meant && slices.Contains(rule.Auth, auth) && slices.Contains(rule.Clients, client) {
			rows = append(rows, rule.Rows...)
		}
	}
	return rows
}

// ConnectionStringType is what App Service calls the target's connection strings.
func (t *Target) ConnectionStringType() string {
	if t.StringType == "" {
		return "Custom"
	}
	return t.StringType
}

func (t *Target) gap(auth, client string) string {
	if as := t.Auth[auth].As; as != "" {
		if rows := t.rows(as, client, ""); len(rows) > 0 && len(actAs(auth, rows)) == 0 {
			return "its settings have room for a client secret only"
		}
		return t.gap(as, client)
	}
	for _, gap := range t.Without {
		if slices.Contains(gap.Auth, auth) && slices.Contains(gap.Clients, client) {
			return gap.Why
		}
	}
	return ""
}

// render writes one value by the first template whose facts are all known.
func (t *Target) render(row Row, facts connection.Facts, extra map[string]string) (connection.Value, error) {
	g, _ := grammar.Lookup(row.Grammar)
	template, missing := choose(row.Value, facts)
	if missing != "" {
		return connection.Value{}, fmt.Errorf("render %s of %s: {%s} is not known", row.Name, t.Name, missing)
	}
	if names := placeholders(template); len(names) == 1 && template == "{"+names[0]+"}" && facts[names[0]].From != nil {
		return facts[names[0]], nil
	}
	text, err := fill(template, facts, g.In)
	if err != nil {
		return connection.Value{}, cannotCarry(row, g, err)
	}
	if g.Add != nil {
		if text, err = add(text, g, extra); err != nil {
			return connection.Value{}, cannotCarry(row, g, err)
		}
	}
	return connection.Value{Text: text, Secret: t.kind(row) == KindSecret}, nil
}

func cannotCarry(row Row, g grammar.Grammar, err error) error {
	return problem.New(problem.OptionUnsupported, "", "%s cannot be written as %s: %s", row.Name, g.Title, err).
		WithFix("choose a client type whose settings are no connection string, such as --client-type none").Because(err)
}

// choose returns the first template whose facts are all known, or what the last one lacks.
func choose(templates Templates, facts connection.Facts) (template, missing string) {
	for _, template = range templates {
		missing = ""
		for _, name := range placeholders(template) {
			if _, ok := facts[name]; !ok {
				missing = name
			}
		}
		if missing == "" {
			return template, ""
		}
	}
	return "", missing
}

// fill replaces each placeholder by its quoted value. before is the template up to
// the placeholder, with a NUL for each earlier one.
func fill(template string, facts connection.Facts, quote func(before, value string) (string, error)) (string, error) {
	parts, err := pieces(template)
	if err != nil {
		return "", err
	}
	var out, before strings.Builder
	for _, p := range parts {
		if p.fact == "" {
			out.WriteString(p.text)
			before.WriteString(p.text)
			continue
		}
		value := facts[p.fact]
		if value.From != nil {
			return "", fmt.Errorf("{%s} is known after apply only", p.fact)
		}
		quoted, err := quote(before.String(), value.Text)
		if err != nil {
			return "", fmt.Errorf("the value of {%s}: %w", p.fact, err)
		}
		out.WriteString(quoted)
		before.WriteByte(0)
	}
	return out.String(), nil
}

func add(text string, g grammar.Grammar, extra map[string]string) (string, error) {
	for _, key := range sortedKeys(extra) {
		var err error
		if text, err = g.Add(text, key, extra[key]); err != nil {
			return "", fmt.Errorf("further option: %w", err)
		}
	}
	return text, nil
}

// Kind is the kind of a row's value: plain, templated or secret.
func (t *Target) Kind(row Row) string { return t.kind(row) }

// kind follows from the placeholders unless the row says otherwise.
func (t *Target) kind(row Row) string {
	if row.Kind != "" {
		return row.Kind
	}
	kind := KindPlain
	for _, text := range row.Value {
		for _, name := range placeholders(text) {
			if secret, _ := t.secretFact(name); secret {
				return KindSecret
			}
			kind = KindTemplated
		}
	}
	return kind
}

// Description says which generation of a library reads the setting; usually empty.
func (row Row) Description() string { return variants[row.Variant] }
