package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

const linkerSegment = "/providers/Microsoft.ServiceLinker/linkers/"

// place is how a command line names a source, and perhaps one connection on it.
type place struct {
	source   SourceCommand
	env      func(string) (string, bool)
	sourceID string
	group    string
	values   map[string]*string
	name     string // of the connection
	id       string // of the connection
	files    func(source string, options map[string]string) (string, error)
	near     *bool // set when the command line names a file of this machine
}

// newPlace registers the options that name a source.
func newPlace(s *shell, f *pflag.FlagSet, source SourceCommand) *place {
	p := &place{source: source, env: s.Env, values: map[string]*string{}, files: s.SourceFile, near: &s.here}
	if !source.Machine {
		f.StringVarP(&p.group, "resource-group", "g", "", "Resource `group` of the "+source.Display+".")
	}
	for _, o := range source.Options {
		p.values[o.Name] = f.StringP(o.Name, o.Short, "", o.Help)
	}
	if source.Local {
		return p
	}
	f.StringVar(&p.sourceID, "source-id", "", "Resource `id` of the "+source.Display+", instead of its names.")
	return p
}

// withConnection registers the options that name a connection.
func (p *place) withConnection(f *pflag.FlagSet) *place {
	f.StringVar(&p.name, "connection", "", "The connection's `name`.")
	f.StringVar(&p.id, "id", "", "Resource `id` of the connection, instead of source and name.")
	return p
}

// given tells whether any option names a source.
func (p *place) given() bool {
	if p.sourceID != "" || p.group != "" {
		return true
	}
	for _, v := range p.values {
		if *v != "" {
			return true
		}
	}
	return false
}

// fill takes defaults from the environment, as "az configure --defaults" users have them.
func (p *place) fill() {
	take := func(to *string, name string) {
		if v, ok := p.env(name); *to == "" && name != "" && ok {
			*to = v
		}
	}
	take(&p.group, "AZURE_DEFAULTS_GROUP")
	for _, o := range p.source.Options {
		take(p.values[o.Name], o.Env)
	}
}

// checkSource says which options are missing to name a source.
func (p *place) checkSource() error {
	*p.near = *p.near || p.onMachine()
	if p.sourceID != "" {
		return checkID("--source-id", p.sourceID)
	}
	p.fill()
	var missing []string
	for _, o := range p.source.Options {
		if *p.values[o.Name] == "" && !o.Optional {
			missing = append(missing, optionName(o.Name, o.Short))
		}
	}
	if p.group == "" && !p.source.Machine {
		missing = append(missing, "--resource-group/-g")
	}
	if len(missing) == 0 {
		return nil
	}
	if p.source.Local {
		return usage("the connection's place is not named: give %s", strings.Join(missing, " and "))
	}
	return usage("the %s is not named: give %s, or --source-id", p.source.Display, strings.Join(missing, " and "))
}

// checkConnection says what is missing to name one connection.
func (p *place) checkConnection() error {
	var c complaints
	if p.id != "" {
		*p.near = *p.near || p.onMachine()
		if _, _, err := splitConnection(p.id); err != nil {
			return err
		}
		return nil
	}
	c.add(p.checkSource())
	if p.name == "" {
		c.add(usage("the connection is not named: give --connection, or --id instead of all"))
	} else {
		c.add(checkName(p.name))
	}
	return c.err("")
}

// sourceOf returns the source's resource id; subscription fills the gap.
func (p *place) sourceOf(subscription string) (string, error) {
	if p.sourceID != "" {
		return cleanID(p.sourceID), nil
	}
	if p.source.Machine {
		options := map[string]string{}
		for name, v := range p.values {
			options[name] = *v
		}
		return p.files(p.source.Name, options)
	}
	if subscription == "" {
		return "", noSubscription()
	}
	values := map[string]string{"subscription": subscription, "resource-group": p.group}
	template := p.source.ID
	for _, o := range p.source.Options {
		values[o.Name] = *p.values[o.Name]
		if o.Part != "" && values[o.Name] != "" {
			template += o.Part
		}
	}
	return fillTemplate(template, values), nil
}

// connectionOf returns the connection's resource id.
func (p *place) connectionOf(subscription string) (string, error) {
	if p.id != "" {
		return cleanID(p.id), nil
	}
	source, err := p.sourceOf(subscription)
	if err != nil {
		return "", err
	}
	return source + p.source.segment() + p.name, nil
}

func noSubscription() error {
	return problem.New(problem.NoContext, "", "no subscription is known").
		WithFix("give --subscription ID, or run `patchbay local start`")
}

func optionName(name, short string) string {
	if short == "" {
		return "--" + name
	}
	return "--" + name + "/-" + short
}

// fillTemplate replaces {name} by its value. Names without a value stay as they are.
func fillTemplate(template string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// cleanID gives an id exactly one leading slash and no trailing one.
func cleanID(id string) string { return "/" + strings.Trim(strings.TrimSpace(id), "/") }

// checkID refuses what cannot be a resource id.
func checkID(option, id string) error {
	parts := strings.Split(cleanID(id)[1:], "/")
	ok := len(parts) >= 8 && len(parts)%2 == 0 && strings.EqualFold(parts[0], "subscriptions") || onMachine(id) && len(parts)%2 == 0
	for _, part := range parts {
		ok = ok && part != "" && !strings.ContainsAny(part, " ?#{}\\\"\t\n")
	}
	if !ok {
		return problem.New(problem.PathMalformed, "", "%s is not a resource id: %q", option, id).
			WithFix("write it like /subscriptions/SUB/resourceGroups/GROUP/providers/Microsoft.Web/sites/NAME")
	}
	return nil
}

// splitConnection parts a connection's id into its source and name.
func splitConnection(id string) (source, name string, err error) {
	clean := cleanID(id)
	if at := localName(clean); at > 0 && checkID("--id", clean) == nil {
		return clean[:at-len(connectorSegment)], clean[at:], nil
	}
	i := strings.LastIndex(strings.ToLower(clean), strings.ToLower(linkerSegment))
	if i <= 0 || strings.Contains(clean[i+len(linkerSegment):], "/") || checkID("--id", clean[:i]) != nil {
		return "", "", problem.New(problem.PathMalformed, "", "--id is not a connection's id: %q", id).
			WithFix("write it as `patchbay webapp connection list --query \"[].id\"` prints it")
	}
	return clean[:i], clean[i+len(linkerSegment):], nil
}

// checkName holds a connection's name to what the service accepts.
func checkName(name string) error {
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && !(r >= '0' && r <= '9') && r != '.' && r != '_' {
			return problem.New(problem.ConnectionName, "", "%q cannot be a connection's name: letters, digits, '.' and '_' only", name)
		}
	}
	return nil
}

// lastName is the last segment of a resource id: what a person calls the thing.
func lastName(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// shortID is an id for people: the names after the provider, without the types.
func shortID(id string) string {
	lower := strings.ToLower(id)
	i := strings.LastIndex(lower, "/providers/")
	if i < 0 {
		return lastName(id)
	}
	var names []string
	for j, part := range strings.Split(id[i+len("/providers/"):], "/") {
		if j >= 2 && j%2 == 0 {
			names = append(names, part)
		}
	}
	if len(names) == 0 {
		return lastName(id)
	}
	return strings.Join(names, "/")
}

// connectionLabel names a connection for people: "conn1 (app1)".
func connectionLabel(id string) string {
	source, name, err := splitConnection(id)
	if err != nil {
		return id
	}
	return fmt.Sprintf("%s (%s)", name, shortID(source))
}
