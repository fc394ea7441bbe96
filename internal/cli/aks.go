package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/problem"
)

// AKS is the source command of AKS clusters.
func AKS() SourceCommand {
	return SourceCommand{
		Name: "aks", Display: "AKS cluster", Title: "AKS clusters", PlainOnly: true, Federated: true,
		ID:         "/subscriptions/{subscription}/resourceGroups/{resource-group}/providers/Microsoft.ContainerService/managedClusters/{name}",
		Options:    []SourceOption{{Name: "name", Short: "n", Help: "The cluster's `name`."}},
		Scope:      SourceOption{Name: "kube-namespace", Help: "The `namespace` that gets the Secret, and the service account of an identity. Default: default."},
		APIVersion: "2025-10-01",
	}
}

// authWorkload is a user-assigned identity that a cluster's service accounts sign in as.
// The contract calls it by the identity.
const authWorkload = "workloadIdentity"

// federated are a target's auth types for a source without identities of its own: a
// user-assigned one by federation, after those that need nothing of the cluster.
func federated(wires []string) []string {
	var out []string
	workload := false
	for _, w := range wires {
		switch w {
		case authSystemIdentity:
		case authUserIdentity:
			workload = true
		default:
			out = append(out, w)
		}
	}
	if workload {
		out = append(out, authWorkload)
	}
	return out
}

// inCluster are the targets as apps in a cluster reach them.
func inCluster(targets []TargetCommand) []TargetCommand {
	out := slices.Clone(targets)
	for n := range out {
		out[n].AuthTypes = federated(out[n].AuthTypes)
	}
	return out
}

// identityID is the member under which a request carries the identity's id until its
// client id is found out.
const identityID = "identityId"

// checkWorkload looks at the word of --workload-identity.
func (a *authFlags) checkWorkload(o authOption) error {
	if o.Wire != authWorkload {
		return nil
	}
	words := a.given[o.Name].Words
	if len(words) != 1 {
		return problem.New(problem.UsageInvalid, "", "--workload-identity takes the resource id of one user-assigned identity").
			WithFix("az identity show -g GROUP -n NAME --query id")
	}
	return checkID("--workload-identity", words[0])
}

// identify finds out the client id of the identity that a request names by its id.
func identify(ctx context.Context, a API, info map[string]any) error {
	id, ok := info[identityID].(string)
	if !ok {
		return nil
	}
	delete(info, identityID)
	r, err := a.Raw(ctx, http.MethodGet, id+"?api-version=2024-11-30", nil)
	if err != nil {
		return problem.New(problem.IdentityNotFound, id, "the identity %s cannot be read", lastName(id)).Because(err).
			WithFix("az identity list --query \"[].id\"")
	}
	var identity struct {
		Properties struct {
			ClientID string `json:"clientId"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(r.Body, &identity); err != nil || identity.Properties.ClientID == "" {
		return problem.New(problem.IdentityNotFound, id, "%s is not a user-assigned identity", lastName(id)).
			WithFix("az identity list --query \"[].id\"")
	}
	info["clientId"], info["subscriptionId"] = identity.Properties.ClientID, strings.Split(cleanID(id), "/")[2]
	return nil
}
