package cosmos

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/tables"
)

// clockSkew is how far a signed request's date may lie from now.
const clockSkew = 15 * time.Minute

const entityAction = accountType + "/tables/containers/entities/"

// tableActions are the data actions of what the Tables protocol does.
var tableActions = map[tables.Verb]string{
	tables.ReadService: readMetadata, tables.ListTables: readMetadata,
	tables.CreateTable: accountType + "/tables/write", tables.DeleteTable: accountType + "/tables/delete",
	tables.ReadEntity: entityAction + "read", tables.QueryEntity: accountType + "/tables/containers/executeQuery",
	tables.InsertEntity: entityAction + "create", tables.UpdateEntity: entityAction + "replace",
	tables.UpsertEntity: entityAction + "upsert", tables.DeleteEntity: entityAction + "delete",
}

// tableReads are what a read-only key may do.
var tableReads = []tables.Verb{tables.ReadService, tables.ListTables, tables.ReadEntity, tables.QueryEntity}

// openTable is the Opener of the Table API.
func (a *account) openTable(_ context.Context, _ Account, l net.Listener) (Plane, error) {
	return a.serveHTTP(l, &tables.Server{
		Registry: tableRegistry{a}, Entities: a.entities, Guard: a.guardTable,
		Endpoint: func() string { return a.hosts[a.feature.endpoint] }, Logf: a.Logf,
	}), nil
}

// tableRegistry keeps the tables as ARM shows them.
type tableRegistry struct{ a *account }

func (t tableRegistry) Tables() []string { return t.a.Databases() }

func (t tableRegistry) Create(name string) (bool, error) {
	return t.a.create(map[string]any{"id": name}, name)
}

func (t tableRegistry) Drop(name string) (bool, error) {
	if !slices.ContainsFunc(t.Tables(), func(n string) bool { return strings.EqualFold(n, name) }) {
		return false, nil
	}
	return true, t.a.Drop(name)
}

func unauthorized(message string) *tables.Fault {
	return &tables.Fault{Status: http.StatusUnauthorized, Code: "Unauthorized", Message: message}
}

func forbidden(message string) *tables.Fault {
	return &tables.Fault{Status: http.StatusForbidden, Code: "Forbidden", Message: message}
}

// guardTable implements tables.Guard.
func (a *account) guardTable(r *http.Request, verb tables.Verb, table string) *tables.Fault {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || errors.Is(a.Allow(from.Addr()), ErrNetwork) {
		return forbidden(blocked(from.Addr()))
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch build := tableSignatures[strings.ToLower(scheme)]; {
	case build != nil:
		return a.checkTableKey(r, strings.TrimSpace(credential), build(r, a.name), verb)
	case strings.EqualFold(scheme, "Bearer"):
		return a.checkTableToken(credential, verb, table)
	}
	return unauthorized("The input authorization token can't serve the request.")
}

var tableSignatures = map[string]func(*http.Request, string) string{"sharedkey": tables.StringToSign, "sharedkeylite": tables.StringToSignLite}

func (a *account) checkTableKey(r *http.Request, credential, signed string, verb tables.Verb) *tables.Fault {
	if a.keysOff() {
		return unauthorized(keysOffMessage)
	}
	name, signature, _ := strings.Cut(credential, ":")
	given, err := base64.StdEncoding.DecodeString(signature)
	at, bad := http.ParseTime(r.Header.Get("x-ms-date"))
	if err != nil || bad != nil || name != a.name || time.Since(at).Abs() > clockSkew {
		return unauthorized("The input authorization token can't serve the request.")
	}
	key, ok := a.signedBy([]byte(signed), given)
	switch {
	case !ok:
		return unauthorized("The input authorization token can't serve the request. The wrong key is being used or the expected payload is not built as per the protocol.")
	case key.ReadOnly && !slices.Contains(tableReads, verb):
		return &tables.Fault{Status: http.StatusForbidden, Code: "Forbidden", Known: true, Message: "The key allows reading only."}
	}
	return nil
}

// signedBy finds the key that made a signature.
func (a *account) signedBy(text, signature []byte) (Key, bool) {
	for _, k := range a.Keys() {
		secret, err := base64.StdEncoding.DecodeString(k.Secret)
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(text)
		if hmac.Equal(mac.Sum(nil), signature) {
			return k, true
		}
	}
	return Key{}, false
}

func (a *account) checkTableToken(token string, verb tables.Verb, table string) *tables.Fault {
	principal, err := a.SignIn(token)
	if err != nil {
		return unauthorized("The token does not verify.")
	}
	var scope []string
	if table != "" {
		scope = []string{table}
	}
	if action := tableActions[verb]; !a.May(principal, action, scope...) {
		f := forbidden(lacking(principal, action))
		f.Known = true
		return f
	}
	return nil
}

const keysOffMessage = "Local Authorization is disabled. Use an AAD token to authorize all requests."

func blocked(from netip.Addr) string {
	return "Request originated from IP " + from.Unmap().String() + " through public internet. This is blocked by your Cosmos DB account firewall settings."
}

func lacking(principal, action string) string {
	return "Request blocked by Auth: the principal [" + principal + "] does not have required RBAC permissions to perform action [" + action + "]."
}
