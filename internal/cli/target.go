package cli

import (
	"crypto/rand"
	"io"
	"math/big"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// targetPlace is how a command line names a backing service.
type targetPlace struct {
	target TargetCommand
	id     string
	group  string
	values map[string]*string
}

func newTargetPlace(f *pflag.FlagSet, target TargetCommand) *targetPlace {
	t := &targetPlace{target: target, values: map[string]*string{}}
	f.StringVar(&t.id, "target-id", "", "Resource `id` of the target, instead of its names.")
	if target.ID == "" {
		t.registerLinkers(f)
		return t
	}
	f.StringVar(&t.group, "target-resource-group", "", "Resource `group` of the target (also --tg).")
	for _, o := range target.Options {
		help := o.Help
		if o.Default != "" {
			help += " Default: " + o.Default + "."
		}
		t.values[o.Name] = f.String(o.Name, "", help)
	}
	return t
}

// registerLinkers adds the options of a target that is named by address.
func (t *targetPlace) registerLinkers(f *pflag.FlagSet) {
	f.Lookup("target-id").Usage = "Address of the target, the same as --" + t.target.Linkers[0].Endpoint + "."
	for _, l := range t.target.Linkers {
		t.values[l.Endpoint] = f.String(l.Endpoint, "", l.Help)
		if l.Name != "" {
			t.values[l.Name] = f.String(l.Name, "", "Name of the key for --"+l.Endpoint+".")
			t.values[l.Secret] = f.String(l.Secret, "", "Secret of the key for --"+l.Endpoint+". It may be @FILE or - (standard input), so that it is no process argument.")
		}
	}
}

// checkLinkers says which of those are missing.
func (t *targetPlace) checkLinkers() error {
	var missing []string
	for i, l := range t.target.Linkers {
		for _, option := range []string{l.Endpoint, l.Name, l.Secret} {
			if option != "" && *t.values[option] == "" && (option != l.Endpoint || i > 0 || t.id == "") {
				missing = append(missing, "--"+option)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return usage("the target is not named: give %s", strings.Join(missing, " and "))
}

// wanted is one connection that a command line asks for.
type wanted struct {
	suffix  string
	service map[string]any
	auth    map[string]any // of its own, nil where the auth options say it
}

// wanted lists the connections that the command line stands for.
func (t *targetPlace) wanted(subscription string, stdin io.Reader) ([]wanted, error) {
	if t.target.ID != "" {
		id, err := t.resourceID(subscription)
		return []wanted{{service: map[string]any{"type": "AzureResource", "id": id}}}, err
	}
	var out []wanted
	for i, l := range t.target.Linkers {
		address := *t.values[l.Endpoint]
		if i == 0 && address == "" {
			address = t.id
		}
		w := wanted{suffix: l.Suffix, service: map[string]any{"type": l.Type, "endpoint": address}}
		if l.Name != "" {
			secret, err := secretValue(*t.values[l.Secret], stdin)
			if err != nil {
				return nil, err
			}
			w.auth = map[string]any{"authType": authSecret, "name": *t.values[l.Name], "secretInfo": map[string]any{"secretType": "rawValue", "value": secret}}
		}
		out = append(out, w)
	}
	return out, nil
}

// open tells whether there is nothing to sign in to.
func (t TargetCommand) open() bool {
	return len(t.AuthTypes) == 1 && t.AuthTypes[0] == "none"
}

// ownAuth tells whether the target's options say who signs in.
func (t TargetCommand) ownAuth() bool { return len(t.Linkers) > 0 && t.Linkers[0].Name != "" }

// check says which options are missing to name the target.
func (t *targetPlace) check() error {
	if t.target.ID == "" {
		return t.checkLinkers()
	}
	if t.id != "" {
		if err := checkID("--target-id", t.id); err != nil {
			return err
		}
		return t.checkType()
	}
	var missing []string
	for _, o := range t.target.Options {
		if *t.values[o.Name] == "" && o.Default == "" {
			missing = append(missing, "--"+o.Name)
		}
	}
	if t.group == "" {
		missing = append(missing, "--target-resource-group/--tg")
	}
	if len(missing) == 0 {
		return nil
	}
	return usage("the target is not named: give %s, or --target-id", strings.Join(missing, " and "))
}

// checkType refuses an id of another kind of target.
func (t *targetPlace) checkType() error {
	if t.target.ID == "" || t.target.matches(t.id) {
		return nil
	}
	return problem.New(problem.TargetUnsupported, t.id, "--target-id is not the id of a %s target", t.target.Name).
		WithFix("an id of this target looks like %s", t.target.ID)
}

// matches tells whether id is one of this target's ids, types compared folded.
func (t TargetCommand) matches(id string) bool {
	if t.ID == "" {
		return false
	}
	pattern := regexp.QuoteMeta(t.ID)
	pattern = regexp.MustCompile(`\\\{[^{}]*\\\}`).ReplaceAllString(pattern, `[^/]+`)
	return regexp.MustCompile(`(?i)^` + pattern + `$`).MatchString(cleanID(id))
}

// resourceID returns the target's id.
func (t *targetPlace) resourceID(subscription string) (string, error) {
	if t.id != "" {
		return cleanID(t.id), nil
	}
	if subscription == "" {
		return "", noSubscription()
	}
	values := map[string]string{"subscription": subscription, "target-resource-group": t.group}
	for _, o := range t.target.Options {
		values[o.Name] = *t.values[o.Name]
		if values[o.Name] == "" {
			values[o.Name] = o.Default
		}
	}
	return fillTemplate(t.target.ID, values), nil
}

// checkClient refuses a client type the target has no settings for.
func (t TargetCommand) checkClient(client string) error {
	if client == "" || contains(t.ClientTypes, client) {
		return nil
	}
	for _, c := range t.ClientTypes {
		if strings.EqualFold(c, client) {
			return nil
		}
	}
	return problem.New(problem.ClientUnsupported, "", "%s has no settings for client type %q; %s",
		t.Name, client, oneOf(client, t.ClientTypes)).WithFix("add --client-type %s", fallbackClient(client, t.ClientTypes))
}

func fallbackClient(given string, allowed []string) string {
	if near := nearest(given, allowed); near != "" {
		return near
	}
	return "none"
}

// spelledClient returns the wire's spelling of a client type given in any case.
func (t TargetCommand) spelledClient(client string) string {
	for _, c := range t.ClientTypes {
		if strings.EqualFold(c, client) {
			return c
		}
	}
	return client
}

// generatedName makes a connection's name as the Azure CLI does: the target's
// letters and five random ones.
func generatedName(target string) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	name := []byte(strings.ReplaceAll(target, "-", "") + "_")
	for range 5 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return "", err
		}
		name = append(name, letters[n.Int64()])
	}
	return string(name), nil
}
