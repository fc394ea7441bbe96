package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/problem"
)

// localContext is the name under which a running local cloud is saved.
const localContext = "local"

// How long a local cloud may take to answer, and to stop.
const (
	startLimit = 90 * time.Second
	stopLimit  = 20 * time.Second
	lookAgain  = 30 * time.Millisecond
)

// running is what is remembered of a local cloud in the background.
type running struct {
	PID     int                   `json:"pid"`
	Log     string                `json:"log"`
	Since   time.Time             `json:"since"`
	Options cli.LocalStartOptions `json:"options"`
	Ready   cli.ReadyInfo         `json:"ready"`
}

func (h home) runningFile() string { return h.path("local", "running.json") }

// readRunning returns the local cloud that runs, or nil.
func (h home) readRunning() (*running, error) {
	raw, err := os.ReadFile(h.runningFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r running
	if err := json.Unmarshal(raw, &r); err != nil || !alive(r.PID) || !answers(r.Ready.Endpoint) {
		return nil, nil
	}
	return &r, nil
}

func answers(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	c, err := net.DialTimeout("tcp", u.Host, 2*time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// Start implements cli.LocalCloud.
func (l *local) Start(ctx context.Context, o cli.LocalStartOptions) (cli.ReadyInfo, error) {
	h, err := l.app.home()
	if err != nil {
		return cli.ReadyInfo{}, err
	}
	if r, err := h.readRunning(); err != nil || r != nil {
		if err == nil {
			err = problem.New(problem.LocalRunning, r.Ready.Endpoint, "a local cloud already answers at %s", r.Ready.Endpoint)
		}
		return cli.ReadyInfo{}, err
	}
	if o.Data != "" {
		if o.Data, err = filepath.Abs(o.Data); err != nil {
			return cli.ReadyInfo{}, err
		}
	}
	r, err := h.spawn(ctx, o)
	if err != nil {
		return cli.ReadyInfo{}, err
	}
	if err := writeReady(o.ReadyFile, r.Ready); err != nil {
		return r.Ready, err
	}
	return r.Ready, h.save(localContext, savedContext{Endpoint: r.Ready.Endpoint, CAFile: r.Ready.CAFile, Server: !o.CloudOnly, SubscriptionID: r.Ready.SubscriptionID,
		TenantID: r.Ready.TenantID, ClientID: r.Ready.ClientID, ClientSecret: r.Ready.ClientSecret})
}

// spawn starts this program again as the local cloud and waits until it answers.
func (h home) spawn(ctx context.Context, o cli.LocalStartOptions) (*running, error) {
	if err := os.MkdirAll(h.path("local"), 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ready := h.path("local", "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	logFile, err := os.OpenFile(h.path("local", "cloud.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd := exec.Command(self, arguments(o, ready)...)
	cmd.Stderr, cmd.Env, cmd.Dir = logFile, append(os.Environ(), "PATCHBAY_HOME="+h.dir), h.dir
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, problem.New(problem.LocalStartFailed, self, "the local cloud's process cannot start").Because(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r := &running{PID: cmd.Process.Pid, Log: logFile.Name(), Since: time.Now().UTC(), Options: o}
	if err := awaitReady(ctx, ready, ended, &r.Ready); err != nil {
		_ = cmd.Process.Kill()
		return nil, problem.New(problem.LocalStartFailed, logFile.Name(), "the local cloud did not come up: %s", lastLine(logFile.Name())).Because(err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return r, writePrivate(h.runningFile(), raw)
}

func arguments(o cli.LocalStartOptions, ready string) []string {
	args := []string{"local", "start", "--foreground", "--ready-file", ready, "--listen", first(o.Listen, "127.0.0.1:0")}
	if o.Data != "" {
		args = append(args, "--data", o.Data)
	}
	if o.RecordBodies {
		args = append(args, "--record-bodies")
	}
	if o.CloudOnly {
		args = append(args, "--cloud-only")
	}
	return args
}

// awaitReady waits for the ready file, the end of the process, or the limit.
func awaitReady(ctx context.Context, path string, ended <-chan error, into *cli.ReadyInfo) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if raw, err := os.ReadFile(path); err == nil {
			return json.Unmarshal(raw, into)
		}
		select {
		case err := <-ended:
			return fmt.Errorf("its process ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

func lastLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

// Stop implements cli.LocalCloud.
func (l *local) Stop(ctx context.Context) error {
	h, err := l.app.home()
	if err != nil {
		return err
	}
	r, err := h.readRunning()
	if err != nil {
		return err
	}
	if err := h.forget(localContext); err != nil {
		return err
	}
	if r == nil {
		return problem.New(problem.LocalNotRunning, "", "no local cloud is running")
	}
	if err := endProcess(ctx, r.PID); err != nil {
		return err
	}
	return os.Remove(h.runningFile())
}

// endProcess asks a process to end and, past the limit, ends it.
func endProcess(ctx context.Context, pid int) error {
	if err := terminate(pid); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	deadline := time.Now().Add(stopLimit)
	for alive(pid) {
		if time.Now().After(deadline) {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
			return problem.New(problem.Internal, "", "the local cloud did not stop in %s and was ended", stopLimit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
	return nil
}

// Status implements cli.LocalCloud.
func (l *local) Status(context.Context) (cli.LocalStatus, error) {
	h, err := l.app.home()
	if err != nil {
		return cli.LocalStatus{}, err
	}
	r, err := h.readRunning()
	if err != nil || r == nil {
		return cli.LocalStatus{}, err
	}
	return cli.LocalStatus{Running: true, Endpoint: r.Ready.Endpoint, SubscriptionID: r.Ready.SubscriptionID, PID: r.PID,
		Data: r.Options.Data, Log: r.Log, Since: r.Since}, nil
}

// Reset implements cli.LocalCloud: the cloud is emptied, the server's ledger goes, and
// both start again at the same address with the same principals.
func (l *local) Reset(ctx context.Context) error {
	h, err := l.app.home()
	if err != nil {
		return err
	}
	r, err := h.readRunning()
	if err != nil {
		return err
	}
	if r == nil {
		return problem.New(problem.LocalNotRunning, "", "no local cloud is running")
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	if err := l.Stop(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(connectorDir(r.Ready.CAFile)); err != nil {
		return fmt.Errorf("remove the server's ledger: %w", err)
	}
	if u, err := url.Parse(r.Ready.Endpoint); err == nil {
		r.Options.Listen = u.Host
	}
	_, err = l.Start(ctx, r.Options)
	return err
}

// empty asks the running cloud to forget everything but its principals.
func (l *local) empty(ctx context.Context) error {
	face, _, err := l.app.connect(ctx, cli.ContextOptions{Context: localContext})
	if err != nil {
		return err
	}
	_, err = face.Raw(ctx, "POST", "/_local/advance", []byte(`{"action":"reset"}`))
	return err
}

// Env implements cli.LocalCloud.
func (l *local) Env(context.Context) ([]cli.EnvVar, error) {
	h, err := l.app.home()
	if err != nil {
		return nil, err
	}
	r, err := h.readRunning()
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, problem.New(problem.LocalNotRunning, "", "no local cloud is running")
	}
	i := r.Ready
	host := strings.TrimPrefix(i.Endpoint, "https://")
	return []cli.EnvVar{
		{Name: "PATCHBAY_ENDPOINT", Value: i.Endpoint},
		{Name: "SSL_CERT_FILE", Value: i.CAFile}, {Name: "REQUESTS_CA_BUNDLE", Value: i.CAFile}, {Name: "NODE_EXTRA_CA_CERTS", Value: i.CAFile},
		{Name: "AZURE_CORE_INSTANCE_DISCOVERY", Value: "false"}, // the Azure CLI would ask Azure about our sign-in
		{Name: "AZURE_AUTHORITY_HOST", Value: i.Endpoint}, {Name: "AZURE_TENANT_ID", Value: i.TenantID}, {Name: "AZURE_SUBSCRIPTION_ID", Value: i.SubscriptionID},
		{Name: "AZURE_CLIENT_ID", Value: i.ClientID}, {Name: "AZURE_CLIENT_SECRET", Value: i.ClientSecret},
		{Name: "ARM_METADATA_HOSTNAME", Value: host}, {Name: "ARM_TENANT_ID", Value: i.TenantID}, {Name: "ARM_SUBSCRIPTION_ID", Value: i.SubscriptionID},
		{Name: "ARM_CLIENT_ID", Value: i.ClientID}, {Name: "ARM_CLIENT_SECRET", Value: i.ClientSecret},
	}, nil
}
