package app

import (
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/catalog"
	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

var previewName = regexp.MustCompile(`^[A-Za-z0-9._]+$`)

// preview renders settings from the catalog and the built-in clouds alone.
func preview(r cli.PreviewRequest) ([]cli.PreviewSetting, error) {
	all, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	t, ok := all.Get(r.Target)
	if !ok {
		return nil, problem.New(problem.TargetUnsupported, "", "there is no target %q; %s", r.Target, catalog.OneOf(r.Target, all.Names()))
	}
	cloud, err := previewCloud(r.Cloud)
	if err != nil {
		return nil, err
	}
	if r.Connection != "" && !previewName.MatchString(r.Connection) {
		return nil, problem.New(problem.ConnectionName, "", "%q is not a connection name", r.Connection).
			WithFix("use letters, digits, periods and underscores only")
	}
	if r.AuthType == "" {
		return nil, problem.New(problem.AuthUnsupported, "", "no auth type is given; allowed for %s: %s", t.Name, strings.Join(t.AuthTypes(), ", ")).
			WithFix("add --auth-type %s", t.AuthTypes()[0])
	}
	settings, err := t.PreviewSettings(r.AuthType, r.ClientType, cloud, previewFacts(t, r), catalog.Options{Infix: r.Connection})
	if err != nil {
		return nil, err
	}
	out := make([]cli.PreviewSetting, len(settings))
	for i, s := range settings {
		out[i] = cli.PreviewSetting{Name: s.Name, Value: s.Value.Text, Kind: s.Kind}
	}
	return out, nil
}

// previewFacts are the given facts, with the name of the database user that the
// connection would make when nobody chose one.
func previewFacts(t *catalog.Target, r cli.PreviewRequest) map[string]string {
	facts := map[string]string{}
	for name, value := range r.Facts {
		facts[name] = value
	}
	_, given := facts[catalog.FactUserName]
	if r.Connection != "" && !given && t.DBUser != nil && !strings.EqualFold(r.AuthType, connection.AuthSecret) {
		facts[catalog.FactUserName] = target.UserName(&connection.Connection{Name: r.Connection})
	}
	return facts
}

func previewCloud(name string) (catalog.Cloud, error) {
	if name == "" {
		name = arm.PublicCloud
	}
	c, ok := arm.CloudNamed(name)
	if !ok {
		var names []string
		for _, known := range arm.Clouds() {
			names = append(names, known.Name)
		}
		return catalog.Cloud{}, problem.New(problem.UsageInvalid, "", "there is no cloud %q; %s", name, catalog.OneOf(name, names)).
			WithFix("add --cloud %s", arm.PublicCloud)
	}
	return catalog.Cloud{Name: c.Name, Management: c.ARM, Suffixes: c.Suffixes}, nil
}
