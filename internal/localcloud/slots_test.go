package localcloud_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// slots is a site with a slot, each with settings of its own; names stay.
func slots(w *world, name string, sticky []any) (site, slot string) {
	site = w.newSite(name, nil)
	slot = site + "/slots/blue"
	w.must(200, "PUT", slot, webAPI, doc{})
	w.must(200, "PUT", site+"/config/appsettings", webAPI, doc{"properties": doc{"CODE": "1", "HOME": "production", "ONLY_P": "p"}})
	w.must(200, "PUT", slot+"/config/appsettings", webAPI, doc{"properties": doc{"CODE": "2", "home": "blue", "ONLY_B": "b"}})
	w.must(200, "PUT", site+"/config/slotConfigNames", webAPI, doc{"properties": doc{"appSettingNames": sticky}})
	return site, slot
}

func (w *world) swap(path, target string) {
	w.t.Helper()
	op := w.finished(w.must(202, "POST", path+"/slotsswap", webAPI, doc{"targetSlot": target, "preserveVnet": true}))
	if op["status"] != "Succeeded" {
		w.t.Fatalf("swap: %v", op)
	}
}

// TestSwapMovesAllButStickyNames: what is listed stays, whatever its case; all the rest goes
// over, and what one side lacks is gone there.
func TestSwapMovesAllButStickyNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, c := range map[string]struct {
		sticky     []any
		site, slot doc
	}{
		"swapnone": {nil, doc{"CODE": "2", "home": "blue", "ONLY_B": "b"}, doc{"CODE": "1", "HOME": "production", "ONLY_P": "p"}},
		"swaphome": {[]any{"Home"}, doc{"CODE": "2", "HOME": "production", "ONLY_B": "b"}, doc{"CODE": "1", "home": "blue", "ONLY_P": "p"}},
		"swaponly": {[]any{"ONLY_P", "ONLY_B", "NOT_THERE"}, doc{"CODE": "2", "home": "blue", "ONLY_P": "p"}, doc{"CODE": "1", "HOME": "production", "ONLY_B": "b"}},
	} {
		site, slot := slots(w, name, c.sticky)
		w.swap(site, "blue")
		if d := cmp.Diff(c.site, w.settings(site)); d != "" {
			t.Errorf("%s, production: %s", name, d)
		}
		if d := cmp.Diff(c.slot, w.settings(slot)); d != "" {
			t.Errorf("%s, slot: %s", name, d)
		}
		w.swap(slot, "production")
		if d := cmp.Diff(doc{"CODE": "1", "HOME": "production", "ONLY_P": "p"}, w.settings(site)); d != "" {
			t.Errorf("%s, swapped back: %s", name, d)
		}
	}
}

func TestSwapMovesConnectionStringsAndConfiguration(t *testing.T) {
	t.Parallel()
	w := start(t)
	site, slot := slots(w, "swapmore", nil)
	link := func(v string) doc { return doc{"value": v, "type": "Custom"} }
	w.must(200, "PUT", site+"/config/connectionstrings", webAPI, doc{"properties": doc{"db": link("p"), "stays": link("p")}})
	w.must(200, "PUT", slot+"/config/connectionstrings", webAPI, doc{"properties": doc{"db": link("b"), "stays": link("b")}})
	w.must(200, "PUT", site+"/config/slotConfigNames", webAPI, doc{"properties": doc{"connectionStringNames": []any{"stays"}}})
	w.must(200, "PATCH", slot, webAPI, doc{"properties": doc{"siteConfig": doc{"linuxFxVersion": "PYTHON|3.12", "alwaysOn": true}}})
	w.swap(site, "blue")
	got := w.must(200, "POST", site+"/config/connectionstrings/list", webAPI, nil)
	if d := cmp.Diff(doc{"db": link("b"), "stays": link("p")}, at(got.body, "properties")); d != "" {
		t.Error(d)
	}
	config := w.must(200, "GET", site+"/config/web", webAPI, nil).body
	if at(config, "properties", "linuxFxVersion") != "PYTHON|3.12" || at(config, "properties", "alwaysOn") != false {
		t.Errorf("production runs %v", config["properties"])
	}
}

// TestSwapLeavesIdentities: who an app is does not move with its code.
func TestSwapLeavesIdentities(t *testing.T) {
	t.Parallel()
	w := start(t)
	site, slot := slots(w, "swapwho", nil)
	for _, one := range []string{site, slot} {
		w.must(200, "PATCH", one, webAPI, doc{"identity": doc{"type": "SystemAssigned"}, "tags": doc{"at": one}})
	}
	who := func(path string) any {
		return at(w.must(200, "GET", path, webAPI, nil).body, "identity", "principalId")
	}
	p, b := who(site), who(slot)
	w.swap(site, "blue")
	if p == b || who(site) != p || who(slot) != b {
		t.Errorf("identities were %v, %v and are %v, %v", p, b, who(site), who(slot))
	}
	if at(w.must(200, "GET", site, webAPI, nil).body, "tags", "at") != site {
		t.Error("tags went over")
	}
}

func TestSwapWithPreview(t *testing.T) {
	t.Parallel()
	w := start(t)
	site, slot := slots(w, "swapview", []any{"HOME", "ONLY_P"})
	before := w.settings(slot)
	w.must(200, "POST", slot+"/applySlotConfig", webAPI, doc{"targetSlot": "production"})
	if d := cmp.Diff(doc{"CODE": "2", "HOME": "production", "ONLY_P": "p", "ONLY_B": "b"}, w.settings(slot)); d != "" {
		t.Errorf("in preview: %s", d)
	}
	w.must(200, "POST", slot+"/resetSlotConfig", webAPI, nil)
	if d := cmp.Diff(before, w.settings(slot)); d != "" {
		t.Errorf("after reset: %s", d)
	}
	w.must(200, "POST", slot+"/applySlotConfig", webAPI, doc{"targetSlot": "production"})
	w.swap(slot, "production")
	if d := cmp.Diff(doc{"CODE": "1", "home": "blue"}, w.settings(slot)); d != "" {
		t.Errorf("slot after the swap: %s", d)
	}
	if d := cmp.Diff(doc{"CODE": "2", "HOME": "production", "ONLY_P": "p", "ONLY_B": "b"}, w.settings(site)); d != "" {
		t.Errorf("production after the swap: %s", d)
	}
}

func TestSwapRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	site, slot := slots(w, "swapbad", nil)
	w.refused(404, "NotFound", "POST", site+"/slotsswap", webAPI, doc{"targetSlot": "none"})
	w.refused(400, "BadRequest", "POST", site+"/slotsswap", webAPI, doc{})
	w.refused(400, "BadRequest", "POST", slot+"/slotsswap", webAPI, doc{"targetSlot": "blue"})
	w.refused(400, "BadRequest", "POST", site+"/slotsswap", webAPI, doc{"targetSlot": "production"})
	w.refused(404, "ResourceNotFound", "POST", site+"/slots/none/slotsswap", webAPI, doc{"targetSlot": "production"})
}

// TestStickyNamesAreReplacedWhole: a writer that sends its own names only takes away all others.
func TestStickyNamesAreReplacedWhole(t *testing.T) {
	t.Parallel()
	w := start(t)
	site, _ := slots(w, "stickywhole", []any{"A", "B"})
	w.must(200, "PUT", site+"/config/slotConfigNames", webAPI, doc{"properties": doc{"connectionStringNames": []any{"C"}}})
	got := w.must(200, "GET", site+"/config/slotConfigNames", webAPI, nil)
	if d := cmp.Diff(doc{"appSettingNames": nil, "connectionStringNames": []any{"C"}, "azureStorageConfigNames": nil}, at(got.body, "properties")); d != "" {
		t.Error(d)
	}
}

func TestFunctionAppsHaveAHost(t *testing.T) {
	t.Parallel()
	w := start(t)
	function := w.newSite("funhost", doc{"kind": "functionapp,linux"})
	web := w.newSite("webhost", nil)
	w.must(204, "POST", function+"/syncfunctiontriggers", webAPI, nil)
	w.refused(400, "BadRequest", "POST", web+"/syncfunctiontriggers", webAPI, nil)
	keys := w.must(200, "POST", function+"/host/default/listKeys", webAPI, nil).body
	again := w.must(200, "POST", function+"/host/default/listkeys", webAPI, nil).body
	if key, _ := keys["masterKey"].(string); len(key) < 40 || cmp.Diff(keys, again) != "" {
		t.Errorf("keys %v, then %v", len(key), cmp.Diff(keys, again))
	}
	w.refused(404, "NotFound", "POST", web+"/host/default/listKeys", webAPI, nil)
	if list := w.must(200, "GET", function+"/functions", webAPI, nil).body["value"]; len(list.([]any)) != 0 {
		t.Errorf("functions %v", list)
	}
}
