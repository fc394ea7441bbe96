package catalog_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/catalog"
)

const docs = "../../docs"

// page writes a generated page, or holds it to what it would be.
func page(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join(docs, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./internal/catalog -run TestPages -update", file)
	}
}

// TestPages holds docs/targets and docs/differences.md to the catalog.
func TestPages(t *testing.T) {
	t.Parallel()
	targets := load(t).Targets()
	for _, target := range targets {
		page(t, "targets/"+target.Name+".md", targetPage(target))
	}
	page(t, "targets/README.md", indexPage(targets))
	page(t, "differences.md", differencesPage(targets))
	files, err := filepath.Glob(filepath.Join(docs, "targets", "*.md"))
	if err != nil || len(files) != len(targets)+1 {
		t.Errorf("%d pages for %d targets and an index (%v)", len(files), len(targets), err)
	}
}

const generated = "This page is made from the catalog; `go test ./internal/catalog -run TestPages -update` writes it anew.\n"

func indexPage(targets []*catalog.Target) string {
	var b strings.Builder
	b.WriteString("# Targets\n\n" + generated + `
A target is *ready* when connections can be made to it, and *preview* when its settings are known and
` + "`patchbay preview`" + ` shows them.

| target | status | auth types | client types |
|---|---|---|---|
`)
	for _, t := range targets {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s |\n", t.Name, t.Name, status(t), strings.Join(t.AuthTypes(), ", "), strings.Join(t.Clients, ", "))
	}
	return b.String()
}

func status(t *catalog.Target) string {
	if t.Status == "" {
		return "ready"
	}
	return t.Status
}

func targetPage(t *catalog.Target) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", t.Display, generated)
	if t.Status == catalog.StatusPreview {
		fmt.Fprintf(&b, "`%s` is in preview: its settings are known and `patchbay preview %s` shows them, but no connection can be made to it yet.\n", t.Name, t.Name)
	} else {
		fmt.Fprintf(&b, "`%s` is ready: connections can be made to it.\n", t.Name)
	}
	for _, note := range t.Notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	addressSection(&b, t)
	matrixSection(&b, t)
	rightsSection(&b, t)
	networkSection(&b, t)
	settingsSection(&b, t)
	return b.String()
}

func addressSection(b *strings.Builder, t *catalog.Target) {
	b.WriteString("\n## Address\n\n| | |\n|---|---|\n")
	row := func(what, text string) {
		if text != "" {
			fmt.Fprintf(b, "| %s | %s |\n", what, text)
		}
	}
	if len(t.ID) > 0 {
		row("id", code(t.IDTemplate()))
		row("api-version", t.APIVersion)
	}
	row("`targetService.type`", codes(t.Types))
	row("kinds of account", codes(t.Kinds))
	row("protocol", t.Protocol)
	for _, name := range slices.Sorted(maps.Keys(t.Facts)) {
		if t.Facts[name].Needed {
			row(code(name), "read from "+code(t.Facts[name].At)+" of the "+t.Facts[name].Of)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Given)) {
		row(code(name), "comes with the request: "+t.Given[name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.Preview.Facts)) {
		row(code(name)+" in a preview", codes(t.Preview.Facts[name]))
	}
	for _, cloud := range slices.Sorted(maps.Keys(t.Preview.Clouds)) {
		var words []string
		for _, word := range slices.Sorted(maps.Keys(t.Preview.Clouds[cloud])) {
			words = append(words, code("{"+word+"}")+" is "+code(t.Preview.Clouds[cloud][word]))
		}
		row("in a preview of "+cloud, strings.Join(words, ", "))
	}
}

func matrixSection(b *strings.Builder, t *catalog.Target) {
	b.WriteString("\n## Auth types and client types\n\n| |")
	for _, client := range t.Clients {
		b.WriteString(" " + client + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(t.Clients)) + "\n")
	for _, auth := range t.AuthTypes() {
		fmt.Fprintf(b, "| %s |", auth)
		have := t.ClientTypes(auth)
		for _, client := range t.Clients {
			b.WriteString(map[bool]string{true: " yes |", false: " – |"}[slices.Contains(have, client)])
		}
		b.WriteString("\n")
	}
	for _, gap := range t.Without {
		fmt.Fprintf(b, "\nNot %s with %s: %s.\n", strings.Join(gap.Clients, ", "), strings.Join(gap.Auth, ", "), gap.Why)
	}
	if how, ok := t.Auth["secret"]; ok && how.Given {
		b.WriteString("\nWith `secret`, user name and password are given by you.\n")
	} else if ok {
		fmt.Fprintf(b, "\nWith `secret`, the key is fetched by `%s`.\n", t.Keys[how.Key].Action)
	}
}

func rightsSection(b *strings.Builder, t *catalog.Target) {
	var lines []string
	if len(t.Roles.Default) > 0 {
		lines = append(lines, "An identity gets by default: "+strings.Join(t.Roles.Default, ", ")+".")
	}
	if len(t.Roles.Known) > 0 {
		lines = append(lines, "Roles that can be chosen by name: "+strings.Join(t.RoleNames(), ", ")+".")
	}
	if a := t.Access; a != nil {
		text := "Access policies, the first by default: " + strings.Join(a.Policies, "; ") + "."
		if a.When.Fact != "" {
			text = fmt.Sprintf("Where `%s` is %q, an access policy stands in for roles: %s.", a.When.Fact, a.When.Is, strings.Join(a.Policies, "; "))
		}
		lines = append(lines, text)
	}
	if t.DBUser != nil {
		lines = append(lines, "An identity gets a user of the database.")
	}
	for _, f := range t.Features {
		lines = append(lines, fmt.Sprintf("For identities, `%s` is switched to %s.", f.Name, f.Value))
	}
	section(b, "Rights", lines)
}

func networkSection(b *strings.Builder, t *catalog.Target) {
	var lines []string
	if w := t.Firewall; w != nil {
		how := map[string]string{
			catalog.StyleRules: "rules of their own", catalog.StyleAddresses: "entries of a list on the resource", catalog.StyleRuleSet: "entries of its one rule set",
		}[w.Style]
		when := "it has any"
		if w.When.Is != "" {
			when = fmt.Sprintf("`%s` is %s", w.When.Fact, w.When.Is)
		}
		lines = append(lines, "Firewall: the app's addresses become "+how+", when "+when+".")
		if w.Regional {
			lines = append(lines, "Its rules do nothing for traffic from its own region.")
		}
	}
	if t.ServiceEndpoint != "" {
		lines = append(lines, "Service endpoint: "+code(t.ServiceEndpoint)+".")
	}
	if len(t.PrivateLink) > 0 {
		lines = append(lines, "Private endpoint: group "+codes(t.PrivateLink)+".")
	}
	section(b, "Network", lines)
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", title, strings.Join(lines, "\n"))
	}
}

// settingsSection lists the rows of every pair once, for all pairs that have the same.
func settingsSection(b *strings.Builder, t *catalog.Target) {
	b.WriteString("\n## Settings\n")
	for _, form := range append([]string{""}, slices.Sorted(maps.Keys(t.Forms))...) {
		if form != "" {
			fmt.Fprintf(b, "\nOnly: %s\n", t.Forms[form])
		}
		for _, auth := range t.AuthTypes() {
			clients := map[string][]string{}
			var order []string
			for _, client := range t.Clients {
				table := rowTable(t.FormRows(auth, client, form), t)
				if table != "" && clients[table] == nil {
					order = append(order, table)
				}
				clients[table] = append(clients[table], client)
			}
			for _, table := range order {
				fmt.Fprintf(b, "\n### %s: %s\n\n", auth, strings.Join(clients[table], ", "))
				if names := t.PreviewNames(auth, clients[table][0]); form == "" && len(names) > 0 {
					fmt.Fprintf(b, "A preview needs %s.\n\n", codes(names))
				}
				b.WriteString(table)
			}
		}
	}
}

func rowTable(rows []catalog.Row, t *catalog.Target) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| setting | value | kind |\n|---|---|---|\n")
	for _, r := range rows {
		kind := t.Kind(r)
		if r.Variant != "" {
			kind += ", " + strings.Replace(r.Variant, "springCloudAzure", "Spring Cloud Azure ", 1)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, strings.Join(codeList(r.Value), " or "), kind)
	}
	return b.String()
}

// difference is one row that is not what is documented.
type difference struct{ target, name, value, documentedName, documented, why string }

func differencesPage(targets []*catalog.Target) string {
	var b strings.Builder
	b.WriteString("# Where we differ from the documentation\n\n" + generated + `
Each row is a setting that is written otherwise than Service Connector's pages have it: because the page cannot
be right, or because the real service was recorded to write something else. Where only the name or only the
value differs, the other stays as documented.

| target | for | we write | documented | why |
|---|---|---|---|---|
`)
	for _, t := range targets {
		where := map[difference][]string{}
		var order []difference
		for _, rule := range t.Rules {
			for _, r := range rule.Rows {
				if r.Differs == nil {
					continue
				}
				d := difference{t.Name, r.Name, strings.Join(r.Value, " or "), r.Differs.Name, r.Differs.Documented, r.Differs.Why}
				if where[d] == nil {
					order = append(order, d)
				}
				where[d] = append(where[d], strings.Join(rule.Auth, ", ")+" with "+strings.Join(rule.Clients, ", "))
			}
		}
		for _, d := range order {
			fmt.Fprintf(&b, "| [%s](targets/%s.md) | %s | %s | %s | %s |\n", d.target, d.target, strings.Join(where[d], "; "),
				named(d.name, d.value, d.documented != ""), named(d.documentedName, d.documented, d.documented != ""), d.why)
		}
	}
	return b.String()
}

// named shows a name, a value, or both.
func named(name, value string, withValue bool) string {
	switch {
	case withValue && name != "":
		return code(name) + " = " + code(value)
	case withValue:
		return code(value)
	}
	return code(name)
}

func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

func codeList(list []string) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = code(text)
	}
	return out
}

func codes(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(codeList(list), ", ")
}
