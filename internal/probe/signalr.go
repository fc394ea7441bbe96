package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
)

// hubService is what differs between SignalR and Web PubSub.
type hubService struct {
	setting string // connection string
	host    string // setting of the host for identities; empty where the string serves them too
	version string
}

func hubServices() map[string]hubService {
	return map[string]hubService{
		"signalr":   {setting: "AZURE_SIGNALR_CONNECTIONSTRING", version: "2022-06-01"},
		"webpubsub": {setting: "AZURE_WEBPUBSUB_CONNECTIONSTRING", host: "AZURE_WEBPUBSUB_HOST", version: "2021-10-01"},
	}
}

// presence asks whether a user is connected: a question that changes nothing and
// needs a right. Nobody has this name; that nobody has it is a good answer.
const presence = "/api/hubs/patchbay/users/patchbay"

// hubString is a connection string of either service, with lower-case keys.
func (v *visit) hubString(s hubService) (grammar.Options, error) {
	return grammar.ParseStorage(v.get(s.setting))
}

// hubPrincipal is the service principal that a connection string of SignalR names.
func (v *visit) hubPrincipal() Principal {
	o, _ := v.hubString(hubServices()["signalr"]) // the knock has read it already
	return Principal{TenantID: o["tenantid"], ClientID: o["clientid"], Secret: o["clientsecret"]}
}

// hub asks for a user's presence, signed as the app would sign.
func (p *Prober) hub(ctx context.Context, v *visit) outcome {
	s, key := hubServices()[v.facts.Text(connection.FactProtocol)], ""
	at, err := v.place(connection.FactHost, func() (string, error) {
		if v.identity() && s.host != "" {
			return "https://" + v.get(s.host), nil
		}
		o, err := v.hubString(s)
		if err != nil {
			return "", err
		}
		if key = o["accesskey"]; key == "" && !v.identity() {
			return "", errors.New("it holds no access key")
		}
		return o["endpoint"], nil
	})
	if err != nil {
		return v.unsettled(err)
	}
	token := v.token
	if key != "" {
		if token, err = hubToken(at.Scheme+"://"+at.Host+presence, key, time.Now()); err != nil {
			return v.unsettled(err)
		}
	}
	r, no, ok := p.inquire(ctx, v, question{method: http.MethodHead, at: at, path: presence, query: "api-version=" + s.version,
		header: map[string]string{"Authorization": bearer(token)}})
	said := fmt.Sprintf("the service answers %d", r.status)
	switch {
	case !ok:
		return no
	case r.status == http.StatusForbidden:
		return v.forbidden(r, said)
	case token == "":
		return outcome{unproven: identityUnproven}
	case r.status == http.StatusUnauthorized:
		return v.refused(said)
	}
	return outcome{}
}

// hubToken is a token for one address, signed with an access key.
func hubToken(address, key string, now time.Time) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": address, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}).
		SignedString([]byte(key))
	if err != nil {
		return "", errors.New("its access key signs nothing")
	}
	return token, nil
}
