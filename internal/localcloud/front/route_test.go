package front

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	g = "/subscriptions/S/resourceGroups/G"
	s = g + "/providers/Microsoft.Web/sites/app"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, path     string
		id, kind, action string
		list, refused    bool
	}{
		{"GET", "/subscriptions", "", "Microsoft.Resources/subscriptions", "", true, false},
		{"GET", "/subscriptions/S", "/subscriptions/S", subscriptionType, "", false, false},
		{"GET", "/subscriptions/S/resourcegroups", "/subscriptions/S", "Microsoft.Resources/resourcegroups", "", true, false},
		{"PUT", g, g, groupType, "", false, false},
		{"GET", g + "/resources", g, "Microsoft.Resources/resources", "", true, false},
		{"POST", g + "/exportTemplate", g, groupType, "exportTemplate", false, false},
		{"GET", "/subscriptions/S/providers", "/subscriptions/S", "Microsoft.Resources/providers", "", true, false},
		{"GET", "/subscriptions/S/providers/Microsoft.Web", "/subscriptions/S/providers/Microsoft.Web", providerType, "", false, false},
		{"POST", "/subscriptions/S/providers/Microsoft.Web/register", "/subscriptions/S/providers/Microsoft.Web", providerType, "register", false, false},
		{"POST", "/subscriptions/S/providers/Microsoft.Web/checkName", "/subscriptions/S", "Microsoft.Web/checkName", "checkName", false, false},
		{"GET", s, s, "Microsoft.Web/sites", "", false, false},
		{"GET", g + "/providers/Microsoft.Web/sites", g, "Microsoft.Web/sites", "", true, false},
		{"GET", "/subscriptions/S/providers/Microsoft.Web/sites", "/subscriptions/S", "Microsoft.Web/sites", "", true, false},
		{"GET", s + "/config", s, "Microsoft.Web/sites/config", "", true, false},
		{"PUT", s + "/config/appsettings", s + "/config/appsettings", "Microsoft.Web/sites/config", "", false, false},
		{"POST", s + "/config/appsettings/list", s + "/config/appsettings", "Microsoft.Web/sites/config", "list", false, false},
		{"POST", s + "/restart", s, "Microsoft.Web/sites", "restart", false, false},
		{"POST", s + "/two/words", s, "Microsoft.Web/sites", "two/words", false, false},
		{"GET", s + "/providers/Microsoft.Authorization/locks", s, "Microsoft.Authorization/locks", "", true, false},
		{"GET", s + "/providers/Microsoft.Authorization/locks/l", s + "/providers/Microsoft.Authorization/locks/l", "Microsoft.Authorization/locks", "", false, false},
		{"GET", "/providers/Microsoft.Authorization/roleDefinitions/x", "/providers/Microsoft.Authorization/roleDefinitions/x", "Microsoft.Authorization/roleDefinitions", "", false, false},
		{"GET", "/subscriptions/S/providers/Microsoft.DB/locations/west/capabilities", "/subscriptions/S/providers/Microsoft.DB/locations/west", "Microsoft.DB/locations/capabilities", "", true, false},
		{"GET", "/subscriptions/S/resourceGroups/G/x/y", "", "", "", false, true},
		{"GET", "/a/b", "", "", "", false, true},
		{"GET", "/subscriptions/S/resourceGroups/G./providers/a/b/c", "", "", "", false, true},
	}
	for _, c := range cases {
		got, ok := route(c.method, c.path)
		if ok == c.refused {
			t.Errorf("%s %s: understood %v", c.method, c.path, ok)
			continue
		}
		if ok && (got.id.String() != c.id || got.kind != c.kind || got.action != c.action || got.list != c.list) {
			t.Errorf("%s %s: %+v", c.method, c.path, got)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, seed := range []string{s, g, "/subscriptions", s + "/config/appsettings/list", "//x", "/%2e%2e", "/providers/a"} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	f.Fuzz(func(t *testing.T, method, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		path, ok := cleanPath(u)
		if !ok {
			return
		}
		if strings.Contains(path, "//") || strings.Contains(path, "/../") {
			t.Fatalf("%q is not clean: %q", raw, path)
		}
		got, ok := route(method, path)
		if ok && got.kind == "" {
			t.Fatalf("%s %q has no type", method, path)
		}
	})
}

func TestFaultCounting(t *testing.T) {
	t.Parallel()
	var l faultList
	if err := l.set([]injected{{Method: "PUT", Status: 500, Times: 2}, {Status: 429}}); err != nil {
		t.Fatal(err)
	}
	var got []int
	for range 3 {
		got = append(got, l.take("PUT", "/x", whenBefore).Status)
	}
	if got[0] != 500 || got[1] != 500 || got[2] != 429 || l.take("GET", "/x", whenAfter) != nil {
		t.Errorf("faults struck: %v", got)
	}
	if left := l.all(); len(left) != 1 || left[0].Status != 429 {
		t.Errorf("left: %+v", left)
	}
}

func TestFaultProbability(t *testing.T) {
	t.Parallel()
	var l faultList
	if err := l.set([]injected{{Status: 500, Probability: 0.5}}); err != nil {
		t.Fatal(err)
	}
	struck := 0
	for range 1000 {
		if l.take("GET", "/", whenBefore) != nil {
			struck++
		}
	}
	if struck < 300 || struck > 700 {
		t.Errorf("a fault of probability one half struck %d times of 1000", struck)
	}
}

func TestLimiterRefills(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := newLimiter(Throttle{Writes: 1, Refill: 10 * time.Second}, func() time.Time { return now })
	take := func(caller string) time.Duration {
		x := &exchange{r: mustRequest(t, "POST"), header: map[string][]string{}}
		return l.take(x, caller)
	}
	if take("a") != 0 || take("b") != 0 {
		t.Error("the first call was limited")
	}
	if wait := take("a"); wait != 10*time.Second {
		t.Errorf("wait is %v", wait)
	}
	now = now.Add(4 * time.Second)
	if wait := take("a"); wait != 6*time.Second {
		t.Errorf("wait is %v", wait)
	}
	now = now.Add(6 * time.Second)
	if take("a") != 0 {
		t.Error("the bucket did not refill")
	}
}

func mustRequest(t *testing.T, method string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
