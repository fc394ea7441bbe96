package cosmos

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// keyPaths are the paths of a container's partition key.
func (p *documentPlane) keyPaths(names []string) ([]string, error) {
	one, err := p.resource(names...)
	if err != nil {
		return nil, err
	}
	list, _ := provider.At(one, "partitionKey", "paths").([]any)
	var out []string
	for _, v := range list {
		text, _ := v.(string)
		out = append(out, text)
	}
	return out, nil
}

// partitionOf takes the partition key out of a document, as the header spells it.
func partitionOf(doc item, paths []string) string {
	values := []any{}
	for _, path := range paths {
		values = append(values, lookup(doc, strings.Split(strings.Trim(path, "/"), "/")))
	}
	raw, _ := json.Marshal(values) // JSON values
	return string(raw)
}

// normalised is the partition key header in one spelling.
func normalised(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	var values []any
	if err := json.Unmarshal([]byte(header), &values); err != nil {
		return "", badRequest("The partition key is no JSON array.")
	}
	raw, err := json.Marshal(values)
	return string(raw), err
}

// container finds a container and the partition key the client names.
func (p *documentPlane) container(r *http.Request, at address) (names []string, partition string, err error) {
	if names, err = p.known(at); err != nil {
		return nil, "", err
	}
	partition, err = normalised(r.Header.Get("x-ms-documentdb-partitionkey"))
	return names, partition, err
}

func (p *documentPlane) serveItems(w http.ResponseWriter, r *http.Request, at address) error {
	names, partition, err := p.container(r, at)
	if err != nil {
		return err
	}
	return writePage(w, r, at, p.a.documents.list(place(names...), partition))
}

func (p *documentPlane) queryItems(w http.ResponseWriter, r *http.Request, at address) error {
	names, partition, err := p.container(r, at)
	if err != nil {
		return err
	}
	return answerQuery(w, r, at, p.a.documents.list(place(names...), partition))
}

// readItem takes a document out of a request and finds its key.
func (p *documentPlane) readItem(r *http.Request, at address) (names []string, key string, doc item, err error) {
	names, partition, err := p.container(r, at)
	if err != nil {
		return nil, "", nil, err
	}
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil || doc == nil {
		return nil, "", nil, badRequest("The body is no JSON object.")
	}
	id, _ := doc["id"].(string)
	if id == "" || strings.ContainsAny(id, "/\\#?") {
		return nil, "", nil, badRequest("The input content is invalid because the required properties - 'id; ' - are missing.")
	}
	paths, err := p.keyPaths(names)
	if err != nil {
		return nil, "", nil, err
	}
	own := partitionOf(doc, paths)
	if partition != "" && partition != own && !(partition == "[{}]" && own == "[null]") {
		return nil, "", nil, &refusal{status: http.StatusBadRequest, code: "BadRequest", sub: "1001",
			message: "PartitionKey extracted from document doesn't match the one specified in the header."}
	}
	return names, own + "\n" + id, doc, nil
}

func (p *documentPlane) createItem(w http.ResponseWriter, r *http.Request, at address) error {
	names, key, doc, err := p.readItem(r, at)
	if err != nil {
		return err
	}
	m := create
	if strings.EqualFold(r.Header.Get("x-ms-documentdb-is-upsert"), "true") {
		m = upsert
	}
	return p.put(w, r, names, key, doc, m)
}

func (p *documentPlane) replaceItem(w http.ResponseWriter, r *http.Request, at address) error {
	names, key, doc, err := p.readItem(r, at)
	if err != nil {
		return err
	}
	if doc["id"] != at.names[2] {
		return badRequest("The id of the document is not the one of the address.")
	}
	return p.put(w, r, names, key, doc, replace)
}

func (p *documentPlane) put(w http.ResponseWriter, r *http.Request, names []string, key string, doc item, m mode) error {
	kept, made, err := p.a.documents.put(place(names...), key, doc, m, r.Header.Get("If-Match"))
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	w.Header().Set("etag", kept["_etag"].(string))
	if strings.EqualFold(r.Header.Get("Prefer"), "return=minimal") {
		w.WriteHeader(status)
		return nil
	}
	writeJSON(w, status, kept)
	return nil
}

// itemKey is where the document of an address is kept.
func (p *documentPlane) itemKey(r *http.Request, at address) (container, key string, err error) {
	names, partition, err := p.container(r, at)
	if err != nil {
		return "", "", err
	}
	if partition == "" {
		return "", "", &refusal{status: http.StatusBadRequest, code: "BadRequest", message: "PartitionKey value must be supplied for this operation."}
	}
	if partition == "[{}]" {
		partition = "[null]"
	}
	return place(names...), partition + "\n" + at.names[2], nil
}

func (p *documentPlane) serveItem(w http.ResponseWriter, r *http.Request, at address) error {
	container, key, err := p.itemKey(r, at)
	if err != nil {
		return err
	}
	doc, ok := p.a.documents.get(container, key)
	if !ok {
		return errNotFound
	}
	etag := doc["_etag"].(string)
	w.Header().Set("etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeJSON(w, http.StatusOK, doc)
	return nil
}

func (p *documentPlane) dropItem(w http.ResponseWriter, r *http.Request, at address) error {
	container, key, err := p.itemKey(r, at)
	if err != nil {
		return err
	}
	if err := p.a.documents.remove(container, key, r.Header.Get("If-Match")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
