package kubernetes

import (
	"context"
	"encoding/json"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/patchbay/patchbay/internal/problem"
)

type object = map[string]any

// owned are the fields of an object that we applied and still own: what an apply has to
// repeat, or they would be taken away. Lists, of which we apply none, are left out.
func owned(u *unstructured.Unstructured) object {
	for _, entry := range u.GetManagedFields() {
		if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var fields object
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil {
			return extract(u.Object, fields)
		}
	}
	return object{}
}

// extract picks the named fields; a leaf has no fields of its own.
func extract(from, fields object) object {
	out := object{}
	for key, below := range fields {
		name, named := strings.CutPrefix(key, "f:")
		value, there := from[name]
		if !named || !there {
			continue
		}
		inner, _ := below.(object)
		child, isObject := value.(object)
		if isObject && len(inner) > 0 {
			value = extract(child, inner)
		}
		out[name] = value
	}
	return out
}

// within returns the object at a path of members, made where it is missing.
func within(o object, path ...string) object {
	for _, name := range path {
		next, ok := o[name].(object)
		if !ok {
			next = object{}
			o[name] = next
		}
		o = next
	}
	return o
}

// tries bounds how often a write starts again because somebody else wrote meanwhile.
const tries = 8

// contended repeats a write from a fresh read for as long as others come between. The
// first round starts from what was read before.
func contended(ctx context.Context, open Open, at place, seen *unstructured.Unstructured, write func(API, *unstructured.Unstructured) (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	api, err := open(ctx, at.cluster)
	if err != nil {
		return nil, err
	}
	for range tries {
		var after *unstructured.Unstructured
		after, err = write(api, seen)
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return after, refusal(err, at, "write "+at.String())
		}
		again, readErr := get(ctx, open, at)
		if readErr != nil {
			return nil, readErr
		}
		if again == nil && seen == nil { // the namespace is not there
			return nil, refusal(err, at, "write "+at.String())
		}
		seen = again
	}
	return nil, problem.New(problem.WriteLost, at.cluster, "others keep writing to the %s", at).While("write " + at.String()).Because(err)
}

// apply makes an object of ours hold exactly these fields; a version ties it to the
// object that was read.
func apply(ctx context.Context, api API, at place, version string, fields object) (*unstructured.Unstructured, error) {
	fields["apiVersion"], fields["kind"] = "v1", at.kind
	meta := within(fields, "metadata")
	meta["name"], meta["namespace"] = at.name, at.namespace
	if version != "" {
		meta["resourceVersion"] = version
	}
	return api.Resource(at.resource()).Namespace(at.namespace).Apply(ctx, at.name, &unstructured.Unstructured{Object: fields},
		metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
}

// merge changes members of an object, null taking one away.
func merge(ctx context.Context, api API, at place, version string, change object) (*unstructured.Unstructured, error) {
	within(change, "metadata")["resourceVersion"] = version
	raw, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return api.Resource(at.resource()).Namespace(at.namespace).Patch(ctx, at.name, types.MergePatchType, raw, metav1.PatchOptions{FieldManager: FieldManager})
}

// remove deletes the object that was read and no later one.
func remove(ctx context.Context, api API, at place, seen *unstructured.Unstructured) error {
	uid, version := seen.GetUID(), seen.GetResourceVersion()
	return api.Resource(at.resource()).Namespace(at.namespace).Delete(ctx, at.name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
}
