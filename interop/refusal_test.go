//go:build interop

package interop

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/demo/outside"
)

// TestRefusalsAndFaults: what goes wrong is told to the Azure CLI in words it
// shows, and changes nothing.
func TestRefusalsAndFaults(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			a := newAzure(t, c.path)
			a.signIn()
			a.refused("missing database", connection("create postgres-flexible", "db", "--tg", group, "--server", server,
				"--database", "nowhere", "--secret", "name="+admin, "secret="+password, "--client-type", "python")...)
			a.refused("missing app", "webapp", "connection", "create", "redis", "-g", group, "-n", "nobody", "--connection", "cache",
				"--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "go")
			a.refused("missing connection", connection("show", "nothing")...)

			a.az(connection("create redis", "cache", "--tg", group, "--server", cache, "--database", "0", "--secret", "--client-type", "go")...)
			a.foundMissing("cache", redisSettings[0])
			a.az(connection("delete", "cache", "--yes")...)
			a.holds(world{identity: "None"})
		})
	}
}

// refused runs a command that has to fail and to leave the world alone.
func (a *azure) refused(why string, words ...string) {
	a.t.Helper()
	r := a.run(words...)
	if r.Code == 0 || !strings.Contains(r.Stderr, "ERROR") || strings.Contains(r.Stderr, "Traceback") {
		a.t.Errorf("%s: az ended with %d and said %q", why, r.Code, r.Stderr)
	}
	site, err := a.cloud.ReadSite(a.t.Context(), a.site())
	if err != nil {
		a.t.Fatal(err)
	}
	equal(a.t, why+": settings", site.Names(), []string{"GREETING"})
	equal(a.t, why+": identity", site.Identity, "None")
	a.t.Logf("%s: %s", why, strings.TrimSpace(r.Stderr))
}

// foundMissing takes a setting away behind the product's back and wants the
// validation to tell of it through az; then it puts the setting back.
func (a *azure) foundMissing(name, setting string) {
	a.t.Helper()
	ctx := a.t.Context()
	site, err := a.cloud.ReadSite(ctx, a.site())
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(maps.Collect(func(yield func(string, string) bool) {
		for k, v := range site.Settings {
			if k != setting && !yield(k, v) {
				return
			}
		}
	}))
	failures := slices.DeleteFunc(items(a.az(connection("validate", name)...)), func(item any) bool {
		return word(member(item, "result")) != "failure"
	})
	if len(failures) == 0 {
		a.t.Errorf("a validation that did not miss %s", setting)
	}
	a.write(site.Settings)
	for _, item := range items(a.az(connection("validate", name)...)) {
		equal(a.t, word(member(item, "name")), word(member(item, "result")), "success")
	}
}

// write puts the site's whole map of settings.
func (a *azure) write(settings map[string]string) {
	a.t.Helper()
	if _, err := a.cloud.Want(a.t.Context(), http.MethodPut, a.site()+"/config/appsettings?api-version="+outside.WebVersion,
		object{"properties": settings}, http.StatusOK); err != nil {
		a.t.Fatal(err)
	}
}

// TestListIsQuick tells how long `connection list` takes, by az and by patchbay, on
// the same server. Patchbay has to be the quicker of the two.
func TestListIsQuick(t *testing.T) {
	a := newAzure(t, clients[0].path)
	a.signIn()
	words := []string{"webapp", "connection", "list", "-g", group, "-n", siteName}
	a.az(words...) // az writes its command index
	az := median(func() { a.az(words...) })
	patchbay := median(func() {
		if _, err := a.cloud.Program.Must(t.Context(), append(words, "-o", "json")...); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("connection list: az %.0f ms, patchbay %.0f ms (medians of %d), ratio %.1f",
		ms(az), ms(patchbay), rounds, ms(az)/ms(patchbay))
	if patchbay > az {
		t.Error("az is quicker")
	}
}

const rounds = 7

func median(work func()) time.Duration {
	var took []time.Duration
	for range rounds {
		begun := time.Now()
		work()
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[rounds/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
