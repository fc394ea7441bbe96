package app

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/api"
)

// makeSlot makes a deployment slot of a site with settings of its own.
func (c *cloudUnderTest) makeSlot(site, slot string, settings map[string]string) {
	c.t.Helper()
	c.arm("PUT", c.site(site)+"/slots/"+slot, siteVersion, map[string]any{"location": "westeurope", "properties": map[string]any{}})
	c.putSettings(site+"/slots/"+slot, settings)
}

// sticky reads the names that stay in their slot.
func (c *cloudUnderTest) sticky(site string) []string {
	c.t.Helper()
	list, _ := c.arm("GET", c.site(site)+"/config/slotConfigNames", siteVersion, nil).at("properties", "appSettingNames").([]any)
	var out []string
	for _, one := range list {
		out = append(out, one.(string))
	}
	slices.Sort(out)
	return out
}

func (c *cloudUnderTest) makeSticky(site string, names ...string) {
	c.t.Helper()
	c.arm("PUT", c.site(site)+"/config/slotConfigNames", siteVersion, map[string]any{"properties": map[string]any{"appSettingNames": names}})
}

// swap exchanges a slot and production, and waits.
func (c *cloudUnderTest) swap(site, slot string) {
	c.t.Helper()
	a := c.arm("POST", c.site(site)+"/slotsswap", siteVersion, map[string]any{"targetSlot": slot, "preserveVnet": true})
	for place := a.Header.Get("Location"); a.Status == http.StatusAccepted && place != ""; {
		if a = c.call("", c.token, http.MethodGet, place, nil); a.Status >= 400 {
			c.t.Fatalf("swap: %d %s", a.Status, a.Raw)
		}
	}
}

// drifted lists the facets that drift shows on a source, as KIND NAME REASON.
func (s *connector) drifted(scope string) []string {
	s.cloud.t.Helper()
	a := s.call("POST", scope+"/providers/Patchbay/drift", nil)
	var body api.DriftList
	if err := json.Unmarshal(a.Raw, &body); err != nil || a.Status != http.StatusOK {
		s.cloud.t.Fatalf("drift: %d %v %s", a.Status, err, a.Raw)
	}
	var out []string
	for _, one := range body.Value {
		for _, c := range one.Changes {
			out = append(out, strings.Join([]string{c.Kind, c.Name, c.Reason}, " "))
		}
	}
	return out
}

// TestSlotsKeepTheirConnections swaps with connections on both sides: each slot keeps its
// own, a name that two share is sticky until the last one goes.
func TestSlotsKeepTheirConnections(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"CODE": "v1"})
	c.makeSlot("app1", "blue", map[string]string{"CODE": "v2"})
	c.makeSlot("app1", "green", map[string]string{"CODE": "v3"})
	c.makeSticky("app1", "THEIRS")
	c.makeCache()
	c.makeAccount()
	s := c.newConnector().start()
	for _, site := range []string{"app1", "app1/slots/blue", "app1/slots/green"} {
		if op := s.do("PUT", s.linker(site, "cache"), cacheByKey(c)); op.text("status") != "Succeeded" {
			t.Fatalf("create on %s: %s", site, op.Raw)
		}
	}
	if op := s.do("PUT", s.linker("app1/slots/blue", "blob"), blobByIdentity(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	const cache, blob = "AZURE_REDIS_CONNECTIONSTRING", "AZURE_STORAGEBLOB_RESOURCEENDPOINT"
	if got, want := c.sticky("app1"), []string{cache, blob, "THEIRS"}; !slices.Equal(got, want) {
		t.Errorf("sticky names %v, want %v", got, want)
	}
	before := c.settings("app1/slots/blue")
	c.swap("app1", "blue")
	if got := c.settings("app1"); got["CODE"] != "v2" || got[cache] == "" || got[blob] != "" {
		t.Errorf("production after the swap: %v", names(got))
	}
	after := c.settings("app1/slots/blue")
	if before["CODE"] = "v1"; !reflect.DeepEqual(before, after) {
		t.Errorf("blue after the swap: %v, before %v", names(after), names(before))
	}
	for _, site := range []string{"app1", "app1/slots/blue", "app1/slots/green"} {
		if found := s.drifted(c.site(site)); len(found) != 0 {
			t.Errorf("drift on %s after the swap: %v", site, found)
		}
	}
	if op := s.do("POST", s.linker("app1/slots/blue", "blob")+"/validateLinker", nil); op.text("status") != "Succeeded" {
		t.Errorf("validate: %s", op.Raw)
	}
	for n, site := range []string{"app1/slots/blue", "app1/slots/green", "app1"} {
		if !slices.Contains(c.sticky("app1"), cache) && n < 2 {
			t.Errorf("the name is not sticky any more before the connection of %s goes", site)
		}
		if op := s.do("DELETE", s.linker(site, "cache"), nil); op.text("status") != "Succeeded" {
			t.Errorf("delete on %s: %s", site, op.Raw)
		}
	}
	if op := s.do("DELETE", s.linker("app1/slots/blue", "blob"), nil); op.text("status") != "Succeeded" {
		t.Errorf("delete: %s", op.Raw)
	}
	if got := c.sticky("app1"); !slices.Equal(got, []string{"THEIRS"}) {
		t.Errorf("sticky names after all deletes: %v", got)
	}
	for site, code := range map[string]string{"app1": "v2", "app1/slots/blue": "v1", "app1/slots/green": "v3"} {
		if got := c.settings(site); len(got) != 1 || got["CODE"] != code {
			t.Errorf("settings of %s after all deletes: %v", site, names(got))
		}
	}
}

func names(settings map[string]string) []string {
	var out []string
	for name := range settings {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// TestSwapCarriesAwayWhatIsNotSticky shows the other half: a connection of production
// makes no name sticky, so a swap takes its settings along; drift says which, repair
// brings them back, and what the slot got is not touched.
func TestSwapCarriesAwayWhatIsNotSticky(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"CODE": "v1"})
	c.makeSlot("app1", "blue", map[string]string{"CODE": "v2"})
	c.makeCache()
	s := c.newConnector().start()
	if op := s.do("PUT", s.linker("app1", "cache"), cacheByKey(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	if got := c.sticky("app1"); len(got) != 0 {
		t.Errorf("a connection of production made names sticky: %v", got)
	}
	const name = "AZURE_REDIS_CONNECTIONSTRING"
	c.swap("app1", "blue")
	if got, want := s.drifted(c.site("app1")), []string{"setting " + name + " missing"}; !slices.Equal(got, want) {
		t.Errorf("drift after the swap: %v, want %v", got, want)
	}
	if op := s.do("POST", c.site("app1")+"/providers/Patchbay/connections/cache/repair", nil); op.text("status") != "Succeeded" {
		t.Errorf("repair: %s", op.Raw)
	}
	if c.settings("app1")[name] == "" || c.settings("app1/slots/blue")[name] == "" {
		t.Errorf("after repair production has %v, the slot %v", names(c.settings("app1")), names(c.settings("app1/slots/blue")))
	}
	if op := s.do("DELETE", s.linker("app1", "cache"), nil); op.text("status") != "Succeeded" {
		t.Errorf("delete: %s", op.Raw)
	}
	if got := c.settings("app1"); len(got) != 1 || got["CODE"] != "v2" {
		t.Errorf("settings after delete: %v", names(got))
	}
}

// TestDriftOfStickyNames takes a name off the list behind our back: drift and validation
// say so, repair puts it back, and a delete of a slot that is gone is done.
func TestDriftOfStickyNames(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{})
	c.makeSlot("app1", "blue", map[string]string{"A": "1"})
	c.makeCache()
	s := c.newConnector().start()
	linker := s.linker("app1/slots/blue", "cache")
	if op := s.do("PUT", linker, cacheByKey(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	const name = "AZURE_REDIS_CONNECTIONSTRING"
	c.makeSticky("app1", "THEIRS")
	if got, want := s.drifted(c.site("app1/slots/blue")), []string{"sticky " + name + " missing"}; !slices.Equal(got, want) {
		t.Errorf("drift: %v, want %v", got, want)
	}
	if op := s.do("POST", c.site("app1/slots/blue")+"/providers/Patchbay/connections/cache/repair", nil); op.text("status") != "Succeeded" {
		t.Errorf("repair: %s", op.Raw)
	}
	if got, want := c.sticky("app1"), []string{name, "THEIRS"}; !slices.Equal(got, want) {
		t.Errorf("sticky names after repair %v, want %v", got, want)
	}
	c.arm("DELETE", c.site("app1/slots/blue"), siteVersion, nil)
	if op := s.do("DELETE", linker, nil); op.text("status") != "Succeeded" {
		t.Errorf("delete: %s", op.Raw)
	}
	if got := c.sticky("app1"); !slices.Equal(got, []string{"THEIRS"}) {
		t.Errorf("sticky names after the slot and its connection are gone: %v", got)
	}
}

// TestSlotOnTheCommandLine names a slot with --slot in every command that names an app.
func TestSlotOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"A": "1"})
	c.makeSlot("app1", "blue", map[string]string{"A": "2"})
	c.makeCache()
	term := c.newConnector().start().terminal()
	const name = "AZURE_REDIS_CONNECTIONSTRING"
	place := []string{"-g", "rg1", "-n", "app1", "--slot", "blue"}
	for _, k := range []struct {
		words string
		code  int
		says  string
	}{
		{"webapp connection create redis --connection cache --tg rg1 --server cache1 --database 0 --secret --client-type go --yes", 0, "/sites/app1/slots/blue/providers/"},
		{"webapp connection list", 0, `"cache"`},
		{"webapp connection create redis --connection none --tg rg1 --server cache1 --database 0 --secret --client-type go --yes --slot green", 3, "there is no web app slot at "},
		{"webapp connection list-configuration --connection cache", 0, name},
		{"webapp connection validate --connection cache", 0, "success"},
		{"drift", 0, "cache"},
		{"repair --connection cache", 0, ""},
		{"operation list", 0, "app1/blue"},
		{"webapp connection delete --connection cache --yes", 0, ""},
	} {
		args := strings.Fields(k.words)
		if !strings.Contains(k.words, "--slot") {
			args = append(args, place...)
		} else {
			args = append(args, place[:4]...)
		}
		if got := term.run(args...); got.code != k.code || !strings.Contains(got.out+got.err, k.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", k.words, got.code, k.code, k.says, got.out, got.err)
		}
		if k.words == "drift" && (c.settings("app1")[name] != "" || c.settings("app1/slots/blue")[name] == "") {
			t.Errorf("settings: %v, of the slot %v", names(c.settings("app1")), names(c.settings("app1/slots/blue")))
		}
	}
}

// TestConnectionStringsOfASlotStay: they have a list of their own.
func TestConnectionStringsOfASlotStay(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	c.makeGroup()
	c.makeSite("app1", map[string]string{"A": "1"})
	c.makeSlot("app1", "blue", map[string]string{"A": "2"})
	c.makeCache()
	s := c.newConnector().start()
	linker := cacheByKey(c)
	linker["properties"].(map[string]any)["clientType"] = "dotnet-connectionString"
	if op := s.do("PUT", s.linker("app1/slots/blue", "cache"), linker); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	list := func() any {
		return c.arm("GET", c.site("app1")+"/config/slotConfigNames", siteVersion, nil).at("properties", "connectionStringNames")
	}
	there := func(site string) bool {
		return c.arm("POST", c.site(site)+"/config/connectionstrings/list", siteVersion, nil).at("properties", "AZURE_REDIS_CONNECTIONSTRING") != nil
	}
	if got := list(); !reflect.DeepEqual(got, []any{"AZURE_REDIS_CONNECTIONSTRING"}) || len(c.sticky("app1")) != 0 {
		t.Errorf("sticky connection strings %v, settings %v", got, c.sticky("app1"))
	}
	c.swap("app1", "blue")
	if !there("app1/slots/blue") || there("app1") {
		t.Error("the connection string went over")
	}
	if op := s.do("DELETE", s.linker("app1/slots/blue", "cache"), nil); op.text("status") != "Succeeded" || list() != nil || there("app1/slots/blue") {
		t.Errorf("after the delete: sticky %v, %s", list(), op.Raw)
	}
}
