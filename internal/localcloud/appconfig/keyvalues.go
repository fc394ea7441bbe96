package appconfig

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// contents is what one store holds, by key and label. It is kept under the store's
// name, because it outlives the store until that is purged.
type contents struct {
	Sequence  int                  `json:"sequence"`
	KeyValues map[string]*keyValue `json:"keyValues"`
}

type keyValue struct {
	Key         string            `json:"key"`
	Label       string            `json:"label,omitempty"` // "" is no label
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags,omitempty"`
	ETag        string            `json:"etag"`
	Locked      bool              `json:"locked,omitempty"`
	Modified    time.Time         `json:"modified"`
}

func contentsID(store string) string { return "/_appconfig/contents/" + id.Fold(store) }

// slot is where a key-value of a key and a label is kept; both compare exactly.
func slot(key, label string) string { return key + "\x00" + label }

func (p *Provider) contents(store string) *contents {
	c := &contents{}
	_ = json.Unmarshal([]byte(p.cloud.Store().Private(contentsID(store))[contentsKey]), c) // written by keep; nothing is nothing
	if c.KeyValues == nil {
		c.KeyValues = map[string]*keyValue{}
	}
	return c
}

func (p *Provider) keep(store string, c *contents) {
	p.cloud.Store().SetPrivate(contentsID(store), map[string]string{contentsKey: encode(c)})
}

// keyCall is one call on key-values, taken apart.
type keyCall struct {
	key, label string
	query      url.Values
	header     http.Header
	body       struct {
		Value       *string           `json:"value"`
		ContentType *string           `json:"content_type"`
		Tags        map[string]string `json:"tags"`
	}
}

// operation is one operation of the data plane: what right it needs and what it does.
// serve runs while the store is locked.
type operation struct {
	verb  string
	body  bool
	serve func(p *plane, c *keyCall) (*reply, *planeError)
}

// operations by method and shape of the path.
var operations = map[string]operation{
	"GET /kv":          {reads, false, (*plane).list},
	"HEAD /kv":         {reads, false, (*plane).list},
	"GET /kv/{}":       {reads, false, (*plane).get},
	"HEAD /kv/{}":      {reads, false, (*plane).get},
	"PUT /kv/{}":       {writes, true, (*plane).set},
	"DELETE /kv/{}":    {deletes, false, (*plane).remove},
	"PUT /locks/{}":    {writes, false, (*plane).lock},
	"DELETE /locks/{}": {writes, false, (*plane).unlock},
	"GET /keys":        {reads, false, (*plane).keyNames},
	"GET /labels":      {reads, false, (*plane).labels},
}

// match finds the operation of a request. A key is all that follows in the path: it may
// hold slashes, escaped.
func match(r *http.Request) (operation, *keyCall, bool) {
	call := &keyCall{query: r.URL.Query(), header: r.Header}
	call.label = strings.TrimPrefix(call.query.Get("label"), "\x00")
	shape := r.URL.EscapedPath()
	for _, collection := range []string{"/kv/", "/locks/"} {
		if rest, ok := strings.CutPrefix(shape, collection); ok {
			key, err := url.PathUnescape(rest)
			if err != nil {
				return operation{verb: reads}, call, false
			}
			call.key, shape = key, collection+"{}"
		}
	}
	op, ok := operations[r.Method+" "+shape]
	if !ok {
		op.verb = reads
	}
	return op, call, ok
}

const (
	typeKV     = "application/vnd.microsoft.appconfig.kv+json; charset=utf-8"
	typeKVSet  = "application/vnd.microsoft.appconfig.kvset+json; charset=utf-8"
	typeKeys   = "application/vnd.microsoft.appconfig.keyset+json; charset=utf-8"
	typeLabels = "application/vnd.microsoft.appconfig.labelset+json; charset=utf-8"
)

func (kv *keyValue) document() map[string]any {
	var label any
	if kv.Label != "" {
		label = kv.Label
	}
	tags := kv.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"etag": kv.ETag, "key": kv.Key, "label": label, "content_type": kv.ContentType, "value": kv.Value,
		"tags": tags, "locked": kv.Locked, "last_modified": kv.Modified.Format(time.RFC3339)}
}

func (kv *keyValue) reply() *reply {
	return &reply{status: http.StatusOK, contentType: typeKV, body: kv.document(), header: map[string]string{
		"ETag": `"` + kv.ETag + `"`, "Last-Modified": kv.Modified.UTC().Format(http.TimeFormat)}}
}

// holds tells whether the request's conditions hold for what is there (nil: nothing).
func (c *keyCall) holds(kv *keyValue) bool {
	match, none := unquote(c.header.Get("If-Match")), unquote(c.header.Get("If-None-Match"))
	switch {
	case match == "*" && kv == nil, match != "" && match != "*" && (kv == nil || kv.ETag != match):
		return false
	case none == "*" && kv != nil, none != "" && kv != nil && kv.ETag == none:
		return false
	}
	return true
}

func unquote(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }

func (p *plane) get(c *keyCall) (*reply, *planeError) {
	kv := p.provider.contents(p.name).KeyValues[slot(c.key, c.label)]
	switch {
	case kv == nil:
		return nil, errKeyValue
	case !c.holds(kv) && c.header.Get("If-None-Match") != "":
		return &reply{status: http.StatusNotModified}, nil
	case !c.holds(kv):
		return nil, errCondition
	}
	return kv.reply(), nil
}

func (p *plane) set(c *keyCall) (*reply, *planeError) {
	if c.key == "" || c.key == "." || c.key == ".." || strings.Contains(c.key, "%") {
		return nil, errKey
	}
	return p.change(c, func(old *keyValue) *keyValue {
		return &keyValue{Key: c.key, Label: c.label, Value: c.body.Value, ContentType: c.body.ContentType, Tags: c.body.Tags}
	})
}

// change replaces a key-value unless a condition or a lock stands against it. A nil
// result deletes it.
func (p *plane) change(c *keyCall, next func(old *keyValue) *keyValue) (*reply, *planeError) {
	all := p.provider.contents(p.name)
	old := all.KeyValues[slot(c.key, c.label)]
	switch {
	case !c.holds(old):
		return nil, errCondition
	case old != nil && old.Locked:
		return nil, errLocked.of(c.key)
	}
	kv := next(old)
	if kv == nil && old == nil {
		return &reply{status: http.StatusNoContent}, nil
	}
	all.Sequence++
	answer := old
	if kv == nil {
		delete(all.KeyValues, slot(c.key, c.label))
	} else {
		p.stamp(all, kv)
		answer = kv
	}
	p.provider.keep(p.name, all)
	return answer.reply(), nil
}

// stamp gives a key-value a new ETag and puts it in its place.
func (p *plane) stamp(all *contents, kv *keyValue) {
	kv.ETag = strconv.FormatInt(p.provider.cloud.Now().UnixNano(), 36) + "-" + strconv.Itoa(all.Sequence)
	kv.Modified = p.provider.cloud.Now().UTC()
	all.KeyValues[slot(kv.Key, kv.Label)] = kv
}

func (p *plane) remove(c *keyCall) (*reply, *planeError) {
	return p.change(c, func(*keyValue) *keyValue { return nil })
}

func (p *plane) lock(c *keyCall) (*reply, *planeError)   { return p.setLock(c, true) }
func (p *plane) unlock(c *keyCall) (*reply, *planeError) { return p.setLock(c, false) }

func (p *plane) setLock(c *keyCall, locked bool) (*reply, *planeError) {
	all := p.provider.contents(p.name)
	kv := all.KeyValues[slot(c.key, c.label)]
	switch {
	case kv == nil:
		return nil, errKeyValue
	case !c.holds(kv):
		return nil, errCondition
	}
	all.Sequence++
	kv.Locked = locked
	p.stamp(all, kv)
	p.provider.keep(p.name, all)
	return kv.reply(), nil
}

// selected lists the key-values that two filters let through, in order.
func (p *plane) selected(keyFilter, labelFilter string) ([]*keyValue, *planeError) {
	key, ok1 := parseFilter(keyFilter)
	label, ok2 := parseFilter(labelFilter)
	if !ok1 || !ok2 {
		return nil, errFilter
	}
	var found []*keyValue
	for _, kv := range p.provider.contents(p.name).KeyValues {
		if key.lets(kv.Key) && label.lets(kv.Label) {
			found = append(found, kv)
		}
	}
	slices.SortFunc(found, func(a, b *keyValue) int { return strings.Compare(slot(a.Key, a.Label), slot(b.Key, b.Label)) })
	return found, nil
}

const pageSize = 100

func (p *plane) list(c *keyCall) (*reply, *planeError) {
	found, refused := p.selected(c.query.Get("key"), c.query.Get("label"))
	if refused != nil {
		return nil, refused
	}
	from, _ := strconv.Atoi(c.query.Get("after"))
	if from == 0 {
		from, _ = strconv.Atoi(c.query.Get("After"))
	}
	from = min(max(0, from), len(found))
	to := min(from+pageSize, len(found))
	items := []any{}
	for _, kv := range found[from:to] {
		items = append(items, kv.document())
	}
	answer := &reply{status: http.StatusOK, contentType: typeKVSet, body: map[string]any{"items": items}}
	if to < len(found) {
		query := url.Values{"api-version": {c.query.Get("api-version")}, "after": {strconv.Itoa(to)}}
		for _, filter := range []string{"key", "label"} {
			if c.query.Has(filter) {
				query.Set(filter, c.query.Get(filter))
			}
		}
		next := "/kv?" + query.Encode()
		answer.body.(map[string]any)["@nextLink"] = next
		answer.header = map[string]string{"Link": "<" + next + `>; rel="next"`}
	}
	return answer, nil
}

func (p *plane) keyNames(c *keyCall) (*reply, *planeError) {
	found, refused := p.selected(c.query.Get("name"), "")
	return named(typeKeys, found, func(kv *keyValue) any { return kv.Key }), refused
}

func (p *plane) labels(c *keyCall) (*reply, *planeError) {
	found, refused := p.selected("", c.query.Get("name"))
	return named(typeLabels, found, func(kv *keyValue) any {
		if kv.Label == "" {
			return nil
		}
		return kv.Label
	}), refused
}

func named(contentType string, found []*keyValue, name func(*keyValue) any) *reply {
	items, seen := []any{}, map[any]bool{}
	for _, kv := range found {
		if n := name(kv); !seen[n] {
			seen[n] = true
			items = append(items, map[string]any{"name": n})
		}
	}
	return &reply{status: http.StatusOK, contentType: contentType, body: map[string]any{"items": items}}
}
