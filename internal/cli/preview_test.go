package cli

import (
	"slices"

	"github.com/patchbay/patchbay/internal/problem"
)

// fakePreview makes one setting of everything it is asked, and refuses what needs refusing.
func fakePreview(r PreviewRequest) ([]PreviewSetting, error) {
	if r.Target != "redis" {
		return nil, problem.New(problem.TargetUnsupported, "", "there is no target %q; allowed: redis", r.Target)
	}
	out := []PreviewSetting{{Name: "ASKED", Value: r.AuthType + "/" + r.ClientType + "/" + r.Cloud + "/" + r.Connection, Kind: "plain"}}
	var names []string
	for name := range r.Facts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, PreviewSetting{Name: name, Value: r.Facts[name], Kind: "secret"})
	}
	return out, nil
}
