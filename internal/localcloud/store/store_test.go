package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/store"
)

const (
	group = "/subscriptions/s/resourceGroups/Rg"
	site  = group + "/providers/Microsoft.Web/sites/App"
	kind  = "Microsoft.Web/sites"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, t.Errorf)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func resource(id, kind string) provider.Document {
	return provider.Document{"id": id, "type": kind, "properties": map[string]any{"n": 1, "list": []any{"a"}}}
}

func TestIdsCompareFolded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	s.Put(site, resource(site, kind))
	s.Put("/SUBSCRIPTIONS/S/resourcegroups/rg/providers/microsoft.web/SITES/app", resource("second", kind))
	d, ok := s.Get("/subscriptions/S/RESOURCEGROUPS/rg/providers/Microsoft.Web/sites/aPP")
	if !ok || d["id"] != "second" {
		t.Errorf("Get: %v %v", d, ok)
	}
	if n := len(s.Under("/", "MICROSOFT.web/sites")); n != 1 {
		t.Errorf("%d documents, want 1", n)
	}
}

func TestDocumentsAreCopied(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	in := resource(site, kind)
	s.Put(site, in)
	in["properties"].(map[string]any)["n"] = 2
	out, _ := s.Get(site)
	out["properties"].(map[string]any)["list"].([]any)[0] = "changed"
	again, _ := s.Get(site)
	want := provider.Document{"id": site, "type": kind, "properties": map[string]any{"n": 1.0, "list": []any{"a"}}}
	if d := cmp.Diff(want, again); d != "" {
		t.Error(d)
	}
	s.SetPrivate(site, map[string]string{"k": "v"})
	s.Private(site)["k"] = "changed"
	if s.Private(site)["k"] != "v" {
		t.Error("private values are not copied")
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, d := range []struct{ id, kind string }{
		{site, kind}, {group + "/providers/Microsoft.Web/sites/aaa", kind}, {site + "/config/web", kind + "/config"},
		{"/subscriptions/s/resourceGroups/Rg2/providers/Microsoft.Web/sites/b", kind}, {group, "group"},
	} {
		s.Put(d.id, resource(d.id, d.kind))
	}
	cases := []struct {
		name string
		got  []provider.Document
		want []string
	}{
		{"children of a group", s.Children(group, kind), []string{group + "/providers/Microsoft.Web/sites/aaa", site}},
		{"children of a site", s.Children(site, kind+"/CONFIG"), []string{site + "/config/web"}},
		{"under the subscription", s.Under("/subscriptions/S", kind), []string{group + "/providers/Microsoft.Web/sites/aaa", site, "/subscriptions/s/resourceGroups/Rg2/providers/Microsoft.Web/sites/b"}},
		{"under a group follows segment borders", s.Under(group, kind), []string{group + "/providers/Microsoft.Web/sites/aaa", site}},
		{"everything", s.Under("", "group"), []string{group}},
	}
	for _, c := range cases {
		var ids []string
		for _, d := range c.got {
			ids = append(ids, d["id"].(string))
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestDeleteTakesWhatIsBeneath(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, id := range []string{site, site + "/config/web", site + "2"} {
		s.Put(id, resource(id, kind))
		s.SetPrivate(id, map[string]string{"k": "v"})
	}
	s.Delete(site)
	for id, want := range map[string]bool{site: false, site + "/config/web": false, site + "2": true} {
		if _, ok := s.Get(id); ok != want || (len(s.Private(id)) > 0) != want {
			t.Errorf("%s is there: %v, want %v", id, ok, want)
		}
	}
}

func TestEtags(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	seen := map[any]bool{}
	for range 3 {
		s.Put(site, provider.Document{"type": kind, "etag": "mine"})
		d, _ := s.Get(site)
		seen[d["etag"]] = true
	}
	if len(seen) != 3 || seen["mine"] {
		t.Errorf("etags: %v", seen)
	}
	s.Put(site, provider.Document{"type": kind})
	if d, _ := s.Get(site); d["etag"] != nil {
		t.Error("a document without an etag got one")
	}
}

func TestStateIsOnDiskBeforeAWriteReturns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for k := range 10 {
				id := fmt.Sprintf("%s-%d-%d", site, n, k)
				s.Put(id, resource(id, kind))
				s.SetPrivate(id, map[string]string{"secret": id})
			}
		})
	}
	wg.Wait()
	again := open(t, dir) // the first was never closed: as after a kill
	docs := again.Under("", kind)
	if len(docs) != 80 {
		t.Fatalf("%d documents, want 80", len(docs))
	}
	if d := cmp.Diff(s.Under("", kind), docs); d != "" {
		t.Error(d)
	}
	if id := site + "-7-9"; again.Private(id)["secret"] != id {
		t.Error("private values are not there")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir, t.Logf); err == nil {
		t.Error("a broken file was taken for an empty store")
	}
}
