package cli

import (
	"slices"
	"strings"
	"testing"
)

// The commands of other sources are left out of a line that cannot run them, and of no other.
func TestEveryLineFindsItsTargets(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"webapp connection create --help", "help webapp connection create", "aks connection update --help", "connection create --help",
		"--only-show-errors webapp connection create --help", "__complete webapp connection create re",
	} {
		if _, out, errs := run(t.Context(), newWorld(), nil, line); !strings.Contains(out, "redis") {
			t.Errorf("%s: %s%s", line, out, errs)
		}
	}
}

func TestAuthInACluster(t *testing.T) {
	t.Parallel()
	given := []string{authSystemIdentity, authUserIdentity, authSecret, authServicePrincipal}
	if got := federated(given); !slices.Equal(got, []string{authSecret, authServicePrincipal, authWorkload}) {
		t.Errorf("auth types of a cluster: %v", got)
	}
	const who = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/who"
	for line, want := range map[string]string{
		"--system-identity":                    "cannot be reached with --system-identity",
		"--workload-identity shopper":          "not a resource id",
		"--workload-identity":                  "takes the resource id of one",
		"--workload-identity " + who + " more": "takes the resource id of one",
	} {
		code, _, errs := run(t.Context(), newWorld(), nil, "aks connection create storage-blob -g g -n n --tg g --account a "+line)
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %s", line, code, errs)
		}
	}
}
