package rbac

import "testing"

func TestMatch(t *testing.T) {
	t.Parallel()
	cases := []struct {
		pattern, action string
		want            bool
	}{
		{"*", "Microsoft.Web/sites/read", true},
		{"*/read", "Microsoft.Web/sites/config/READ", true},
		{"*/read", "Microsoft.Web/sites/write", false},
		{"*/read", "Microsoft.Web/sites/list/action", false},
		{"Microsoft.Web/sites/*", "microsoft.web/SITES/config/list/action", true},
		{"Microsoft.Web/sites/*", "Microsoft.Web/sitesX/read", false},
		{"Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", true},
		{"Microsoft.Authorization/*/Write", "Microsoft.Authorization/write", false},
		{"Microsoft.Web/sites/read", "Microsoft.Web/sites/read", true},
		{"Microsoft.Web/sites/read", "Microsoft.Web/sites/readX", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXc", false},
		{"a*a", "a", false},
		{"", "", true},
	}
	for _, c := range cases {
		if got := matchAny([]string{c.pattern}, c.action); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.action, got)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	cases := []struct {
		inner, outer string
		want         bool
	}{
		{"/subscriptions/s/resourceGroups/g", "/subscriptions/S", true},
		{"/subscriptions/s", "/subscriptions/s/resourceGroups/g", false},
		{"/subscriptions/s2", "/subscriptions/s", false},
		{"/subscriptions/s", "/", true},
		{"", "", true},
	}
	for _, c := range cases {
		if got := within(c.inner, c.outer); got != c.want {
			t.Errorf("within(%q, %q) = %v", c.inner, c.outer, got)
		}
	}
}

func TestBuiltInRolesAreWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range builtIn {
		if seen[d.GUID] || seen[d.Name] || len(d.GUID) != 36 || len(d.Actions)+len(d.DataActions) == 0 || d.Description == "" {
			t.Errorf("role %s %s is incomplete or there twice", d.Name, d.GUID)
		}
		seen[d.GUID], seen[d.Name] = true, true
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("Microsoft.*/read", "Microsoft.Web/read")
	f.Fuzz(func(t *testing.T, pattern, action string) {
		got := match(pattern, action)
		if pattern == action && !got || pattern == "*" && !got {
			t.Errorf("match(%q, %q) = false", pattern, action)
		}
	})
}
