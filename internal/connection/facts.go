package connection

// Facts are what is known of source and target before facets are derived:
// hosts, keys, network state. Secret ones are Hidden values.
type Facts map[string]Value

// Names of facts that more than one room reads; the catalog's files name the rest.
const (
	FactHost      = "host"             // host name of the target, without a port
	FactEndpoint  = "endpoint"         // address of the target as a URL
	FactState     = "state"            // the target's own word for its state
	FactStopped   = "stopped"          // "true" when that word means stopped
	FactStart     = "startCommand"     // command that starts a stopped target
	FactGone      = "gone"             // id of what is not there any more of the target, absent when all is
	FactTarget    = "target"           // the catalog's name of the target
	FactProtocol  = "protocol"         // which probe knocks: postgres, redis, blob
	FactVersion   = "apiVersion"       // the api-version that reads and writes the target
	FactAudience  = "audience"         // resource an identity's token is made for
	FactWarning   = "warning"          // sentence for the operation's message; absent when all is well
	FactDenied    = "publicDenied"     // "true" when the target denies all public traffic
	FactWall      = "firewall"         // "true" when its firewall shuts out all but what its rules let in
	FactWallNote  = "firewallNote"     // why its rules may be without effect; absent when they have one
	FactAddresses = "source.addresses" // outbound addresses of the source, separated by commas
	// A user-assigned identity is known before the first write.
	FactIdentity          = "identity.id"          // its ARM id
	FactIdentityPrincipal = "identity.principalId" // its object id
)

// Text returns the text of a fact, "" when it is not known.
func (f Facts) Text(name string) string { return f[name].Text }

// Results of a finding.
const (
	ResultSuccess = "success"
	ResultWarning = "warning"
	ResultFailure = "failure"
)

// Finding is one item of a validation, in the order of the published item names.
type Finding struct {
	Name        string `json:"name"`        // "Target resource existence validated."
	Result      string `json:"result"`      // success, warning, failure
	Description string `json:"description"` // empty when fine
	Code        string `json:"code,omitempty"`
	Fix         string `json:"fix,omitempty"`
}
