package containerapp

import (
	"context"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Sources reads container apps as sources of connections.
type Sources struct{ arm *arm.Client }

// NewSources makes the reader.
func NewSources(c *arm.Client) *Sources { return &Sources{c} }

type document struct {
	Location   string `json:"location"`
	Kind       string `json:"kind"`
	Properties struct {
		Status        string   `json:"runningStatus"`
		Outbound      []string `json:"outboundIpAddresses"`
		Configuration struct {
			Ingress struct {
				FQDN string `json:"fqdn"`
			} `json:"ingress"`
		} `json:"configuration"`
		Template struct {
			Containers     []named `json:"containers"`
			InitContainers []named `json:"initContainers"`
		} `json:"template"`
	} `json:"properties"`
}

type named struct {
	Name string `json:"name"`
}

// Source reads one app; SOURCE_NOT_FOUND when it is not there.
func (s *Sources) Source(ctx context.Context, source string) (*compute.Source, error) {
	kind, err := compute.TypeOf(source)
	if err != nil {
		return nil, err
	}
	var seen document
	err = s.arm.Get(ctx, source, apiVersion, &seen)
	if arm.IsNotFound(err) {
		return nil, problem.New(problem.SourceNotFound, source, "there is no %s at %s", kind.Title, source).While("read source").Because(err)
	}
	if err != nil {
		return nil, err
	}
	found := &compute.Source{ID: source, Type: kind, Kind: seen.Kind, Location: seen.Location, Linux: true,
		State: seen.Properties.Status, HostName: seen.Properties.Configuration.Ingress.FQDN,
		NotInNames: ":"} // the platform takes letters, digits, '_', '-' and '.'
	known := map[string]bool{}
	for _, address := range seen.Properties.Outbound {
		if !known[address] {
			known[address] = true
			found.Outbound = append(found.Outbound, address)
		}
	}
	for _, c := range append(seen.Properties.Template.Containers, seen.Properties.Template.InitContainers...) {
		found.Scopes = append(found.Scopes, c.Name)
	}
	return found, nil
}

// Rights names the actions that reading a source needs.
func (s *Sources) Rights(source string) []connection.Right {
	return []connection.Right{right(source, "read")}
}
