package containerapp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// draft is an app's template and secrets as they are to be. The documents it was made
// from do not change.
type draft struct {
	app     map[string]any // as it was read
	secrets []any          // as listSecrets shows them
	was     struct{ containers, secrets []any }
	kinds   map[string][]any // containers and initContainers
	touched map[string]bool  // secrets whose value is another one
}

// The two arrays of containers in a template.
var containerKinds = []string{"containers", "initContainers"}

func newDraft(app map[string]any, secrets []any) *draft {
	d := &draft{app: app, secrets: list(clone(secrets)), kinds: map[string][]any{}, touched: map[string]bool{}}
	d.was.secrets = secrets
	for _, kind := range containerKinds {
		d.kinds[kind] = list(clone(list(at(app, "properties", "template", kind))))
	}
	return d
}

// clone copies what came from JSON.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = clone(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n, item := range v {
			out[n] = clone(item)
		}
		return out
	}
	return v
}

// container finds a container or an init container; "" is the first.
func (d *draft) container(name string) map[string]any { return containerIn(d.kinds, name) }

func containerIn(kinds map[string][]any, name string) map[string]any {
	for _, kind := range containerKinds {
		for _, c := range kinds[kind] {
			if name == "" || strings.EqualFold(text(c, "name"), name) {
				return members(c)
			}
		}
	}
	return nil
}

// entry is what one variable is to be: a text in the open or in a secret. ref names the
// secret it was in before, if any.
type entry struct {
	value  string
	secret bool
	ref    string
}

// put makes a variable of a container an entry, at its place among the others.
func (d *draft) put(container map[string]any, name string, want entry) error {
	env, n := variable(container, name)
	old := ""
	next := map[string]any{"name": name, "value": want.value}
	if n >= 0 {
		old = text(env[n], "secretRef")
	}
	if want.secret && want.value != "" { // no secret can be empty
		ref := d.chooseSecret(container, name, old, want)
		if err := d.keep(ref, want.value); err != nil {
			return err
		}
		next = map[string]any{"name": name, "secretRef": ref}
	}
	if n >= 0 {
		env[n] = next
	} else {
		env = append(env, next)
	}
	container["env"] = env
	d.dropSecret(container, name, old)
	return nil
}

// drop takes a variable away.
func (d *draft) drop(container map[string]any, name string) {
	env, n := variable(container, name)
	if n < 0 {
		return
	}
	old := text(env[n], "secretRef")
	if env = slices.Delete(env, n, n+1); len(env) == 0 {
		delete(container, "env")
	} else {
		container["env"] = env
	}
	d.dropSecret(container, name, old)
}

// variable finds a variable by its name, in which case counts; n is -1 when there is none.
func variable(container map[string]any, name string) (env []any, n int) {
	env = list(container["env"])
	return env, slices.IndexFunc(env, func(e any) bool { return text(e, "name") == name })
}

// chooseSecret names the secret of a variable: the one it was in or is in, unless that is
// shared with something else, or one called after the variable.
func (d *draft) chooseSecret(container map[string]any, name, old string, want entry) string {
	if want.ref != "" && (!d.exists(want.ref) || d.uses(want.ref) == 0 || want.ref == old && d.uses(old) == 1 || d.value(want.ref) == want.value) {
		return want.ref
	}
	if old != "" && d.uses(old) == 1 {
		return old
	}
	for _, mine := range ownNames(container, name) {
		if !d.exists(mine) || d.uses(mine) == 0 && d.value(mine) == want.value {
			return mine
		}
	}
	return ownNames(container, name)[1]
}

// ownNames are what the secret of a variable is called: after the variable, and with a
// mark of the container where that is taken.
func ownNames(container map[string]any, name string) [2]string {
	sum := sha256.Sum256([]byte(text(container, "name") + "/" + name))
	plain := secretName(name)
	return [2]string{plain, plain + "-" + hex.EncodeToString(sum[:4])}
}

// secretName turns a setting's name into one that a secret can have.
func secretName(setting string) string {
	const longest = 200 // room for the mark: names have 253 characters at most
	word := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, setting), "-")
	if len(word) > longest {
		word = strings.TrimRight(word[:longest], "-")
	}
	if word == "" {
		return "setting"
	}
	return word
}

func (d *draft) index(secret string) int {
	return slices.IndexFunc(d.secrets, func(s any) bool { return text(s, "name") == secret })
}

func (d *draft) exists(secret string) bool { return d.index(secret) >= 0 }

func (d *draft) value(secret string) string { return valueOf(d.secrets, secret) }

// keep gives a secret a value, or the place in a vault that a value stands for.
func (d *draft) keep(secret, value string) error {
	next := map[string]any{"name": secret, "value": value}
	if uri, ok := vaultURI(value); ok {
		who := d.reader()
		if who == "" {
			return fmt.Errorf("the app has no identity that could read the vault")
		}
		next = map[string]any{"name": secret, "keyVaultUrl": uri, "identity": who}
	}
	n := d.index(secret)
	switch {
	case n < 0:
		d.secrets = append(d.secrets, next)
	case d.value(secret) != value:
		d.secrets[n] = next
		d.touched[secret] = true
	}
	return nil
}

// reader is the identity that secrets in a vault are read with, as a secret names it.
func (d *draft) reader() string {
	if strings.Contains(text(d.app, "identity", "type"), "SystemAssigned") {
		return "system"
	}
	users := slices.Sorted(maps.Keys(members(at(d.app, "identity", "userAssignedIdentities"))))
	if len(users) == 0 {
		return ""
	}
	return users[0]
}

// dropSecret takes a secret away that was a variable's own and is nobody's any more.
func (d *draft) dropSecret(container map[string]any, name, secret string) {
	mine := ownNames(container, name)
	if n := d.index(secret); n >= 0 && slices.Contains(mine[:], secret) && d.uses(secret) == 0 {
		d.secrets = slices.Delete(d.secrets, n, n+1)
	}
}

// uses counts where a secret is named, in the containers as they are to be and in
// everything else of the app.
func (d *draft) uses(secret string) int {
	n := 0
	for _, kind := range containerKinds {
		n += mentions(d.kinds[kind], secret)
	}
	for name, part := range members(at(d.app, "properties", "template")) {
		if !slices.Contains(containerKinds, name) {
			n += mentions(part, secret)
		}
	}
	for name, part := range members(at(d.app, "properties", "configuration")) {
		if name != "secrets" {
			n += mentions(part, secret)
		}
	}
	return n
}

// mentions counts the references to a secret within a part of a document: every service
// spells the member differently (secretRef, passwordSecretRef, clientSecretSettingName).
func mentions(part any, secret string) int {
	n := 0
	switch v := part.(type) {
	case map[string]any:
		for name, member := range v {
			word, isText := member.(string)
			refers := strings.HasSuffix(strings.ToLower(name), "secretref") || strings.HasSuffix(name, "SettingName")
			if isText && refers && word == secret {
				n++
			}
			if !isText {
				n += mentions(member, secret)
			}
		}
	case []any:
		for _, item := range v {
			n += mentions(item, secret)
		}
	}
	return n
}

// Values that stand for a secret in a vault, as settings spell them everywhere.
const vaultPrefix, vaultSuffix = "@Microsoft.KeyVault(SecretUri=", ")"

func vaultURI(value string) (string, bool) {
	uri, ok := strings.CutPrefix(value, vaultPrefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(uri, vaultSuffix)
}

// valueOf is what a secret comes to.
func valueOf(secrets []any, name string) string {
	for _, s := range secrets {
		if text(s, "name") == name {
			if uri := text(s, "keyVaultUrl"); uri != "" {
				return vaultPrefix + uri + vaultSuffix
			}
			return text(s, "value")
		}
	}
	return ""
}

// template is the part of a write that makes a revision; nil when the containers are as
// they were. A suffix that names a revision already is not sent again.
func (d *draft) template() map[string]any {
	out := map[string]any{}
	for _, kind := range containerKinds {
		if before := list(at(d.app, "properties", "template", kind)); !same(before, d.kinds[kind]) {
			out[kind] = d.kinds[kind]
		}
	}
	if len(out) == 0 {
		return nil
	}
	if text(d.app, "properties", "template", "revisionSuffix") != "" {
		out["revisionSuffix"] = nil
	}
	return out
}

// secretsChanged tells whether the secrets are to be written.
func (d *draft) secretsChanged() bool { return !same(d.was.secrets, d.secrets) }

func same(a, b []any) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// removed are the secrets that were there and are not to be any more.
func (d *draft) removed() []any {
	var gone []any
	for _, s := range d.was.secrets {
		if !d.exists(text(s, "name")) {
			gone = append(gone, s)
		}
	}
	return gone
}
