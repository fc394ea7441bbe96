package appservice

import (
	"context"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Sources reads web apps and slots as sources of connections.
type Sources struct{ arm *arm.Client }

// NewSources makes the reader.
func NewSources(c *arm.Client) *Sources { return &Sources{c} }

type site struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"`
	Location   string `json:"location"`
	Properties struct {
		State       string `json:"state"`
		HostName    string `json:"defaultHostName"`
		Reserved    bool   `json:"reserved"`
		Outbound    string `json:"outboundIpAddresses"`
		MayOutbound string `json:"possibleOutboundIpAddresses"`
		Subnet      string `json:"virtualNetworkSubnetId"`
	} `json:"properties"`
}

// Source reads one site; SOURCE_NOT_FOUND when it is not there.
func (s *Sources) Source(ctx context.Context, source string) (*compute.Source, error) {
	kind, err := compute.TypeOf(source)
	if err != nil {
		return nil, err
	}
	var seen site
	err = s.arm.Get(ctx, source, apiVersion, &seen)
	if arm.IsNotFound(err) {
		return nil, problem.New(problem.SourceNotFound, source, "there is no %s at %s", kind.Title, source).While("read source").Because(err)
	}
	if err != nil {
		return nil, err
	}
	p := seen.Properties
	found := &compute.Source{
		ID: source, Type: kind, Kind: seen.Kind, Location: seen.Location, State: p.State, HostName: p.HostName,
		Linux: p.Reserved || strings.Contains(strings.ToLower(seen.Kind), "linux"), Subnet: p.Subnet,
		Outbound: addresses(p.Outbound, p.MayOutbound),
	}
	if found.Linux {
		found.NotInNames = "-" // the shell that starts the app drops such variables
	}
	return found, nil
}

// IsFunctionApp tells function apps from other sites by ARM's kind.
func IsFunctionApp(kind string) bool { return strings.Contains(strings.ToLower(kind), "functionapp") }

// addresses joins comma-separated lists, each address once, in order.
func addresses(lists ...string) []string {
	var all []string
	for _, list := range lists {
		for _, a := range strings.Split(list, ",") {
			if a = strings.TrimSpace(a); a != "" && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// Runtime reads what the site runs, such as PYTHON|3.11; "" when it does not say.
func (s *Sources) Runtime(ctx context.Context, source string) (string, error) {
	var web struct {
		Properties struct {
			Linux   string `json:"linuxFxVersion"`
			Windows string `json:"windowsFxVersion"`
			Java    string `json:"javaVersion"`
			Node    string `json:"nodeVersion"`
			DotNet  string `json:"netFrameworkVersion"`
		} `json:"properties"`
	}
	if err := s.arm.Get(ctx, source+"/config/web", apiVersion, &web); err != nil {
		return "", err
	}
	p := web.Properties
	for _, r := range []struct{ name, version string }{{"", p.Linux}, {"", p.Windows}, {"JAVA|", p.Java}, {"NODE|", p.Node}, {"DOTNET|", p.DotNet}} {
		if r.version != "" {
			return r.name + r.version, nil
		}
	}
	return "", nil
}

// Rights names the actions that reading a source needs.
func (s *Sources) Rights(source string) []connection.Right {
	return []connection.Right{right(source, resourceType(source)+"/read")}
}
