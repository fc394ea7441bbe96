package arm_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/armtest"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

func TestAllows(t *testing.T) {
	t.Parallel()
	one := func(actions, not string) arm.Permission {
		return arm.Permission{Actions: strings.Fields(actions), NotActions: strings.Fields(not)}
	}
	for _, row := range []struct {
		name    string
		entries []arm.Permission
		action  string
		want    bool
	}{
		{"nothing", nil, "A/b/read", false},
		{"exact", []arm.Permission{one("A/b/read", "")}, "A/b/read", true},
		{"case", []arm.Permission{one("a/B/READ", "")}, "A/b/read", true},
		{"everything", []arm.Permission{one("*", "")}, "A/b/read", true},
		{"all reads", []arm.Permission{one("*/read", "")}, "A/b/c/read", true},
		{"all reads, a write", []arm.Permission{one("*/read", "")}, "A/b/c/write", false},
		{"star in the middle", []arm.Permission{one("A/*/read", "")}, "A/b/c/read", true},
		{"two stars", []arm.Permission{one("A/*/c/*", "")}, "A/b/c/read", true},
		{"two stars, not in order", []arm.Permission{one("A/*x*y/read", "")}, "A/yx/read", false},
		{"prefix and suffix may not overlap", []arm.Permission{one("A/bb*bb/c", "")}, "A/bbb/c", false},
		{"longer action", []arm.Permission{one("A/b", "")}, "A/b/read", false},
		{"taken out", []arm.Permission{one("*", "A/b/*")}, "A/b/read", false},
		{"taken out in one entry, given by another", []arm.Permission{one("*", "A/b/*"), one("A/b/read", "")}, "A/b/read", true},
		{"exceptions of another entry do not count", []arm.Permission{one("A/b/read", ""), one("", "A/b/read")}, "A/b/read", true},
		{"contributor may not assign roles", []arm.Permission{one("*", "Microsoft.Authorization/*/Delete Microsoft.Authorization/*/Write")}, "Microsoft.Authorization/roleAssignments/write", false},
	} {
		if got := arm.Allows(row.entries, row.action); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

func FuzzAllows(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a"}, {"a/*/b", "a//b"}, {"**", ""}, {"", ""}, {"a*a", "a"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, action string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(action) {
			return // JSON carries no other text
		}
		entry := []arm.Permission{{Actions: []string{pattern}}}
		if !strings.Contains(pattern, "*") {
			//lint:ignore SA6005 Allows folds this way; EqualFold knows more letters
			if got := arm.Allows(entry, action); got != (strings.ToLower(pattern) == strings.ToLower(action)) {
				t.Errorf("%q %q: %v", pattern, action, got)
			}
			return
		}
		if !arm.Allows(entry, strings.ReplaceAll(pattern, "*", action)) {
			t.Errorf("%q refuses what it was filled with: %q", pattern, action)
		}
	})
}

const (
	site  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app"
	asked = "/providers/Microsoft.Authorization/permissions"
)

// permissionWorld grants reads on the subscription's things and writes on the site alone.
func permissionWorld(t *testing.T) *armtest.Server {
	s := armtest.New(t,
		armtest.Type{Name: "Microsoft.Web/sites", Versions: []string{version}},
		armtest.Type{Name: "Microsoft.Authorization/permissions", Versions: []string{"2022-04-01"},
			List: func(_ map[string]armtest.Object, parent string, _ map[string]string) []armtest.Object {
				entries := []armtest.Object{{"actions": []string{"*/read"}, "notActions": []string{}}}
				if strings.EqualFold(parent, site) {
					entries = append(entries, armtest.Object{"actions": []string{"Microsoft.Web/sites/*"}, "notActions": []string{"*/delete"}})
				}
				return entries
			}})
	s.Set(site, armtest.Object{})
	return s
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	s := permissionWorld(t)
	right := func(scope, action string) connection.Right { return connection.Right{Scope: scope, Action: action} }
	missing, err := arm.NewPermissions(s.Client()).Missing(t.Context(), []connection.Right{
		right(site, "Microsoft.Web/sites/write"),
		right(strings.ToUpper(site), "Microsoft.Web/sites/config/write"),
		right(site, "Microsoft.Web/sites/delete"),
		right(site+"/config/appsettings", "Microsoft.Web/sites/config/write"), // goes up to the site
		right("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/gone", "Microsoft.Web/sites/write"),
		right("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/gone", "Microsoft.Web/sites/read"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) != 2 || missing[0].Action != "Microsoft.Web/sites/delete" || !strings.HasSuffix(missing[1].Scope, "gone") {
		t.Errorf("missing %+v", missing)
	}
	reads := 0
	for _, r := range s.Requests() {
		if strings.EqualFold(r.Path, site+asked) {
			reads++
		}
	}
	if reads != 2 { // once for the site, once on the way up from its settings
		t.Errorf("the site's permissions were read %d times", reads)
	}
}

func TestMissingRightsWhenNothingMayBeRead(t *testing.T) {
	t.Parallel()
	s := permissionWorld(t)
	s.Fail(armtest.Fault{Path: asked, Status: http.StatusForbidden, Code: "AuthorizationFailed"})
	rights := []connection.Right{{Scope: site, Action: "Microsoft.Web/sites/read"}}
	missing, err := arm.NewPermissions(s.Client()).Missing(t.Context(), rights)
	if err != nil || len(missing) != 1 {
		t.Errorf("missing %v, %v", missing, err)
	}
	s.Heal()
	s.Fail(armtest.Fault{Path: asked, Status: http.StatusBadRequest, Code: "Odd"})
	if _, err := arm.NewPermissions(s.Client()).Missing(t.Context(), rights); !problem.Is(err, problem.ARMRefused) {
		t.Errorf("got %v", err)
	}
	if _, err := arm.NewPermissions(s.Client()).Missing(t.Context(), []connection.Right{{Scope: "/a//b", Action: "x"}}); !problem.Is(err, problem.PathMalformed) {
		t.Errorf("got %v", err)
	}
}
