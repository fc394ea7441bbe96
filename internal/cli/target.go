package cli

import (
	"crypto/rand"
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

// check says which options are missing to name the target.
func (t *targetPlace) check() error {
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
	if t.target.ID != "" && t.group == "" {
		missing = append(missing, "--target-resource-group/--tg")
	}
	if t.target.ID == "" {
		return usage("the target is not named: give --target-id")
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
