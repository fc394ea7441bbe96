package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// insights compares the instrumentation key with the component's own, and asks the
// ingestion endpoint without sending anything: telemetry would be a write.
func (p *Prober) insights(ctx context.Context, v *visit) outcome {
	own, _ := grammar.ParseStorage(v.facts.Text("connectionString")) // a component without one told so before
	has := own
	if !v.bare() {
		text := v.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
		var err error
		if has, err = grammar.ParseStorage(text); err != nil || len(v.missing) > 0 {
			return v.unsettled(errors.Join(err))
		}
	}
	at, err := endpoint(has["ingestionendpoint"])
	if err != nil {
		return v.unsettled(err)
	}
	r, no, ok := p.inquire(ctx, v, question{method: http.MethodGet, at: at, path: "/v2.1/track"})
	switch {
	case !ok:
		return no
	case r.status == http.StatusForbidden:
		return v.shutOut(r.from, "the endpoint answers 403")
	case !strings.EqualFold(has["instrumentationkey"], own["instrumentationkey"]):
		return outcome{code: problem.LoginRefused, fix: v.repair(" --force"),
			detail: fmt.Sprintf("the instrumentation key is not that of the component; telemetry goes elsewhere or nowhere (%s)", at.Host)}
	}
	return outcome{}
}
