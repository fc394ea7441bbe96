package cosmos

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// refusal is an error of the NoSQL protocol.
type refusal struct {
	status        int
	code, message string
	sub           string // x-ms-substatus
}

func (e *refusal) Error() string { return e.code }

var (
	errNotFound     = &refusal{status: http.StatusNotFound, code: "NotFound", message: "Resource Not Found."}
	errConflict     = &refusal{status: http.StatusConflict, code: "Conflict", message: "Resource with specified id or name already exists."}
	errPrecondition = &refusal{status: http.StatusPreconditionFailed, code: "PreconditionFailed", message: "One of the specified pre-condition is not met."}
	errMethod       = &refusal{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed", message: "The requested verb is not offered by the local cloud."}
	errSignature    = &refusal{status: http.StatusUnauthorized, code: "Unauthorized", message: "The input authorization token can't serve the request. The wrong key is being used or the expected payload is not built as per the protocol."}
	errMissingAuth  = &refusal{status: http.StatusUnauthorized, code: "Unauthorized", message: "Required Header authorization is missing. Ensure a valid Authorization token is passed."}
	errKeysOff      = &refusal{status: http.StatusUnauthorized, code: "Unauthorized", message: keysOffMessage, sub: "5202"} // sub code mem
	errReadOnly     = &refusal{status: http.StatusForbidden, code: "Forbidden", message: "The given request cannot be executed with a read-only key."}
	errMetadata     = &refusal{status: http.StatusForbidden, code: "Forbidden", sub: "5300", message: "The given request cannot be authorized by AAD token in data plane. Databases and containers are made through Azure Resource Manager."}
)

func badRequest(message string) error {
	return &refusal{status: http.StatusBadRequest, code: "BadRequest", message: message}
}

// maxDocument is the largest document, in bytes.
const maxDocument = 2 << 20

// address is what a path names: pairs of a kind and a name, the last name missing for
// a feed.
type address struct {
	kind  string   // of the last pair: dbs, colls, docs, pkranges; "" for the account
	names []string // of the pairs, in order
	feed  bool
	link  string // what a signature is about
}

var nested = []string{"dbs", "colls", "docs"}

// parseAddress reads a path that is not escaped any more.
func parseAddress(path string) (address, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return address{}, nil
	}
	steps := strings.Split(path, "/")
	a := address{feed: len(steps)%2 == 1, link: path}
	if a.feed {
		a.link = strings.Join(steps[:len(steps)-1], "/")
	}
	for n, step := range steps {
		if n%2 == 1 {
			a.names = append(a.names, step)
			continue
		}
		a.kind = step
		if known := n/2 < len(nested) && step == nested[n/2] || n == 4 && step == "pkranges"; !known {
			return a, errNotFound
		}
	}
	return a, nil
}

// operation is one thing the protocol can do.
type operation struct {
	method, kind string
	feed         bool
	query        bool // a POST that asks
	action       string
	change       bool // needs a key that may write
	keysOnly     bool // data roles do not reach it
	do           func(p *documentPlane, w http.ResponseWriter, r *http.Request, at address) error
}

const (
	containerAction = accountType + "/sqlDatabases/containers/"
	itemAction      = containerAction + "items/"
)

var operations = []operation{
	{method: "GET", action: readMetadata, do: (*documentPlane).serveAccount},
	{method: "GET", kind: "dbs", feed: true, action: readMetadata, do: (*documentPlane).serveResources},
	{method: "POST", kind: "dbs", feed: true, query: true, action: readMetadata, do: (*documentPlane).queryResources},
	{method: "POST", kind: "dbs", feed: true, keysOnly: true, change: true, do: (*documentPlane).createResource},
	{method: "GET", kind: "dbs", action: readMetadata, do: (*documentPlane).serveResource},
	{method: "DELETE", kind: "dbs", keysOnly: true, change: true, do: (*documentPlane).dropResource},
	{method: "GET", kind: "colls", feed: true, action: readMetadata, do: (*documentPlane).serveResources},
	{method: "POST", kind: "colls", feed: true, query: true, action: readMetadata, do: (*documentPlane).queryResources},
	{method: "POST", kind: "colls", feed: true, keysOnly: true, change: true, do: (*documentPlane).createResource},
	{method: "GET", kind: "colls", action: readMetadata, do: (*documentPlane).serveResource},
	{method: "DELETE", kind: "colls", keysOnly: true, change: true, do: (*documentPlane).dropResource},
	{method: "GET", kind: "pkranges", feed: true, action: readMetadata, do: (*documentPlane).serveRanges},
	{method: "GET", kind: "docs", feed: true, action: containerAction + "readChangeFeed", do: (*documentPlane).serveItems},
	{method: "POST", kind: "docs", feed: true, query: true, action: containerAction + "executeQuery", do: (*documentPlane).queryItems},
	{method: "POST", kind: "docs", feed: true, action: itemAction + "create", change: true, do: (*documentPlane).createItem},
	{method: "GET", kind: "docs", action: itemAction + "read", do: (*documentPlane).serveItem},
	{method: "PUT", kind: "docs", action: itemAction + "replace", change: true, do: (*documentPlane).replaceItem},
	{method: "DELETE", kind: "docs", action: itemAction + "delete", change: true, do: (*documentPlane).dropItem},
}

func find(r *http.Request, at address) (operation, error) {
	asks := strings.EqualFold(r.Header.Get("x-ms-documentdb-isquery"), "true") || strings.EqualFold(r.Header.Get("x-ms-documentdb-query"), "true") ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/query+json")
	for _, op := range operations {
		if op.method == r.Method && op.kind == at.kind && op.feed == at.feed && op.query == (asks && r.Method == http.MethodPost) {
			if op.kind == "docs" && op.feed && op.change && strings.EqualFold(r.Header.Get("x-ms-documentdb-is-upsert"), "true") {
				op.action = itemAction + "upsert"
			}
			return op, nil
		}
	}
	return operation{}, errMethod
}

// documentPlane answers the NoSQL protocol for an account.
type documentPlane struct{ a *account }

// ServeHTTP answers one request.
func (p *documentPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("x-ms-activity-id", uuid.NewString())
	h.Set("x-ms-request-charge", "1")
	h.Set("x-ms-serviceversion", "version=2.14.0.0")
	h.Set("x-ms-gatewayversion", "version=2.14.0")
	h.Set("Server", "Microsoft-HTTPAPI/2.0 (local cloud)")
	err := p.answer(w, r)
	if err == nil {
		return
	}
	known := &refusal{status: http.StatusInternalServerError, code: "InternalServerError", message: "The server cannot go on."}
	var syntax *QueryError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &syntax):
		known = &refusal{status: http.StatusBadRequest, code: "BadRequest", message: "Syntax error: " + syntax.Error() + "."}
	case errors.As(err, &tooLarge):
		known = &refusal{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge", message: "The request size is too large."}
	default:
		p.a.Logf("Cosmos DB account %s: %v", p.a.name, err)
	}
	if known.sub != "" {
		h.Set("x-ms-substatus", known.sub)
	}
	writeJSON(w, known.status, map[string]any{"code": known.code, "message": known.message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of JSON values; net/http turns it into a closed connection
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that has gone needs no answer
}

func (p *documentPlane) answer(w http.ResponseWriter, r *http.Request) error {
	at, err := parseAddress(r.URL.Path)
	var op operation
	if err == nil {
		op, err = find(r, at)
	}
	if err != nil {
		op = operation{action: readMetadata} // whoever may not come in learns nothing more
	}
	if refused := p.authorize(r, op, at); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxDocument)
	w.Header().Set("x-ms-session-token", "0:-1#1")
	return op.do(p, w, r, at)
}

// authorize decides by network rules, then by key or data role.
func (p *documentPlane) authorize(r *http.Request, op operation, at address) error {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || p.a.Allow(from.Addr()) != nil {
		return &refusal{status: http.StatusForbidden, code: "Forbidden", message: blocked(from.Addr())}
	}
	given := r.Header.Get("Authorization")
	if given == "" {
		return errMissingAuth
	}
	if strings.Contains(given, "%") {
		if given, err = url.QueryUnescape(given); err != nil {
			return errSignature
		}
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(given, "type="), "&ver=1.0&sig=")
	switch kind {
	case "master":
		return p.checkKey(r, rest, op, at)
	case "aad":
		return p.checkToken(rest, op, at)
	}
	return errSignature
}

func (p *documentPlane) checkKey(r *http.Request, signature string, op operation, at address) error {
	if p.a.keysOff() {
		return errKeysOff
	}
	date := r.Header.Get("x-ms-date")
	when, err := http.ParseTime(date)
	if err != nil || time.Since(when).Abs() > clockSkew {
		return &refusal{status: http.StatusForbidden, code: "Forbidden", message: "The authorization token is not valid at the current time."}
	}
	given, err := decode(signature)
	if err != nil {
		return errSignature
	}
	text := strings.ToLower(r.Method) + "\n" + at.kind + "\n" + at.link + "\n" + strings.ToLower(date) + "\n\n"
	key, ok := p.a.signedBy([]byte(text), given)
	switch {
	case !ok:
		return errSignature
	case key.ReadOnly && op.change:
		return errReadOnly
	}
	return nil
}

func (p *documentPlane) checkToken(token string, op operation, at address) error {
	principal, err := p.a.SignIn(token)
	switch {
	case err != nil:
		return &refusal{status: http.StatusUnauthorized, code: "Unauthorized", message: "The AAD token does not verify for this account."}
	case op.keysOnly:
		return errMetadata
	case !p.a.May(principal, op.action, at.names[:min(2, len(at.names))]...):
		return &refusal{status: http.StatusForbidden, code: "Forbidden", sub: "5301", message: lacking(principal, op.action)}
	}
	return nil
}

func (p *documentPlane) serveAccount(w http.ResponseWriter, _ *http.Request, _ address) error {
	here := []any{map[string]any{"name": "local", "databaseAccountEndpoint": p.a.hosts["documentEndpoint"]}}
	writeJSON(w, http.StatusOK, map[string]any{
		"_self": "", "id": p.a.name, "_rid": p.a.name, "media": "//media/", "addresses": "//addresses/", "_dbs": "//dbs/",
		"writableLocations": here, "readableLocations": here, "enableMultipleWriteLocations": false,
		"userReplicationPolicy":    map[string]any{"asyncReplication": false, "minReplicaSetSize": 1, "maxReplicasetSize": 4},
		"systemReplicationPolicy":  map[string]any{"minReplicaSetSize": 1, "maxReplicasetSize": 4},
		"readPolicy":               map[string]any{"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
		"userConsistencyPolicy":    map[string]any{"defaultConsistencyLevel": "Session"},
		"queryEngineConfiguration": "{}",
	})
	return nil
}

// known finds the database and the container an address names, in their own spelling.
func (p *documentPlane) known(at address) ([]string, error) {
	if p.a.feature.api != NoSQL && len(at.names) > 0 {
		return nil, errNotFound
	}
	var out []string
	for n, name := range at.names[:min(2, len(at.names))] {
		have := p.a.Databases()
		if n == 1 {
			have = p.a.Collections(out[0])
		}
		at := slices.Index(have, name)
		if at < 0 {
			return nil, errNotFound
		}
		out = append(out, have[at])
	}
	return out, nil
}
