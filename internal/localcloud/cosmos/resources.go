package cosmos

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

func decode(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// resource is a database or a container as the protocol shows it.
func (p *documentPlane) resource(names ...string) (item, error) {
	i, err := p.a.childID(names...)
	if err != nil {
		return nil, errNotFound
	}
	doc, exists := p.a.p.cloud.Store().Get(i.String())
	if !exists {
		return nil, errNotFound
	}
	kept, _ := provider.At(doc, "properties", "resource").(map[string]any)
	out := maps.Clone(kept)
	rid := ridOf(place(names...))
	out["id"], out["_rid"], out["_ts"], out["_etag"] = names[len(names)-1], rid, 0, `"`+rid+`"`
	out["_self"] = "dbs/" + rid + "/"
	if len(names) == 1 {
		out["_colls"], out["_users"] = "colls/", "users/"
		return out, nil
	}
	out["_self"] = "dbs/" + ridOf(place(names[0])) + "/colls/" + rid + "/"
	out["_docs"], out["_sprocs"], out["_triggers"], out["_udfs"], out["_conflicts"] = "docs/", "sprocs/", "triggers/", "udfs/", "conflicts/"
	if out["indexingPolicy"] == nil {
		out["indexingPolicy"] = map[string]any{"indexingMode": "consistent", "automatic": true, "includedPaths": []any{map[string]any{"path": "/*"}}, "excludedPaths": []any{}}
	}
	return out, nil
}

// feed lists the databases, or the containers of one.
func (p *documentPlane) feed(at address) ([]item, error) {
	above, err := p.known(at)
	if err != nil {
		return nil, err
	}
	names := p.a.Databases
	if at.kind == "colls" {
		names = func() []string { return p.a.Collections(above[0]) }
	}
	var out []item
	if p.a.feature.api != NoSQL {
		return nil, nil
	}
	for _, name := range names() {
		one, err := p.resource(append(above, name)...)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// feedName is the member of a feed's answer that holds what was found.
var feedName = map[string]string{"dbs": "Databases", "colls": "DocumentCollections", "docs": "Documents", "pkranges": "PartitionKeyRanges"}

// writePage answers with as much of a feed as the client takes at once.
func writePage[T any](w http.ResponseWriter, r *http.Request, at address, list []T) error {
	start, err := strconv.Atoi(orZero(r.Header.Get("x-ms-continuation")))
	if err != nil || start < 0 || start > len(list) {
		return badRequest("The continuation token is not valid.")
	}
	size, err := strconv.Atoi(orZero(r.Header.Get("x-ms-max-item-count")))
	if err != nil || size <= 0 {
		size = 1000
	}
	list = list[start:]
	if len(list) > size {
		list = list[:size]
		w.Header().Set("x-ms-continuation", strconv.Itoa(start+size))
	}
	if list == nil {
		list = []T{}
	}
	w.Header().Set("x-ms-item-count", strconv.Itoa(len(list)))
	writeJSON(w, http.StatusOK, map[string]any{"_rid": ridOf(at.link), "_count": len(list), feedName[at.kind]: list})
	return nil
}

func orZero(text string) string {
	if text == "" {
		return "0"
	}
	return text
}

func (p *documentPlane) serveResources(w http.ResponseWriter, r *http.Request, at address) error {
	list, err := p.feed(at)
	if err != nil {
		return err
	}
	return writePage(w, r, at, list)
}

func (p *documentPlane) queryResources(w http.ResponseWriter, r *http.Request, at address) error {
	list, err := p.feed(at)
	if err != nil {
		return err
	}
	return answerQuery(w, r, at, list)
}

// answerQuery runs the query of the body over a list.
func answerQuery(w http.ResponseWriter, r *http.Request, at address, list []item) error {
	var body struct {
		Query      string
		Parameters []struct {
			Name  string
			Value any
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return badRequest("The query is no JSON.")
	}
	q, err := ParseQuery(body.Query)
	if err != nil {
		return err
	}
	given := map[string]any{}
	for _, parameter := range body.Parameters {
		given[parameter.Name] = parameter.Value
	}
	found, err := q.Run(list, given)
	if err != nil {
		return err
	}
	return writePage(w, r, at, found)
}

func (p *documentPlane) createResource(w http.ResponseWriter, r *http.Request, at address) error {
	above, err := p.known(at)
	if err != nil {
		return err
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return badRequest("The body is no JSON object.")
	}
	name := provider.Text(body, "id")
	paths, _ := provider.At(body, "partitionKey", "paths").([]any)
	if name == "" || strings.ContainsAny(name, "/\\#?") || at.kind == "colls" && len(paths) == 0 || p.a.feature.api != NoSQL {
		return badRequest("The input content is invalid because the required properties - 'id; ' - are missing, or a container has no partition key.")
	}
	made, err := p.a.create(body, append(above, name)...)
	if err != nil {
		return err
	}
	if !made {
		return errConflict
	}
	one, err := p.resource(append(above, name)...)
	if err != nil {
		return err
	}
	w.Header().Set("etag", one["_etag"].(string))
	writeJSON(w, http.StatusCreated, one)
	return nil
}

func (p *documentPlane) serveResource(w http.ResponseWriter, _ *http.Request, at address) error {
	names, err := p.known(at)
	if err != nil {
		return err
	}
	one, err := p.resource(names...)
	if err != nil {
		return err
	}
	w.Header().Set("etag", one["_etag"].(string))
	writeJSON(w, http.StatusOK, one)
	return nil
}

func (p *documentPlane) dropResource(w http.ResponseWriter, _ *http.Request, at address) error {
	names, err := p.known(at)
	if err != nil {
		return err
	}
	if err := p.a.Drop(names...); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveRanges shows the one partition a container has.
func (p *documentPlane) serveRanges(w http.ResponseWriter, r *http.Request, at address) error {
	names, err := p.known(at)
	if err != nil {
		return err
	}
	etag := `"` + ridOf(place(names...)) + `"`
	w.Header().Set("etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writePage(w, r, at, []item{{"id": "0", "_rid": ridOf(place(names...)), "minInclusive": "", "maxExclusive": "FF", "ridPrefix": 0,
		"throughputFraction": 1, "status": "online", "parents": []any{}, "_etag": etag, "_ts": 0, "_self": ""}})
}
