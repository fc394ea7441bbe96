package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// What MongoDB, Cassandra and Gremlin of Cosmos DB have in common: whoever has an
// identity asks ARM for the account's key.

// keyUnproven is said of an app that fetches the key with its identity.
const keyUnproven = "not proven: the app asks ARM for the account's key with its identity, whose token only the app has; the network was tried, and getting the key and signing in were not"

// maxKeyAnswer bounds what is read of an answer.
const maxKeyAnswer = 1 << 20

// door shakes hands with the target's host and no more.
func (p *Prober) door(ctx context.Context, v *visit, port string) outcome {
	host := v.doorHost()
	port = orElse(v.facts.Text("port"), port)
	conn, err := p.dialTLS(ctx, host, port)
	if err != nil {
		return v.noAnswer(net.JoinHostPort(host, port), err)
	}
	_ = conn.Close()                 // nothing was said
	if v.bearer() || v.holdsData() { // a principal's token is fetched next
		return outcome{unproven: identityUnproven}
	}
	return outcome{unproven: keyUnproven}
}

// doorHost is the host of the protocol's endpoint. ARM tells it as a URL, whose port is
// not the protocol's.
func (v *visit) doorHost() string {
	for _, name := range []string{"mongoEndpoint", "cassandraEndpoint", "gremlinEndpoint"} {
		if place, err := url.Parse(v.facts.Text(name)); err == nil && place.Hostname() != "" {
			return place.Hostname()
		}
	}
	return v.facts.Text(connection.FactHost)
}

// keyHolder is for an app that asks ARM for the key: with its token the whole way is
// gone, without one only the door is tried. The settings it needs must be there either way.
func (p *Prober) keyHolder(ctx context.Context, v *visit, setting, port string, login func(answer map[string]any) outcome) outcome {
	place, err := url.Parse(v.get(setting))
	scope, endpoint := v.get("AZURE_COSMOS_SCOPE"), v.get("AZURE_COSMOS_RESOURCEENDPOINT")
	if err == nil && (place.Scheme != "https" || place.Host == "" || scope == "" || endpoint == "") {
		err = errors.New("it does not say where to ask for the key")
	}
	if err != nil || len(v.missing) > 0 {
		return v.unsettled(err)
	}
	switch {
	case v.keysOff() && !v.holdsData():
		if o := p.door(ctx, v, port); o.failed() {
			return o
		}
		return v.keyRefused("the app signs in with the account's key, which it gets with its identity")
	case v.token == "" || v.holdsData():
		return p.door(ctx, v, port)
	}
	answer, failed := p.fetchKeys(ctx, v, place.String())
	if failed != nil {
		return *failed
	}
	return login(answer)
}

// fetchKeys asks ARM as the app does.
func (p *Prober) fetchKeys(ctx context.Context, v *visit, place string) (map[string]any, *outcome) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, place, nil)
	if err != nil {
		return nil, ended(v.unsettled(errors.New("it is not a URL")))
	}
	request.Header.Set("Authorization", "Bearer "+v.token)
	transport := &http.Transport{DialContext: p.options.Dial, TLSClientConfig: p.tlsConfig(request.URL.Hostname()), DisableKeepAlives: true}
	response, err := transport.RoundTrip(request) // redirects are not followed: the token is ARM's
	if err != nil {
		return nil, ended(v.noAnswer(request.URL.Host, err))
	}
	defer response.Body.Close()
	said := fmt.Sprintf("asked for the account's keys, ARM answers %d", response.StatusCode)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusUnauthorized:
		return nil, ended(v.notInForce(said))
	default:
		return nil, ended(outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said})
	}
	var answer map[string]any
	if err := json.NewDecoder(io.LimitReader(response.Body, maxKeyAnswer)).Decode(&answer); err != nil {
		return nil, ended(v.noAnswer(request.URL.Host, errors.New("the answer is not JSON")))
	}
	return answer, nil
}

func ended(o outcome) *outcome { return &o }

// primaryKeyIn is the key that settings are written with.
func primaryKeyIn(answer map[string]any) string {
	key, _ := answer["primaryMasterKey"].(string)
	return key
}

// keyRefused is for a key that the account does not take, and says so when it takes none.
func (v *visit) keyRefused(detail string) outcome {
	if v.keysOff() {
		return outcome{code: problem.KeyAccessDisabled, detail: detail + "; keys are switched off (disableLocalAuth)", fix: v.keysOn()}
	}
	return v.refused(detail)
}

// keysOff tells whether the account takes no keys.
func (v *visit) keysOff() bool { return v.facts.Text("keysOff") == "true" }

// holdsData tells whether a role on the data was chosen, so that the app needs no key:
// its own token is the way in then.
func (v *visit) holdsData() bool {
	a := v.c.Properties.Auth
	return a != nil && slices.ContainsFunc(a.Roles, func(role string) bool { return strings.HasPrefix(role, "Cosmos DB Built-in Data ") })
}

// keysOn is the command that switches keys on: an app of these protocols has no other
// way in, unless a role on the data is chosen for it.
func (v *visit) keysOn() string {
	account, _, _ := strings.Cut(strings.TrimPrefix(v.c.Properties.Target.ID, "/"), "/databaseAccounts/")
	_, names, _ := strings.Cut(v.c.Properties.Target.ID, "/databaseAccounts/")
	name, _, _ := strings.Cut(names, "/")
	return "patchbay rest PATCH /" + account + "/databaseAccounts/" + name + "?api-version=" + v.facts.Text(connection.FactVersion) + ` -b '{"properties":{"disableLocalAuth":false}}' --wait`
}

// remake is the command that makes the target's database, keyspace or graph again.
func (v *visit) remake(name string) string {
	body, err := json.Marshal(map[string]any{"properties": map[string]any{"resource": map[string]any{"id": name}}})
	if err != nil {
		body = []byte("{}")
	}
	return "patchbay rest PUT " + v.c.Properties.Target.ID + "?api-version=" + v.facts.Text(connection.FactVersion) + " -b '" + string(body) + "' --wait"
}
