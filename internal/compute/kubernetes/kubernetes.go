// Package kubernetes reads and writes Kubernetes clusters: the drivers of the object
// kind and of settings that are entries of a Secret, and the facts of a cluster as a
// source.
//
// Writes are server-side applies under the field manager patchbay, tied to the version
// of the object that was read, so that no other writer's change is lost and every field
// says who owns it. The package never runs a program or reads a file that a cluster's
// credentials name, and never writes a Secret's values to a log or an error.
package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// FieldManager is our name as the owner of fields.
const FieldManager = "patchbay"

// Our mark on objects.
const (
	labelManager    = "app.kubernetes.io/managed-by"
	labelConnection = "patchbay/connection"
)

// annotationClient names the identity a service account stands for; the webhook of
// workload identity reads it.
const annotationClient = "azure.workload.identity/client-id"

// API is the API of one cluster.
type API = dynamic.Interface

// Open finds the API of a cluster by its resource id.
type Open func(ctx context.Context, cluster string) (API, error)

var (
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	accounts   = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// place is where an object lies.
type place struct{ cluster, namespace, kind, name string }

// resource is the part of the API that serves objects of the place's kind.
func (p place) resource() schema.GroupVersionResource {
	if p.kind == connection.ObjectAccount {
		return accounts
	}
	return secrets
}

// path is the comparison form of the place.
func (p place) path() string {
	return connection.FoldID(connection.NamespaceID(p.cluster, p.namespace)) + "/" + p.resource().Resource + "/" + strings.ToLower(p.name)
}

func (p place) String() string { return p.kind + " " + p.name + " in namespace " + p.namespace }

// placeOf reads where a facet lies: an object in a namespace, or an entry in a Secret.
func placeOf(f connection.Facet) place {
	if f.Kind == connection.KindObject {
		at := place{}
		at.cluster, at.namespace = cut(f.Resource, "/namespaces/")
		at.namespace = strings.ToLower(at.namespace)
		at.kind, at.name, _ = strings.Cut(f.Name, "/")
		return at
	}
	rest, secret := cut(f.Resource, "/secrets/")
	cluster, namespace := cut(rest, "/namespaces/")
	return place{cluster, strings.ToLower(namespace), connection.ObjectSecret, strings.ToLower(secret)}
}

// cut parts an id at the last such segment, whatever its case.
func cut(id, segment string) (before, after string) {
	at := strings.LastIndex(strings.ToLower(id), segment)
	if at < 0 {
		return id, ""
	}
	return id[:at], id[at+len(segment):]
}

// get reads one object; nil when it, or its namespace or cluster, is not there.
func get(ctx context.Context, open Open, at place) (*unstructured.Unstructured, error) {
	api, err := open(ctx, at.cluster)
	if problem.Is(err, problem.SourceNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := api.Resource(at.resource()).Namespace(at.namespace).Get(ctx, at.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, refusal(err, at, "read "+at.String())
}

// unseen stands for an object of a cluster that cannot be looked into; it says why.
type unseen string

// look is get for drivers: a cluster that is away does not keep the rest of a deletion
// from being planned.
func look(ctx context.Context, open Open, at place) (any, error) {
	found, err := get(ctx, open, at)
	if problem.Is(err, problem.ClusterUnreached) || problem.Is(err, problem.ClusterRefused) {
		return unseen(problem.As(err).Error()), nil
	}
	return found, err
}

// basis is the object that was read, or that is read now where the first look saw nothing.
func basis(ctx context.Context, open Open, at place, b any) (*unstructured.Unstructured, error) {
	switch seen := b.(type) {
	case *unstructured.Unstructured:
		return seen, nil
	case unseen:
		return get(ctx, open, at)
	}
	return nil, problem.New(problem.Internal, "", "the basis was not read by this driver")
}

// refusal makes a problem of what a cluster answered.
func refusal(err error, at place, attempt string) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return problem.New(problem.ClusterUnreached, at.cluster, "the cluster does not answer").While(attempt).Because(err).
			WithFix("see that it runs and that its API server can be reached from here: az aks show --ids %s --query powerState", at.cluster)
	}
	switch status.Status().Code {
	case http.StatusForbidden, http.StatusUnauthorized:
		return problem.New(problem.ClusterRefused, at.cluster, "the cluster does not allow it").While(attempt).Because(err).
			WithFix("give Patchbay's identity a role that may get, patch and delete secrets and serviceaccounts in the namespace %s", at.namespace)
	}
	return problem.New(problem.ClusterRefused, at.cluster, "the cluster refused it").While(attempt).Because(err)
}

func right(scope, action string) connection.Right {
	return connection.Right{Action: action, Scope: scope}
}

// rights are what opening a cluster needs of ARM; the rest is the cluster's own to give.
func rights(f connection.Facet) []connection.Right {
	return []connection.Right{right(placeOf(f).cluster, connection.TypeCluster+"/listClusterUserCredential/action")}
}
