package kubernetes

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const publicIPVersion = "2024-05-01"

// Source is what is known of a cluster, and of the place in it that a connection uses.
type Source struct {
	Location string
	Outbound []string // public addresses its workloads call from
	Issuer   string   // of its service accounts' tokens; "" while the OIDC issuer is off
	Webhook  bool     // workload identity is on
}

// Sources reads managed clusters as sources of connections.
type Sources struct {
	arm  *arm.Client
	open Open
}

// NewSources makes the reader.
func NewSources(c *arm.Client, open Open) *Sources { return &Sources{c, open} }

type managedCluster struct {
	Location   string `json:"location"`
	Properties struct {
		PowerState struct {
			Code string `json:"code"`
		} `json:"powerState"`
		OIDC struct {
			Enabled bool   `json:"enabled"`
			Issuer  string `json:"issuerURL"`
		} `json:"oidcIssuerProfile"`
		Security struct {
			Workload struct {
				Enabled bool `json:"enabled"`
			} `json:"workloadIdentity"`
		} `json:"securityProfile"`
		Network struct {
			Balancer struct {
				Outbound []struct {
					ID string `json:"id"`
				} `json:"effectiveOutboundIPs"`
			} `json:"loadBalancerProfile"`
		} `json:"networkProfile"`
	} `json:"properties"`
}

// Source reads one cluster and looks at the place a connection uses there. Refused are a
// cluster, a namespace that is not there, a stopped cluster, and a Secret of the
// connection's that somebody else made.
func (s *Sources) Source(ctx context.Context, c *connection.Connection) (*Source, error) {
	var seen managedCluster
	err := s.arm.Get(ctx, c.Source, apiVersion, &seen)
	if arm.IsNotFound(err) {
		return nil, gone(c.Source).Because(err)
	}
	if err != nil {
		return nil, err
	}
	p := seen.Properties
	if p.PowerState.Code == "Stopped" {
		return nil, problem.New(problem.ClusterUnreached, c.Source, "the cluster is stopped").While("read source").
			WithFix("az aks start --ids %s", c.Source)
	}
	found := &Source{Location: seen.Location, Webhook: p.Security.Workload.Enabled, Outbound: make([]string, len(p.Network.Balancer.Outbound))}
	if p.OIDC.Enabled {
		found.Issuer = p.OIDC.Issuer
	}
	group, ctx := errgroup.WithContext(ctx)
	for n, one := range p.Network.Balancer.Outbound {
		group.Go(func() (err error) {
			found.Outbound[n], err = s.address(ctx, one.ID)
			return err
		})
	}
	group.Go(func() error { return s.look(ctx, c) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found.Outbound = slices.DeleteFunc(found.Outbound, func(a string) bool { return a == "" })
	return found, nil
}

// address is the address of a public IP, "" when it has none any more.
func (s *Sources) address(ctx context.Context, id string) (string, error) {
	var ip struct {
		Properties struct {
			Address string `json:"ipAddress"`
		} `json:"properties"`
	}
	if err := s.arm.Get(ctx, id, publicIPVersion, &ip); err != nil && !arm.IsNotFound(err) {
		return "", err
	}
	return ip.Properties.Address, nil
}

// look sees to it that the namespace is there and that the connection's Secret is free or
// ours.
func (s *Sources) look(ctx context.Context, c *connection.Connection) error {
	at := place{c.Source, c.Namespace(), connection.ObjectSecret, connection.SecretName(c.Name)}
	api, err := s.open(ctx, c.Source)
	if err != nil {
		return err
	}
	_, err = api.Resource(namespaces).Get(ctx, at.namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return problem.New(problem.NamespaceNotFound, c.Source, "the cluster has no namespace %s", at.namespace).While("read source").
			WithFix("kubectl create namespace %s", at.namespace)
	}
	if err != nil && !apierrors.IsForbidden(err) { // who may only work inside the namespace cannot look at it
		return refusal(err, at, "read namespace "+at.namespace)
	}
	secret, err := get(ctx, s.open, at)
	if err != nil || secret == nil || secret.GetLabels()[labelManager] == FieldManager {
		return err
	}
	return problem.New(problem.ObjectTaken, c.Source, "the %s was made by somebody else", at).While("read source").
		WithFix("kubectl delete secret %s --namespace %s, or choose another name for the connection", at.name, at.namespace)
}

// Rights names the actions that reading a source needs.
func (s *Sources) Rights(source string) []connection.Right {
	return []connection.Right{right(source, connection.TypeCluster+"/read"), right(source, connection.TypeCluster+"/listClusterUserCredential/action")}
}
