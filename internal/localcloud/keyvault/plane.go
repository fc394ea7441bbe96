package keyvault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	closeTimeout = 5 * time.Second
	maxBody      = 64 << 10 // more than the largest secret, 25 kB
)

// audience is what tokens for Azure's vaults are made for; its application id says the same.
const (
	audience      = "https://vault.azure.net"
	applicationID = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
)

// dataVersions are the api-versions of the data plane.
var dataVersions = []string{
	"2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6-preview.1", "7.6-preview.2", "7.6", "2025-06-01-preview", "2025-07-01", "2026-04-01",
}

// plane is one running secrets data plane.
type plane struct {
	provider *Provider
	id, name string
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func (p *Provider) openPlane(ctx context.Context, resourceID string) (*plane, error) {
	i, err := id.Parse(resourceID)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, p.cloud.Address(resourceID), p.cloud.Store().Private(resourceID)[portKey])
	if err != nil {
		return nil, err
	}
	one := &plane{provider: p, id: resourceID, name: i.Name(), listener: l, done: make(chan struct{})}
	one.server = &http.Server{
		Handler: one, TLSConfig: p.cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(one.done)
		_ = one.server.ServeTLS(l, "", "") // ends by close
	}()
	return one, nil
}

// listen takes the remembered port, or 443, or any port where 443 is not ours to take.
func listen(ctx context.Context, address, remembered string) (net.Listener, error) {
	ports := []string{"443", "0"}
	if remembered != "" {
		ports = []string{remembered}
	}
	var lc net.ListenConfig
	var errs []error
	for _, port := range ports {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, port))
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("open vault endpoint: %w", errors.Join(errs...))
}

func (p *plane) port() string { return strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port) }

// endpoint is the vault's URI, with a slash at its end as Azure writes it.
func (p *plane) endpoint() string {
	host, _, _ := net.SplitHostPort(p.listener.Addr().String())
	if p.port() != "443" {
		host = net.JoinHostPort(host, p.port())
	}
	return "https://" + host + "/"
}

func (p *plane) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.server.Close()
	}
	<-p.done
	if err != nil {
		return fmt.Errorf("close vault endpoint: %w", err)
	}
	return nil
}

// ServeHTTP answers one call: version, network, sign-in, rights, work, in this order.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-keyvault-service-version", "1.9.0.0")
	vault, ok := p.provider.cloud.Store().Get(p.id)
	if !ok {
		p.fail(w, vault, errNoVault)
		return
	}
	op, call, found := match(r)
	if !found {
		p.fail(w, vault, errRoute)
		return
	}
	body, status, refused := p.answer(r, vault, op, call)
	if refused != nil {
		p.fail(w, vault, refused)
		return
	}
	writeJSON(w, status, body)
}

func (p *plane) answer(r *http.Request, vault provider.Document, op operation, call *secretCall) (any, int, *planeError) {
	if refused := p.authorize(r, vault, op, call.name); refused != nil {
		return nil, 0, refused
	}
	if !knows(r.URL.Query().Get("api-version")) {
		return nil, 0, errVersion
	}
	if r.Body != nil && op.body {
		raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil || json.Unmarshal(raw, &call.body) != nil {
			return nil, 0, errBody
		}
	}
	p.provider.writes.Lock()
	defer p.provider.writes.Unlock()
	return op.serve(p, call)
}

func knows(given string) bool {
	for _, v := range dataVersions {
		if strings.EqualFold(v, given) {
			return true
		}
	}
	return false
}

// authorize decides whether a call may do an operation; nil means it may. Who shows no
// token is told where to get one, whatever address the call comes from.
func (p *plane) authorize(r *http.Request, vault provider.Document, op operation, name string) *planeError {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return errChallenge
	}
	claims, err := p.provider.cloud.Directory().Verify(token, audience, audience+"/", applicationID)
	if err != nil {
		return errToken
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return errFirewall
	}
	if refused := wall(vault, from.Addr()); refused != nil {
		return refused.of(from.Addr().String())
	}
	if provider.At(vault, "properties", "enableRbacAuthorization") == true {
		scope := p.id
		if name != "" {
			scope += "/secrets/" + name
		}
		if !p.provider.cloud.Authorizer().Allowed(claims.ObjectID, secretType+"/"+op.action, scope, true) {
			return errRBAC
		}
		return nil
	}
	if !policyAllows(vault, claims.ObjectID, op.permission) {
		return errPolicy.of(op.permission)
	}
	return nil
}

// planeError is an error in the data plane's terms.
type planeError struct {
	status               int
	code, message, inner string
}

func (e planeError) of(what string) *planeError {
	e.message = strings.ReplaceAll(e.message, "{}", what)
	return &e
}

// The data plane's errors, in Azure's codes.
var (
	errChallenge  = &planeError{http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", ""}
	errToken      = &planeError{http.StatusUnauthorized, "Unauthorized", "AKV10022: Invalid token: its signature, audience or lifetime does not hold.", ""}
	errRBAC       = &planeError{http.StatusForbidden, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.", "ForbiddenByRbac"}
	errPolicy     = &planeError{http.StatusForbidden, "Forbidden", "The user, group or application does not have secrets {} permission on key vault. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287", "ForbiddenByPolicy"}
	errFirewall   = &planeError{http.StatusForbidden, "Forbidden", "Client address is not authorized and caller is not a trusted service.\r\nClient address: {}", "ForbiddenByFirewall"}
	errConnection = &planeError{http.StatusForbidden, "Forbidden", "Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: {}", "ForbiddenByConnection"}
	errDisabled   = &planeError{http.StatusForbidden, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"}
	errNoVault    = &planeError{http.StatusNotFound, "VaultNotFound", "The vault was not found.", ""}
	errRoute      = &planeError{http.StatusNotFound, "NotFound", "The path is none of the secrets operations that the local cloud serves.", ""}
	errVersion    = &planeError{http.StatusBadRequest, "BadParameter", "The specified version is not recognized, or the api-version parameter is missing.", ""}
	errBody       = &planeError{http.StatusBadRequest, "BadParameter", "The body is no JSON object, or larger than a secret may be.", ""}
	errValue      = &planeError{http.StatusBadRequest, "BadParameter", "Property value is missing or is longer than 25600 characters.", ""}
	errName       = &planeError{http.StatusBadRequest, "BadParameter", "The request URI contains an invalid name: {}", ""}
	errSecret     = &planeError{http.StatusNotFound, "SecretNotFound", "A secret with (name/id) {} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", ""}
	errDeleted    = &planeError{http.StatusNotFound, "SecretNotFound", "Deleted Secret not found: {}", ""}
	errReserved   = &planeError{http.StatusConflict, "Conflict", "Secret {} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.", "ObjectIsDeletedButRecoverable"}
	errDeleting   = &planeError{http.StatusConflict, "Conflict", "Secret {} is currently being deleted.", "ObjectIsBeingDeleted"}
	errRecovering = &planeError{http.StatusConflict, "Conflict", "Secret {} is currently being recovered.", "ObjectIsBeingRecovered"}
	errProtected  = &planeError{http.StatusForbidden, "Forbidden", "Operation purge is not allowed on this vault.", "PurgeProtectionEnabled"}
)

func (p *plane) fail(w http.ResponseWriter, vault provider.Document, e *planeError) {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization=%q, resource=%q",
			p.provider.cloud.URL()+"/"+provider.Text(vault, "properties", "tenantId"), audience))
	}
	said := map[string]any{"code": e.code, "message": e.message}
	if e.inner != "" {
		said["innererror"] = map[string]any{"code": e.inner}
	}
	writeJSON(w, e.status, map[string]any{"error": said})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone needs no answer
}
