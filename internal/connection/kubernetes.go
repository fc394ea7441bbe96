package connection

import (
	"regexp"
	"strings"
)

// TypeCluster is the resource type of managed Kubernetes clusters.
const TypeCluster = "Microsoft.ContainerService/managedClusters"

// DefaultNamespace is where the objects of a connection lie that names no other place.
const DefaultNamespace = "default"

// Attributes of the kinds that only Kubernetes sources have.
const (
	AttrIssuer   = "issuer"   // federation: who signs the tokens of service accounts
	AttrSubject  = "subject"  // federation: the service account that is trusted
	AttrAudience = "audience" // federation: what its tokens are made for
)

// Kinds of Kubernetes objects, as the names of object facets begin.
const (
	ObjectSecret  = "Secret"
	ObjectAccount = "ServiceAccount"
)

// OnKubernetes tells whether a source is a Kubernetes cluster: its settings are entries of
// a Secret.
func OnKubernetes(source string) bool { return strings.EqualFold(TypeOf(source), TypeCluster) }

// Namespace is the namespace a connection's objects lie in.
func (c *Connection) Namespace() string {
	if c.Properties.Scope == "" {
		return DefaultNamespace
	}
	return c.Properties.Scope
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]`)

// SecretName is the name of the Secret that keeps a connection's settings, as the
// service has always called it. Objects have names in lower case.
func SecretName(name string) string {
	return "sc-" + strings.ToLower(notAlphanumeric.ReplaceAllString(name, "")) + "-secret"
}

// AccountName is the name of the service account that stands for a user-assigned identity.
func AccountName(clientID string) string { return "sc-account-" + strings.ToLower(clientID) }

// NamespaceID is a namespace as the resource that objects are facets of.
func NamespaceID(cluster, namespace string) string { return cluster + "/namespaces/" + namespace }

// SecretID is a Secret as the resource that settings are facets of.
func SecretID(cluster, namespace, secret string) string {
	return NamespaceID(cluster, namespace) + "/secrets/" + secret
}

// ObjectName is the name of an object's facet.
func ObjectName(kind, name string) string { return kind + "/" + name }

// AccountSubject is how a service account is called in the tokens it gets.
func AccountSubject(namespace, account string) string {
	return "system:serviceaccount:" + namespace + ":" + account
}
