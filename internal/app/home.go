package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/problem"
)

// home is the folder that holds everything Patchbay keeps on this machine: saved
// contexts, the embedded ledger, the seal key and the local cloud.
type home struct{ dir string }

// openHome finds the folder: PATCHBAY_HOME, or the user's configuration folder.
func openHome(env func(string) (string, bool)) (home, error) {
	if dir, ok := env("PATCHBAY_HOME"); ok && dir != "" {
		abs, err := filepath.Abs(dir)
		return home{abs}, err
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return home{}, problem.New(problem.NoContext, "", "no folder for Patchbay's files").Because(err).WithFix("set PATCHBAY_HOME to a folder of your own")
	}
	return home{filepath.Join(base, "patchbay")}, nil
}

func (h home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// savedContext is one place the commands can talk to. It holds credentials only for
// a local cloud, whose secrets protect nothing but itself.
type savedContext struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile,omitempty"`
	Server         bool   `json:"server"`
	SubscriptionID string `json:"subscriptionId,omitempty"`
	TenantID       string `json:"tenantId,omitempty"`
	ClientID       string `json:"clientId,omitempty"`
	ClientSecret   string `json:"clientSecret,omitempty"`
}

// contextFile is the file of saved contexts.
type contextFile struct {
	Current  string                  `json:"current"`
	Previous string                  `json:"previous,omitempty"`
	Contexts map[string]savedContext `json:"contexts"`
}

func (h home) readContexts() (contextFile, error) {
	f := contextFile{Contexts: map[string]savedContext{}}
	raw, err := os.ReadFile(h.path("contexts.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read saved contexts: %w", err)
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, problem.New(problem.NoContext, h.path("contexts.json"), "the file of saved contexts is not readable").Because(err).WithFix("remove %s", h.path("contexts.json"))
	}
	return f, nil
}

func (h home) writeContexts(f contextFile) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(h.path("contexts.json"), append(raw, '\n'))
}

// writePrivate replaces a file atomically, readable by its owner only.
func writePrivate(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(raw); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// save stores a context and makes it current, remembering the former one.
func (h home) save(name string, c savedContext) error {
	f, err := h.readContexts()
	if err != nil {
		return err
	}
	if f.Current != name {
		f.Previous = f.Current
	}
	f.Contexts[name], f.Current = c, name
	return h.writeContexts(f)
}

// forget removes a context and makes the former one current again.
func (h home) forget(name string) error {
	f, err := h.readContexts()
	if err != nil {
		return err
	}
	delete(f.Contexts, name)
	if f.Current == name {
		f.Current, f.Previous = f.Previous, ""
	}
	return h.writeContexts(f)
}

// List implements cli.Contexts.
func (h home) List() ([]cli.ContextInfo, error) {
	f, err := h.readContexts()
	if err != nil {
		return nil, err
	}
	var out []cli.ContextInfo
	for name, c := range f.Contexts {
		out = append(out, cli.ContextInfo{Name: name, Endpoint: c.Endpoint, Server: c.Server, Subscription: c.SubscriptionID, Current: name == f.Current})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Current implements cli.Contexts.
func (h home) Current() (string, error) {
	f, err := h.readContexts()
	return f.Current, err
}

// Use implements cli.Contexts.
func (h home) Use(name string) error {
	f, err := h.readContexts()
	if err != nil {
		return err
	}
	if _, ok := f.Contexts[name]; !ok {
		return problem.New(problem.NoContext, name, "there is no saved context %q", name).WithFix("patchbay context list")
	}
	if f.Current != name {
		f.Previous, f.Current = f.Current, name
	}
	return h.writeContexts(f)
}
