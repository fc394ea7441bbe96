package storage

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/google/uuid"
)

// protocolVersion is answered to requests that name none.
const protocolVersion = "2021-12-02"

// level is what a path names.
type level int

const (
	onAccount level = iota
	onContainer
	onBlob
)

// target is what a request is about.
type target struct{ container, blob string }

func (t target) level() level {
	switch {
	case t.container == "":
		return onAccount
	case t.blob == "":
		return onContainer
	}
	return onBlob
}

// operation is one thing the protocol can do and the right it takes.
type operation struct {
	method        string
	on            level
	comp, restype string
	right         string // RBAC action
	data          bool   // right is a data action
	public        string // container access that lets anyone do it; Container always does
	do            func(a *account, w http.ResponseWriter, r *http.Request, t target) error
}

// Rights, as the built-in roles name them: containers are management actions even
// here, blobs are data actions.
const (
	rightService        = serviceType + "/read"
	rightInfo           = serviceType + "/getInfo/action"
	rightContainerRead  = containerType + "/read"
	rightContainerWrite = containerType + "/write"
	rightContainerDrop  = containerType + "/delete"
	rightBlobRead       = containerType + "/blobs/read"
	rightBlobWrite      = containerType + "/blobs/write"
	rightBlobDrop       = containerType + "/blobs/delete"
)

// operations are all the data plane knows. HEAD is looked up as GET.
var operations = []operation{
	{method: "GET", on: onAccount, comp: "list", right: rightContainerRead, do: (*account).serveContainers},
	{method: "GET", on: onAccount, comp: "properties", restype: "service", right: rightService, do: (*account).serveProperties},
	{method: "GET", on: onAccount, comp: "properties", restype: "account", right: rightInfo, do: (*account).serveInfo},
	{method: "PUT", on: onContainer, restype: "container", right: rightContainerWrite, do: (*account).createContainer},
	{method: "GET", on: onContainer, restype: "container", right: rightContainerRead, public: "Container", do: (*account).serveContainer},
	{method: "DELETE", on: onContainer, restype: "container", right: rightContainerDrop, do: (*account).dropContainer},
	{method: "GET", on: onContainer, restype: "container", comp: "list", right: rightBlobRead, data: true, public: "Container", do: (*account).serveBlobs},
	{method: "GET", on: onContainer, restype: "account", comp: "properties", right: rightInfo, do: (*account).serveInfo},
	{method: "PUT", on: onBlob, right: rightBlobWrite, data: true, do: (*account).putBlob},
	{method: "PUT", on: onBlob, comp: "metadata", right: rightBlobWrite, data: true, do: (*account).putMetadata},
	{method: "GET", on: onBlob, right: rightBlobRead, data: true, public: "Blob", do: (*account).serveBlob},
	{method: "GET", on: onBlob, comp: "metadata", right: rightBlobRead, data: true, public: "Blob", do: (*account).serveMetadata},
	{method: "DELETE", on: onBlob, right: rightBlobDrop, data: true, do: (*account).dropBlob},
}

// ServeHTTP answers one request of the blob protocol.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	preamble(w, r, "Windows-Azure-Blob/1.0 (local cloud)")
	if err := a.answer(w, r); err != nil {
		a.fail(w, r, a.protocolError(err))
	}
}

// preamble writes the headers every answer carries.
func preamble(w http.ResponseWriter, r *http.Request, server string) {
	version := r.Header.Get("x-ms-version")
	if version == "" {
		version = protocolVersion
	}
	h := w.Header()
	h.Set("x-ms-version", version)
	h.Set("x-ms-request-id", uuid.NewString())
	h.Set("Server", server)
	if id := r.Header.Get("x-ms-client-request-id"); id != "" {
		h.Set("x-ms-client-request-id", id)
	}
}

func (a *account) answer(w http.ResponseWriter, r *http.Request) error {
	t, err := parseTarget(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	op, lookup := findOperation(r, t)
	if op == nil {
		// Whoever may not even come in learns nothing about what is offered.
		if refused := a.authorize(r, &operation{right: rightService}, t); refused != nil && refused != errPermission {
			return refused
		}
		return lookup
	}
	if refused := a.authorize(r, op, t); refused != nil {
		return refused
	}
	return op.do(a, w, r, t)
}

// protocolError finds the protocol's word for an error of ours.
func (a *account) protocolError(err error) *wireError {
	var known *wireError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errNoContainer):
		return errContainerNotFound
	case errors.Is(err, os.ErrNotExist):
		return errBlobNotFound
	case errors.As(err, &tooLarge):
		return errTooLarge
	}
	a.cloud.Logf("storage account %s: %v", a.name, err)
	return errInternal
}

// parseTarget splits an escaped path into container and blob.
func parseTarget(path string) (target, error) {
	container, blob, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, err1 := url.PathUnescape(container)
	inner, err2 := url.PathUnescape(blob)
	if errors.Join(err1, err2) != nil || len(inner) > 1024 || strings.ContainsRune(inner, 0) {
		return target{}, errName
	}
	if name != "" && !validContainer(name) {
		return target{}, errName
	}
	return target{name, inner}, nil
}

func findOperation(r *http.Request, t target) (*operation, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	q := r.URL.Query()
	sameVerb := false
	for n := range operations {
		op := operations[n]
		if op.method != method || op.on != t.level() {
			continue
		}
		sameVerb = true
		if strings.EqualFold(op.comp, q.Get("comp")) && strings.EqualFold(op.restype, q.Get("restype")) {
			return &op, nil
		}
	}
	if sameVerb {
		return nil, errQuery
	}
	return nil, errVerb
}
