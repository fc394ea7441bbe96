package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// TargetBinding says under which names the bindings of a function app read a target's
// settings: the binding's name, and what follows it.
type TargetBinding struct {
	AuthTypes, ClientTypes []string                 // wire names; the first client type is taken where none is asked for
	Names                  map[string]string        // what follows, by the setting's own name
	Shared                 map[string]string        // what replaces some of them where several services share a name
	Add                    map[string]string        // further settings; {clientId} in them is the identity's
	Tells                  map[string]TargetTelling // further settings, from the target itself
	Roles                  []string                 // in place of the defaults
}

// TargetTelling is a value made of a member of the target's document, which stands for {}.
type TargetTelling struct{ At, Value string }

// bindingFlags are the options about bindings.
type bindingFlags struct {
	name   string
	shared bool
}

// hostStorage begins the names of the settings that the Functions host keeps its own state by.
const hostStorage = "AzureWebJobsStorage"

// bindingNames are what a binding's connection can be called: a setting's name, which the
// runtime cuts at double underscores.
var bindingNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$`)

// withBindings registers the options where the source's bindings can use the target.
func (p *propertyFlags) withBindings(f *pflag.FlagSet, source SourceCommand) {
	if !source.Bindings || len(p.target.Bindings) == 0 {
		return
	}
	f.StringVar(&p.binding.name, "binding", "", "Write the settings under the names that triggers and bindings read whose connection is this `name`.")
	if p.target.sharesBindings() {
		f.BoolVar(&p.binding.shared, "shared-binding", false, "Connections to several services share the binding's name, as those of blob triggers do. Implied by the name "+hostStorage+".")
	}
}

func (t TargetCommand) sharesBindings() bool {
	for _, b := range t.Bindings {
		if len(b.Shared) > 0 {
			return true
		}
	}
	return false
}

func (p *propertyFlags) checkBinding() error {
	if p.binding.shared && p.binding.name == "" {
		return usage("--shared-binding goes with --binding")
	}
	if p.binding.name != "" && !bindingNames.MatchString(p.binding.name) {
		return usage("--binding %q is no name of a connection: letters, digits and single underscores, a letter first", p.binding.name)
	}
	return nil
}

// bindingFor finds how bindings sign in the way the linker does.
func (t TargetCommand) bindingFor(auth string) (TargetBinding, error) {
	var all []string
	for _, b := range t.Bindings {
		if contains(b.AuthTypes, auth) {
			return b, nil
		}
		for _, wire := range b.AuthTypes {
			if o, ok := authByWire(wire); ok {
				all = append(all, "--"+o.Name)
			}
		}
	}
	return TargetBinding{}, problem.New(problem.AuthUnsupported, "", "bindings cannot sign in to %s that way", t.Name).
		WithFix("add %s", strings.Join(unique(all), " or "))
}

func unique(list []string) []string {
	var out []string
	for _, one := range list {
		if !contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// bindingClient is the client type that has what the binding reads: the one asked for, or
// the first there is.
func (p *propertyFlags) bindingClient(auth string) error {
	if p.binding.name == "" {
		return nil
	}
	b, err := p.target.bindingFor(auth)
	if err != nil {
		return err
	}
	if p.clientType == "" {
		p.clientType = b.ClientTypes[0]
	}
	if asked := p.target.spelledClient(p.clientType); p.configConnstr || !contains(b.ClientTypes, asked) {
		return problem.New(problem.ClientUnsupported, "", "bindings read the settings of %s, not of %s", strings.Join(b.ClientTypes, ", "), asked).
			WithFix("add --client-type %s", b.ClientTypes[0])
	}
	return nil
}

// bind puts the names of a binding into a linker: its settings get others, and further
// settings go with them.
func (s *shell) bind(ctx context.Context, a API, p *propertyFlags, properties map[string]any) error {
	if p.binding.name == "" {
		return nil
	}
	b, err := p.target.bindingFor(text(properties, "authInfo", "authType"))
	if err != nil {
		return err
	}
	info := member(properties, "configurationInfo")
	p.target.unbind(info)
	names := member(info, "customizedKeys")
	shared := p.binding.shared || strings.EqualFold(p.binding.name, hostStorage)
	for setting, after := range b.Names {
		if other, ok := b.Shared[setting]; ok && shared {
			after = other
		}
		names[setting] = p.binding.name + after
	}
	for after, value := range b.Add {
		member(info, "additionalConfigurations")[p.binding.name+after] = strings.ReplaceAll(value, "{clientId}", text(properties, "authInfo", "clientId"))
	}
	for after, told := range b.Tells {
		value, err := s.told(ctx, a, p.target, text(properties, "targetService", "id"), told)
		if err != nil {
			return err
		}
		member(info, "additionalConfigurations")[p.binding.name+after] = value
	}
	if auth := member(properties, "authInfo"); len(b.Roles) > 0 && auth["roles"] == nil {
		auth["roles"] = b.Roles
		s.note("the identity is granted %s, which bindings need", strings.Join(b.Roles, ", "))
	}
	return nil
}

// unbind takes away what an earlier binding put there, which may have signed in otherwise.
func (t TargetCommand) unbind(info map[string]any) {
	names, _ := info["customizedKeys"].(map[string]any)
	further, _ := info["additionalConfigurations"].(map[string]any)
	for _, b := range t.Bindings {
		for setting := range b.Names {
			delete(names, setting)
		}
		for name := range further {
			for after := range b.Add {
				if strings.HasSuffix(name, after) {
					delete(further, name)
				}
			}
			for after := range b.Tells {
				if strings.HasSuffix(name, after) {
					delete(further, name)
				}
			}
		}
	}
}

// told reads a member of the target's document.
func (s *shell) told(ctx context.Context, a API, t TargetCommand, id string, told TargetTelling) (string, error) {
	r, err := a.Raw(ctx, http.MethodGet, id+"?api-version="+url.QueryEscape(t.APIVersion), nil)
	if err != nil {
		return "", err
	}
	var doc map[string]any
	if r.Status == http.StatusOK {
		_ = json.Unmarshal(r.Body, &doc) // what is not there is told below
	}
	value := text(doc, strings.Split(told.At, ".")...)
	if value == "" {
		return "", problem.New(problem.TargetUnreadable, id, "the binding's settings need %s of the target, which was not told (%d)", told.At, r.Status)
	}
	return strings.ReplaceAll(told.Value, "{}", value), nil
}

// warnOfHost tells when a linker writes what the Functions host itself works by.
func (s *shell) warnOfHost(source SourceCommand, properties map[string]any) {
	if !source.Bindings {
		return
	}
	info, _ := properties["configurationInfo"].(map[string]any)
	for _, kind := range []string{"customizedKeys", "additionalConfigurations"} {
		names, _ := info[kind].(map[string]any)
		for key, value := range names {
			name := key
			if kind == "customizedKeys" {
				name, _ = value.(string)
			}
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(hostStorage)) {
				s.line("%s %s", s.paint(amber, "warning:"), "this writes "+hostStorage+" settings, which the Functions host keeps its keys, leases and triggers by: "+
					"with a wrong one no function runs. The host needs the blob and queue services of one account, and the roles for both.")
				return
			}
		}
	}
}
