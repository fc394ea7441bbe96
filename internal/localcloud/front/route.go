package front

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// target is what a path and a method address.
type target struct {
	id     id.ID // the resource; for a list, the scope or parent it is listed under
	kind   string
	list   bool
	action string // of a POST, as written
}

// The kinds that have no provider in their path.
const (
	subscriptionType = "Microsoft.Resources/subscriptions"
	groupType        = "Microsoft.Resources/resourceGroups"
	providerType     = "Microsoft.Resources/providers"
)

// cleanPath refuses what no resource path may hold: escaped separators, control
// characters, dot segments, bytes that are not UTF-8.
func cleanPath(u *url.URL) (string, bool) {
	escaped := strings.ToLower(u.EscapedPath())
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") || !utf8.ValidString(u.Path) {
		return "", false
	}
	path := "/" + strings.Trim(u.Path, "/")
	for _, r := range path {
		if r < ' ' || r == 0x7f {
			return "", false
		}
	}
	for _, seg := range strings.Split(path[1:], "/") {
		if seg == "" || seg == "." || seg == ".." {
			return "", false
		}
	}
	return path, true
}

// route reads a cleaned path. It knows the grammar of paths, not which types exist.
func route(method, path string) (target, bool) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	leaf := -1
	for n, s := range segments {
		if strings.EqualFold(s, "providers") {
			leaf = n
		}
	}
	if leaf < 0 || leaf == len(segments)-1 {
		return routeCore(method, segments)
	}
	tail := segments[leaf+1:]
	switch {
	case len(tail) == 1:
		return routeNamespace(segments[:leaf], tail[0], "")
	case len(tail) == 2 && method == http.MethodPost:
		return routeNamespace(segments[:leaf], tail[0], tail[1])
	case len(tail)%2 == 1:
		return routeResource(method, segments)
	case method == http.MethodPost:
		return routeAction(segments[:len(segments)-1], segments[len(segments)-1])
	}
	return routeList(segments, len(tail) == 2, leaf)
}

// routeResource also reads "POST {resource}/{word}/{word}" as an action of two words.
func routeResource(method string, segments []string) (target, bool) {
	i, err := id.Parse(strings.Join(segments, "/"))
	if err != nil {
		return target{}, false
	}
	t := target{id: i, kind: i.Type()}
	if method == http.MethodPost && len(segments) > 2 {
		n := len(segments) - 2
		return routeAction(segments[:n], strings.Join(segments[n:], "/"))
	}
	return t, true
}

func routeAction(resource []string, action string) (target, bool) {
	i, err := id.Parse(strings.Join(resource, "/"))
	if err != nil {
		return target{}, false
	}
	return target{id: i, kind: i.Type(), action: action}, true
}

func routeList(segments []string, topLevel bool, leaf int) (target, bool) {
	last := len(segments) - 1
	parent := segments[:last]
	if topLevel {
		parent = segments[:leaf]
	}
	i, err := id.Parse(strings.Join(parent, "/"))
	if err != nil {
		return target{}, false
	}
	kind := segments[leaf+1] + "/" + segments[last]
	if !topLevel {
		kind = i.Type() + "/" + segments[last]
	}
	return target{id: i, kind: kind, list: true}, true
}

// routeNamespace addresses a provider itself: its registration, or a POST verb of
// the namespace, which is served as a type of the verb's name.
func routeNamespace(scope []string, namespace, action string) (target, bool) {
	if action != "" && !strings.EqualFold(action, "register") && !strings.EqualFold(action, "unregister") {
		i, err := id.Parse(strings.Join(scope, "/"))
		return target{id: i, kind: namespace + "/" + action, action: action}, err == nil
	}
	i, err := id.Parse(strings.Join(append(append([]string{}, scope...), "providers", namespace), "/"))
	return target{id: i, kind: providerType, action: action}, err == nil
}

// routeCore reads paths without a provider: tenants, subscriptions, groups and the
// lists directly under them.
func routeCore(method string, segments []string) (target, bool) {
	last := len(segments) - 1
	odd := len(segments)%2 == 1
	parent := segments
	if odd {
		parent = segments[:last]
	}
	i, err := id.Parse(strings.Join(parent, "/"))
	if err != nil {
		return target{}, false
	}
	switch {
	case !odd && i.Type() != "" && len(segments) <= 4:
		return target{id: i, kind: i.Type()}, true
	case odd && method == http.MethodPost && i.Type() != "":
		return target{id: i, kind: i.Type(), action: segments[last]}, true
	case odd && (len(segments) == 1 || i.Type() != ""):
		return target{id: i, kind: "Microsoft.Resources/" + segments[last], list: true}, true
	}
	return target{}, false
}
