package compute_test

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/problem"
)

const group = "/subscriptions/s/resourceGroups/g/providers/"

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		group + "Microsoft.Web/sites/app":              "webapp",
		group + "microsoft.web/SITES/app":              "webapp",
		group + "Microsoft.Web/sites/app/slots/blue":   "webapp",
		"/" + group + "Microsoft.Web/sites/app":        "webapp",
		group + "Microsoft.App/containerApps/app":      "containerapp",
		group + "Microsoft.App/jobs/app":               string(problem.SourceUnsupported),
		group + "Microsoft.Web/sites/app/config/web":   string(problem.SourceUnsupported),
		group + "Microsoft.Web/sites":                  string(problem.PathMalformed),
		group + "Microsoft.Web/sites/app/slots//mixed": string(problem.PathMalformed),
	} {
		kind, err := compute.TypeOf(source)
		got := kind.Name
		if err != nil {
			got = string(problem.As(err).Code)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", source, got, want)
		}
	}
	if _, err := compute.TypeOf(group + "Microsoft.App/jobs/app"); !strings.Contains(err.Error(), "Microsoft.Web/sites") {
		t.Errorf("the refusal names no kind there is: %v", err)
	}
}
