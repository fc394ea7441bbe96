package appservice

import (
	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/compute/identity"
	"github.com/patchbay/patchbay/internal/plan"
)

// SystemIdentity is the Key.Name of the system-assigned identity; any other name
// is the ARM id of a user-assigned one.
const SystemIdentity = identity.System

// Identity drives the identities of a site. Key.Resource is the site or slot,
// Key.Name is SystemIdentity or a user-assigned identity's id; Want is empty, or asks
// with tells for the client id of the system-assigned one.
type Identity = identity.Driver

// NewIdentity makes the driver. patience bounds the wait for a principal id,
// which may lag behind the answer.
func NewIdentity(c *arm.Client, patience Patience) *Identity {
	return identity.New(c, identity.Patience(patience), identity.Dialect{APIVersion: apiVersion, Separator: ", ",
		Types: []string{"Microsoft.Web/sites", "Microsoft.Web/sites/slots"}})
}

// wanted tells whether a change leaves its facet true.
func wanted(c plan.Change) bool {
	return c.Action != plan.Remove || (c.Restore != nil && c.Restore.Exists)
}
