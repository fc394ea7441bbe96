package directory

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// graphFilters are the forms of $filter that clients use to look a principal up,
// with how the quoted value is compared.
var graphFilters = []struct {
	form  *regexp.Regexp
	match func(p provider.Principal, value string) bool
}{
	{regexp.MustCompile(`(?i)^servicePrincipalNames/any\((\w+):\s*\w+ eq '([^']*)'\)$`), byClientID},
	{regexp.MustCompile(`(?i)^(appId) eq '([^']*)'$`), byClientID},
	{regexp.MustCompile(`(?i)^(id) eq '([^']*)'$`), byObjectID},
	{regexp.MustCompile(`(?i)^(displayName) eq '([^']*)'$`), byName},
	{regexp.MustCompile(`(?i)^startswith\((displayName),\s*'([^']*)'\)$`), byPrefix},
}

func byClientID(p provider.Principal, v string) bool { return strings.EqualFold(p.ClientID, v) }
func byObjectID(p provider.Principal, v string) bool { return strings.EqualFold(p.ObjectID, v) }
func byName(p provider.Principal, v string) bool     { return strings.EqualFold(p.DisplayName, v) }
func byPrefix(p provider.Principal, v string) bool {
	return strings.HasPrefix(strings.ToLower(p.DisplayName), strings.ToLower(v))
}

var keyedByApp = regexp.MustCompile(`(?i)^servicePrincipals\(appId='([^']*)'\)$`)

// graph answers the few directory reads that command line clients make.
func (d *Directory) graph(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller, err := d.Verify(token, d.opts.URL)
	if err != nil {
		code := "InvalidAuthenticationToken"
		writeGraphError(w, http.StatusUnauthorized, code, "Access token validation failure: "+reason(err))
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1.0/")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case strings.EqualFold(path, "me"):
		d.graphOne(w, byObjectID, caller.ObjectID)
	case strings.EqualFold(path, "directoryObjects/getByIds") && r.Method == http.MethodPost:
		d.graphByIDs(w, r)
	case r.Method != http.MethodGet:
		writeGraphError(w, http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
	case keyedByApp.MatchString(path):
		d.graphOne(w, byClientID, keyedByApp.FindStringSubmatch(path)[1])
	case len(segments) == 1 && graphKinds[strings.ToLower(segments[0])] != nil:
		d.graphList(w, r, graphKinds[strings.ToLower(segments[0])])
	case len(segments) == 2 && graphKinds[strings.ToLower(segments[0])] != nil:
		d.graphOne(w, byObjectID, segments[1])
	default:
		writeGraphError(w, http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+path+"' does not exist.")
	}
}

var graphKinds = map[string]func(provider.Principal) bool{
	"serviceprincipals": func(p provider.Principal) bool { return p.Kind != User },
	"users":             func(p provider.Principal) bool { return p.Kind == User },
	"directoryobjects":  func(provider.Principal) bool { return true },
}

func reason(err error) string {
	if errors.Is(err, ErrExpired) {
		return "Lifetime validation failed, the token is expired."
	}
	return "the token is not valid for this endpoint."
}

func (d *Directory) graphOne(w http.ResponseWriter, match func(provider.Principal, string) bool, value string) {
	p, ok := d.Find(func(p provider.Principal) bool { return match(p, value) })
	if !ok {
		writeGraphError(w, http.StatusNotFound, "Request_ResourceNotFound",
			"Resource '"+value+"' does not exist or one of its queried reference-property objects are not present.")
		return
	}
	writeJSON(w, http.StatusOK, graphObject(p))
}

func (d *Directory) graphList(w http.ResponseWriter, r *http.Request, kind func(provider.Principal) bool) {
	match := func(provider.Principal) bool { return true }
	if filter := strings.TrimSpace(r.URL.Query().Get("$filter")); filter != "" {
		match = filterOf(filter)
	}
	if match == nil {
		writeGraphError(w, http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported Query.")
		return
	}
	found := []any{}
	for _, p := range d.List() {
		if kind(p) && match(p) {
			found = append(found, graphObject(p))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": found})
}

// filterOf reads a $filter: known forms joined by "or"; nil when it cannot.
func filterOf(filter string) func(provider.Principal) bool {
	var forms []func(provider.Principal) bool
	for _, part := range strings.Split(filter, " or ") {
		found := false
		for _, f := range graphFilters {
			if m := f.form.FindStringSubmatch(strings.Trim(part, " ")); m != nil {
				forms = append(forms, func(p provider.Principal) bool { return f.match(p, m[2]) })
				found = true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return func(p provider.Principal) bool {
		for _, match := range forms {
			if match(p) {
				return true
			}
		}
		return false
	}
}

func (d *Directory) graphByIDs(w http.ResponseWriter, r *http.Request) {
	var body struct {
		IDs []string `json:"ids"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm)).Decode(&body); err != nil {
		writeGraphError(w, http.StatusBadRequest, "Request_BadRequest", "The body must be an object with ids.")
		return
	}
	found := []any{}
	for _, objectID := range body.IDs {
		if p, ok := d.Lookup(objectID); ok {
			found = append(found, graphObject(p))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": found})
}

func graphObject(p provider.Principal) map[string]any {
	if p.Kind == User {
		return map[string]any{"@odata.type": "#microsoft.graph.user", "id": p.ObjectID,
			"displayName": p.DisplayName, "userPrincipalName": p.DisplayName}
	}
	kind, alternatives := "Application", []string{}
	if p.Kind == ManagedIdentity {
		kind, alternatives = "ManagedIdentity", []string{"isExplicit=False", p.ResourceID}
	}
	return map[string]any{
		"@odata.type": "#microsoft.graph.servicePrincipal", "id": p.ObjectID, "appId": p.ClientID,
		"displayName": p.DisplayName, "appDisplayName": p.DisplayName, "accountEnabled": true,
		"servicePrincipalType": kind, "servicePrincipalNames": []string{p.ClientID}, "alternativeNames": alternatives,
	}
}

func writeGraphError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}
