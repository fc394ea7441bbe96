package storage

import (
	"net/url"
	"strings"
	"testing"
)

// Paths that are understood name nothing outside the account.
func FuzzTargets(f *testing.F) {
	for _, seed := range []string{"/", "/a-b", "/orders/messages", "/orders/messages/1%2F2", "/team/a%20b/c.txt", "/team/..%2Fx", "/team//x", "/%zz", "/A", "/team/%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if q, err := parseQueueTarget(path); err == nil && q.queue != "" && (!validName(q.queue) || q.message != "" && !q.messages) {
			t.Errorf("%q names %+v", path, q)
		}
		s, err := parseFileTarget(path)
		if err != nil {
			return
		}
		if s.share != "" && !validName(s.share) || s.share == "" && s.path != "" && strings.Trim(path, "/") == "" {
			t.Errorf("%q names %+v", path, s)
		}
		for _, part := range strings.Split(s.path, "/") {
			if part == ".." || part == "." || strings.ContainsAny(part, "\\\x00") {
				t.Errorf("%q leads to %q", path, s.path)
			}
		}
		if again, err := parseFileTarget("/" + s.share + "/" + (&url.URL{Path: s.path}).EscapedPath()); s.share != "" && (err != nil || again.path != s.path) {
			t.Errorf("%q is %+v, and again %+v, %v", path, s, again, err)
		}
	})
}
