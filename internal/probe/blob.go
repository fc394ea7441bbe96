package probe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
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

// blobPlace is where the app's settings point.
type blobPlace struct {
	endpoint *url.URL
	account  string
	key      string // "" for an identity
}

func (v *visit) blobPlace() (blobPlace, error) {
	var place blobPlace
	var err error
	switch {
	case v.client() == "springBoot":
		place, err = v.blobSpring()
	case v.identity():
		place.endpoint, err = endpoint(v.get("AZURE_STORAGEBLOB_RESOURCEENDPOINT"))
	default:
		place, err = blobString(v.get("AZURE_STORAGEBLOB_CONNECTIONSTRING"))
	}
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return place, err
}

func (v *visit) blobSpring() (blobPlace, error) {
	u, err := endpoint(v.get("spring.cloud.azure.storage.blob.endpoint"))
	place := blobPlace{endpoint: u, account: v.get("spring.cloud.azure.storage.blob.account-name")}
	if !v.identity() {
		place.key = v.get("spring.cloud.azure.storage.blob.account-key")
	}
	return place, err
}

func blobString(text string) (blobPlace, error) {
	o, err := grammar.ParseStorage(text)
	if err != nil {
		return blobPlace{}, err
	}
	place := blobPlace{account: o["accountname"], key: o["accountkey"]}
	if place.account == "" || place.key == "" {
		return blobPlace{}, errors.New("it names no account or no key")
	}
	at := o["blobendpoint"]
	if at == "" {
		at = orElse(o["defaultendpointsprotocol"], "https") + "://" + place.account + ".blob." + orElse(o["endpointsuffix"], "core.windows.net") + "/"
	}
	place.endpoint, err = endpoint(at)
	return place, err
}

func endpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("it holds no endpoint")
	}
	return u, nil
}

// blob lists one container with the account's key or a service principal's token. For
// an identity it sends the request unsigned: any answer but the firewall's shows that
// the account is reached.
func (p *Prober) blob(ctx context.Context, v *visit) outcome {
	place := blobPlace{}
	var err error
	if v.bare() {
		place.endpoint, err = endpoint(v.facts.Text(connection.FactEndpoint))
	} else {
		place, err = v.blobPlace()
	}
	if err != nil {
		return v.unsettled(err)
	}
	req, err := blobRequest(ctx, place, time.Now())
	if err != nil {
		return v.unsettled(err)
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	from := ""
	resp, err := p.roundTrip(req, func(conn net.Conn) { from = local(conn) })
	if err != nil {
		return v.noAnswer(place.endpoint.Host, err)
	}
	defer resp.Body.Close()
	return v.blobOutcome(place, resp, from)
}

// roundTrip sends one request over a connection of its own.
func (p *Prober) roundTrip(req *http.Request, opened func(net.Conn)) (*http.Response, error) {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := p.options.Dial(ctx, network, address)
		if err == nil {
			opened(conn)
		}
		return conn, err
	}
	transport := &http.Transport{
		DialContext: dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: p.options.Roots, MinVersion: tls.VersionTLS12},
	}
	return transport.RoundTrip(req)
}

const blobVersion = "2021-12-02"

func blobRequest(ctx context.Context, place blobPlace, now time.Time) (*http.Request, error) {
	u := *place.endpoint
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	u.RawQuery = "comp=list&maxresults=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("its endpoint makes no request")
	}
	req.Header.Set("x-ms-date", now.UTC().Format(http.TimeFormat))
	req.Header.Set("x-ms-version", blobVersion)
	if place.key == "" {
		return req, nil
	}
	key, err := base64.StdEncoding.DecodeString(place.key)
	if err != nil {
		return nil, errors.New("its account key is not base64")
	}
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, stringToSign(req, place.account)) // a hash takes everything
	req.Header.Set("Authorization", "SharedKey "+place.account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}

// stringToSign is the Shared Key form of a request without a body: the verb, the
// eleven standard headers (none of them sent), our headers, and the resource.
func stringToSign(req *http.Request, account string) string {
	return req.Method + strings.Repeat("\n", 12) +
		"x-ms-date:" + req.Header.Get("x-ms-date") + "\n" +
		"x-ms-version:" + req.Header.Get("x-ms-version") + "\n" +
		"/" + account + req.URL.EscapedPath() + "\ncomp:list\nmaxresults:1"
}

// blobOutcome reads the service's answer; its codes tell refusals apart.
func (v *visit) blobOutcome(place blobPlace, resp *http.Response, from string) outcome {
	code := blobCode(resp)
	said := fmt.Sprintf("the account answers %d %s", resp.StatusCode, code)
	switch {
	case resp.StatusCode == http.StatusForbidden && code == "AuthorizationFailure":
		return v.shutOut(from, said)
	case code == "AccountIsDisabled":
		return outcome{stage: atNetwork, code: problem.TargetStopped, detail: said, fix: "look at the account's notices: its subscription is disabled"}
	case resp.StatusCode >= 500:
		return outcome{stage: atNetwork, code: problem.TargetNoAnswer, detail: said}
	case place.key == "" && v.token == "":
		return outcome{unproven: identityUnproven}
	case resp.StatusCode < 300:
		return outcome{}
	case code == "AuthorizationPermissionMismatch":
		return v.notInForce(said)
	case code == "KeyBasedAuthenticationNotPermitted":
		return outcome{code: problem.KeyAccessDisabled, detail: said}
	}
	return v.refused(said)
}

// blobCode is the error code: of the header, or of the body where a proxy drops it.
func blobCode(resp *http.Response) string {
	if code := resp.Header.Get("x-ms-error-code"); code != "" {
		return code
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))                               // what cannot be read holds no code
	for opens, closes := range map[string]string{"<Code>": "</Code>", `"code":"`: `"`} { // of XML, and of JSON for tables
		if _, rest, found := strings.Cut(string(body), opens); found {
			code, _, _ := strings.Cut(rest, closes)
			return code
		}
	}
	return ""
}
