package tables

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	protocolVersion = "2019-02-02"
	maxBody         = 4 << 20
	maxPage         = 1000

	formatNone    = "nometadata"
	formatMinimal = "minimalmetadata"
	formatFull    = "fullmetadata"
)

var tableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{2,62}$`)

// ValidName tells whether a table may be called that.
func ValidName(name string) bool {
	return tableName.MatchString(name) && !strings.EqualFold(name, "tables")
}

// target is what a path names.
type target struct {
	table          string // "" for the account; "Tables" for the list of tables
	keyed          bool   // names one thing: a table below Tables, or an entity
	name           string // of a table below Tables
	partition, row string
}

var (
	pathPattern   = regexp.MustCompile(`^/([^/()]*)(?:\((.*)\))?$`)
	namePattern   = regexp.MustCompile(`^(?:TableName=)?'((?:[^']|'')*)'$`)
	entityPattern = regexp.MustCompile(`^PartitionKey='((?:[^']|'')*)',\s*RowKey='((?:[^']|'')*)'$`)
)

func unquote(text string) string { return strings.ReplaceAll(text, "''", "'") }

// parseTarget splits a path that is not escaped any more.
func parseTarget(path string) (target, error) {
	m := pathPattern.FindStringSubmatch(path)
	if m == nil {
		return target{}, errNotFound
	}
	t := target{table: m[1]}
	if strings.EqualFold(t.table, "tables") {
		t.table = "Tables"
	}
	if m[2] == "" {
		return t, nil
	}
	if name := namePattern.FindStringSubmatch(m[2]); name != nil && t.table == "Tables" {
		t.keyed, t.name = true, unquote(name[1])
		return t, nil
	}
	keys := entityPattern.FindStringSubmatch(m[2])
	if keys == nil || t.table == "Tables" || t.table == "" {
		return target{}, errInput
	}
	t.keyed, t.partition, t.row = true, unquote(keys[1]), unquote(keys[2])
	return t, nil
}

// route is one thing the protocol can do.
type route struct {
	method string
	on     string // account, tables, table (one of the list), entities, entity
	comp   string
	verb   func(r *http.Request) Verb
	do     func(s *Server, w http.ResponseWriter, r *http.Request, t target) error
}

func always(v Verb) func(*http.Request) Verb { return func(*http.Request) Verb { return v } }

// changing is an update where the request names the row it means, else an upsert.
func changing(r *http.Request) Verb {
	if r.Header.Get("If-Match") == "" {
		return UpsertEntity
	}
	return UpdateEntity
}

var routes = []route{
	{"GET", "account", "properties", always(ReadService), (*Server).serveProperties},
	{"GET", "tables", "", always(ListTables), (*Server).serveTables},
	{"POST", "tables", "", always(CreateTable), (*Server).createTable},
	{"GET", "table", "", always(ListTables), (*Server).serveTable},
	{"DELETE", "table", "", always(DeleteTable), (*Server).dropTable},
	{"GET", "entities", "", always(QueryEntity), (*Server).serveEntities},
	{"POST", "entities", "", always(InsertEntity), (*Server).insert},
	{"GET", "entity", "", always(ReadEntity), (*Server).serveEntity},
	{"PUT", "entity", "", changing, (*Server).replace},
	{"MERGE", "entity", "", changing, (*Server).merge},
	{"DELETE", "entity", "", always(DeleteEntity), (*Server).remove},
}

func (t target) place() string {
	switch {
	case t.table == "":
		return "account"
	case t.table == "Tables" && t.keyed:
		return "table"
	case t.table == "Tables":
		return "tables"
	case t.keyed:
		return "entity"
	}
	return "entities"
}

// method is the request's, with the detours clients take around PATCH.
func method(r *http.Request) string {
	switch m := r.Method; {
	case m == http.MethodPost && strings.EqualFold(r.Header.Get("X-Http-Method"), "MERGE"), m == http.MethodPatch:
		return "MERGE"
	case m == http.MethodHead:
		return http.MethodGet
	default:
		return m
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	version := r.Header.Get("x-ms-version")
	if version == "" {
		version = protocolVersion
	}
	h.Set("x-ms-version", version)
	h.Set("x-ms-request-id", uuid.NewString())
	h.Set("Server", "Windows-Azure-Table/1.0 (local cloud)")
	h.Set("Cache-Control", "no-cache")
	h.Set("DataServiceVersion", "3.0;")
	if id := r.Header.Get("x-ms-client-request-id"); id != "" {
		h.Set("x-ms-client-request-id", id)
	}
	if err := s.answer(w, r); err != nil {
		fail(w, r, s.fault(err))
	}
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) error {
	t, err := parseTarget(r.URL.Path)
	var found *route
	if err == nil {
		found, err = find(r, t)
	}
	if err != nil {
		// Whoever may not even come in learns nothing about what is offered.
		if refused := s.Guard(r, ReadService, ""); refused != nil && !refused.Known {
			return refused
		}
		return err
	}
	table := t.table
	if table == "Tables" {
		table = t.name
	}
	if refused := s.Guard(r, found.verb(r), table); refused != nil {
		return refused
	}
	if p := t.place(); p == "entities" || p == "entity" {
		if t.table, err = s.known(t.table); err != nil {
			return err
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return found.do(s, w, r, t)
}

func find(r *http.Request, t target) (*route, error) {
	if t.table == "$batch" {
		return nil, errNotImplemented
	}
	for _, found := range routes {
		if found.method == method(r) && found.on == t.place() && strings.EqualFold(found.comp, r.URL.Query().Get("comp")) {
			return &found, nil
		}
	}
	return nil, errMethod
}

// known is a table's name as it was made.
func (s *Server) known(table string) (string, error) {
	for _, name := range s.Registry.Tables() {
		if strings.EqualFold(name, table) {
			return name, nil
		}
	}
	return "", errTableNotFound
}

// format is how much metadata the client wants.
func format(r *http.Request) string {
	asked := strings.ToLower(r.URL.Query().Get("$format") + "," + r.Header.Get("Accept"))
	for _, f := range []string{formatNone, formatFull} {
		if strings.Contains(asked, "odata="+f) {
			return f
		}
	}
	return formatMinimal
}

func (s *Server) serveProperties(w http.ResponseWriter, _ *http.Request, _ target) error {
	w.Header().Set("Content-Type", "application/xml")
	_, err := io.WriteString(w, `<?xml version="1.0" encoding="utf-8"?><StorageServiceProperties><Logging><Version>1.0</Version><Read>false</Read><Write>false</Write><Delete>false</Delete><RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></Logging><HourMetrics><Version>1.0</Version><Enabled>false</Enabled><RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></HourMetrics><MinuteMetrics><Version>1.0</Version><Enabled>false</Enabled><RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></MinuteMetrics><Cors/></StorageServiceProperties>`)
	return err
}

func (s *Server) describe(name, f string) map[string]any {
	out := map[string]any{"TableName": name}
	if f == formatFull {
		out["odata.type"] = "local.Tables"
		out["odata.id"] = s.Endpoint() + "Tables('" + name + "')"
		out["odata.editLink"] = "Tables('" + name + "')"
	}
	return out
}

func (s *Server) meta(out map[string]any, f, what string) map[string]any {
	if f != formatNone {
		out["odata.metadata"] = s.Endpoint() + "$metadata#" + what
	}
	return out
}

// serveTables lists tables; filters see a table's name as the property TableName.
func (s *Server) serveTables(w http.ResponseWriter, r *http.Request, _ target) error {
	limit, filter, err := queryOf(r)
	if err != nil {
		return err
	}
	f, value := format(r), []any{}
	for _, name := range s.Registry.Tables() {
		seen := &Entity{Properties: map[string]Value{"TableName": {edmString, name}}}
		if name < r.URL.Query().Get("NextTableName") || filter != nil && !filter.Holds(seen) {
			continue
		}
		if len(value) == limit {
			w.Header().Set("x-ms-continuation-NextTableName", name)
			break
		}
		value = append(value, s.describe(name, f))
	}
	writeJSON(w, http.StatusOK, f, s.meta(map[string]any{"value": value}, f, "Tables"))
	return nil
}

func (s *Server) serveTable(w http.ResponseWriter, r *http.Request, t target) error {
	name, err := s.known(t.name)
	if err != nil {
		return errNotFound
	}
	f := format(r)
	writeJSON(w, http.StatusOK, f, s.meta(s.describe(name, f), f, "Tables/@Element"))
	return nil
}

func (s *Server) createTable(w http.ResponseWriter, r *http.Request, _ target) error {
	var body struct{ TableName string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return errInput
	}
	if !ValidName(body.TableName) {
		return errName
	}
	made, err := s.Registry.Create(body.TableName)
	if err != nil {
		return err
	}
	if !made {
		return errTableExists
	}
	f := format(r)
	w.Header().Set("Location", s.Endpoint()+"Tables('"+body.TableName+"')")
	return created(w, r, f, s.meta(s.describe(body.TableName, f), f, "Tables/@Element"))
}

// created answers with what was made, or with nothing where the client prefers that.
func created(w http.ResponseWriter, r *http.Request, f string, body map[string]any) error {
	if prefer := r.Header.Get("Prefer"); prefer != "" {
		w.Header().Set("Preference-Applied", prefer)
		if prefer == "return-no-content" {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	writeJSON(w, http.StatusCreated, f, body)
	return nil
}

func (s *Server) dropTable(w http.ResponseWriter, _ *http.Request, t target) error {
	gone, err := s.Registry.Drop(t.name)
	if err != nil {
		return err
	}
	if !gone {
		return errNotFound
	}
	w.WriteHeader(http.StatusNoContent)
	return s.Entities.Forget(t.name)
}

// queryOf reads $top and $filter.
func queryOf(r *http.Request) (limit int, filter Filter, err error) {
	q := r.URL.Query()
	limit = maxPage
	if top := q.Get("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 || n > maxPage {
			return 0, nil, errInput
		}
		limit = n
	}
	if text := q.Get("$filter"); text != "" {
		filter, err = ParseFilter(text)
	}
	return limit, filter, err
}

// Tokens of continuation hide keys that a header cannot carry.
func mark(key string) string { return "1!" + base64.RawURLEncoding.EncodeToString([]byte(key)) }

func readMark(q url.Values) (*Entity, error) {
	if !q.Has("NextPartitionKey") {
		return nil, nil
	}
	var keys [2]string
	for n, name := range []string{"NextPartitionKey", "NextRowKey"} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(q.Get(name), "1!"))
		if err != nil {
			return nil, errInput
		}
		keys[n] = string(raw)
	}
	return &Entity{PartitionKey: keys[0], RowKey: keys[1]}, nil
}

func (s *Server) serveEntities(w http.ResponseWriter, r *http.Request, t target) error {
	limit, filter, err := queryOf(r)
	if err != nil {
		return err
	}
	start, err := readMark(r.URL.Query())
	if err != nil {
		return err
	}
	f, value := format(r), []any{}
	for _, e := range s.Entities.from(t.table, start) {
		if filter != nil && !filter.Holds(e) {
			continue
		}
		if len(value) == limit {
			w.Header().Set("x-ms-continuation-NextPartitionKey", mark(e.PartitionKey))
			w.Header().Set("x-ms-continuation-NextRowKey", mark(e.RowKey))
			break
		}
		value = append(value, s.row(e, t, f, selected(r)))
	}
	writeJSON(w, http.StatusOK, f, s.meta(map[string]any{"value": value}, f, t.table))
	return nil
}

func selected(r *http.Request) []string {
	var names []string
	for _, name := range strings.Split(r.URL.Query().Get("$select"), ",") {
		if name = strings.TrimSpace(name); name != "" && name != "*" {
			names = append(names, name)
		}
	}
	return slices.Compact(names)
}

// row is an entity with the metadata of its own.
func (s *Server) row(e *Entity, t target, f string, names []string) map[string]any {
	out := e.write(f, names)
	if f == formatNone {
		return out
	}
	out["odata.etag"] = e.etag()
	if f == formatFull {
		link := fmt.Sprintf("%s(PartitionKey='%s',RowKey='%s')", t.table, url.QueryEscape(e.PartitionKey), url.QueryEscape(e.RowKey))
		out["odata.type"], out["odata.id"], out["odata.editLink"] = "local."+t.table, s.Endpoint()+link, link
	}
	return out
}

func (s *Server) serveEntity(w http.ResponseWriter, r *http.Request, t target) error {
	e := s.Entities.get(t.table, t.partition, t.row)
	if e == nil {
		return errNotFound
	}
	f := format(r)
	w.Header().Set("ETag", e.etag())
	writeJSON(w, http.StatusOK, f, s.meta(s.row(e, t, f, selected(r)), f, t.table+"/@Element"))
	return nil
}

func (s *Server) insert(w http.ResponseWriter, r *http.Request, t target) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	e, hasKeys, err := readEntity(raw)
	if err != nil {
		return err
	}
	if !hasKeys {
		return errKeys
	}
	e, err = s.Entities.put(t.table, e, insert, "")
	if err != nil {
		return err
	}
	f := format(r)
	w.Header().Set("ETag", e.etag())
	w.Header().Set("Location", fmt.Sprintf("%s%s(PartitionKey='%s',RowKey='%s')", s.Endpoint(), t.table, url.PathEscape(e.PartitionKey), url.PathEscape(e.RowKey)))
	return created(w, r, f, s.meta(s.row(e, t, f, nil), f, t.table+"/@Element"))
}

func (s *Server) replace(w http.ResponseWriter, r *http.Request, t target) error {
	return s.change(w, r, t, replace)
}

func (s *Server) merge(w http.ResponseWriter, r *http.Request, t target) error {
	return s.change(w, r, t, merge)
}

func (s *Server) change(w http.ResponseWriter, r *http.Request, t target, m mode) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	e, hasKeys, err := readEntity(raw)
	if err != nil {
		return err
	}
	if hasKeys && (e.PartitionKey != t.partition || e.RowKey != t.row) {
		return errInput
	}
	e.PartitionKey, e.RowKey = t.partition, t.row
	e, err = s.Entities.put(t.table, e, m, r.Header.Get("If-Match"))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", e.etag())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, t target) error {
	ifMatch := r.Header.Get("If-Match")
	if ifMatch == "" {
		return errIfMatch
	}
	if err := s.Entities.remove(t.table, t.partition, t.row, ifMatch); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
