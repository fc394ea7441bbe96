package connection

import "strings"

// Attributes and outputs of things that a store keeps for the app.
const (
	AttrURI         = "uri"         // secret: its own address; configkey: that of its store
	AttrContentType = "contentType" // configkey
	OutVersion      = "version"     // secret: the version that was written
	OutETag         = "etag"        // configkey: what stood there after the write
)

// SecretContentType says that a key-value holds the address of a secret, not a value.
const SecretContentType = "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8"

const secretReference = "@Microsoft.KeyVault(SecretUri="

// SecretReference is the setting that App Service replaces by a secret when it starts
// the app.
func SecretReference(uri string) string { return secretReference + uri + ")" }

// ReferredSecret is the address in a reference that SecretReference made; ok is false
// for every other value.
func ReferredSecret(value string) (uri string, ok bool) {
	uri, ok = strings.CutPrefix(value, secretReference)
	return strings.TrimSuffix(uri, ")"), ok && strings.HasSuffix(uri, ")")
}

// IsSecretReference tells whether a setting's value stands for a secret in a vault.
func IsSecretReference(value string) bool { return strings.HasPrefix(value, "@Microsoft.KeyVault(") }

// FactConfidedIn is the id of the vault that a password was read from.
const FactConfidedIn = "secretInfo.vault"
