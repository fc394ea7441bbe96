// Package facet holds the drivers of the facet kinds that are not a compute's
// own: role, access, feature, firewall and dbuser, one file per kind.
//
// A driver observes one kind of thing on one type of resource and makes changes
// of it true. It promises to touch nothing but what it is asked to change, to
// treat what is missing as a state, and to be repeatable: writing twice is the
// same as once. It decides nothing, keeps nothing between calls and takes no
// locks.
package facet

import (
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/problem"
)

// markPrefix starts our mark wherever a written thing has room for one.
const markPrefix = "patchbay:"

// markText is the mark of the connection a facet is written for, "" when it names none.
func markText(want connection.Attrs) string {
	if uid := want[connection.AttrMark].Text; uid != "" {
		return markPrefix + uid
	}
	return ""
}

// markOf reads the uid out of a mark; "" when the text is not ours.
func markOf(text string) string {
	uid, ok := strings.CutPrefix(text, markPrefix)
	if !ok {
		return ""
	}
	return uid
}

// known returns a wanted attribute's text, "" while it is a reference.
func known(want connection.Attrs, name string) string {
	if v := want[name]; v.From == nil {
		return v.Text
	}
	return ""
}

// echo reports an attribute in the wanted spelling when only the case differs, so
// that a comparison by text does not see a difference where the service sees none.
func echo(want connection.Attrs, name, seen string) connection.Value {
	if v, ok := want[name]; ok && v.From == nil && strings.EqualFold(v.Text, seen) {
		return v
	}
	return connection.Plain(seen)
}

// restores tells whether a removal puts an earlier state back.
func restores(c plan.Change) bool { return c.Restore != nil && c.Restore.Exists }

// needed returns a wanted attribute or a problem naming what is missing.
func needed(f connection.Facet, name string) (string, error) {
	if text := known(f.Want, name); text != "" {
		return text, nil
	}
	return "", problem.New(problem.Internal, f.Resource, "%s has no %s", f.Key, name).While("write " + string(f.Kind))
}

// foreign refuses a basis another driver made.
func foreign(path string) error {
	return problem.New(problem.Internal, path, "the basis was not read by this driver")
}
