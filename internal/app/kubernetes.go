package app

import (
	"context"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/compute/kubernetes"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

// tokenFor is a token of ours for any audience.
func (s *station) tokenFor(ctx context.Context, audience string) (string, error) {
	return arm.Token(ctx, s.credential, audience)
}

// cluster reads a Kubernetes cluster as the source of a connection.
func (s *station) cluster(ctx context.Context, c *connection.Connection) (target.Cluster, error) {
	found, err := kubernetes.NewSources(s.client, s.clusters.Open).Source(ctx, c)
	if err != nil {
		return target.Cluster{}, err
	}
	return target.Cluster{
		Source: target.Source{Location: found.Location, Addresses: found.Outbound},
		Issuer: found.Issuer, Webhook: found.Webhook,
	}, nil
}
