package outside

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Ready is what the ready file says.
type Ready struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile"`
	SubscriptionID string `json:"subscriptionId"`
	TenantID       string `json:"tenantId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
}

// Cloud is a running local cloud, reached by HTTP with a token of its own user.
type Cloud struct {
	Ready   Ready
	Program *Program
	client  *http.Client
	token   string
	expires time.Time
}

// Start starts a local cloud in the background, in the program's folder and on a
// free port, and signs in. When it fails nothing is left running.
func Start(ctx context.Context, p *Program) (*Cloud, error) {
	file := filepath.Join(p.Dir, "ready.json")
	c := &Cloud{Program: p}
	_, err := p.Must(ctx, "local", "start",
		"--data", filepath.Join(p.Dir, "cloud"), "--listen", "127.0.0.1:0", "--ready-file", file)
	if err == nil {
		err = c.signIn(ctx, file)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cloud) signIn(ctx context.Context, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("read ready file: %w", err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && os.PathSeparator == '/' {
		return fmt.Errorf("the ready file holds a secret, its mode is %o, not 600", mode)
	}
	line, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read ready file: %w", err)
	}
	if err := json.Unmarshal(line, &c.Ready); err != nil {
		return fmt.Errorf("read ready file: %w", err)
	}
	pem, err := os.ReadFile(c.Ready.CAFile)
	if err != nil {
		return fmt.Errorf("read CA file: %w", err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		return errors.New("the CA file holds no certificate")
	}
	c.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	return c.renew(ctx)
}

// renew fetches a token as any client of the cloud does.
func (c *Cloud) renew(ctx context.Context) error {
	if time.Now().Before(c.expires) {
		return nil
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.Ready.ClientID},
		"client_secret": {c.Ready.ClientSecret}, "scope": {c.Ready.Endpoint + "/.default"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		c.Ready.Endpoint+"/"+c.Ready.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	defer response.Body.Close()
	var body struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
		Cause   string `json:"error_description"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.Token == "" {
		return fmt.Errorf("sign in: %s %s", response.Status, body.Cause)
	}
	c.token, c.expires = body.Token, time.Now().Add(time.Duration(body.Expires)*time.Second/2)
	return nil
}

// Answer is one raw answer of the cloud.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any // nil when it was empty or no object
}

// Call sends one request; path starts with a slash and carries its api-version.
func (c *Cloud) Call(ctx context.Context, method, path string, body any) (Answer, error) {
	if err := c.renew(ctx); err != nil {
		return Answer{}, err
	}
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		sent = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Ready.Endpoint+path, sent)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	a := Answer{Status: response.StatusCode, Header: response.Header}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return a, fmt.Errorf("%s %s: %w", method, path, err)
	}
	_ = json.Unmarshal(raw, &a.Body) // an answer without an object has no members to look at
	return a, nil
}

// Want is Call for requests that have to be answered with one of the statuses.
func (c *Cloud) Want(ctx context.Context, method, path string, body any, statuses ...int) (map[string]any, error) {
	a, err := c.Call(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		if a.Status == s {
			return a.Body, nil
		}
	}
	return nil, fmt.Errorf("%s %s: answered %d, not %v: %s", method, path, a.Status, statuses, text(a.Body, "error", "message"))
}

// Settle waits until a resource is there and its provisioning has ended, and
// fails when it ended badly.
func (c *Cloud) Settle(ctx context.Context, path string, limit time.Duration) (map[string]any, error) {
	var found map[string]any
	err := Until(ctx, limit, path, func() (bool, error) {
		a, err := c.Call(ctx, http.MethodGet, path, nil)
		if err != nil || a.Status != http.StatusOK {
			return false, err
		}
		found = a.Body
		state := text(found, "properties", "provisioningState")
		return state == "" || state == "Succeeded" || state == "Failed" || state == "Canceled", nil
	})
	if state := text(found, "properties", "provisioningState"); err == nil && (state == "Failed" || state == "Canceled") {
		err = fmt.Errorf("%s is %s: %s", path, state, text(found, "properties", "error", "message"))
	}
	return found, err
}

// Stop stops the cloud, and makes sure of it: its endpoint refuses, no process
// that carries the program's folder in its command line is left.
func (c *Cloud) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := c.Program.Must(ctx, "local", "stop")
	gone := Until(ctx, 10*time.Second, "every process to end", func() (bool, error) {
		if left := Processes(c.Program.Dir); len(left) > 0 {
			return false, fmt.Errorf("still running: %s", strings.Join(left, "; "))
		}
		return true, nil
	})
	return errors.Join(err, gone, c.refused(ctx))
}

// refused is nil when nothing answers at the endpoint any more.
func (c *Cloud) refused(ctx context.Context) error {
	if c.client == nil {
		return nil
	}
	c.client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Ready.Endpoint+"/metadata/endpoints?api-version=2015-01-01", nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil //nolint:nilerr // a refused connection is what is wanted
	}
	response.Body.Close()
	return fmt.Errorf("%s still answers after the stop", c.Ready.Endpoint)
}

// Processes lists the processes whose command line holds the text, where the
// system tells of processes in /proc; elsewhere it finds none.
func Processes(holding string) []string {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var found []string
	for _, file := range lines {
		b, err := os.ReadFile(file)
		words := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		if err == nil && strings.Contains(words, holding) {
			found = append(found, filepath.Base(filepath.Dir(file))+" "+words)
		}
	}
	return found
}

// text walks down members to a string; "" where there is none.
func text(body map[string]any, path ...string) string {
	var v any = body
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}
