package connection

import "strings"

// Types of the resources of Microsoft.ServiceLinker besides linkers.
const (
	TypeConnector       = "Microsoft.ServiceLinker/locations/connectors"
	TypeDryrun          = "Microsoft.ServiceLinker/dryruns"
	TypeConnectorDryrun = "Microsoft.ServiceLinker/locations/dryruns"
)

// IsLocal tells whether an id is that of a local connection: it has no source, is its
// own source in the ledger, and its settings go to whoever asks for them.
func IsLocal(id string) bool { return strings.EqualFold(TypeOf(id), TypeConnector) }

// IsDryrun tells whether an id is that of a rehearsal, of either kind.
func IsDryrun(id string) bool {
	return strings.EqualFold(TypeOf(id), TypeDryrun) || strings.EqualFold(TypeOf(id), TypeConnectorDryrun)
}

// Local tells whether the connection has no source.
func (c *Connection) Local() bool { return IsLocal(c.ID) }
