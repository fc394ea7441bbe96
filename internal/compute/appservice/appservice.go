// Package appservice reads and writes web apps and their slots: the drivers of
// the setting and identity kinds, and the facts of a source.
//
// It promises that application settings are merged into a fresh list and written
// once, that foreign names keep their values and spelling, and that identities
// of others survive every change. It takes no locks: the caller holds the lock
// of the path while it reads and writes.
package appservice

import (
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/compute/identity"
	"github.com/patchbay/patchbay/internal/connection"
)

const apiVersion = "2024-11-01"

// resourceType is the action prefix of a site or a slot.
func resourceType(source string) string {
	if at, err := id.Parse(source); err == nil && at.IsType("Microsoft.Web/sites/slots") {
		return "Microsoft.Web/sites/slots"
	}
	return "Microsoft.Web/sites"
}

// Patience bounds the wait for an identity's principal to show up.
type Patience = identity.Patience

func fold(name string) string { return strings.ToLower(name) }

func right(scope, action string) connection.Right {
	return connection.Right{Action: action, Scope: scope}
}
