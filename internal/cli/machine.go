package cli

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/patchbay/patchbay/internal/problem"
)

// fileSource begins the ids of sources that are files of this machine.
const fileSource = "/providers/patchbay.files/"

// Compose is the source command of services of Docker Compose files.
func Compose() SourceCommand {
	return SourceCommand{
		Name: "compose", Display: "Compose service", Title: "services of Docker Compose files", PlainOnly: true, Machine: true, Scoped: true,
		Options: []SourceOption{
			{Name: "file", Short: "f", Optional: true, Env: "COMPOSE_FILE", Help: "The Compose `file`. Default: the one of this folder."},
			{Name: "service", Short: "s", Help: "The `name` of the service."},
		},
	}
}

// Process is the source command of programs of this machine that read an env file.
func Process() SourceCommand {
	return SourceCommand{
		Name: "process", Display: "process", Title: "programs of this machine that read an env file", PlainOnly: true, Machine: true,
		Options: []SourceOption{{Name: "env-file", Help: "The env `file` that the settings are kept in."}},
	}
}

// onMachine tells whether an id is that of a file of this machine.
func onMachine(id string) bool { return strings.HasPrefix(strings.ToLower(cleanID(id)), fileSource) }

// machineWord is the command of a file's id.
func machineWord(id string) string {
	if strings.HasPrefix(strings.ToLower(cleanID(id)), fileSource+"composefiles/") {
		return Compose().Name
	}
	return Process().Name
}

// onMachine tells whether the command line names a file of this machine.
func (p *place) onMachine() bool {
	return p.source.Machine || onMachine(p.id) || onMachine(p.sourceID)
}

// here refuses files of this machine where the work is done on another.
func (p *place) here(d Defaults) error {
	if d.InProcess || !p.onMachine() {
		return nil
	}
	return problem.New(problem.SourceUnsupported, "", "the files of this machine can be connected by this machine only, and the context %s leaves the work to a server", d.Context).
		WithFix("choose a context that works in this process, with --context: patchbay context list")
}

// onFiles are the targets that an app without a cloud can sign in to.
func onFiles(targets []TargetCommand) []TargetCommand {
	var out []TargetCommand
	for _, t := range targets {
		if len(t.LocalAuthTypes) == 0 && !t.open() {
			continue
		}
		t.AuthTypes = t.LocalAuthTypes
		t.ServiceEndpoint, t.PrivateEndpoint, t.ConnectionStrings = false, false, false
		out = append(out, t)
	}
	return out
}

// fileFlags say which files beside a Compose file keep a connection's settings.
type fileFlags struct {
	envFile string
	secrets bool
	set     *pflag.FlagSet
}

func (o *fileFlags) register(f *pflag.FlagSet) {
	o.set = f
	f.StringVar(&o.envFile, "env-file", "", "The env `file` that the service is given. Default: .patchbay/SERVICE.env beside the Compose file.")
	f.BoolVar(&o.secrets, "compose-secrets", false, "Keep secret values in files of their own, as Compose secrets; the settings NAME_FILE say where.")
}

// any tells whether one of the options was given.
func (o *fileFlags) any() bool {
	return o.set != nil && (o.set.Changed("env-file") || o.set.Changed("compose-secrets"))
}

// apply writes them into the scope; what was not given stays.
func (o *fileFlags) apply(properties map[string]any) error {
	if !o.any() {
		return nil
	}
	scope, err := url.ParseQuery(text(properties, "scope"))
	if err != nil {
		scope = url.Values{}
	}
	put := func(name, value string) {
		scope.Del(name)
		if value != "" {
			scope.Set(name, value)
		}
	}
	if o.set.Changed("env-file") {
		path := o.envFile
		if path != "" {
			if path, err = filepath.Abs(path); err != nil {
				return usage("--env-file %s: %v", o.envFile, err)
			}
		}
		put("env_file", path)
	}
	if o.set.Changed("compose-secrets") {
		put("secrets", map[bool]string{true: "true"}[o.secrets])
	}
	properties["scope"] = scope.Encode()
	return nil
}

// named is how an example names a source.
func (s SourceCommand) named() string {
	if !s.Machine {
		return "-g GROUP -n NAME"
	}
	var words []string
	for _, o := range s.Options {
		words = append(words, sourceExample(o))
	}
	return strings.Join(words, " ")
}
