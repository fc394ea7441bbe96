package containerapp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/process"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/service"
)

// pendingKey marks an app whose template has no revision yet.
const pendingKey = "pending"

const (
	localImage = "local/" // such an image is a program of this machine
	readyLimit = 10 * time.Second
	readyPause = 20 * time.Millisecond
)

func revisionID(appID, name string) string { return appID + "/revisions/" + name }

// roll finishes a write: the revision of a new template is made and started.
func (p *Provider) roll(appID string) {
	doc, exists := p.cloud.Store().Get(appID)
	if !exists {
		return
	}
	properties, private := members(doc["properties"]), p.cloud.Store().Private(appID)
	if private[pendingKey] != "" {
		delete(private, pendingKey)
		p.cloud.Store().SetPrivate(appID, private)
		name := p.newRevision(doc)
		properties["latestRevisionName"] = name
		if ingress := members(provider.At(properties, "configuration", "ingress")); ingress != nil {
			properties["latestRevisionFqdn"] = ingress["fqdn"] // revisions have no address of their own here
		}
	}
	properties["provisioningState"] = succeeded
	p.cloud.Store().Put(appID, doc)
	p.settle(appID)
}

// resume makes what an app runs what its documents say.
func (p *Provider) resume(appID string) {
	p.roll(appID)
	for _, revision := range p.cloud.Store().Children(appID, revisionType) {
		p.run(revision)
	}
}

// newRevision stores and starts the revision of an app's template.
func (p *Provider) newRevision(doc provider.Document) string {
	appID, template := provider.Text(doc, "id"), members(provider.At(doc, "properties", "template"))
	suffix := provider.Text(template, "revisionSuffix")
	if suffix == "" {
		suffix = strings.ToLower(rand.Text()[:7])
	}
	name := provider.Text(doc, "name") + "--" + suffix
	revision := provider.Document{"id": revisionID(appID, name), "name": name, "type": revisionType, "properties": map[string]any{
		"createdTime": p.cloud.Now().UTC().Format(time.RFC3339), "active": true, "template": template, "replicas": 1,
		"provisioningState": "Provisioning", "runningState": "Processing", "healthState": "None",
	}}
	p.cloud.Store().Put(revisionID(appID, name), revision)
	p.run(revision)
	return name
}

// run makes the programs of a revision what its document says: started while it is
// active and its app is not stopped, ended otherwise.
func (p *Provider) run(revision provider.Document) {
	at := id.MustParse(provider.Text(revision, "id"))
	app, exists := p.cloud.Store().Get(at.Parent().String())
	active, _ := provider.At(revision, "properties", "active").(bool)
	if !exists || !active || provider.Text(app, "properties", "runningStatus") == stopped {
		p.halt(revision)
		return
	}
	port, failed := 0, false
	for _, c := range list(provider.At(revision, "properties", "template", "containers")) {
		if container := members(c); strings.HasPrefix(provider.Text(container, "image"), localImage) {
			if port == 0 {
				port = p.portOf(at.Fold())
			}
			failed = !p.start(app, at, container, port) || failed
		}
	}
	switch {
	case failed:
		p.judged(at.String(), "Failed", "Unhealthy")
	case port == 0 || provider.At(app, "properties", "configuration", "ingress") == nil:
		p.judged(at.String(), "Provisioned", "Healthy")
	default:
		p.watching.Go(func() { p.watch(at, port) })
	}
}

// start starts one container's program; false when there is no such program.
func (p *Provider) start(app provider.Document, revision id.ID, container map[string]any, port int) bool {
	appID, name := provider.Text(app, "id"), provider.Text(container, "name")
	sum := sha256.Sum256([]byte(revision.Fold() + "/" + name))
	dir := filepath.Join(p.cloud.Dir("containerapps"), hex.EncodeToString(sum[:8]))
	var args []string
	for _, word := range append(append([]any{}, list(container["command"])...), list(container["args"])...) {
		text, _ := word.(string)
		args = append(args, text)
	}
	if len(args) == 0 {
		return false
	}
	_, _, ca := p.cloud.CertFiles()
	platform := map[string]string{
		"CONTAINER_APP_NAME": provider.Text(app, "name"), "CONTAINER_APP_REVISION": revision.Name(), "CONTAINER_APP_REPLICA_NAME": revision.Name() + "-0",
		"PORT": strconv.Itoa(port), "IDENTITY_ENDPOINT": p.tokens.URL(), "IDENTITY_HEADER": p.tokens.Header(id.Fold(appID)), "SSL_CERT_FILE": ca,
	}
	vars, complete := p.variables(app, container)
	if !complete {
		p.cloud.Logf("start %s of %s: a secret cannot be read from its vault", name, revision.Name())
		return false
	}
	key := revision.Fold() + "/" + name
	_, before := p.runner.State(key)
	if err := p.runner.Start(key, process.Spec{Args: args, Dir: filepath.Join(dir, "home"), LogFile: filepath.Join(dir, "app.log"),
		Env: process.Environment(filepath.Join(dir, "home"), vars, platform)}); err != nil {
		p.cloud.Logf("start %s of %s: %v", name, revision.Name(), err)
		return false
	}
	pid, starts := p.runner.State(key)
	return pid != 0 || starts > before
}

// variables are what a container's entries come to at this moment; false when a secret
// cannot be read from its vault.
func (p *Provider) variables(app provider.Document, container map[string]any) (map[string]string, bool) {
	vars, values, all := map[string]string{}, map[string]string{}, true
	private := p.cloud.Store().Private(provider.Text(app, "id"))
	named := references(map[string]any{"containers": []any{container}})
	for _, s := range list(provider.At(app, "properties", "configuration", "secrets")) {
		secret := members(s)
		name := provider.Text(secret, "name")
		values[name] = private[secretPrefix+name]
		if _, used := named[name]; used && provider.Text(secret, "keyVaultUrl") != "" {
			var found bool
			values[name], found = p.vaulted(app, secret)
			all = all && found
		}
	}
	for _, e := range list(container["env"]) {
		entry := members(e)
		vars[provider.Text(entry, "name")] = provider.Text(entry, "value")
		if ref := provider.Text(entry, "secretRef"); ref != "" {
			vars[provider.Text(entry, "name")] = values[ref]
		}
	}
	return vars, all
}

// vaulted reads a secret from a vault as the identity that it names.
func (p *Provider) vaulted(app provider.Document, secret map[string]any) (string, bool) {
	uri, identity := provider.Text(secret, "keyVaultUrl"), provider.Text(secret, "identity")
	if strings.EqualFold(identity, "system") {
		identity = ""
	}
	host, path, _ := strings.Cut(strings.TrimPrefix(uri, "https://"), "/")
	at, known := p.vaults.Find("https://" + host + "/") // a token goes to no stranger
	who, ok := p.identities.Principal(app["identity"], "", "", identity)
	if !ok || !known {
		return "", false
	}
	token, _, err := p.cloud.Directory().Token(who.ObjectID, "https://vault.azure.net")
	if err != nil {
		return "", false
	}
	value, status, _ := p.vaults.Secret(at+path, token)
	return value, status == process.Resolved
}

// halt ends the programs of a revision.
func (p *Provider) halt(revision provider.Document) {
	key := id.Fold(provider.Text(revision, "id"))
	for _, c := range list(provider.At(revision, "properties", "template", "containers")) {
		p.runner.Stop(key + "/" + provider.Text(members(c), "name"))
	}
	delete(p.ports, key)
}

// portOf is where a revision's program listens: any free port, the same while it runs.
func (p *Provider) portOf(key string) int {
	if p.ports[key] == 0 {
		l, err := net.Listen("tcp", outbound+":0")
		if err != nil {
			return 0
		}
		p.ports[key] = l.Addr().(*net.TCPAddr).Port
		_ = l.Close() // it was open to learn its number
	}
	return p.ports[key]
}

// port is where the program of a revision listens, 0 for one that has none.
func (p *Provider) port(appID, name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ports[id.Fold(revisionID(appID, name))]
}

// watch waits until a revision's program takes connections, as the platform's own probe
// of the target port does, or until it is no longer expected to.
func (p *Provider) watch(revision id.ID, port int) {
	deadline := time.Now().Add(readyLimit)
	for time.Now().Before(deadline) {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(outbound, strconv.Itoa(port)), time.Second)
		if err == nil {
			_ = conn.Close() // it has answered
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.ports[revision.Fold()] == port {
				p.judged(revision.String(), "Provisioned", "Healthy")
				p.settle(revision.Parent().String())
			}
			return
		}
		select {
		case <-p.closing.Done():
			return
		case <-time.After(readyPause):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ports[revision.Fold()] == port {
		p.judged(revision.String(), "Failed", "Unhealthy")
	}
}

// judged writes how a revision is into its document.
func (p *Provider) judged(revision, provisioning, health string) {
	doc, exists := p.cloud.Store().Get(revision)
	if !exists {
		return
	}
	properties := members(doc["properties"])
	properties["provisioningState"], properties["healthState"] = provisioning, health
	properties["runningState"] = map[bool]string{true: running, false: "Failed"}[health == "Healthy"]
	p.cloud.Store().Put(revision, doc)
}

// settle tells an app that its latest revision is ready, if it is; in single mode the
// others end then.
func (p *Provider) settle(appID string) {
	doc, exists := p.cloud.Store().Get(appID)
	latest := provider.Text(doc, "properties", "latestRevisionName")
	revision, made := p.cloud.Store().Get(revisionID(appID, latest))
	if !exists || !made || provider.Text(revision, "properties", "healthState") != "Healthy" {
		return
	}
	properties := members(doc["properties"])
	properties["latestReadyRevisionName"] = latest
	p.cloud.Store().Put(appID, doc)
	if multiple(properties) {
		return
	}
	for _, other := range p.cloud.Store().Children(appID, revisionType) {
		if active, _ := provider.At(other, "properties", "active").(bool); active && provider.Text(other, "name") != latest {
			p.setActive(other, false)
		}
	}
}

func (p *Provider) setActive(revision provider.Document, active bool) {
	members(revision["properties"])["active"] = active
	p.cloud.Store().Put(provider.Text(revision, "id"), revision)
	p.run(revision)
}

func (p *Provider) activate(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.onRevision(r, func(revision provider.Document) { p.setActive(revision, true) })
}

func (p *Provider) deactivate(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.onRevision(r, func(revision provider.Document) { p.setActive(revision, false) })
}

// restart starts a revision's programs anew, with what the secrets hold now.
func (p *Provider) restart(_ context.Context, r *provider.Request) (*provider.Answer, error) {
	return p.onRevision(r, func(revision provider.Document) {
		p.halt(revision)
		p.run(revision)
	})
}

func (p *Provider) onRevision(r *provider.Request, do func(provider.Document)) (*provider.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	revision, exists := p.cloud.Store().Get(r.ID.String())
	if !exists {
		return nil, service.NotFound(r.ID.String())
	}
	do(revision)
	return &provider.Answer{Status: http.StatusOK}, nil
}

// tokenFor makes the token that an app's program asks for.
func (p *Provider) tokenFor(app string, q process.Query) (map[string]any, error) {
	doc, _ := p.cloud.Store().Get(app)
	who, ok := p.identities.Principal(doc["identity"], q.ClientID, q.ObjectID, q.Identity)
	if !ok {
		return nil, errors.New("no managed identity of the app is meant by the request")
	}
	token, expires, err := p.cloud.Directory().Token(who.ObjectID, q.Resource)
	if err != nil {
		return nil, err
	}
	return map[string]any{"access_token": token, "expires_on": strconv.FormatInt(expires.Unix(), 10), "resource": q.Resource,
		"token_type": "Bearer", "client_id": who.ClientID}, nil
}
