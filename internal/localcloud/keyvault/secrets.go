package keyvault

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// secretCall is one call on secrets, taken apart.
type secretCall struct {
	name, version string
	query         url.Values
	body          secretBody
}

type secretBody struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  struct {
		Enabled   *bool  `json:"enabled"`
		NotBefore *int64 `json:"nbf"`
		Expires   *int64 `json:"exp"`
	} `json:"attributes"`
}

// operation is one operation of the data plane: which right it needs in either model,
// and what it does. serve runs while the vault is locked.
type operation struct {
	permission, action string
	body               bool
	serve              func(p *plane, c *secretCall) (any, int, *planeError)
}

// operations by method and shape of the path.
var operations = map[string]operation{
	"GET secrets":                    {"list", "readMetadata/action", false, (*plane).list},
	"GET secrets/{}":                 {"get", "getSecret/action", false, (*plane).get},
	"GET secrets/{}/{}":              {"get", "getSecret/action", false, (*plane).get},
	"GET secrets/{}/versions":        {"list", "readMetadata/action", false, (*plane).versions},
	"PUT secrets/{}":                 {"set", "setSecret/action", true, (*plane).set},
	"PATCH secrets/{}":               {"set", "update/action", true, (*plane).update},
	"PATCH secrets/{}/{}":            {"set", "update/action", true, (*plane).update},
	"DELETE secrets/{}":              {"delete", "delete", false, (*plane).remove},
	"GET deletedsecrets":             {"list", "readMetadata/action", false, (*plane).listDeleted},
	"GET deletedsecrets/{}":          {"get", "readMetadata/action", false, (*plane).getDeleted},
	"DELETE deletedsecrets/{}":       {"purge", "purge/action", false, (*plane).purge},
	"POST deletedsecrets/{}/recover": {"recover", "recover/action", false, (*plane).restore},
}

// match finds the operation of a request and takes the names out of its path.
func match(r *http.Request) (operation, *secretCall, bool) {
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	call := &secretCall{query: r.URL.Query()}
	shape := append([]string{}, segments...)
	if len(segments) > 1 {
		call.name, shape[1] = segments[1], "{}"
	}
	if len(segments) > 2 && !slices.Contains([]string{"versions", "recover"}, segments[2]) {
		call.version, shape[2] = segments[2], "{}"
	}
	op, ok := operations[r.Method+" "+strings.Join(shape, "/")]
	return op, call, ok
}

var secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

const maxValue = 25600

// state finds a secret by name and tells in which state it is: the caller names the
// error for one that is not there.
func (p *plane) find(name string) (*contents, *secret) {
	c := p.provider.contents(p.name)
	return c, c.Secrets[strings.ToLower(name)]
}

// settling tells whether a delete or a recovery is still under way.
func (p *plane) settling(s *secret) bool { return p.provider.cloud.Now().Before(s.Settled) }

// live is a secret that can be read: not deleted, not on its way back.
func (p *plane) live(name string) (*contents, *secret, *planeError) {
	c, s := p.find(name)
	if s == nil || s.Deleted != nil || p.settling(s) {
		return c, nil, errSecret.of(name)
	}
	return c, s, nil
}

// taken tells why a name cannot be written.
func (p *plane) taken(s *secret) *planeError {
	switch {
	case s == nil:
		return nil
	case s.Deleted != nil && p.settling(s):
		return errDeleting.of(s.Name)
	case s.Deleted != nil:
		return errReserved.of(s.Name)
	case p.settling(s):
		return errRecovering.of(s.Name)
	}
	return nil
}

func (p *plane) get(c *secretCall) (any, int, *planeError) {
	_, s, refused := p.live(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	v := s.version(c.version)
	switch {
	case v == nil:
		return nil, 0, errSecret.of(c.name + "/" + c.version)
	case !v.Enabled:
		return nil, 0, errDisabled
	}
	return p.bundle(s, v, true), http.StatusOK, nil
}

// bundle is a secret as the protocol shows it.
func (p *plane) bundle(s *secret, v *version, value bool) map[string]any {
	attributes := map[string]any{"enabled": v.Enabled, "created": v.Created, "updated": v.Updated, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
	for name, at := range map[string]int64{"nbf": v.NotBefore, "exp": v.Expires} {
		if at != 0 {
			attributes[name] = at
		}
	}
	out := map[string]any{"id": p.endpoint() + "secrets/" + s.Name + "/" + v.ID, "attributes": attributes}
	if value {
		out["value"] = v.Value
	}
	if v.ContentType != "" {
		out["contentType"] = v.ContentType
	}
	if v.Tags != nil {
		out["tags"] = v.Tags
	}
	return out
}

// listed is a secret in a list: without a version, because the list shows the latest.
func (p *plane) listed(s *secret) map[string]any {
	out := p.bundle(s, s.latest(), false)
	out["id"] = p.endpoint() + "secrets/" + s.Name
	return out
}

func (p *plane) set(c *secretCall) (any, int, *planeError) {
	switch {
	case !secretName.MatchString(c.name):
		return nil, 0, errName.of(c.name)
	case c.body.Value == nil || len(*c.body.Value) > maxValue:
		return nil, 0, errValue
	}
	all, s := p.find(c.name)
	if refused := p.taken(s); refused != nil {
		return nil, 0, refused
	}
	if s == nil {
		s = &secret{Name: c.name}
		all.Secrets[strings.ToLower(c.name)] = s
	}
	now := p.provider.cloud.Now().Unix()
	v := version{ID: newVersionID(), Value: *c.body.Value, Enabled: true, Created: now}
	v.change(c.body, now)
	s.Versions = append(s.Versions, v)
	p.provider.keep(p.name, all)
	return p.bundle(s, s.latest(), true), http.StatusOK, nil
}

// change lays what a body says over a version.
func (v *version) change(b secretBody, now int64) {
	if b.ContentType != nil {
		v.ContentType = *b.ContentType
	}
	if b.Tags != nil {
		v.Tags = b.Tags
	}
	if b.Attributes.Enabled != nil {
		v.Enabled = *b.Attributes.Enabled
	}
	if b.Attributes.NotBefore != nil {
		v.NotBefore = *b.Attributes.NotBefore
	}
	if b.Attributes.Expires != nil {
		v.Expires = *b.Attributes.Expires
	}
	v.Updated = now
}

// update changes everything of a version but its value.
func (p *plane) update(c *secretCall) (any, int, *planeError) {
	all, s, refused := p.live(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	v := s.version(c.version)
	if v == nil {
		return nil, 0, errSecret.of(c.name + "/" + c.version)
	}
	v.change(c.body, p.provider.cloud.Now().Unix())
	p.provider.keep(p.name, all)
	return p.bundle(s, v, false), http.StatusOK, nil
}

func (p *plane) remove(c *secretCall) (any, int, *planeError) {
	all, s, refused := p.live(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	now := p.provider.cloud.Now().UTC()
	s.Deleted, s.Settled = &now, now.Add(transition)
	p.provider.keep(p.name, all)
	return p.deletedBundle(s, true), http.StatusOK, nil
}

func (p *plane) deletedBundle(s *secret, versioned bool) map[string]any {
	out := p.listed(s)
	if versioned {
		out = p.bundle(s, s.latest(), false)
	}
	out["recoveryId"] = p.endpoint() + "deletedsecrets/" + s.Name
	out["deletedDate"], out["scheduledPurgeDate"] = s.Deleted.Unix(), s.Deleted.AddDate(0, 0, 90).Unix()
	return out
}

// gone is a deleted secret whose delete is complete.
func (p *plane) gone(name string) (*contents, *secret, *planeError) {
	c, s := p.find(name)
	if s == nil || s.Deleted == nil || p.settling(s) {
		return c, nil, errDeleted.of(name)
	}
	return c, s, nil
}

func (p *plane) getDeleted(c *secretCall) (any, int, *planeError) {
	_, s, refused := p.gone(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	return p.deletedBundle(s, true), http.StatusOK, nil
}

func (p *plane) restore(c *secretCall) (any, int, *planeError) {
	all, s, refused := p.gone(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	s.Deleted, s.Settled = nil, p.provider.cloud.Now().UTC().Add(transition)
	p.provider.keep(p.name, all)
	return p.bundle(s, s.latest(), false), http.StatusOK, nil
}

func (p *plane) purge(c *secretCall) (any, int, *planeError) {
	all, s, refused := p.gone(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	vault, _ := p.provider.cloud.Store().Get(p.id)
	if properties, _ := vault["properties"].(map[string]any); properties["enablePurgeProtection"] == true {
		return nil, 0, errProtected
	}
	delete(all.Secrets, strings.ToLower(s.Name))
	p.provider.keep(p.name, all)
	return nil, http.StatusNoContent, nil
}

func (p *plane) list(c *secretCall) (any, int, *planeError) {
	return p.page(c, "secrets", func(s *secret) map[string]any {
		if s.Deleted != nil || p.settling(s) {
			return nil
		}
		return p.listed(s)
	})
}

func (p *plane) listDeleted(c *secretCall) (any, int, *planeError) {
	return p.page(c, "deletedsecrets", func(s *secret) map[string]any {
		if s.Deleted == nil || p.settling(s) {
			return nil
		}
		return p.deletedBundle(s, false)
	})
}

func (p *plane) page(c *secretCall, path string, show func(*secret) map[string]any) (any, int, *planeError) {
	all := p.provider.contents(p.name)
	names := make([]string, 0, len(all.Secrets))
	for name := range all.Secrets {
		names = append(names, name)
	}
	slices.Sort(names)
	var items []map[string]any
	for _, name := range names {
		if item := show(all.Secrets[name]); item != nil {
			items = append(items, item)
		}
	}
	return p.pageOf(c, path, items)
}

func (p *plane) versions(c *secretCall) (any, int, *planeError) {
	_, s, refused := p.live(c.name)
	if refused != nil {
		return nil, 0, refused
	}
	var items []map[string]any
	for n := range s.Versions {
		items = append(items, p.bundle(s, &s.Versions[n], false))
	}
	return p.pageOf(c, "secrets/"+s.Name+"/versions", items)
}

// pageOf cuts a list into pages of at most 25, as the service does.
func (p *plane) pageOf(c *secretCall, path string, items []map[string]any) (any, int, *planeError) {
	size := 25
	if n, err := strconv.Atoi(c.query.Get("maxresults")); err == nil && n > 0 && n < size {
		size = n
	}
	from, _ := strconv.Atoi(c.query.Get("$skiptoken"))
	from = min(max(0, from), len(items))
	to := min(from+size, len(items))
	answer := map[string]any{"value": append([]map[string]any{}, items[from:to]...), "nextLink": nil}
	if to < len(items) {
		query := url.Values{"api-version": {c.query.Get("api-version")}, "$skiptoken": {strconv.Itoa(to)}, "maxresults": {strconv.Itoa(size)}}
		answer["nextLink"] = p.endpoint() + path + "?" + query.Encode()
	}
	return answer, http.StatusOK, nil
}
