package sql

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
)

const (
	capacityType = "Microsoft.Fabric/capacities"
	itemKind     = "_fabric"

	// fabricAudience is what tokens for Fabric's own interface are made for.
	fabricAudience = "https://api.fabric.microsoft.com"
	// fabricPrefix is where that interface answers: here below the cloud's own endpoint.
	fabricPrefix = "/v1/workspaces/"
)

// Fabric is the local cloud's Microsoft Fabric, as much of it as a SQL database there
// needs: capacities as ARM shows them, the reading of one database through Fabric's own
// interface, and the database behind the peer of the TDS protocol.
//
// Real: the token's audience on either way in; the shape of a database's document, as
// far as clients' test data shows it; nobody but the workspace's people and the database's
// own users comes in; CREATE USER ... FROM EXTERNAL PROVIDER.
//
// Not real: workspaces have no members: who may write the capacity a workspace runs on
// counts as one of its contributors; workspaces and databases are made by a lever of the
// test bench (PUT /_local/fabric/{workspace}/{database}), not by Fabric's own calls.
type Fabric struct {
	cloud provider.Cloud

	mu    sync.Mutex
	items map[string]*item // running, by folded id; nil once closed
}

// NewFabric makes the provider.
func NewFabric(cloud provider.Cloud) *Fabric {
	return &Fabric{cloud: cloud, items: map[string]*item{}}
}

// item is one running database.
type item struct {
	fabric *Fabric
	id     string
	shelf  *shelf
	server *tds.Server
}

// Types implements provider.Provider.
func (p *Fabric) Types() []provider.Type {
	return []provider.Type{{Name: capacityType, APIVersions: []string{"2023-11-01"}, Put: p.putCapacity, Delete: p.deleteCapacity}}
}

func (p *Fabric) putCapacity(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	if provider.Text(r.Body, "location") == "" {
		return nil, provider.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	status := http.StatusOK
	if _, exists := p.cloud.Store().Get(r.ID.String()); !exists {
		status = http.StatusCreated
	}
	given, _ := r.Body["properties"].(map[string]any)
	doc := provider.Identify(r.ID, capacityType, r.Body)
	doc["properties"] = provider.Merge(given, map[string]any{"provisioningState": "Succeeded", "state": "Active"})
	p.cloud.Store().Put(r.ID.String(), doc)
	return &provider.Answer{Status: status, Body: doc}, nil
}

func (p *Fabric) deleteCapacity(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	p.cloud.Store().Delete(r.ID.String())
	return &provider.Answer{Status: http.StatusOK}, nil
}

// Resume implements provider.Provider.
func (p *Fabric) Resume(ctx context.Context) error {
	var errs []error
	for _, doc := range p.cloud.Store().Under("", itemKind) {
		errs = append(errs, p.serve(ctx, provider.Text(doc, "key")))
	}
	return errors.Join(errs...)
}

// Close implements provider.Provider.
func (p *Fabric) Close() error {
	p.mu.Lock()
	running := p.items
	p.items = nil
	p.mu.Unlock()
	var errs []error
	for _, one := range running {
		errs = append(errs, one.server.Close())
	}
	return errors.Join(errs...)
}

// itemID is where a database's document lies.
func itemID(workspace, database string) string {
	return "/_cloud/fabric/" + strings.ToLower(workspace) + "/" + strings.ToLower(database)
}

func (p *Fabric) serve(ctx context.Context, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.items == nil {
		return errors.New("the local cloud is closing")
	}
	if p.items[key] != nil {
		return nil
	}
	one := &item{fabric: p, id: key, shelf: &shelf{dir: filepath.Join(p.cloud.Dir("sql"), realmOf(key)), logf: p.cloud.Logf, open: map[string]*tds.Database{}}}
	var err error
	if one.server, err = tds.Listen(ctx, net.JoinHostPort(p.cloud.Address(key), port), p.cloud.ServerTLS(), one); err == nil {
		p.items[key] = one
	}
	return err
}

var fabricPath = regexp.MustCompile(`(?i)^/v1/workspaces/([0-9a-f-]{36})/sqldatabases/([0-9a-f-]{36})$`)

// Mount tells below which path Fabric's own interface answers.
func (p *Fabric) Mount() (prefix string, h http.Handler) { return fabricPrefix, p }

// ServeHTTP reads one database, for who belongs to its workspace.
func (p *Fabric) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := p.cloud.Directory().Verify(token, fabricAudience, fabricAudience+"/")
	m := fabricPath.FindStringSubmatch(r.URL.Path)
	switch {
	case err != nil:
		answerFabric(w, http.StatusUnauthorized, fabricFault("Unauthorized", "The access token is missing, invalid or made for another audience."))
		return
	case r.Method != http.MethodGet || m == nil:
		answerFabric(w, http.StatusNotFound, fabricFault("EntityNotFound", "The requested resource could not be found."))
		return
	}
	doc, exists := p.cloud.Store().Get(itemID(m[1], m[2]))
	switch {
	case !exists:
		answerFabric(w, http.StatusNotFound, fabricFault("EntityNotFound", "The requested resource could not be found."))
	case !p.contributor(claims.ObjectID, doc):
		answerFabric(w, http.StatusForbidden, fabricFault("InsufficientPrivileges", "The caller does not have sufficient permissions to perform the requested operation."))
	default:
		answerFabric(w, http.StatusOK, doc["item"])
	}
}

func fabricFault(code, message string) map[string]any {
	return map[string]any{"errorCode": code, "message": message, "requestId": uuid.NewString()}
}

func answerFabric(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
}

// contributor tells whether a principal may work in the database's workspace.
func (p *Fabric) contributor(objectID string, doc provider.Document) bool {
	return p.cloud.Authorizer().Allowed(objectID, capacityType+"/write", provider.Text(doc, "capacity"), false)
}

// Lever is the name of the lever that makes databases, and what it does:
//
//	PUT /_local/fabric/{workspace}/{database} {"displayName", "capacity"}
//	GET /_local/fabric/{workspace}/{database}
func (p *Fabric) Lever() (name string, serve func(ctx context.Context, method, rest string, body map[string]any) (int, any, error)) {
	return "fabric", p.lever
}

func (p *Fabric) lever(ctx context.Context, method, rest string, body map[string]any) (int, any, error) {
	workspace, database, ok := strings.Cut(strings.Trim(rest, "/"), "/")
	if !ok || !fabricPath.MatchString(fabricPrefix+workspace+"/SqlDatabases/"+database) {
		return 0, nil, provider.BadRequest("BadRequest", "Use /_local/fabric/{workspace}/{database}, two GUIDs.")
	}
	key := itemID(workspace, database)
	doc, exists := p.cloud.Store().Get(key)
	if method == http.MethodPut && !exists {
		name, capacity := provider.Text(body, "displayName"), provider.Text(body, "capacity")
		if _, found := p.cloud.Store().Get(capacity); name == "" || !found {
			return 0, nil, provider.BadRequest("BadRequest", "A database needs a displayName and a capacity, the id of one there is.")
		}
		doc, exists = p.itemDocument(key, workspace, database, name, capacity), true
		p.cloud.Store().Put(key, doc)
		if err := p.serve(ctx, key); err != nil {
			return 0, nil, err
		}
	}
	if !exists {
		return 0, nil, notFound(rest)
	}
	return http.StatusOK, map[string]any{"host": p.cloud.Address(key), "item": doc["item"]}, nil
}

// itemDocument is a database as Fabric describes it. The names and forms of its properties
// are those of clients' test data; no specification of them was at hand.
func (p *Fabric) itemDocument(key, workspace, database, name, capacity string) provider.Document {
	server, inside := p.cloud.Address(key)+","+port, name+"-"+database
	return provider.Document{"type": itemKind, "key": key, "capacity": capacity, "item": map[string]any{
		"id": database, "type": "SQLDatabase", "displayName": name, "description": "", "workspaceId": workspace,
		"properties": map[string]any{
			"serverFqdn": server, "databaseName": inside,
			"connectionString": "mssql://mock?data source=" + server + ";initial catalog={" + inside + "};multiple active result sets=False;connect timeout=30;encrypt=True;trust server certificate=False",
		},
	}}
}

// Name implements tds.Host.
func (i *item) Name() string { return i.id[strings.LastIndex(i.id, "/")+1:] }

// Authority implements tds.Host.
func (i *item) Authority() (signIn, resource string) {
	return i.fabric.cloud.URL() + "/common", audience + "/"
}

// Judge implements tds.Host. Fabric takes tokens only and has no firewall.
func (i *item) Judge(_ context.Context, l tds.Login) (tds.Account, error) {
	doc, exists := i.fabric.cloud.Store().Get(i.id)
	refused := tds.Refuse(18456, "Login failed for user '%s'.", anonymous)
	if !exists || l.Token == "" {
		return tds.Account{}, tds.Refuse(18456, "Could not login because the authentication failed.")
	}
	who, err := identify(i.fabric.cloud, l.Token)
	if err != nil {
		return tds.Account{}, refused
	}
	name, _ := provider.At(doc, "item", "properties", "databaseName").(string)
	if !strings.EqualFold(l.Database, name) {
		missing := tds.Refuse(4060, "Cannot open database \"%s\" requested by the login. The login failed.", l.Database)
		missing.More = []*tds.Error{refused}
		return tds.Account{}, missing
	}
	database, err := i.shelf.database(name)
	if err != nil {
		return tds.Account{}, err
	}
	account := tds.Account{Login: who.login, User: tds.Owner, Database: database,
		Resolve: func(name, objectID string) (tds.External, error) { return find(i.fabric.cloud, name, objectID) }}
	if !i.fabric.contributor(who.objectID, doc) {
		user, known := database.UserOf(who.sid)
		if !known {
			return tds.Account{}, refused
		}
		account.User = user
	}
	return account, nil
}
