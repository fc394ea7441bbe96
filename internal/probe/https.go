package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// question is one request of a knock over HTTPS.
type question struct {
	method string
	at     *url.URL // endpoint of the service
	path   string   // below the endpoint
	query  string
	header map[string]string
}

// reply is what came back.
type reply struct {
	status int
	body   string // its beginning
	from   string // our address of the connection
}

// inquire sends a request. ok is false when there was no answer; the outcome says why then.
func (p *Prober) inquire(ctx context.Context, v *visit, q question) (r reply, no outcome, ok bool) {
	u := *q.at
	u.Path, u.RawQuery = strings.TrimRight(u.Path, "/")+q.path, q.query
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return r, v.unsettled(errors.New("its endpoint makes no request")), false
	}
	for name, value := range q.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := p.roundTrip(req, func(conn net.Conn) { r.from = local(conn) })
	if err != nil {
		return r, v.noAnswer(u.Host, err), false
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what cannot be read says nothing
	r.status, r.body = resp.StatusCode, string(said)
	if r.status >= http.StatusInternalServerError {
		return r, outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: fmt.Sprintf("the service answers %d", r.status)}, false
	}
	return r, outcome{}, true
}

// either is the value of the first of some settings that the app has; without any the
// first counts as missing.
func (v *visit) either(documented ...string) string {
	for _, name := range documented {
		if text, ok := v.settings[strings.ToLower(v.c.SettingName(name))]; ok {
			return text
		}
	}
	return v.get(documented[0])
}

// place is the endpoint that the app's settings, or the facts of a bare visit, hold.
func (v *visit) place(fact string, read func() (string, error)) (*url.URL, error) {
	if v.bare() {
		text := v.facts.Text(fact)
		if fact == connection.FactHost {
			text = "https://" + text
		}
		return endpoint(text)
	}
	text, err := read()
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	if err != nil {
		return nil, err
	}
	return endpoint(text)
}

// bearer is the header of a service principal's token.
func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// forbidden is for a refusal that may be the network's or one of rights: services over
// HTTPS have one status for both.
func (v *visit) forbidden(r reply, said string) outcome {
	if v.token == "" || v.facts.Text(connection.FactWall) != "" && !v.sourceAddress(r.from) {
		return v.shutOut(r.from, said)
	}
	return v.notInForce(said)
}

// https asks for the front page: whatever an app answers, it is reached.
func (p *Prober) https(ctx context.Context, v *visit) outcome {
	at, err := v.pagePlace()
	if err != nil {
		return v.unsettled(err)
	}
	r, no, ok := p.inquire(ctx, v, question{method: http.MethodGet, at: at, path: "/"})
	switch {
	case !ok:
		return no
	case r.status == http.StatusForbidden:
		return v.shutOut(r.from, "the app answers 403")
	case v.c.Properties.Auth != nil:
		return outcome{unproven: "not proven: how the service takes user and password is not known, so the address was tried and signing in was not"}
	}
	return outcome{}
}

// pagePlace is where the app's setting points. One without sign-in has settings to judge
// though it has no authInfo.
func (v *visit) pagePlace() (*url.URL, error) {
	if f := v.c.Properties.Configuration; f != nil && f.Action == "optOut" {
		return endpoint(orElse(v.facts.Text(connection.FactEndpoint), "https://"+v.facts.Text(connection.FactHost)))
	}
	name := "AZURE_CONTAINERAPP_ENDPOINT"
	if v.c.Properties.Auth != nil {
		name = "SELFHOSTED_HTTP_ENDPOINT"
	}
	text := v.get(name)
	if len(v.missing) > 0 {
		return nil, errors.New("settings are missing")
	}
	return endpoint(text)
}
