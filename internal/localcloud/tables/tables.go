// Package tables speaks the Tables protocol over HTTP: the tables of one account,
// their entities, queries with OData filters and continuation.
//
// Real: tables and entities as JSON in all three metadata formats with the types of
// the protocol, entity tags, insert, merge, replace, upsert and delete, filters,
// $select, $top and continuation tokens, Azure's error codes; the strings that
// SharedKey and SharedKeyLite clients sign.
//
// Not real: entity group transactions, shared access signatures, stored access
// policies, CORS and analytics settings; Atom feeds.
//
// The package must not decide who may do what, nor keep a key: whoever runs a
// Server gives it a Guard and a Registry.
package tables

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Verb is what a request wants, for the Guard to judge.
type Verb string

// The verbs of the protocol.
const (
	ReadService  Verb = "read service"
	ListTables   Verb = "list tables"
	CreateTable  Verb = "create table"
	DeleteTable  Verb = "delete table"
	ReadEntity   Verb = "read entity"
	QueryEntity  Verb = "query entities"
	InsertEntity Verb = "insert entity"
	UpdateEntity Verb = "update entity"
	UpsertEntity Verb = "upsert entity"
	DeleteEntity Verb = "delete entity"
)

// Fault is an error in the protocol's terms.
type Fault struct {
	Status        int
	Code, Message string
	Challenge     string // WWW-Authenticate, if any
	Known         bool   // the caller is known and merely lacks the right
}

func (f *Fault) Error() string { return f.Code }

// Guard decides whether a request may do something to a table ("" for none); nil
// means it may.
type Guard func(r *http.Request, verb Verb, table string) *Fault

// Registry is which tables there are. Names compare without case.
type Registry interface {
	// Tables lists the names by which tables were made, in order.
	Tables() []string
	// Create tells false when there is such a table already.
	Create(name string) (bool, error)
	// Drop tells false when there is no such table.
	Drop(name string) (bool, error)
}

// Server answers for one account.
type Server struct {
	Registry Registry
	Entities *Entities
	Guard    Guard
	Endpoint func() string // public URL with a slash at its end
	Logf     func(format string, args ...any)
}

// The protocol's errors, in Azure's codes.
var (
	errTableNotFound  = &Fault{Status: http.StatusNotFound, Code: "TableNotFound", Message: "The table specified does not exist."}
	errNotFound       = &Fault{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The specified resource does not exist."}
	errTableExists    = &Fault{Status: http.StatusConflict, Code: "TableAlreadyExists", Message: "The table specified already exists."}
	errEntityExists   = &Fault{Status: http.StatusConflict, Code: "EntityAlreadyExists", Message: "The specified entity already exists."}
	errCondition      = &Fault{Status: http.StatusPreconditionFailed, Code: "UpdateConditionNotSatisfied", Message: "The update condition specified in the request was not satisfied."}
	errName           = &Fault{Status: http.StatusBadRequest, Code: "InvalidResourceName", Message: "The specified resource name contains invalid characters."}
	errInput          = &Fault{Status: http.StatusBadRequest, Code: "InvalidInput", Message: "One of the request inputs is not valid."}
	errKeys           = &Fault{Status: http.StatusBadRequest, Code: "PropertiesNeedValue", Message: "The values are not specified for all properties in the entity."}
	errIfMatch        = &Fault{Status: http.StatusBadRequest, Code: "MissingRequiredHeader", Message: "The If-Match header is required for this request."}
	errMethod         = &Fault{Status: http.StatusMethodNotAllowed, Code: "UnsupportedHttpVerb", Message: "The resource doesn't support specified Http Verb."}
	errNotImplemented = &Fault{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "The local cloud keeps no transactions."}
	errInternal       = &Fault{Status: http.StatusInternalServerError, Code: "InternalError", Message: "The server encountered an internal error. Please retry the request."}
)

// fault finds the protocol's word for an error of ours.
func (s *Server) fault(err error) *Fault {
	var known *Fault
	var syntax *FilterError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return &Fault{Status: http.StatusBadRequest, Code: "InvalidInput", Message: "The filter cannot be read: " + syntax.Error() + "."}
	case errors.As(err, &tooLarge):
		return &Fault{Status: http.StatusRequestEntityTooLarge, Code: "RequestBodyTooLarge", Message: "The request body is too large and exceeds the maximum permissible limit."}
	}
	s.Logf("tables of %s: %v", s.Endpoint(), err)
	return errInternal
}

func fail(w http.ResponseWriter, r *http.Request, f *Fault) {
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(f.Status)
		return
	}
	writeJSON(w, f.Status, "", map[string]any{"odata.error": map[string]any{
		"code": f.Code, "message": map[string]any{"lang": "en-US", "value": f.Message},
	}})
}

func writeJSON(w http.ResponseWriter, status int, format string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of JSON values; net/http turns it into a closed connection
	}
	kind := "application/json"
	if format != "" {
		kind += ";odata=" + format
	}
	w.Header().Set("Content-Type", kind+";streaming=true;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that has gone needs no answer
}

// StringToSign is what a SharedKey client signs for a request.
func StringToSign(r *http.Request, account string) string {
	h := r.Header
	return strings.Join([]string{r.Method, h.Get("Content-Md5"), h.Get("Content-Type"), date(h), resource(r, account)}, "\n")
}

// StringToSignLite is what a SharedKeyLite client signs.
func StringToSignLite(r *http.Request, account string) string {
	return date(r.Header) + "\n" + resource(r, account)
}

func date(h http.Header) string {
	if d := h.Get("x-ms-date"); d != "" {
		return d
	}
	return h.Get("Date")
}

// resource takes the path as it was sent, percent signs and all.
func resource(r *http.Request, account string) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if path == "" {
		path = "/"
	}
	out := "/" + account + path
	if values, err := url.ParseQuery(query); err == nil && values.Has("comp") {
		out += "?comp=" + values.Get("comp")
	}
	return out
}
