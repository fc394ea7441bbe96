package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/ledger"
)

// The test binary is the program too: with actAs set it runs a command line instead
// of tests, so that cloud, server and commands are processes of their own.
const (
	actAs = "PATCHBAY_TEST_ACT"
	tied  = "PATCHBAY_TEST_TIED"   // the program ends when its standard input does: with the test that started it
	dieAt = "PATCHBAY_TEST_DIE_AT" // serve ends itself with SIGKILL at its n-th journal entry, when negative just before it
)

func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "":
		os.Exit(m.Run())
	case asWitness:
		os.Exit(witness())
	}
	if os.Getenv(tied) != "" {
		go endWithTest()
	}
	if n, err := strconv.ParseInt(os.Getenv(dieAt), 10, 64); err == nil {
		os.Exit(mainThatDies(os.Args[1:], n))
	}
	if room := os.Getenv(roomLeft); room != "" {
		os.Exit(mainInFullStore(os.Args[1:], room))
	}
	os.Exit(Main(os.Args[1:]))
}

// endWithTest stops this process once the test is gone, however it went.
func endWithTest() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// mainThatDies is Main whose server kills itself at its n-th journal entry.
func mainThatDies(args []string, n int64) int {
	streams := cli.SystemStreams()
	d := deps(streams, os.LookupEnv)
	a := &app{env: os.LookupEnv, streams: streams}
	d.Serve = func(ctx context.Context, o cli.ServeOptions, ready func(cli.ReadyInfo)) error {
		return a.serveOver(ctx, o, ready, func(l ledger.Ledger) ledger.Ledger { return &mortal{Ledger: l, at: n} })
	}
	return cli.Main(context.Background(), d, args)
}

// mortal kills this process after the at-th journal entry, or before the entry -at:
// then what the entry was to tell has happened already.
type mortal struct {
	ledger.Ledger
	at      int64
	entries atomic.Int64
}

func (m *mortal) Append(ctx context.Context, l *ledger.Lease, e ledger.Entry) error {
	n := m.entries.Add(1)
	if n == -m.at {
		die()
	}
	err := m.Ledger.Append(ctx, l, e)
	if n == m.at {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// cloudUnderTest is a local cloud in a process of its own, without any server of ours.
type cloudUnderTest struct {
	t     testing.TB
	dir   string
	ready cli.ReadyInfo
	http  *http.Client
	token string
}

// principal is who somebody signs in as.
type principal struct{ ObjectID, ClientID, ClientSecret, TenantID string }

func startCloud(t testing.TB, more ...string) *cloudUnderTest {
	t.Helper()
	c := &cloudUnderTest{t: t, dir: shortDir(t)}
	readyFile := filepath.Join(c.dir, "cloud-ready.json")
	start(t, c.dir, nil, readyFile, &c.ready, append([]string{"local", "start", "--foreground", "--cloud-only", "--data", filepath.Join(c.dir, "data"), "--ready-file", readyFile}, more...)...)
	roots, err := rootsWith(c.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: time.Minute}
	t.Cleanup(c.http.CloseIdleConnections)
	c.token = c.signIn(c.user(), c.ready.Endpoint)
	return c
}

// shortDir is a temporary folder that other users of the machine may pass through:
// a database server does not run as root.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs the program until the test ends and waits for its ready file.
func start(t testing.TB, home string, env []string, readyFile string, into *cli.ReadyInfo, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(home, args[0]+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	_ = os.Remove(readyFile)
	cmd := program(home, append(env, tied+"=1"), args...)
	stdin, alive, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	t.Cleanup(func() { alive.Close() })
	cmd.Stdin, cmd.Stderr = stdin, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); close(ended) }()
	t.Cleanup(func() { end(t, cmd, ended, log.Name()) })
	if err := awaitReady(t.Context(), readyFile, ended, into); err != nil {
		raw, _ := os.ReadFile(log.Name())
		t.Fatalf("%s did not start: %v\n%s", args[0], err, raw)
	}
	return cmd
}

func end(t testing.TB, cmd *exec.Cmd, ended <-chan error, log string) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopLimit):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		t.Errorf("%s had to be killed", cmd.Args[1])
	}
	raw, err := os.ReadFile(log)
	if err != nil || bytes.Contains(raw, []byte("WARNING: DATA RACE")) {
		t.Errorf("%s has a data race, or no log: %v", cmd.Args[1], err)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s", cmd.Args[1], tail(raw, 4000))
	}
}

func tail(raw []byte, n int) []byte {
	if len(raw) > n {
		return raw[len(raw)-n:]
	}
	return raw
}

// program is the program as a process with an environment of its own.
func program(home string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append([]string{actAs + "=1", "PATCHBAY_HOME=" + home, "PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir()}, env...)
	return cmd
}

func (c *cloudUnderTest) user() principal {
	return principal{ClientID: c.ready.ClientID, ClientSecret: c.ready.ClientSecret, TenantID: c.ready.TenantID}
}

func (c *cloudUnderTest) signIn(p principal, audience string) string {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.ClientID}, "client_secret": {p.ClientSecret}, "scope": {audience + "/.default"}}
	resp, err := c.http.PostForm(c.ready.Endpoint+"/"+c.ready.TenantID+"/oauth2/v2.0/token", form)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		c.t.Fatalf("sign in: %d %v", resp.StatusCode, err)
	}
	return answer.AccessToken
}

// answer is what came back from a call.
type answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any
}

// at reads a member of a JSON body by its names.
func (a answer) at(names ...string) any {
	var v any = a.Body
	for _, n := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[n]
	}
	return v
}

func (a answer) text(names ...string) string {
	s, _ := a.at(names...).(string)
	return s
}

// call sends one request to an endpoint with a token.
func (c *cloudUnderTest) call(endpoint, token, method, path string, body any) answer {
	c.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, endpoint+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: raw}
	_ = json.Unmarshal(raw, &a.Body) // not every answer is an object
	return a
}

// arm calls the cloud itself as its owner and waits for long-running work.
func (c *cloudUnderTest) arm(method, path, version string, body any) answer {
	c.t.Helper()
	a := c.call(c.ready.Endpoint, c.token, method, path+"?api-version="+version, body)
	if a.Status >= 400 {
		c.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Raw)
	}
	for status := a.Header.Get("Azure-AsyncOperation"); status != ""; {
		polled := c.call("", c.token, http.MethodGet, status, nil)
		switch polled.text("status") {
		case "Succeeded":
			status = ""
		case "Failed", "Canceled":
			c.t.Fatalf("%s %s: %s", method, path, polled.Raw)
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
	return a
}

func (c *cloudUnderTest) group() string {
	return "/subscriptions/" + c.ready.SubscriptionID + "/resourceGroups/rg1"
}

func (c *cloudUnderTest) site(name string) string {
	return c.group() + "/providers/Microsoft.Web/sites/" + name
}

func (c *cloudUnderTest) server(name string) string {
	return c.group() + "/providers/Microsoft.DBforPostgreSQL/flexibleServers/" + name
}

func (c *cloudUnderTest) cache() string {
	return c.group() + "/providers/Microsoft.Cache/redis/cache1"
}

func (c *cloudUnderTest) account() string {
	return c.group() + "/providers/Microsoft.Storage/storageAccounts/store1"
}

// Versions of the resource types the tests make.
const (
	groupVersion   = "2021-04-01"
	siteVersion    = "2024-11-01"
	serverVersion  = "2025-08-01"
	cacheVersion   = "2024-11-01"
	accountVersion = "2025-06-01"
	roleVersion    = "2022-04-01"
	linkerVersion  = "2024-07-01-preview"
)

// adminPassword is the password of the database servers' administrator.
const adminPassword = "Correct-Horse-7;'%@"

func (c *cloudUnderTest) makeGroup() {
	c.t.Helper()
	c.arm("PUT", c.group(), groupVersion, map[string]any{"location": "westeurope"})
}

func (c *cloudUnderTest) makeSite(name string, settings map[string]string) {
	c.t.Helper()
	c.arm("PUT", c.site(name), siteVersion, map[string]any{"location": "westeurope", "properties": map[string]any{}})
	c.putSettings(name, settings)
}

func (c *cloudUnderTest) putSettings(name string, settings map[string]string) {
	c.t.Helper()
	c.arm("PUT", c.site(name)+"/config/appsettings", siteVersion, map[string]any{"properties": settings})
}

func (c *cloudUnderTest) makeServer(name string) {
	c.t.Helper()
	c.arm("PUT", c.server(name), serverVersion, map[string]any{"location": "westeurope", "sku": map[string]any{"name": "Standard_B1ms", "tier": "Burstable"},
		"properties": map[string]any{"administratorLogin": "pgadmin", "administratorLoginPassword": adminPassword, "version": "15",
			"storage": map[string]any{"storageSizeGB": 32}, "network": map[string]any{"publicNetworkAccess": "Enabled"}}})
	c.arm("PUT", c.server(name)+"/databases/db1", serverVersion, map[string]any{"properties": map[string]any{}})
}

func (c *cloudUnderTest) makeCache() {
	c.t.Helper()
	c.arm("PUT", c.cache(), cacheVersion, map[string]any{"location": "westeurope", "properties": map[string]any{"sku": map[string]any{"name": "Basic", "family": "C", "capacity": 0}}})
}

func (c *cloudUnderTest) makeAccount() {
	c.t.Helper()
	c.arm("PUT", c.account(), accountVersion, map[string]any{"location": "westeurope", "kind": "StorageV2", "sku": map[string]any{"name": "Standard_LRS"}, "properties": map[string]any{}})
}

// settings reads the app settings of a site.
func (c *cloudUnderTest) settings(name string) map[string]string {
	c.t.Helper()
	out := map[string]string{}
	props, _ := c.arm("POST", c.site(name)+"/config/appsettings/list", siteVersion, nil).at("properties").(map[string]any)
	for k, v := range props {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// newPrincipal makes a service principal with roles on the subscription.
func (c *cloudUnderTest) newPrincipal(name string, roles ...string) principal {
	c.t.Helper()
	var p principal
	a := c.call(c.ready.Endpoint, c.token, "POST", "/_local/principals", map[string]any{"displayName": name})
	if err := json.Unmarshal(a.Raw, &p); err != nil || p.ClientID == "" {
		c.t.Fatalf("make a principal: %d %s", a.Status, a.Raw)
	}
	for _, role := range roles {
		c.assign(role, p.ObjectID, "/subscriptions/"+c.ready.SubscriptionID)
	}
	return p
}

// Role definitions the tests assign.
const (
	contributor         = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	userAccessAdmin     = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	reader              = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	blobDataContributor = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
)

var nextAssignment atomic.Int64

func (c *cloudUnderTest) assign(role, objectID, scope string) {
	c.t.Helper()
	name := fmt.Sprintf("00000000-0000-4000-8000-%012d", nextAssignment.Add(1))
	c.arm("PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/"+name, roleVersion, map[string]any{"properties": map[string]any{
		"roleDefinitionId": "/subscriptions/" + c.ready.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": objectID, "principalType": "ServicePrincipal"}})
}

// faults sets the cloud's faults; none clears them.
func (c *cloudUnderTest) faults(list ...map[string]any) {
	c.t.Helper()
	if list == nil {
		list = []map[string]any{}
	}
	if a := c.call(c.ready.Endpoint, c.token, "PUT", "/_local/faults", list); a.Status >= 300 {
		c.t.Fatalf("set faults: %d %s", a.Status, a.Raw)
	}
}

// logged is one line of the cloud's request log.
type logged struct {
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	APIVersion string    `json:"apiVersion"`
	Status     int       `json:"status"`
	Start      time.Time `json:"start"`
	DurationMs float64   `json:"durationMs"`
	Caller     string    `json:"caller"`
}

// requests reads the cloud's log; forget empties it.
func (c *cloudUnderTest) requests() []logged {
	c.t.Helper()
	a := c.call(c.ready.Endpoint, c.token, "GET", "/_local/requests", nil)
	var out struct{ Value []logged }
	if err := json.Unmarshal(a.Raw, &out); err != nil {
		if err := json.Unmarshal(a.Raw, &out.Value); err != nil {
			c.t.Fatalf("read the log: %v %s", err, tail(a.Raw, 300))
		}
	}
	return out.Value
}

func (c *cloudUnderTest) forget() {
	c.call(c.ready.Endpoint, c.token, "DELETE", "/_local/requests", nil)
}

// connector is our server in a process of its own, in front of the cloud.
type connector struct {
	cloud  *cloudUnderTest
	engine principal
	home   string
	ready  cli.ReadyInfo
	cmd    *exec.Cmd
}

// newConnector makes the engine's principal with its usual rights; nothing runs yet.
func (c *cloudUnderTest) newConnector() *connector {
	return &connector{cloud: c, home: shortDir(c.t), engine: c.newPrincipal("patchbay-engine", contributor, userAccessAdmin)}
}

// start runs the server; it may be started again after its death.
func (s *connector) start(env ...string) *connector {
	s.cloud.t.Helper()
	readyFile := filepath.Join(s.home, "ready.json")
	env = append(env, "AZURE_TENANT_ID="+s.cloud.ready.TenantID, "AZURE_CLIENT_ID="+s.engine.ClientID, "AZURE_CLIENT_SECRET="+s.engine.ClientSecret,
		"PATCHBAY_EGRESS_ADDRESS="+localEgress)
	s.cmd = start(s.cloud.t, s.home, env, readyFile, &s.ready, "serve", "--upstream", s.cloud.ready.Endpoint, "--upstream-ca", s.cloud.ready.CAFile,
		"--state", filepath.Join(s.home, "state"), "--ready-file", readyFile)
	roots, err := rootsWith(s.ready.CAFile)
	if err != nil {
		s.cloud.t.Fatal(err)
	}
	raw, err := os.ReadFile(s.cloud.ready.CAFile)
	if err != nil {
		s.cloud.t.Fatal(err)
	}
	roots.AppendCertsFromPEM(raw)
	s.cloud.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return s
}

// linker is the path of a connection of a site.
func (s *connector) linker(site, name string) string {
	return s.cloud.site(site) + "/providers/Microsoft.ServiceLinker/linkers/" + name
}

// call sends one request to the server as the cloud's owner.
func (s *connector) call(method, path string, body any) answer {
	s.cloud.t.Helper()
	return s.cloud.call(s.ready.Endpoint, s.cloud.token, method, versioned(path), body)
}

// versioned adds the api-version that a path of our server takes.
func versioned(path string) string {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	version := linkerVersion
	if strings.Contains(path, "/providers/Patchbay") {
		version = "2026-11-01"
	}
	return path + sep + "api-version=" + version
}

// do sends a change and waits for its operation; it returns the operation.
func (s *connector) do(method, path string, body any) answer {
	s.cloud.t.Helper()
	a := s.call(method, path, body)
	if a.Status >= 400 {
		return a
	}
	return s.await(a.Header.Get("X-Patchbay-Operation"))
}

// await waits until an operation has ended and returns it.
func (s *connector) await(id string) answer {
	s.cloud.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		op := s.call("GET", "/providers/Patchbay/operations/"+id, nil)
		switch op.text("status") {
		case "Succeeded", "Failed", "Canceled":
			return op
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.cloud.t.Fatalf("operation %s does not end", id)
	return answer{}
}

// Bodies of linkers.

func blobByIdentity(c *cloudUnderTest) map[string]any {
	return body(c.account()+"/blobServices/default", map[string]any{"authType": "systemAssignedIdentity"})
}

func cacheByKey(c *cloudUnderTest) map[string]any {
	return body(c.cache()+"/databases/0", map[string]any{"authType": "secret"})
}

func databaseByPassword(c *cloudUnderTest, server, user, password string) map[string]any {
	return body(c.server(server)+"/databases/db1", map[string]any{"authType": "secret", "name": user, "secretInfo": map[string]any{"secretType": "rawValue", "value": password}})
}

func databaseByIdentity(c *cloudUnderTest, server string) map[string]any {
	return body(c.server(server)+"/databases/db1", map[string]any{"authType": "systemAssignedIdentity"})
}

func body(target string, auth map[string]any) map[string]any {
	return map[string]any{"properties": map[string]any{"targetService": map[string]any{"type": "AzureResource", "id": target}, "authInfo": auth, "clientType": "go"}}
}
