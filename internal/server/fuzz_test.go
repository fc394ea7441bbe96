package server

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// A path is ours and spelled plainly, refused, or foreign; what is foreign does not
// become ours when somebody decodes it.
func FuzzLocate(f *testing.F) {
	for _, seed := range []string{
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a/providers/Microsoft.ServiceLinker/linkers/c",
		"//subscriptions/s/providers/Microsoft.Web/sites/a", "/providers/Patchbay/operations/x/events", "/a/%2e%2e/b", "/%2Fproviders%2fmicrosoft.servicelinker%2flinkers",
		"/providers%5CMicrosoft.ServiceLinker%5Clinkers", "/x%", "/providers/Microsoft%2EServiceLinker/operations", "/%70roviders/patchbay/drift",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := locate(path)
		if err != nil {
			return
		}
		if !p.foreign {
			if len(p.methods) == 0 || len(p.versions) == 0 || strings.ContainsAny(p.id()+strings.Join(p.names, ""), "\\?#%\x00") || strings.Contains(p.id(), "//") {
				t.Fatalf("%q leads to %+v", path, p)
			}
			return
		}
		decoded, err := url.PathUnescape(path)
		if err == nil && strings.Contains(strings.ToLower(decoded), "/providers/microsoft.servicelinker/linkers") {
			t.Fatalf("%q is handed on", path)
		}
	})
}

// nextLink finds what encoding/json finds, and its place is the value's.
func FuzzNextLink(f *testing.F) {
	for _, seed := range []string{`{"nextLink":"a"}`, `{"value":[{"nextLink":"x"}], "nextLink" : "a\u0026b" }`, `[]`, `{"nextLink":`, `{"a":{"nextLink":"b"}}`, `{"nextLink":null}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		from, to, link, found := nextLink([]byte(body))
		if !found {
			return
		}
		var again string
		if err := json.Unmarshal([]byte(body[from:to]), &again); err != nil || again != link {
			t.Fatalf("%q at %d to %d is not %q", body[from:to], from, to, link)
		}
	})
}
