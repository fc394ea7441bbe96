package outside

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Kubernetes is a running API server with a store of its own: etcd and kube-apiserver as
// `hack/setup-kubernetes` finds and builds them. There are no nodes.
type Kubernetes struct {
	Address string // https://127.0.0.1:PORT
	// Kubeconfig is that of an administrator, as JSON; File holds the same.
	Kubeconfig map[string]any
	File       string
	Issuer     string // of the service accounts' tokens

	dir    string
	ca     []byte
	client *http.Client
	parts  []*exec.Cmd
}

// adminToken is known to servers that live for one test.
const adminToken = "kubernetes-interop-admin"

// StartKubernetes starts both and waits until the server answers. When it fails nothing
// is left running.
func StartKubernetes(ctx context.Context, cache string) (*Kubernetes, error) {
	dir, err := os.MkdirTemp("", "patchbay-kubernetes-")
	if err != nil {
		return nil, err
	}
	k := &Kubernetes{dir: dir, File: filepath.Join(dir, "kubeconfig"), Issuer: "https://issuer.kubernetes.test"}
	if err := k.start(ctx, filepath.Join(cache, "kube-apiserver")); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

func (k *Kubernetes) start(ctx context.Context, program string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	store, peers := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	k.Address = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	if err := k.writeKeys(); err != nil {
		return err
	}
	if err := k.run("etcd", "--data-dir", filepath.Join(k.dir, "etcd"), "--listen-client-urls", store, "--advertise-client-urls", store,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers, "--unsafe-no-fsync"); err != nil {
		return err
	}
	key := filepath.Join(k.dir, "account.key")
	if err := k.run(program, "--etcd-servers", store, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[2]), "--cert-dir", filepath.Join(k.dir, "tls"),
		"--service-account-issuer", k.Issuer, "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--token-auth-file", filepath.Join(k.dir, "tokens.csv"),
		"--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount"); err != nil {
		return err
	}
	return k.ready(ctx)
}

// writeKeys writes the key of service account tokens and the administrator's token.
func (k *Kubernetes) writeKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(k.dir, "account.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(k.dir, "tokens.csv"), []byte(adminToken+",admin,admin,system:masters\n"), 0o600))
}

// run starts one part with its output in a file.
func (k *Kubernetes) run(program string, args ...string) error {
	log, err := os.Create(filepath.Join(k.dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	part := exec.Command(program, args...)
	part.Env, part.Stdout, part.Stderr = Clean(os.Environ()), log, log
	if err := part.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	k.parts = append(k.parts, part)
	return nil
}

// ready waits for the server's certificate and then for its own word that it is up.
func (k *Kubernetes) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err := k.trust(); err == nil {
			if status, _, err := k.Call(ctx, http.MethodGet, "/readyz", nil); err == nil && status == http.StatusOK {
				return k.writeConfig()
			}
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(k.dir, "kube-apiserver.log"))
			return fmt.Errorf("start kube-apiserver: it does not answer: %s", log[max(0, len(log)-600):])
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// trust reads the certificate that the server made for itself.
func (k *Kubernetes) trust() error {
	if k.client != nil {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(k.dir, "tls", "apiserver.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		return errors.New("read certificate: there is none")
	}
	k.ca, k.client = raw, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return nil
}

func (k *Kubernetes) writeConfig() error {
	k.Kubeconfig = map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "interop",
		"clusters": []any{map[string]any{"name": "interop", "cluster": map[string]any{"server": k.Address, "certificate-authority-data": k.ca}}},
		"users":    []any{map[string]any{"name": "admin", "user": map[string]any{"token": adminToken}}},
		"contexts": []any{map[string]any{"name": "interop", "context": map[string]any{"cluster": "interop", "user": "admin"}}},
	}
	raw, err := json.Marshal(k.Kubeconfig)
	if err != nil {
		return err
	}
	return os.WriteFile(k.File, raw, 0o600)
}

// Call sends one request as the administrator.
func (k *Kubernetes) Call(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var in bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&in).Encode(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, k.Address+path, &in)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, raw, err
}

// Stop ends the server, then the store, and removes what they kept.
func (k *Kubernetes) Stop() error {
	for n := len(k.parts) - 1; n >= 0; n-- {
		_ = k.parts[n].Process.Kill()
		_ = k.parts[n].Wait() // killed: its status says nothing
	}
	if k.client != nil {
		k.client.CloseIdleConnections()
	}
	return os.RemoveAll(k.dir)
}

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}
