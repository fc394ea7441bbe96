package probe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/connection/grammar"
	"github.com/patchbay/patchbay/internal/problem"
)

// storePlace is where the app's settings point, and with what; no key for an identity.
type storePlace struct {
	endpoint    *url.URL
	id, keyText string
}

func (v *visit) storePlace() (storePlace, error) {
	var place storePlace
	var err error
	switch {
	case v.bare():
		place.endpoint, err = endpoint(v.facts.Text(connection.FactEndpoint))
	case v.identity():
		place.endpoint, err = endpoint(v.get("AZURE_APPCONFIGURATION_ENDPOINT"))
	default:
		place, err = storeString(v.get("AZURE_APPCONFIGURATION_CONNECTIONSTRING"))
	}
	if err == nil && place.endpoint.Scheme != "https" {
		err = errors.New("its endpoint is not https")
	}
	if len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return place, err
}

func storeString(text string) (storePlace, error) {
	o, err := grammar.ParseStorage(text)
	if err != nil {
		return storePlace{}, err
	}
	place := storePlace{id: o["id"], keyText: o["secret"]}
	if place.id == "" || place.keyText == "" {
		return storePlace{}, errors.New("it names no key")
	}
	place.endpoint, err = endpoint(o["endpoint"])
	return place, err
}

const storeVersion = "1.0"

// appConfig reads one page of key-values with the app's key or a service principal's
// token. For an identity it asks without one: the challenge shows that the store is
// reached.
func (p *Prober) appConfig(ctx context.Context, v *visit) outcome {
	place, err := v.storePlace()
	if err != nil {
		return v.unsettled(err)
	}
	req, err := storeRequest(ctx, place, time.Now())
	if err != nil {
		return v.unsettled(err)
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	resp, err := p.roundTrip(req, func(net.Conn) {})
	if err != nil {
		return v.noAnswer(place.endpoint.Host, err)
	}
	defer resp.Body.Close()
	said := fmt.Sprintf("the store answers %d", resp.StatusCode)
	unsigned := place.id == "" && v.token == ""
	switch {
	case resp.StatusCode >= 500:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said}
	case resp.StatusCode == http.StatusForbidden && v.facts.Text(connection.FactDenied) != "":
		return v.noAnswer(place.endpoint.Host, errors.New(said))
	case unsigned && resp.StatusCode == http.StatusUnauthorized:
		return outcome{unproven: identityUnproven}
	case resp.StatusCode < 300:
		return outcome{}
	case resp.StatusCode == http.StatusForbidden:
		return v.notInForce(said)
	}
	return v.refused(said)
}

func storeRequest(ctx context.Context, place storePlace, now time.Time) (*http.Request, error) {
	u := place.endpoint.JoinPath("kv")
	u.RawQuery = "$select=key&api-version=" + storeVersion
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("its endpoint makes no request")
	}
	if place.id == "" {
		return req, nil
	}
	key, err := base64.StdEncoding.DecodeString(place.keyText)
	if err != nil {
		return nil, errors.New("its key is not base64")
	}
	sum := sha256.Sum256(nil)
	content, date := base64.StdEncoding.EncodeToString(sum[:]), now.UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, "GET\n"+req.URL.RequestURI()+"\n"+strings.Join([]string{date, req.URL.Host, content}, ";")) // a hash takes everything
	req.Header.Set("x-ms-date", date)
	req.Header.Set("x-ms-content-sha256", content)
	req.Header.Set("Authorization", "HMAC-SHA256 Credential="+place.id+"&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="+
		base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}
