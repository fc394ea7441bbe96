// Package compose joins services of Docker Compose files to backing services: settings
// go to an env file, and the service is made to read it.
//
// It promises that a user's YAML is edited, not written anew: every byte outside the words
// we add stays, comments, anchors and line ends included, and taking our words away gives
// the bytes back. An edit that would change what any other part of the file means is
// refused. Values never enter the YAML. It knows nothing of any cloud.
package compose

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// Members of a connection's scope.
const (
	scopeEnvFile = "env_file"
	scopeSecrets = "secrets"
)

// Scope is what a connection's scope says about the files beside a Compose file.
type Scope struct {
	EnvFile string // absolute; "" is .patchbay/SERVICE.env beside the Compose file
	Secrets bool   // secret values go into files of their own, as Compose secrets
}

// ParseScope reads a scope: members as in the query of a URL.
func ParseScope(text string) (Scope, error) {
	values, err := url.ParseQuery(text)
	var s Scope
	for name := range values {
		switch name {
		case scopeEnvFile:
			s.EnvFile = values.Get(name)
		case scopeSecrets:
			s.Secrets = values.Get(name) == "true"
		default:
			err = url.InvalidHostError(name)
		}
	}
	if err != nil || s.EnvFile != "" && !filepath.IsAbs(s.EnvFile) {
		return s, problem.New(problem.OptionUnsupported, "", "the scope %q says nothing about a Compose file", text).
			WithFix("give --env-file and --compose-secrets")
	}
	return s, nil
}

// service is one service of one file.
type service struct{ file, name string }

func serviceOf(source string) (service, error) {
	names, err := connection.FileNames(connection.TypeComposeService, source)
	if err != nil || !filepath.IsAbs(names[0]) {
		return service{}, &problem.Error{Code: problem.PathMalformed, Attempt: "read source", Resource: source, Cause: err}
	}
	return service{names[0], names[1]}, nil
}

// folder is where our own files lie.
func (s service) folder() string { return filepath.Join(filepath.Dir(s.file), ".patchbay") }

// shown is a path as it stands in the Compose file: from that file's folder where it can be.
func (s service) shown(path string) string {
	if rel, err := filepath.Rel(filepath.Dir(s.file), path); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "./" + filepath.ToSlash(rel)
	}
	return path
}

// absolute is a path that stands in the Compose file.
func (s service) absolute(entry string) string {
	if !filepath.IsAbs(entry) {
		entry = filepath.Join(filepath.Dir(s.file), filepath.FromSlash(entry))
	}
	return filepath.Clean(entry)
}

// reaches tells whether a path in the Compose file means another.
func (s service) reaches(entry, path string) bool {
	return s.absolute(entry) == filepath.Clean(path)
}

// attrNames lists the settings that an entry makes the service read.
const attrNames = "names"

// Prefixes of the names of the facets that are entries of a service.
const (
	entryEnvFile = "env_file "
	entrySecret  = "secret "
)

// Place moves the settings of a service's connection to its files and adds the entries
// that make the service read them. Other connections' facets stay as they are.
func Place(c *connection.Connection, facets []connection.Facet) ([]connection.Facet, error) {
	if connection.TypeOf(c.Source) != connection.TypeComposeService {
		return facets, nil
	}
	at, err := serviceOf(c.Source)
	if err != nil {
		return nil, err
	}
	scope, err := ParseScope(c.Properties.Scope)
	if err != nil {
		return nil, err
	}
	p := &placing{at: at, source: c.Source, env: scope.EnvFile, secrets: scope.Secrets}
	if p.env == "" {
		p.env = filepath.Join(at.folder(), at.name+".env")
	}
	for _, f := range facets {
		p.place(f)
	}
	return p.finish(), nil
}

// placing is the work of Place.
type placing struct {
	at      service
	source  string
	env     string
	secrets bool
	out     []connection.Facet
	written []connection.Key // what the service reads
	names   []string
}

func (p *placing) place(f connection.Facet) {
	if f.Kind != connection.KindSetting || !strings.EqualFold(f.Resource, p.source) {
		p.out = append(p.out, f)
		return
	}
	if value := f.Want[connection.AttrValue]; p.secrets && value.Secret {
		f = p.secret(f)
	}
	f.Resource = connection.FileID(connection.TypeComposeEnvFile, p.env)
	p.written, p.names = append(p.written, f.Key), append(p.names, f.Name)
	p.out = append(p.out, f)
}

// secret puts a value into a file that the service mounts, and returns the setting that
// says where it is. Both entries of the service go into one file at once, so that setting
// waits for neither.
func (p *placing) secret(f connection.Facet) connection.Facet {
	folder := filepath.Join(p.at.folder(), "secrets", p.at.name)
	name := p.at.name + "_" + f.Name
	value := f
	value.Resource = connection.FileID(connection.TypeSecretFolder, folder)
	entry := connection.Facet{Key: connection.Key{Kind: connection.KindObject, Resource: p.source, Name: entrySecret + name},
		Want:  connection.Attrs{connection.AttrValue: connection.Plain(p.at.shown(filepath.Join(folder, f.Name)))},
		After: []connection.Key{value.Key}}
	p.out = append(p.out, value, entry)
	f.Name += "_FILE"
	f.Want = connection.Attrs{connection.AttrValue: connection.Plain("/run/secrets/" + name)}
	return f
}

func (p *placing) finish() []connection.Facet {
	if len(p.written) == 0 {
		return p.out
	}
	shown := p.at.shown(p.env)
	return append(p.out, connection.Facet{
		Key: connection.Key{Kind: connection.KindObject, Resource: p.source, Name: entryEnvFile + shown},
		Want: connection.Attrs{connection.AttrValue: connection.Plain(shown),
			attrNames: connection.Plain(strings.Join(p.names, ","))},
		After: p.written,
	})
}
