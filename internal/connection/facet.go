package connection

import (
	"encoding/json"
	"sort"
	"strings"
)

// Kind is one of the closed set of facet kinds.
type Kind string

// The facet kinds. Each names the single thing that must be true.
const (
	KindSetting  Kind = "setting"  // one key and value the app reads
	KindSticky   Kind = "sticky"   // one name that stays where it is when slots are swapped
	KindIdentity Kind = "identity" // system identity on, or a user identity attached
	KindRole     Kind = "role"     // a role assignment on the target
	KindAccess   Kind = "access"   // a grant that is not Azure RBAC
	KindFeature  Kind = "feature"  // a switch the rest needs
	KindFirewall Kind = "firewall" // an address range let in
	KindDBUser   Kind = "dbuser"   // a database user with its grants

	KindSecret    Kind = "secret"    // one value in a Key Vault
	KindConfigKey Kind = "configkey" // one key-value in an App Configuration store

	KindObject     Kind = "object"     // one Kubernetes object
	KindFederation Kind = "federation" // a user identity trusts a service account
)

// Attribute and output names that more than one room uses.
const (
	AttrType          = "type"          // setting among App Service's connection strings: SQLAzure, Custom, ...
	AttrValue         = "value"         // setting, feature
	AttrPrincipalID   = "principalId"   // role, access, dbuser: who is let in
	AttrRoleID        = "roleId"        // role: GUID of the role definition
	AttrPrincipalType = "principalType" // role, access, dbuser: User where it is a person, absent for everything else
	AttrGrant         = "grant"         // dbuser: what the user may do, in the words of the target's catalog file
	AttrPolicy        = "policy"        // access: name of the access policy
	AttrLogin         = "login"         // access on a database server: the administrator's role name
	AttrStart         = "start"         // firewall: first address
	AttrEnd           = "end"           // firewall: last address
	AttrDatabase      = "database"      // dbuser
	AttrHost          = "host"          // dbuser
	AttrOwner         = "owner"         // dbuser: who inherits what the user owns when it goes
	AttrClientID      = "clientId"      // dbuser where a server knows applications by it
	AttrTriggers      = "triggers"      // setting of a function app: its platform is told to read the triggers anew
	AttrTells         = "tells"         // identity: an output that is wanted besides its principal, and costs a read
	OutPrincipalID    = "principalId"   // identity
	OutClientID       = "clientId"      // identity: always of a user-assigned one, of the system's when AttrTells asks
	OutTenantID       = "tenantId"      // identity
	OutID             = "id"            // the ARM id of what was written
)

// Key names one facet in the world: kind, the resource it lives on, and its name
// there. Keys compare folded.
type Key struct {
	Kind     Kind   `json:"kind"`
	Resource string `json:"resource"`
	Name     string `json:"name"`
}

// Fold is the comparison form of a key.
func (k Key) Fold() string {
	return string(k.Kind) + " " + FoldID(k.Resource) + " " + strings.ToLower(k.Name)
}

// String prints a key for people: kind and name, then the resource's last name.
func (k Key) String() string {
	return string(k.Kind) + " " + k.Name + " on " + k.Resource[strings.LastIndex(k.Resource, "/")+1:]
}

// Facet is one thing that must be true.
type Facet struct {
	Key
	Want Attrs `json:"want"`
	// After lists facets that must be true first, besides those Want refers to.
	After []Key `json:"after,omitempty"`
	// Scaffold marks a facet needed only while an operation runs.
	Scaffold bool `json:"scaffold,omitempty"`
}

// Attrs are a facet's attributes by name.
type Attrs map[string]Value

// Value is one attribute: a text, a secret text, or a reference to another
// facet's output that is known only after apply.
type Value struct {
	Text   string
	Secret bool
	From   *Ref
}

// Ref points at an output of another facet.
type Ref struct {
	Facet  Key    `json:"facet"`
	Output string `json:"output"`
}

// Plain makes a value that may be printed.
func Plain(text string) Value { return Value{Text: text} }

// Hidden makes a value that must not be printed.
func Hidden(text string) Value { return Value{Text: text, Secret: true} }

// Output makes a reference to another facet's output.
func Output(k Key, output string) Value { return Value{From: &Ref{Facet: k, Output: output}} }

// AfterApply is what stands in print for a value not known yet.
const AfterApply = "known after apply"

// String prints the value for people: secrets masked, references as "known after apply".
func (v Value) String() string {
	switch {
	case v.From != nil:
		return AfterApply
	case v.Secret:
		return Mask
	}
	return v.Text
}

// MarshalJSON prints like String, so that no plan, log or error can leak a secret.
func (v Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(v.String())
}

// Known tells whether every attribute has its value.
func (a Attrs) Known() bool {
	for _, v := range a {
		if v.From != nil {
			return false
		}
	}
	return true
}

// Resolve replaces references by outputs found with lookup; others stay.
func (a Attrs) Resolve(lookup func(Ref) (string, bool)) Attrs {
	out := make(Attrs, len(a))
	for name, v := range a {
		if v.From != nil {
			if text, ok := lookup(*v.From); ok {
				v = Value{Text: text, Secret: v.Secret}
			}
		}
		out[name] = v
	}
	return out
}

// Names returns the attribute names in order.
func (a Attrs) Names() []string {
	names := make([]string, 0, len(a))
	for n := range a {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Equal compares two sets of known attributes by text.
func (a Attrs) Equal(b Attrs) bool {
	if len(a) != len(b) {
		return false
	}
	for n, v := range a {
		w, ok := b[n]
		if !ok || v.Text != w.Text || v.From != nil || w.From != nil {
			return false
		}
	}
	return true
}

// State is what was seen of one facet.
type State struct {
	Exists bool `json:"exists"`
	// Unknown means the place could not be looked into; Why says so for people. Without
	// Unknown it is what a write that succeeded has to say.
	Unknown bool   `json:"unknown,omitempty"`
	Why     string `json:"why,omitempty"`
	Attrs   Attrs  `json:"attrs,omitempty"`
	// Spelling is the name as it stands there, when its case differs from the key.
	Spelling string `json:"spelling,omitempty"`
	// Outputs are values others may refer to.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Mark is our mark as found there ("" none): the uid of the connection it names.
	Mark string `json:"mark,omitempty"`
}
