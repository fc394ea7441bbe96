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
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const vaultDataVersion = "7.4"

// vaultEndpoint is where the app's settings point. They name two places for Spring, one
// per generation of its library; the newer one counts.
func (v *visit) vaultEndpoint() (*url.URL, error) {
	name := "AZURE_KEYVAULT_RESOURCEENDPOINT"
	if v.client() == "springBoot" {
		name = "spring.cloud.azure.keyvault.secret.endpoint"
	}
	at := v.facts.Text(connection.FactEndpoint)
	if !v.bare() {
		at = v.get(name)
	}
	u, err := endpoint(at)
	if err == nil && u.Scheme != "https" {
		err = errors.New("its endpoint is not https")
	}
	if len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return u, err
}

// vault lists secrets, names only, with a service principal's token. For an identity it
// sends the request without one: the challenge that comes back shows that the vault is
// reached, not that its firewall lets anybody in.
func (p *Prober) vault(ctx context.Context, v *visit) outcome {
	at, err := v.vaultEndpoint()
	if err != nil {
		return v.unsettled(err)
	}
	u := at.JoinPath("secrets")
	u.RawQuery = "maxresults=1&api-version=" + vaultDataVersion
	status, code, from, err := p.ask(ctx, v, u)
	if err != nil {
		return v.noAnswer(at.Host, err)
	}
	return v.vaultOutcome(status, code, from)
}

// ask sends one GET with the token at hand, if any, and returns status and the code of
// an error: the inner one where there is one.
func (p *Prober) ask(ctx context.Context, v *visit, u *url.URL) (status int, code, from string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, "", "", err
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	resp, err := p.roundTrip(req, func(conn net.Conn) { from = local(conn) })
	if err != nil {
		return 0, "", from, err
	}
	defer resp.Body.Close()
	var said struct {
		Error struct {
			Code  string `json:"code"`
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said) // what cannot be read holds no code
	return resp.StatusCode, orElse(said.Error.Inner.Code, said.Error.Code), from, nil
}

func (v *visit) vaultOutcome(status int, code, from string) outcome {
	said := strings.TrimSpace(fmt.Sprintf("the vault answers %d %s", status, code))
	switch {
	case code == "ForbiddenByFirewall", code == "ForbiddenByConnection":
		return v.shutOut(from, said)
	case status >= 500:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said}
	case v.token == "" && status == http.StatusUnauthorized:
		return outcome{unproven: identityUnproven}
	case status < 300:
		return outcome{}
	case status == http.StatusForbidden:
		return v.notInForce(said)
	}
	return v.refused(said)
}
