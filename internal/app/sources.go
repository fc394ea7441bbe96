package app

import (
	"context"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/appservice"
	"github.com/patchbay/patchbay/internal/compute/containerapp"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/target"
)

// readSource reads a source as its kind is read.
func (s *station) readSource(ctx context.Context, id string) (target.Source, error) {
	if connection.IsFile(id) {
		return s.readFile(ctx, id)
	}
	kind, err := compute.TypeOf(id)
	if err != nil {
		return target.Source{}, err
	}
	if kind.Name == "containerapp" {
		return s.readContainerApp(ctx, id)
	}
	source, err := appservice.NewSources(s.client).Source(ctx, id)
	if err != nil {
		return target.Source{}, err
	}
	return target.Source{Location: source.Location, Addresses: source.Outbound, ConnectionStrings: appservice.ConnectionStringsOf(id),
		NotInNames: source.NotInNames, Sticky: appservice.StickyOf(id), Triggers: appservice.IsFunctionApp(source.Kind)}, nil
}

func (s *station) readContainerApp(ctx context.Context, id string) (target.Source, error) {
	source, err := containerapp.NewSources(s.client).Source(ctx, id)
	if err != nil {
		return target.Source{}, err
	}
	out := target.Source{Location: source.Location, Addresses: source.Outbound, NotInNames: source.NotInNames}
	for _, container := range source.Scopes {
		out.Scopes = append(out.Scopes, target.Scope{Name: container, Resource: containerapp.ContainerOf(id, container)})
	}
	return out, nil
}
