package cli

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/patchbay/patchbay/internal/api"
)

// texter prints results as text for people, on standard output. It remembers the
// first error of the writer.
type texter struct {
	out    io.Writer
	colour bool
	err    error
}

func (t *texter) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format+"\n", printableArgs(args)...)
	}
}

func (t *texter) paint(colour, text string) painted { return colored(t.colour, colour, text) }

// table prints rows under headings.
func (t *texter) table(headings []string, rows [][]string) {
	if t.err != nil {
		return
	}
	lines := [][]string{headings, make([]string, len(headings))}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = printable(c)
		}
		lines = append(lines, cells)
	}
	t.err = writeAligned(t.out, lines)
}

// signs of a change, by action.
func signs() map[string][2]string {
	return map[string][2]string{
		"create": {"+", green}, "update": {"~", amber}, "remove": {"-", red},
		"keep": {"=", dim}, "found": {"=", dim}, "leave": {"!", amber},
	}
}

// plan prints every change with before and after, grouped by step, in order.
func (t *texter) plan(p *api.Plan) {
	t.line("Plan to %s %s", p.Verb, connectionLabel(p.Connection))
	numbers := map[string]int{}
	for i, step := range p.Steps {
		numbers[step.ID] = i + 1
		t.line("")
		t.line("%s", t.paint(bold, fmt.Sprintf("%d. %s", i+1, stepHeading(step, numbers))))
		for _, c := range step.Changes {
			t.change(c)
		}
	}
	t.unchanged(p.Quiet)
	t.line("")
	t.line("%s Nothing was written.", planSummary(p))
}

func stepHeading(s api.PlanStep, numbers map[string]int) string {
	var after []int
	for _, id := range s.Needs {
		if n := numbers[id]; n > 0 {
			after = append(after, n)
		}
	}
	slices.Sort(after)
	what, _, _ := strings.Cut(strings.TrimPrefix(s.ID, "dismantle:"), "/")
	out := stepLabel(what + s.Path) // the id has the path folded
	switch {
	case s.Dismantle:
		out += " (when the operation ends)"
	case len(after) > 0:
		out += " (after " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(after), "[]")), ", ") + ")"
	}
	return out
}

// change prints one facet: what happens to it, and each attribute's before and after.
func (t *texter) change(c api.PlanChange) {
	sign, ok := signs()[c.Action]
	if !ok {
		sign = [2]string{"?", amber}
	}
	t.line("   %s %s %s on %s%s", t.paint(sign[1], sign[0]), c.Kind, c.Name, shortID(c.Resource), changeRemark(c))
	for _, name := range attributeNames(c) {
		before, had := c.Before[name]
		after, has := c.After[name]
		switch {
		case had && has && before == after && !(masked(after) && c.Action == "update"):
			t.line("       %s: %s", name, shownValue(after))
		case c.After == nil || had && !has:
			t.line("       %s: %s → (gone)", name, shownValue(before))
		case !had:
			t.line("       %s: %s", name, shownValue(after))
		default:
			t.line("       %s: %s → %s", name, shownValue(before), shownValue(after))
		}
	}
	if c.Note != "" {
		t.line("       %s", t.paint(dim, c.Note))
	}
}

// masked tells whether the value itself is not shown, so that two that look alike
// may differ.
func masked(v string) bool { return v != "" && strings.Trim(v, "*") == "" }

func shownValue(v string) string {
	switch v {
	case "":
		return `""`
	case "known after apply":
		return "(known after apply)"
	}
	return v
}

func changeRemark(c api.PlanChange) string {
	var remarks []string
	if c.Reason != "" && c.Reason != "new" && c.Reason != "unwanted" { // those two say no more than the sign
		remarks = append(remarks, c.Reason)
	}
	if c.Scaffold {
		remarks = append(remarks, "only while the operation runs")
	}
	if c.Action == "leave" {
		remarks = append(remarks, "left as it is")
	}
	if len(remarks) == 0 {
		return ""
	}
	return " (" + strings.Join(remarks, ", ") + ")"
}

func attributeNames(c api.PlanChange) []string {
	var names []string
	for name := range c.Before {
		names = append(names, name)
	}
	for name := range c.After {
		if _, twice := c.Before[name]; !twice {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

func (t *texter) unchanged(quiet []api.PlanChange) {
	if len(quiet) == 0 {
		return
	}
	t.line("")
	t.line("%s", t.paint(bold, "Unchanged"))
	for _, c := range quiet {
		sign := signs()[c.Action]
		note := ""
		if c.Note != "" {
			note = ": " + c.Note
		}
		t.line("   %s %s %s on %s%s%s", t.paint(sign[1], orElse(sign[0], "=")), c.Kind, c.Name, shortID(c.Resource), foundRemark(c), note)
	}
}

func foundRemark(c api.PlanChange) string {
	if c.Action == "found" {
		return " (right before us: it will never be removed)"
	}
	return changeRemark(c)
}

// planSummary counts the changes of a plan in one sentence, scaffolding apart: what
// stands only while the operation runs is nobody's change.
func planSummary(p *api.Plan) string {
	counts := map[string]int{}
	total, scaffold := 0, 0
	for _, s := range p.Steps {
		for _, c := range s.Changes {
			switch {
			case !c.Scaffold:
				counts[c.Action]++
				total++
			case !s.Dismantle:
				scaffold++
			}
		}
	}
	if total == 0 {
		return "Nothing to do: everything is as it should be."
	}
	out := fmt.Sprintf("%s in %s: %d to create, %d to change, %d to remove", count(total, "change"), count(len(p.Steps), "step"),
		counts["create"], counts["update"], counts["remove"])
	if scaffold > 0 {
		out += fmt.Sprintf(", %d only while the operation runs", scaffold)
	}
	return out + fmt.Sprintf("; %d unchanged.", len(p.Quiet))
}

// count prints a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
