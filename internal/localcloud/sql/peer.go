package sql

import (
	"context"
	"crypto/subtle"
	"errors"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/tds"
)

// audience is what tokens for SQL are made for; the local cloud knows no other.
const audience = "https://database.windows.net"

// anonymous is how the server names a principal it did not recognise.
const anonymous = "<token-identified principal>"

// peer decides who comes into one server.
type peer struct {
	cloud  provider.Cloud
	id     string
	name   string
	dir    string
	shelf  *shelf
	server *tds.Server
}

func newPeer(cloud provider.Cloud, serverID string) *peer {
	dir := filepath.Join(cloud.Dir("sql"), realmOf(serverID))
	return &peer{cloud: cloud, id: serverID, name: id.MustParse(serverID).Name(), dir: dir,
		shelf: &shelf{dir: dir, logf: cloud.Logf, open: map[string]*tds.Database{}}}
}

// Name implements tds.Host.
func (p *peer) Name() string { return p.name }

// Authority implements tds.Host.
func (p *peer) Authority() (signIn, resource string) {
	return p.cloud.URL() + "/common", audience + "/"
}

// Judge implements tds.Host: the network first, then who it is, then where to.
func (p *peer) Judge(_ context.Context, l tds.Login) (tds.Account, error) {
	doc, exists := p.cloud.Store().Get(p.id)
	if !exists {
		return tds.Account{}, tds.Refuse(40532, "Cannot open server \"%s\" requested by the login. The login failed.", p.name)
	}
	if provider.Text(doc, "properties", "publicNetworkAccess") == "Disabled" {
		return tds.Account{}, tds.Refuse(47073, "An instance-specific error occurred while establishing a connection to SQL Server. "+
			"Connection was denied because Deny Public Network Access is set to Yes. To connect to this server, use the Private Endpoint from inside your virtual network.")
	}
	if !p.admits(l.From) {
		return tds.Account{}, tds.Refuse(40615, "Cannot open server '%s' requested by the login. Client with IP address '%s' is not allowed to access the server. "+
			"To enable access, use the Azure Management Portal or run sp_set_firewall_rule on the master database to create a firewall rule for this IP address or address range. "+
			"It may take up to five minutes for this change to take effect.", p.name, l.From)
	}
	who, err := p.authenticate(doc, l)
	if err != nil {
		p.cloud.Logf("SQL sign-in to %s refused: %v", p.name, err)
		return tds.Account{}, err
	}
	return p.enter(who, l)
}

// visitor is who signed in.
type visitor struct {
	login       string
	named       string // in refusals
	admin       bool
	sid         []byte // of a principal of the directory
	application bool

	objectID, clientID string
}

func (p *peer) authenticate(doc provider.Document, l tds.Login) (visitor, error) {
	if l.Token != "" {
		return p.byToken(l.Token)
	}
	login := strings.TrimSuffix(l.User, "@"+p.name)
	refused := tds.Refuse(18456, "Login failed for user '%s'.", login)
	if p.cloud.Store().Private(p.id)[entraOnlyKey] == "true" {
		refused.Message += " Reason: Azure Active Directory only authentication is enabled. Please contact your system administrator."
		return visitor{}, refused
	}
	same := subtle.ConstantTimeCompare([]byte(strings.ToLower(login)), []byte(strings.ToLower(provider.Text(doc, "properties", "administratorLogin")))) == 1
	if !passwordFits(p.cloud.Store().Private(p.id), l.Password) || !same {
		return visitor{}, refused
	}
	return visitor{login: login, named: login, admin: true}, nil
}

func (p *peer) byToken(token string) (visitor, error) {
	v, err := identify(p.cloud, token)
	if err != nil {
		return visitor{}, tds.Refuse(18456, "Login failed for user '%s'.", anonymous)
	}
	admin, _ := p.cloud.Store().Get(adminID(p.id))
	sid := provider.Text(admin, "properties", "sid")
	// The portal names an application by its client id here, the published description
	// by its object id; users report that both work.
	v.admin = sid != "" && (strings.EqualFold(sid, v.objectID) || v.application && strings.EqualFold(sid, v.clientID))
	return v, nil
}

// identify finds out who bears a token.
func identify(cloud provider.Cloud, token string) (visitor, error) {
	claims, err := cloud.Directory().Verify(token, audience, audience+"/")
	if err != nil {
		return visitor{}, err
	}
	who, known := cloud.Directory().Lookup(claims.ObjectID)
	if !known {
		return visitor{}, errors.New("the principal is gone")
	}
	v := visitor{named: anonymous, application: who.Kind != "User", login: who.DisplayName, objectID: who.ObjectID, clientID: who.ClientID}
	if v.application {
		v.login = who.ClientID + "@" + who.ObjectID
	}
	v.sid, err = sidOf(who)
	return v, err
}

// sidOf is what a database keeps of a principal: an application's client id, anybody
// else's object id.
func sidOf(who provider.Principal) ([]byte, error) {
	if who.Kind == "User" {
		return tds.SID(who.ObjectID)
	}
	return tds.SID(who.ClientID)
}

// enter finds the database and the user in it.
func (p *peer) enter(v visitor, l tds.Login) (tds.Account, error) {
	name := l.Database
	if name == "" {
		name = master
	}
	failed := tds.Refuse(18456, "Login failed for user '%s'.", v.named)
	doc, exists := p.cloud.Store().Get(p.id + "/databases/" + name)
	if !exists {
		missing := tds.Refuse(4060, "Cannot open database \"%s\" requested by the login. The login failed.", name)
		missing.More = []*tds.Error{failed}
		return tds.Account{}, missing
	}
	if provider.Text(doc, "properties", "status") != online {
		return tds.Account{}, tds.Refuse(40613, "Database '%s' on server '%s' is not currently available. Please retry the connection later. "+
			"If the problem persists, contact customer support, and provide them the session tracing ID of '%s'.", name, p.name, strings.ToUpper(uuid.NewString()))
	}
	database, err := p.shelf.database(provider.Text(doc, "name"))
	if err != nil {
		p.cloud.Logf("open SQL database %s: %v", name, err)
		return tds.Account{}, tds.Refuse(40613, "Database '%s' on server '%s' is not currently available. Please retry the connection later.", name, p.name)
	}
	account := tds.Account{Login: v.login, User: tds.Owner, Database: database}
	if v.sid != nil {
		account.Resolve = func(name, objectID string) (tds.External, error) { return p.resolve(v, name, objectID) }
	}
	if !v.admin {
		user, known := database.UserOf(v.sid)
		if !known {
			return tds.Account{}, failed
		}
		account.User = user
	}
	return account, nil
}

// lister is a directory that can be searched by name.
type lister interface{ List() []provider.Principal }

// resolve looks a principal up for CREATE USER ... FROM EXTERNAL PROVIDER. The server
// looks with the rights of the person who is signed in; an application has none in the
// directory, so that the server needs an identity of its own.
func (p *peer) resolve(v visitor, name, objectID string) (tds.External, error) {
	unresolved := func(why string) error {
		return &tds.Error{Number: 33134, State: 1, Class: 16, Message: "Principal '" + name + "' could not be resolved. Error message: '" + why + "'"}
	}
	doc, _ := p.cloud.Store().Get(p.id)
	if v.application && provider.Text(doc, "identity", "type") == "" {
		return tds.External{}, unresolved("Server identity is not configured. Please follow the steps in \"Assign an Azure AD identity to your server and add Directory Reader permission to your identity\"")
	}
	return find(p.cloud, name, objectID)
}

// find looks for a principal by object id, or by the one that has a display name.
func find(cloud provider.Cloud, name, objectID string) (tds.External, error) {
	found, ok := cloud.Directory().Lookup(strings.ToLower(objectID))
	if objectID == "" {
		found, ok = byName(cloud, name)
	}
	sid, err := sidOf(found)
	if !ok || err != nil {
		return tds.External{}, &tds.Error{Number: 33130, State: 1, Class: 16, Message: "Principal '" + name + "' could not be found or this principal type is not supported."}
	}
	return tds.External{SID: sid}, nil
}

// byName finds the one principal of a display name; two of them are none.
func byName(cloud provider.Cloud, name string) (provider.Principal, bool) {
	directory, ok := cloud.Directory().(lister)
	if !ok {
		return provider.Principal{}, false
	}
	var found []provider.Principal
	for _, one := range directory.List() {
		if strings.EqualFold(one.DisplayName, name) {
			found = append(found, one)
		}
	}
	if len(found) != 1 {
		return provider.Principal{}, false
	}
	return found[0], true
}
