package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// aiAccount is how the app's settings name an account of AI services, and what may be
// asked of it that changes nothing.
type aiAccount struct {
	endpoint []string // settings, of which the app has one
	key      string   // setting
	byKey    question
	byToken  question
}

func aiAccounts() map[string]aiAccount {
	models := question{method: http.MethodGet, path: "/openai/models", query: "api-version=2024-10-21"}
	return map[string]aiAccount{
		"openai":     {[]string{"AZURE_OPENAI_BASE", "AZURE_OPENAI_ENDPOINT"}, "AZURE_OPENAI_KEY", models, models},
		"aiservices": {[]string{"AZURE_AISERVICES_COGNITIVESERVICES_ENDPOINT"}, "AZURE_AISERVICES_KEY", models, models},
		// Which services such an account has depends on its kind: every one sells tokens for a
		// key, and many list models of vision.
		"cognitive": {[]string{"AZURE_COGNITIVESERVICES_ENDPOINT"}, "AZURE_COGNITIVESERVICES_KEY",
			question{method: http.MethodPost, path: "/sts/v1.0/issueToken"}, question{method: http.MethodGet, path: "/vision/v3.2/models"}},
	}
}

// ai asks an account as the app would.
func (p *Prober) ai(ctx context.Context, v *visit) outcome {
	account := aiAccounts()[v.facts.Text(connection.FactProtocol)]
	at, err := v.place(connection.FactEndpoint, func() (string, error) { return v.either(account.endpoint...), nil })
	if err != nil {
		return v.unsettled(err)
	}
	q, key := account.byToken, ""
	if !v.bare() && !v.identity() {
		q = account.byKey
		if key = v.get(account.key); key == "" {
			return v.unsettled(errors.New("its key is empty"))
		}
	}
	q.at, q.header = at, map[string]string{"Ocp-Apim-Subscription-Key": key, "Authorization": bearer(v.token)}
	if strings.HasPrefix(q.path, "/openai/") {
		q.header["api-key"] = key
	}
	r, no, ok := p.inquire(ctx, v, q)
	if !ok {
		return no
	}
	return v.aiOutcome(r, key)
}

// aiOutcome reads an account's answer; the words of its refusals tell them apart.
func (v *visit) aiOutcome(r reply, key string) outcome {
	said := fmt.Sprintf("the account answers %d", r.status)
	is := func(word string) bool { return strings.Contains(r.body, word) }
	switch {
	case is("AuthenticationTypeDisabled"):
		return outcome{code: problem.KeyAccessDisabled, detail: said + " AuthenticationTypeDisabled"}
	case is("PermissionDenied"):
		return v.notInForce(said + " PermissionDenied")
	case is("custom subdomain"):
		return outcome{code: problem.LoginRefused, detail: "the account has no custom subdomain, which signing in with an identity needs",
			fix: "az cognitiveservices account update --custom-domain NAME"}
	case r.status == http.StatusForbidden:
		return v.forbidden(r, said)
	case key == "" && v.token == "":
		return outcome{unproven: identityUnproven}
	case r.status == http.StatusUnauthorized:
		return v.refused(said)
	case r.status == http.StatusNotFound:
		return outcome{unproven: "not proven: an account of this kind has nothing that could be asked without doing anything, so the network was tried and signing in was not"}
	}
	return outcome{}
}
