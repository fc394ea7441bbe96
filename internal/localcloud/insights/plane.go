package insights

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// publicAudience is what tokens for Azure's telemetry are made for.
const publicAudience = "https://monitor.azure.com"

// telemetryWrite is the data action that sending takes where keys are switched off.
const telemetryWrite = "Microsoft.Insights/Telemetry/Write"

// bodyLimit is more than the service takes in one request.
const bodyLimit = 8 << 20

// plane answers for one component.
type plane struct {
	cloud provider.Cloud
	id    string
	mux   *http.ServeMux
}

func newPlane(cloud provider.Cloud, resourceID string) *plane {
	p := &plane{cloud: cloud, id: resourceID, mux: http.NewServeMux()}
	p.mux.HandleFunc("POST /v2/track", p.track)
	p.mux.HandleFunc("POST /v2.1/track", p.track)
	return p
}

// ServeHTTP answers one request.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// envelope is what is judged of one item of telemetry.
type envelope struct {
	Name string `json:"name"`
	Time string `json:"time"`
	IKey string `json:"iKey"`
	Data *struct {
		BaseType string          `json:"baseType"`
		BaseData json.RawMessage `json:"baseData"`
	} `json:"data"`
}

// rejected is an item that was not taken.
type rejected struct {
	Index      int    `json:"index"`
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
}

func (p *plane) track(w http.ResponseWriter, r *http.Request) {
	doc, ok := p.cloud.Store().Get(p.id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if status := p.admits(doc, r); status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	items, err := read(w, r)
	if err != nil {
		answer(w, http.StatusBadRequest, 0, []rejected{{0, http.StatusBadRequest, "100: Invalid json"}}, "")
		return
	}
	var errs []rejected
	for n, item := range items {
		if why, status := judge(item, provider.Text(doc, "properties", "InstrumentationKey")); why != "" {
			errs = append(errs, rejected{n, status, why})
		}
	}
	status := http.StatusOK
	switch {
	case len(errs) == len(items) && len(errs) > 0:
		status = http.StatusBadRequest
	case len(errs) > 0:
		status = http.StatusPartialContent
	}
	answer(w, status, len(items), errs, provider.Text(doc, "properties", "AppId"))
}

// admits judges network and token.
func (p *plane) admits(doc provider.Document, r *http.Request) int {
	if provider.Text(doc, "properties", "publicNetworkAccessForIngestion") == "Disabled" {
		return http.StatusForbidden
	}
	off, _ := provider.At(doc, "properties", "DisableLocalAuth").(bool)
	token := service.Bearer(r)
	if token == "" && !off {
		return http.StatusOK
	}
	base := strings.TrimSuffix(p.cloud.URL(), "/") + "/monitor"
	claims, err := p.cloud.Directory().Verify(token, publicAudience, publicAudience+"/", base, base+"/")
	if err != nil {
		return http.StatusUnauthorized
	}
	if !p.cloud.Authorizer().Allowed(claims.ObjectID, telemetryWrite, p.id, true) {
		return http.StatusForbidden
	}
	return http.StatusOK
}

// read takes the items out of a body: an array, or one item per line.
func read(w http.ResponseWriter, r *http.Request) ([]json.RawMessage, error) {
	body := io.Reader(http.MaxBytesReader(w, r.Body, bodyLimit))
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = io.LimitReader(unpacked, bodyLimit)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return split(raw)
}

func split(raw []byte) ([]json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	var items []json.RawMessage
	if bytes.HasPrefix(raw, []byte("[")) {
		err := json.Unmarshal(raw, &items)
		return items, err
	}
	for _, line := range bytes.Split(raw, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			items = append(items, json.RawMessage(line))
		}
	}
	if len(items) == 0 {
		return nil, errors.New("nothing was sent")
	}
	return items, nil
}

// judge tells why an item is not taken; "" when it is.
func judge(item json.RawMessage, key string) (string, int) {
	var e envelope
	switch err := json.Unmarshal(item, &e); {
	case err != nil:
		return "100: Invalid json", http.StatusBadRequest
	case e.Name == "" || e.Time == "":
		return "103: Field 'name' and field 'time' of type 'Envelope' are required", http.StatusBadRequest
	case e.Data == nil || e.Data.BaseType == "" || len(e.Data.BaseData) == 0:
		return "103: Field 'data' of type 'Envelope' is required", http.StatusBadRequest
	case !strings.EqualFold(e.IKey, key):
		return "Invalid instrumentation key", http.StatusBadRequest
	}
	return "", http.StatusOK
}

func answer(w http.ResponseWriter, status, received int, errs []rejected, app string) {
	if errs == nil {
		errs = []rejected{}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	said := map[string]any{"itemsReceived": received, "itemsAccepted": max(0, received-len(errs)), "errors": errs}
	if app != "" {
		said["appId"] = app
	}
	_ = json.NewEncoder(w).Encode(said) // a client that has gone needs no answer
}
