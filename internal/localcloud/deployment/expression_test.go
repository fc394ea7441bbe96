package deployment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testScope() *scope {
	return &scope{
		functions: functions(), subscriptionID: "S", groupName: "G",
		group:     map[string]any{"location": "here", "id": "/subscriptions/S/resourceGroups/G"},
		declared:  map[string]any{"p": map[string]any{"type": "string", "defaultValue": "[concat('de', 'fault')]"}, "o": map[string]any{"type": "object"}},
		given:     map[string]any{"o": map[string]any{"value": map[string]any{"List": []any{"zero", "one"}}}},
		variables: map[string]any{"v": "[parameters('p')]", "n": 3.0},
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	const base = "/subscriptions/S/resourceGroups/G/providers/"
	cases := []struct {
		in   string
		want any
	}{
		{"plain", "plain"},
		{"[not closed", "[not closed"},
		{"[[escaped]", "[escaped]"},
		{"['it''s']", "it's"},
		{"[concat('a', 1, -2, true())]", "a1-2True"},
		{"[ CONCAT ( 'a' , 'b' ) ]", "ab"},
		{"[concat(parameters('o').list, parameters('o').list)]", []any{"zero", "one", "zero", "one"}},
		{"[variables('V')]", "default"},
		{"[variables('n')]", 3.0},
		{"[parameters('o').list[1]]", "one"},
		{"[parameters('o')['list'][0]]", "zero"},
		{"[resourceGroup().location]", "here"},
		{"[resourceId('A.B/c', 'n')]", base + "A.B/c/n"},
		{"[resourceId('A.B/c/d', 'n', 'm')]", base + "A.B/c/n/d/m"},
		{"[resourceId('other', 'A.B/c', 'n')]", "/subscriptions/S/resourceGroups/other/providers/A.B/c/n"},
		{"[resourceId('sub', 'other', 'A.B/c', 'n')]", "/subscriptions/sub/resourceGroups/other/providers/A.B/c/n"},
		{"[subscriptionResourceId('A.B/c', 'n')]", "/subscriptions/S/providers/A.B/c/n"},
		{"[if(equals(1, 1), toUpper('y'), 'n')]", "Y"},
		{"[string(12)]", "12"},
	}
	for _, c := range cases {
		got, err := testScope().evaluate(c.in)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", c.in, err, d)
		}
	}
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct{ in, says string }{
		{"[unknownThing('a')]", "unknownThing"},
		{"[concat('a']", "concat"},
		{"[concat('a',)]", ""},
		{"[concat('a' 'b')]", "','"},
		{"[word]", "word"},
		{"['open]", "quote"},
		{"[concat('a')) ]", "unexpected"},
		{"[]", "early"},
		{"[parameters('none')]", "none"},
		{"[parameters('o').none]", "none"},
		{"[parameters('o').list[9]]", "9"},
		{"[concat(parameters('o'))]", "concat"},
		{"[resourceId('A.B/c')]", "resourceId"},
		{"[resourceId('n')]", "slash"},
		{"[if('a', 1, 2)]", "if"},
		{"[12345678901234567890]", "whole number"},
		{"[" + strings.Repeat("concat(", 500) + strings.Repeat(")", 500) + "]", "deeply"},
	}
	for _, c := range cases {
		if got, err := testScope().evaluate(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v, %v; want an error with %q", c.in, got, err, c.says)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"concat('a', parameters('p'))", "resourceId('A.B/c', 'n')", "parameters('o').list[0]", "'it''s'", "-1", "variables('v'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parse(s)
		if err == nil && n == nil {
			t.Fatalf("%q parses to nothing", s)
		}
		if _, err := testScope().evaluate("[" + s + "]"); err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Fatalf("%q: empty error", s)
		}
	})
}
