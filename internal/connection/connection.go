// Package connection is the domain: a connection joins one source (compute) to
// one target (backing service) with one auth type and one client type, and stands
// for a set of facets.
//
// It promises to be free of I/O and of any wire format: api translates to and
// from it, catalog derives facets from it, engine makes them true. Secret values
// inside it never print themselves.
package connection

import (
	"strings"
	"time"
)

// Auth types as the Microsoft.ServiceLinker contract spells them.
const (
	AuthSecret                      = "secret"
	AuthAccessKey                   = "accessKey"
	AuthSystemIdentity              = "systemAssignedIdentity"
	AuthUserIdentity                = "userAssignedIdentity"
	AuthServicePrincipalSecret      = "servicePrincipalSecret"
	AuthServicePrincipalCertificate = "servicePrincipalCertificate"
	AuthUserAccount                 = "userAccount"
	AuthEasyAuth                    = "easyAuthMicrosoftEntraID"
)

// Provisioning states of a connection.
const (
	StateAccepted  = "Accepted"
	StateUpdating  = "Updating"
	StateDeleting  = "Deleting"
	StateSucceeded = "Succeeded"
	StateFailed    = "Failed"
)

// Behaviours of deleteOrUpdateBehavior.
const (
	BehaviorDefault = "Default"
	BehaviorForced  = "ForcedCleanup"
)

// Connection is one linker as the engine knows it. UID never changes; ID is an
// attribute, compared folded and kept as first written.
type Connection struct {
	UID        string     `json:"uid"`
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Source     string     `json:"source"` // ARM id of the compute
	State      string     `json:"state"`
	Infix      string     `json:"infix,omitempty"` // upper-cased name inside setting names; chosen once, at create
	Named      bool       `json:"named,omitempty"` // Infix has been chosen
	Properties Properties `json:"properties"`
	System     SystemData `json:"system"`
	Problem    *Problem   `json:"problem,omitempty"`   // why State is Failed
	Rehearsal  *Rehearsal `json:"rehearsal,omitempty"` // what a dryrun found; nil for connections
}

// Problem is what remains of an error in a stored connection or operation.
type Problem struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Resource string `json:"resource,omitempty"`
	Fix      string `json:"fix,omitempty"`
}

// SystemData says who wrote the connection and when (UTC).
type SystemData struct {
	CreatedBy          string    `json:"createdBy"`
	CreatedByType      string    `json:"createdByType"`
	CreatedAt          time.Time `json:"createdAt"`
	LastModifiedBy     string    `json:"lastModifiedBy"`
	LastModifiedByType string    `json:"lastModifiedByType"`
	LastModifiedAt     time.Time `json:"lastModifiedAt"`
}

// Properties are the members of a linker in the newest api-version.
type Properties struct {
	Target        Target         `json:"target"`
	Auth          *Auth          `json:"auth,omitempty"`
	ClientType    string         `json:"clientType,omitempty"`
	VNet          *VNet          `json:"vnet,omitempty"`
	SecretStore   *SecretStore   `json:"secretStore,omitempty"`
	Scope         string         `json:"scope,omitempty"`
	PublicNetwork *PublicNetwork `json:"publicNetwork,omitempty"`
	Configuration *Configuration `json:"configuration,omitempty"`
}

// TargetAzure is the type of targets that have an ARM id.
const TargetAzure = "AzureResource"

// Target is the backing service: an ARM id, or an endpoint for the rest.
type Target struct {
	Type               string         `json:"type"` // AzureResource, SelfHostedServer, ...
	ID                 string         `json:"id,omitempty"`
	Endpoint           string         `json:"endpoint,omitempty"`
	ResourceProperties map[string]any `json:"resourceProperties,omitempty"`
}

// Auth says how the app proves who it is. Secret values ride apart, in Secrets.
type Auth struct {
	Type           string   `json:"type"`
	Mode           string   `json:"mode,omitempty"`
	Name           string   `json:"name,omitempty"` // user name of a secret
	SecretType     string   `json:"secretType,omitempty"`
	SecretURI      string   `json:"secretUri,omitempty"`
	SecretName     string   `json:"secretName,omitempty"`
	SecretVersion  string   `json:"secretVersion,omitempty"`
	Permissions    []string `json:"permissions,omitempty"`
	ClientID       string   `json:"clientId,omitempty"`
	PrincipalID    string   `json:"principalId,omitempty"`
	PrincipalType  string   `json:"principalType,omitempty"` // ServicePrincipal where a user account is an application's; not on the wire
	SubscriptionID string   `json:"subscriptionId,omitempty"`
	UserName       string   `json:"userName,omitempty"`
	Roles          []string `json:"roles,omitempty"`
	Behavior       string   `json:"behavior,omitempty"`
}

// VNet is vNetSolution.
type VNet struct {
	Type     string `json:"type,omitempty"`
	Behavior string `json:"behavior,omitempty"`
}

// SecretStore is secretStore.
type SecretStore struct {
	KeyVaultID         string `json:"keyVaultId,omitempty"`
	KeyVaultSecretName string `json:"keyVaultSecretName,omitempty"`
}

// PublicNetwork is publicNetworkSolution. The two switches are the words
// "true" and "false", as on the wire.
type PublicNetwork struct {
	Action         string   `json:"action,omitempty"`
	Behavior       string   `json:"behavior,omitempty"`
	HasRules       bool     `json:"hasRules,omitempty"`
	IPRanges       []string `json:"ipRanges,omitempty"`
	AzureServices  string   `json:"azureServices,omitempty"`
	CallerClientIP string   `json:"callerClientIp,omitempty"`
	CallerAddress  string   `json:"callerAddress,omitempty"` // where the caller was when CallerClientIP was asked for; not on the wire
}

// Configuration is configurationInfo.
type Configuration struct {
	Action               string            `json:"action,omitempty"`
	Behavior             string            `json:"behavior,omitempty"`
	CustomizedKeys       map[string]string `json:"customizedKeys,omitempty"`
	Additional           map[string]string `json:"additional,omitempty"`
	AdditionalConnection map[string]string `json:"additionalConnection,omitempty"`
	AppConfigurationID   string            `json:"appConfigurationId,omitempty"`
	Dapr                 map[string]any    `json:"dapr,omitempty"`
}

// Secrets are the values only the user could give, by slot: "secret" (password
// or client secret) and "certificate". They never enter Properties.
type Secrets map[string]Secret

// SecretSlot and CertificateSlot are the slots of Secrets.
const (
	SecretSlot      = "secret"
	CertificateSlot = "certificate"
)

// Secret is a value that prints as stars. Reveal is the only way to read it.
type Secret struct{ text string }

// NewSecret wraps a value.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the value; callers hand it to the place it belongs and nowhere else.
func (s Secret) Reveal() string { return s.text }

// Mask is what stands in print for a secret.
const Mask = "********"

func (s Secret) String() string               { return Mask }
func (s Secret) GoString() string             { return Mask }
func (s Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// FoldID is the comparison form of an ARM id or a connection name.
func FoldID(s string) string { return strings.ToLower("/" + strings.TrimLeft(s, "/")) }

// TypeOf returns the resource type an ARM id ends in, as written there, such as
// Microsoft.Web/sites; "" when the id names no provider.
func TypeOf(id string) string {
	at := strings.LastIndex(strings.ToLower(id), "/providers/")
	if at < 0 {
		return ""
	}
	segments := strings.Split(id[at+len("/providers/"):], "/")
	parts := segments[:1]
	for n := 1; n < len(segments); n += 2 {
		parts = append(parts, segments[n])
	}
	return strings.Join(parts, "/")
}
