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
)

// storageService is how the app's settings name a service of a storage account beside
// blobs, and what may be asked of it that changes nothing.
type storageService struct {
	prefix  string // of the documented names
	word    string // of the host, and of the endpoint in a connection string
	spring  string // prefix of Spring's properties, "" where there are none
	request func(ctx context.Context, place blobPlace, now time.Time) (*http.Request, error)
}

func storageServices() map[string]storageService {
	return map[string]storageService{
		"queue": {"AZURE_STORAGEQUEUE_", "queue", "spring.cloud.azure.storage.queue.", blobRequest},
		"file":  {"AZURE_STORAGEFILE_", "file", "spring.cloud.azure.storage.fileshare.", blobRequest},
		"table": {"AZURE_STORAGETABLE_", "table", "", tableRequest},
	}
}

// storage lists one queue, table or share as the app would. For an identity it sends the
// request unsigned, as for blobs.
func (p *Prober) storage(ctx context.Context, v *visit) outcome {
	s := storageServices()[v.facts.Text(connection.FactProtocol)]
	place, err := v.storagePlace(s)
	if err != nil {
		return v.unsettled(err)
	}
	return p.askStorage(ctx, v, place, s.request)
}

// askStorage sends one request and reads the account's answer.
func (p *Prober) askStorage(ctx context.Context, v *visit, place blobPlace, build func(context.Context, blobPlace, time.Time) (*http.Request, error)) outcome {
	req, err := build(ctx, place, time.Now())
	if err != nil {
		return v.unsettled(err)
	}
	if v.token != "" && place.key == "" {
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

func (v *visit) storagePlace(s storageService) (place blobPlace, err error) {
	switch {
	case v.bare():
		place.endpoint, err = endpoint(v.facts.Text(connection.FactEndpoint))
	case v.client() == "springBoot":
		place = blobPlace{account: v.get(s.spring + "account-name")}
		if !v.identity() {
			place.key = v.get(s.spring + "account-key")
		}
		place.endpoint, err = endpoint(v.get(s.spring + "endpoint"))
	case v.identity():
		place.endpoint, err = endpoint(v.get(s.prefix + "RESOURCEENDPOINT"))
	default:
		place, err = storageString(v.get(s.prefix+"CONNECTIONSTRING"), s.word)
	}
	if err == nil && len(v.missing) > 0 {
		err = errors.New("settings are missing")
	}
	return place, err
}

// storageString reads a connection string for one service of the account.
func storageString(text, word string) (blobPlace, error) {
	o, err := grammar.ParseStorage(text)
	if err != nil {
		return blobPlace{}, err
	}
	place := blobPlace{account: o["accountname"], key: o["accountkey"]}
	if place.account == "" || place.key == "" {
		return blobPlace{}, errors.New("it names no account or no key")
	}
	at := orElse(o[word+"endpoint"], orElse(o["defaultendpointsprotocol"], "https")+"://"+place.account+"."+word+"."+orElse(o["endpointsuffix"], "core.windows.net")+"/")
	place.endpoint, err = endpoint(at)
	return place, err
}

const tableVersion = "2019-02-02"

// tableRequest asks for the name of one table, signed the light way where there is a key.
func tableRequest(ctx context.Context, place blobPlace, now time.Time) (*http.Request, error) {
	u := *place.endpoint
	u.Path, u.RawQuery = strings.TrimRight(u.Path, "/")+"/Tables", url.Values{"$top": {"1"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("its endpoint makes no request")
	}
	date := now.UTC().Format(http.TimeFormat)
	req.Header.Set("x-ms-date", date)
	req.Header.Set("x-ms-version", tableVersion)
	req.Header.Set("DataServiceVersion", "3.0")
	req.Header.Set("Accept", "application/json;odata=nometadata")
	if place.key == "" {
		return req, nil
	}
	key, err := base64.StdEncoding.DecodeString(place.key)
	if err != nil {
		return nil, errors.New("its account key is not base64")
	}
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, fmt.Sprintf("%s\n/%s%s", date, place.account, u.EscapedPath())) // a hash takes everything
	req.Header.Set("Authorization", "SharedKeyLite "+place.account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}
