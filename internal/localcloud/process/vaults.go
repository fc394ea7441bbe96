package process

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	vaultKind       = "Microsoft.KeyVault/vaults"
	vaultAPIVersion = "7.4"
	fetchTimeout    = 5 * time.Second
	fetchLimit      = 64 << 10
	outbound        = "127.0.0.1" // where everything that runs here calls out from
)

// How the look-up of a secret went, in the words of App Service.
const (
	Resolved       = "Resolved"
	InvalidSyntax  = "InvalidSyntax"
	SecretNotFound = "SecretNotFound"
	AccessDenied   = "AccessToKeyVaultDenied"
	TimedOut       = "FetchTimedOut"
	OtherReasons   = "OtherReasons"
)

// Vaults reads secrets for apps as they would themselves: over the vault's own protocol,
// with a token of theirs, and from the address that apps call out from.
type Vaults struct{ cloud provider.Cloud }

// NewVaults makes the reader of a cloud's vaults.
func NewVaults(cloud provider.Cloud) *Vaults { return &Vaults{cloud} }

// Find finds a vault's address by its name or its address; names lead nowhere else,
// so that no token goes to a stranger.
func (v *Vaults) Find(nameOrURI string) (string, bool) {
	for _, doc := range v.cloud.Store().Under("", vaultKind) {
		uri := provider.Text(doc, "properties", "vaultUri")
		if strings.EqualFold(uri, nameOrURI) || strings.EqualFold(provider.Text(doc, "name"), nameOrURI) {
			return uri, uri != ""
		}
	}
	return "", false
}

// Secret gets one secret over the vault's protocol.
func (v *Vaults) Secret(uri, token string) (value, status, version string) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(uri, "/")+"?api-version="+vaultAPIVersion, nil)
	if err != nil {
		return "", InvalidSyntax, ""
	}
	req.Header.Set("Authorization", "Bearer "+token)
	transport, err := v.transport()
	if err != nil {
		return "", OtherReasons, ""
	}
	resp, err := transport.RoundTrip(req)
	switch {
	case ctx.Err() != nil:
		return "", TimedOut, ""
	case err != nil:
		return "", OtherReasons, ""
	}
	defer resp.Body.Close()
	var said struct{ ID, Value string }
	err = json.NewDecoder(io.LimitReader(resp.Body, fetchLimit)).Decode(&said)
	switch {
	case resp.StatusCode == http.StatusOK && err == nil:
		return said.Value, Resolved, said.ID[strings.LastIndexByte(said.ID, '/')+1:]
	case resp.StatusCode == http.StatusNotFound:
		return "", SecretNotFound, ""
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		return "", AccessDenied, ""
	}
	return "", OtherReasons, ""
}

// transport trusts the cloud's authority and calls out from where apps do.
func (v *Vaults) transport() (*http.Transport, error) {
	_, _, file := v.cloud.CertFiles()
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(raw)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(outbound)}}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}
