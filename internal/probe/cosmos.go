package probe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// cosmosVersion is the version of the NoSQL protocol a knock speaks.
const cosmosVersion = "2018-12-31"

// cosmosPlace is where the app's settings point.
type cosmosPlace struct {
	endpoint *url.URL
	key      string // "" until one is known
	keys     string // address that hands keys out to an identity
	database string
}

func (v *visit) cosmosPlace() (place cosmosPlace, err error) {
	place.database = v.facts.Text("database")
	switch {
	case v.bare():
		place.endpoint, err = endpoint(v.facts.Text(connection.FactEndpoint))
	case v.client() == "springBoot":
		const prefix = "spring.cloud.azure.cosmos."
		place.database = v.get(prefix + "database")
		if !v.identity() {
			place.key = v.get(prefix + "key")
		}
		place.endpoint, err = endpoint(v.get(prefix + "endpoint"))
	case v.identity():
		place.keys = v.get("AZURE_COSMOS_LISTCONNECTIONSTRINGURL")
		place.endpoint, err = endpoint(v.get("AZURE_COSMOS_RESOURCEENDPOINT"))
	default:
		place, err = cosmosString(place, v.get("AZURE_COSMOS_CONNECTIONSTRING"))
	}
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return place, err
}

func cosmosString(place cosmosPlace, text string) (cosmosPlace, error) {
	o, err := grammar.ParseStorage(text)
	if err != nil {
		return place, err
	}
	if place.key = o["accountkey"]; place.key == "" {
		return place, errors.New("it names no key")
	}
	place.endpoint, err = endpoint(o["accountendpoint"])
	return place, err
}

// dataRole tells whether a role of the account's own was chosen, with which an identity
// enters the data plane itself.
func (v *visit) dataRole() bool {
	a := v.c.Properties.Auth
	return a != nil && slices.ContainsFunc(a.Roles, func(role string) bool { return strings.HasPrefix(role, "Cosmos DB Built-in ") })
}

// direct tells whether the app's identity enters the data plane itself. Spring's client
// knows no other way.
func (v *visit) direct() bool { return v.dataRole() || v.client() == "springBoot" }

// enter makes a service principal's token one for the account where that is what the
// app shows; otherwise it is for the keys.
func (v *visit) enter(endpoint *url.URL) {
	if v.direct() && v.token == "" {
		v.facts = maps.Clone(v.facts)
		v.facts[connection.FactAudience] = connection.Plain("https://" + endpoint.Hostname())
	}
}

// cosmos reads the app's database of an account for NoSQL. An identity that is let in by
// a data role does so with its token; one with the documented role asks for the keys first.
func (p *Prober) cosmos(ctx context.Context, v *visit) outcome {
	place, err := v.cosmosPlace()
	if err != nil {
		return v.unsettled(err)
	}
	v.enter(place.endpoint)
	if v.token != "" && !v.direct() {
		text, no, ok := p.handedOut(ctx, v, place.keys)
		if !ok {
			return no
		}
		if place, err = cosmosString(place, text); err != nil {
			return v.unsettled(err)
		}
	}
	q, err := cosmosQuestion(place, v.token, time.Now())
	if err != nil {
		return v.unsettled(err)
	}
	r, no, ok := p.inquire(ctx, v, q)
	if !ok {
		return no
	}
	return v.cosmosOutcome(r, place.key != "" || v.token != "", place.database)
}

// cosmosQuestion asks for the database; whoever has no credential yet asks without one.
func cosmosQuestion(place cosmosPlace, token string, now time.Time) (question, error) {
	link := "dbs/" + place.database
	q := question{method: http.MethodGet, at: place.endpoint, path: "/" + link, header: map[string]string{
		"x-ms-date": now.UTC().Format(http.TimeFormat), "x-ms-version": cosmosVersion, "Accept": "application/json",
	}}
	kind, signature := "aad", token
	if place.key != "" {
		key, err := base64.StdEncoding.DecodeString(place.key)
		if err != nil {
			return q, errors.New("its account key is not base64")
		}
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, "get\ndbs\n"+link+"\n"+strings.ToLower(q.header["x-ms-date"])+"\n\n") // a hash takes everything
		kind, signature = "master", base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if signature != "" {
		q.header["Authorization"] = url.QueryEscape("type=" + kind + "&ver=1.0&sig=" + signature)
	}
	return q, nil
}

// handedOut asks ARM for a connection string as the app does with its identity.
func (p *Prober) handedOut(ctx context.Context, v *visit, address string) (text string, no outcome, ok bool) {
	u, err := endpoint(address)
	if err != nil {
		return "", v.unsettled(err), false
	}
	r, no, ok := p.inquire(ctx, v, question{method: http.MethodPost, at: u, query: u.RawQuery, header: map[string]string{"Authorization": bearer(v.token)}})
	if !ok {
		return "", no, false
	}
	said := fmt.Sprintf("the account's keys cannot be listed: it answers %d", r.status)
	switch {
	case r.status == http.StatusForbidden:
		return "", v.notInForce(said), false
	case r.status != http.StatusOK:
		return "", v.refused(said), false
	}
	var answer struct {
		ConnectionStrings []struct{ ConnectionString string }
	}
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || len(answer.ConnectionStrings) == 0 {
		return "", v.refused(said + " without a connection string"), false
	}
	return answer.ConnectionStrings[0].ConnectionString, outcome{}, true
}

// cosmosOutcome reads the account's answer; the words of its refusals tell them apart.
func (v *visit) cosmosOutcome(r reply, signed bool, database string) outcome {
	said := fmt.Sprintf("the account answers %d", r.status)
	is := func(word string) bool { return strings.Contains(r.body, word) }
	switch {
	case r.status == http.StatusForbidden && is("firewall"):
		return v.shutOut(r.from, said+": the address is not let in")
	case !signed:
		return outcome{unproven: identityUnproven}
	case r.status < http.StatusMultipleChoices:
		return outcome{}
	case r.status == http.StatusNotFound:
		return outcome{code: problem.DatabaseMissing, detail: fmt.Sprintf("the account has no database %q", database), fix: v.repair("")}
	case is("Local Authorization is disabled"):
		return outcome{code: problem.KeyAccessDisabled, detail: said + ": keys are switched off"}
	case r.status == http.StatusForbidden && v.identity() && !v.dataRole():
		return outcome{stage: atRights, detail: said + "; this client type enters the data plane itself, which takes a data role: --roles \"Cosmos DB Built-in Data Contributor\""}
	case r.status == http.StatusForbidden:
		return v.notInForce(said)
	}
	return v.refused(said)
}

// cosmosTable lists the tables of an account as the app would.
func (p *Prober) cosmosTable(ctx context.Context, v *visit) outcome {
	place, err := v.cosmosTablePlace()
	if err != nil {
		return v.unsettled(err)
	}
	v.enter(place.endpoint)
	if v.token != "" && !v.direct() {
		text, no, ok := p.handedOut(ctx, v, v.get("AZURE_COSMOS_LISTCONNECTIONSTRINGURL"))
		if !ok {
			return no
		}
		if place, err = storageString(text, "table"); err != nil {
			return v.unsettled(err)
		}
	}
	req, err := tableRequest(ctx, place, time.Now())
	if err != nil {
		return v.unsettled(err)
	}
	q := question{method: req.Method, at: place.endpoint, path: "/Tables", query: req.URL.RawQuery, header: map[string]string{}}
	for name := range req.Header {
		q.header[name] = req.Header.Get(name)
	}
	if place.key == "" {
		q.header["Authorization"] = bearer(v.token)
	}
	r, no, ok := p.inquire(ctx, v, q)
	if !ok {
		return no
	}
	return v.cosmosOutcome(r, place.key != "" || v.token != "", "")
}

// cosmosTablePlace is where tables are: the settings of an identity name the endpoint of
// documents only, so the account's own answer says where its tables are.
func (v *visit) cosmosTablePlace() (place blobPlace, err error) {
	switch {
	case v.bare():
		place.endpoint, err = endpoint(v.facts.Text("tableEndpoint"))
	case v.identity():
		v.get("AZURE_COSMOS_LISTCONNECTIONSTRINGURL")
		v.get("AZURE_COSMOS_RESOURCEENDPOINT")
		place.endpoint, err = endpoint(v.facts.Text("tableEndpoint"))
	default:
		place, err = storageString(v.get("AZURE_COSMOS_CONNECTIONSTRING"), "table")
	}
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return place, err
}
