// Package id reads and builds Azure resource ids.
//
// It promises that an id is compared without regard to case and printed the way
// it was first written. It knows the grammar of ids and nothing of any resource
// type; it does no I/O and must not grow lists of known types.
package id

import (
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("malformed resource id")

// maxGroupName is the longest resource group name ARM accepts.
const maxGroupName = 90

// ID is one parsed resource id. The zero value is the tenant itself.
type ID struct {
	raw      string
	segments []string // without slashes, in the caller's casing
	leaf     int      // index of the last "providers" segment, or -1
}

// Parse reads a resource id. A doubled leading slash is accepted because real
// clients send it; a trailing slash and empty inner segments are not.
func Parse(s string) (ID, error) {
	trimmed := strings.TrimLeft(s, "/")
	if trimmed == "" {
		return ID{}, nil
	}
	segments := strings.Split(trimmed, "/")
	for _, seg := range segments {
		if seg == "" || strings.ContainsAny(seg, "?#\\\x00") {
			return ID{}, fmt.Errorf("read %q: %w", s, ErrMalformed)
		}
	}
	i := ID{raw: "/" + trimmed, segments: segments, leaf: lastProviders(segments)}
	if err := i.check(); err != nil {
		return ID{}, fmt.Errorf("read %q: %w", s, err)
	}
	return i, nil
}

// MustParse is Parse for ids written in the program itself; it panics on error.
func MustParse(s string) ID {
	i, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return i
}

func lastProviders(segments []string) int {
	for n := len(segments) - 1; n >= 0; n-- {
		if strings.EqualFold(segments[n], "providers") {
			return n
		}
	}
	return -1
}

func (i ID) check() error {
	head := i.segments
	if i.leaf >= 0 {
		tail := i.segments[i.leaf+1:]
		if len(tail) != 1 && len(tail)%2 == 0 {
			return fmt.Errorf("type without a name: %w", ErrMalformed)
		}
		head = head[:i.leaf]
	}
	if len(head) > 0 && strings.EqualFold(head[0], "subscriptions") && len(head) < 2 {
		return fmt.Errorf("subscription without an id: %w", ErrMalformed)
	}
	if g := i.ResourceGroup(); len(g) > maxGroupName || strings.HasSuffix(g, ".") {
		return fmt.Errorf("resource group name %q: %w", g, ErrMalformed)
	}
	return nil
}

// String returns the id as it was first written, with one leading slash.
func (i ID) String() string { return i.raw }

// Fold returns the form used for comparison and as a map key.
func (i ID) Fold() string { return Fold(i.raw) }

// IsZero tells whether the id names nothing (the tenant).
func (i ID) IsZero() bool { return i.raw == "" }

// Subscription returns the subscription's id, or "" outside one.
func (i ID) Subscription() string { return i.after("subscriptions") }

// ResourceGroup returns the resource group's name, or "" outside one.
func (i ID) ResourceGroup() string { return i.after("resourceGroups") }

func (i ID) after(word string) string {
	for n := 0; n+1 < len(i.segments) && n < 4; n += 2 {
		if strings.EqualFold(i.segments[n], word) {
			return i.segments[n+1]
		}
	}
	return ""
}

// Namespace returns the provider namespace of the leaf, such as Microsoft.Web.
func (i ID) Namespace() string {
	if i.leaf < 0 || i.leaf+1 >= len(i.segments) {
		return ""
	}
	return i.segments[i.leaf+1]
}

// Type returns the full type of the leaf, such as Microsoft.Web/sites/slots.
// Resource groups and subscriptions answer Microsoft.Resources types.
func (i ID) Type() string {
	if i.leaf < 0 {
		switch {
		case i.ResourceGroup() != "":
			return "Microsoft.Resources/resourceGroups"
		case i.Subscription() != "":
			return "Microsoft.Resources/subscriptions"
		}
		return ""
	}
	parts := []string{i.Namespace()}
	for n := i.leaf + 2; n < len(i.segments); n += 2 {
		parts = append(parts, i.segments[n])
	}
	return strings.Join(parts, "/")
}

// IsType compares the leaf's type without regard to case.
func (i ID) IsType(t string) bool { return strings.EqualFold(i.Type(), t) }

// Name returns the last segment.
func (i ID) Name() string {
	if len(i.segments) == 0 {
		return ""
	}
	return i.segments[len(i.segments)-1]
}

// Names returns the names along the leaf's type, outermost first.
func (i ID) Names() []string {
	if i.leaf < 0 {
		return nil
	}
	var names []string
	for n := i.leaf + 3; n < len(i.segments); n += 2 {
		names = append(names, i.segments[n])
	}
	return names
}

// Parent returns the enclosing resource: a child's parent, or, for a top-level
// resource, the scope before its last "providers" segment.
func (i ID) Parent() ID {
	if i.leaf >= 0 && len(i.segments)-i.leaf-2 > 2 {
		return fromSegments(i.segments[:len(i.segments)-2])
	}
	return i.Scope()
}

// Scope returns what stands before the last "providers" segment: the resource an
// extension sits on, or the resource group of a plain resource.
func (i ID) Scope() ID {
	if i.leaf < 0 {
		if len(i.segments) <= 2 {
			return ID{}
		}
		return fromSegments(i.segments[:len(i.segments)-2])
	}
	return fromSegments(i.segments[:i.leaf])
}

// Child appends one type and name.
func (i ID) Child(kind, name string) ID {
	return fromSegments(append(append([]string{}, i.segments...), kind, name))
}

// Extension appends a provider type and name, as extension resources are written.
func (i ID) Extension(namespace, kind, name string) ID {
	return fromSegments(append(append([]string{}, i.segments...), "providers", namespace, kind, name))
}

// Within tells whether i is the scope itself or lies under it.
func (i ID) Within(scope ID) bool {
	if scope.IsZero() {
		return true
	}
	a, b := i.Fold(), scope.Fold()
	return a == b || strings.HasPrefix(a, b+"/")
}

func fromSegments(segments []string) ID {
	if len(segments) == 0 {
		return ID{}
	}
	return ID{raw: "/" + strings.Join(segments, "/"), segments: segments, leaf: lastProviders(segments)}
}

// Fold returns the comparison form of any id or path.
func Fold(s string) string { return strings.ToLower(s) }

// Equal compares two ids without regard to case or a missing leading slash.
func Equal(a, b string) bool {
	return strings.EqualFold(strings.TrimLeft(a, "/"), strings.TrimLeft(b, "/"))
}
