package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// runtimes maps the language words of App Service runtime fields ("PYTHON|3.12")
// to client types.
func runtimes() map[string]string {
	return map[string]string{
		"python": "python", "node": "nodejs", "dotnet": "dotnet", "dotnetcore": "dotnet",
		"dotnet-isolated": "dotnet", "php": "php", "java": "java", "tomcat": "java",
		"jbosseap": "java", "ruby": "ruby", "go": "go",
	}
}

// findClient looks up the client type in the source's runtime; "none" when the
// runtime is unknown or the target has no settings for it. It never fails: a source
// that is not there is the server's to report.
func (o *createOptions) findClient(ctx context.Context, a API, source string) string {
	field, read := o.runtime(ctx, a, source)
	found := clientOfRuntime(field)
	switch {
	case found != "" && contains(o.target.target.ClientTypes, found):
		o.note("the client type is %s, from the runtime of %s", found, shortID(source))
		return found
	case read:
		o.note("the client type is none: the runtime of %s does not tell another; set it with --client-type", shortID(source))
	}
	return "none"
}

// clientOfRuntime maps a runtime field to a client type, or "".
func clientOfRuntime(field string) string {
	language, _, _ := strings.Cut(field, "|")
	return runtimes()[strings.ToLower(strings.TrimSpace(language))]
}

// runtime reads the source's runtime field; read tells whether the source answered.
func (o *createOptions) runtime(ctx context.Context, a API, source string) (field string, read bool) {
	kind := o.source.source
	if len(kind.RuntimeFields) == 0 {
		return "", false
	}
	r, err := a.Raw(ctx, http.MethodGet, source+"?api-version="+url.QueryEscape(kind.APIVersion), nil)
	if err != nil || r.Status != http.StatusOK {
		return "", false
	}
	var body struct {
		Properties map[string]any `json:"properties"`
	}
	if json.Unmarshal(r.Body, &body) != nil {
		return "", false
	}
	for _, field := range kind.RuntimeFields {
		if v := text(body.Properties, strings.Split(field, ".")...); v != "" {
			return v, true
		}
	}
	return "", true
}
