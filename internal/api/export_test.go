package api

import "github.com/patchbay/patchbay/internal/connection"

// Wire shows properties as members of the newest version.
func Wire(p *connection.Properties) map[string]any { return toWire(p) }

// Unwire reads members of the newest version.
func Unwire(in map[string]any) *connection.Properties {
	p, _ := fromWire(in)
	return p
}

// ReadEvents is the parser of event streams.
var ReadEvents = events
