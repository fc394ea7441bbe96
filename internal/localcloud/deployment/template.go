package deployment

import (
	"strings"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// step is one resource of a template, ready to be written.
type step struct {
	id, kind, name, apiVersion string
	body                       provider.Document
	after                      []string // folded ids of what must come first
}

// envelopeMembers are the members of a template resource that are not part of its body.
var envelopeMembers = map[string]bool{"type": true, "name": true, "apiversion": true, "dependson": true,
	"resources": true, "scope": true, "condition": true, "comments": true, "metadata": true}

// steps evaluates a template's resources and puts them in an order that keeps
// every dependsOn.
func (s *scope) steps(template map[string]any) ([]step, error) {
	list, ok := template["resources"].([]any)
	if !ok && template["resources"] != nil {
		return nil, invalid("resources must be an array")
	}
	var all []step
	var waiting [][]string // the dependsOn of each step, as written
	if err := s.collect(list, nil, &all, &waiting); err != nil {
		return nil, err
	}
	for n := range all {
		for _, wish := range waiting[n] {
			found := match(all, wish)
			if found == nil {
				return nil, invalid("The resource '%s' is not defined in the template", wish)
			}
			all[n].after = append(all[n].after, found...)
		}
	}
	return order(all)
}

// collect adds resources and the children nested in them.
func (s *scope) collect(list []any, parent *step, all *[]step, waiting *[][]string) error {
	for _, item := range list {
		raw, ok := item.(map[string]any)
		if !ok {
			return invalid("A resource must be an object")
		}
		if _, copied := raw["copy"]; copied {
			return invalid("copy is not supported by this cloud")
		}
		children, _ := raw["resources"].([]any)
		own := map[string]any{}
		for k, v := range raw {
			if k != "resources" {
				own[k] = v
			}
		}
		v, err := s.evaluate(own)
		if err != nil {
			return err
		}
		st, wishes, skip, err := s.read(v.(map[string]any), parent)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		*all, *waiting = append(*all, st), append(*waiting, wishes)
		if err := s.collect(children, &st, all, waiting); err != nil {
			return err
		}
	}
	return nil
}

// read turns one evaluated resource into a step.
func (s *scope) read(r map[string]any, parent *step) (st step, wishes []string, skip bool, err error) {
	st.kind, _ = r["type"].(string)
	st.name, _ = r["name"].(string)
	st.apiVersion, _ = r["apiVersion"].(string)
	if st.kind == "" || st.name == "" || st.apiVersion == "" {
		return st, nil, false, invalid("A resource needs type, name and apiVersion")
	}
	if on, ok := r["condition"].(bool); ok && !on {
		return st, nil, true, nil
	}
	if parent != nil {
		if !strings.Contains(st.kind, "/") || !strings.HasPrefix(id.Fold(st.kind), id.Fold(parent.kind)+"/") {
			st.kind, st.name = parent.kind+"/"+st.kind, parent.name+"/"+st.name
		}
		st.after = []string{id.Fold(parent.id)}
	}
	at, _ := r["scope"].(string)
	if at == "" {
		at = "/subscriptions/" + s.subscriptionID + "/resourceGroups/" + s.groupName
	} else if !strings.HasPrefix(id.Fold(at), "/subscriptions/") {
		if at, err = scopeID(s, at); err != nil {
			return st, nil, false, err
		}
	}
	if st.id, err = typedID(at, st.kind, strings.Split(st.name, "/")); err != nil {
		return st, nil, false, invalid("The template resource '%s' has an incorrect segment length: %v", st.name, err)
	}
	st.body = provider.Document{}
	for k, v := range r {
		if !envelopeMembers[strings.ToLower(k)] {
			st.body[k] = v
		}
	}
	list, _ := r["dependsOn"].([]any)
	for _, wish := range list {
		wishes = append(wishes, textOf(wish))
	}
	return st, wishes, false, nil
}

// scopeID reads the short form of a scope: type and names in turn, as in
// "Microsoft.Storage/storageAccounts/name".
func scopeID(s *scope, at string) (string, error) {
	full := "/subscriptions/" + s.subscriptionID + "/resourceGroups/" + s.groupName + "/providers/" + strings.Trim(at, "/")
	if _, err := id.Parse(full); err != nil {
		return "", invalid("The scope '%s' is not valid", at)
	}
	return full, nil
}

// match finds what a dependsOn names: an id, "type/name", or a bare name.
func match(all []step, wish string) []string {
	var found []string
	for _, st := range all {
		if id.Equal(st.id, wish) || strings.EqualFold(st.kind+"/"+st.name, wish) || strings.EqualFold(st.name, wish) {
			found = append(found, id.Fold(st.id))
		}
	}
	return found
}

// order sorts steps so that each comes after what it waits for, otherwise in the
// order they are written.
func order(all []step) ([]step, error) {
	var sorted []step
	done := map[string]bool{}
	for len(sorted) < len(all) {
		before := len(sorted)
		for _, st := range all {
			if !done[id.Fold(st.id)] && ready(st, done) {
				done[id.Fold(st.id)] = true
				sorted = append(sorted, st)
			}
		}
		if len(sorted) == before {
			return nil, invalid("Circular dependency detected, or a resource is defined more than once")
		}
	}
	return sorted, nil
}

func ready(st step, done map[string]bool) bool {
	for _, a := range st.after {
		if !done[a] {
			return false
		}
	}
	return true
}
