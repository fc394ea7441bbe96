// Package containerapp reads and writes container apps: the driver of the setting kind for
// one named container, the identity driver's dialect, and the facts of a source.
//
// It promises that arrays, which a merge patch replaces whole, are built from a fresh read
// with everything of others in them; that settings and the secrets they lead to go in one
// write; that secret values never stand in a template; and that a revision of ours gets no
// traffic before it is ready. It takes no locks: the caller holds the lock of the path
// while it reads and writes.
package containerapp

import (
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/compute/identity"
	"github.com/patchbay/patchbay/internal/connection"
)

const (
	apiVersion    = "2025-07-01"
	appType       = "Microsoft.App/containerApps"
	containerType = "Microsoft.App/containerApps/containers" // ours: what the settings of one container are facets of
)

// Patience bounds the wait for a revision to be ready. Zero members take the defaults.
type Patience struct {
	Limit time.Duration // default 5 min: images are pulled meanwhile
	Pause time.Duration // default 2 s
}

func (p Patience) orDefault() Patience {
	if p.Limit <= 0 {
		p.Limit = 5 * time.Minute
	}
	if p.Pause <= 0 {
		p.Pause = 2 * time.Second
	}
	return p
}

// ContainerOf is the resource that the settings of one container are facets of.
func ContainerOf(app, container string) string { return app + "/containers/" + container }

// split parts what settings are facets of into the app and a container's name; "" is the
// first container.
func split(resource string) (app, container string) {
	at, err := id.Parse(resource)
	if err == nil && at.IsType(containerType) {
		return at.Parent().String(), at.Name()
	}
	return resource, ""
}

// NewIdentity makes the driver of an app's identities.
func NewIdentity(c *arm.Client, patience identity.Patience) *identity.Driver {
	return identity.New(c, patience, identity.Dialect{APIVersion: apiVersion, Separator: ",", Types: []string{appType}})
}

func right(app, action string) connection.Right {
	return connection.Right{Action: appType + "/" + action, Scope: app}
}

// members is a JSON object; nil for anything else.
func members(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }

// text reads the text at a path of members.
func text(v any, path ...string) string {
	for _, name := range path {
		v = members(v)[name]
	}
	s, _ := v.(string)
	return s
}

// at reads what is at a path of members.
func at(v any, path ...string) any {
	for _, name := range path {
		v = members(v)[name]
	}
	return v
}

// multiple tells whether an app's revisions run side by side.
func multiple(app map[string]any) bool {
	return strings.EqualFold(text(app, "properties", "configuration", "activeRevisionsMode"), "Multiple")
}
