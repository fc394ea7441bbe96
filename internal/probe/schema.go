package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

// registryType is the word of targetService.type for schema registries.
const registryType = "ConfluentSchemaRegistry"

// registryPlace reads the settings of a schema registry.
func (v *visit) registryPlace() (at *url.URL, userInfo string, err error) {
	address, info := "CONFLUENTCLOUD_SCHEMAREGISTRY_URL", "CONFLUENTCLOUD_SCHEMAREGISTRY_USERINFO"
	if v.client() == "springBoot" {
		const spring = "spring.kafka.properties.schema.registry."
		address, info = spring+"url", spring+"basic.auth.user.info"
	}
	text := v.facts.Text(connection.FactEndpoint)
	if !v.bare() {
		text, userInfo = v.get(address), v.get(info)
	}
	if len(v.missing) > 0 {
		return nil, "", errors.New("settings are missing")
	}
	if at, err = endpoint(text); err == nil && at.Scheme != "https" {
		err = errors.New("its address is not https")
	}
	if err == nil && !v.bare() && !strings.Contains(userInfo, ":") {
		err = errors.New("its user info is not key:secret")
	}
	return at, userInfo, err
}

// schemaRegistry lists the subjects, names only.
func (p *Prober) schemaRegistry(ctx context.Context, v *visit) outcome {
	at, userInfo, err := v.registryPlace()
	if err != nil {
		return v.unsettled(err)
	}
	header := map[string]string{"Accept": "application/vnd.schemaregistry.v1+json"}
	if userInfo != "" {
		header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(userInfo))
	}
	r, no, ok := p.inquire(ctx, v, question{method: http.MethodGet, at: at, path: "/subjects", header: header})
	said := fmt.Sprintf("the schema registry answers %d", r.status)
	switch {
	case !ok:
		return no
	case v.bare():
		return outcome{}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return v.refused(said)
	case r.status != http.StatusOK:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said + ": there is no registry"}
	}
	return outcome{}
}
