package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// portKey remembers an account's port beside its document: an endpoint stays.
const portKey = "port"

const closeTimeout = 5 * time.Second

// account is one running blob data plane.
type account struct {
	cloud    provider.Cloud
	id, name string
	vault    *vault
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func openAccount(ctx context.Context, cloud provider.Cloud, resourceID string) (*account, error) {
	i, err := id.Parse(resourceID)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(i.Fold()))
	v, err := openVault(filepath.Join(cloud.Dir("storage"), hex.EncodeToString(sum[:8])), cloud.Now)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, cloud.Address(resourceID), cloud.Store().Private(resourceID)[portKey])
	if err != nil {
		return nil, err
	}
	a := &account{cloud: cloud, id: resourceID, name: i.Name(), vault: v, listener: l, done: make(chan struct{})}
	a.server = &http.Server{
		Handler: a, TLSConfig: cloud.ServerTLS(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up in a handshake are no news
	}
	go func() {
		defer close(a.done)
		_ = a.server.ServeTLS(l, "", "") // ends by close
	}()
	return a, nil
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
	return nil, fmt.Errorf("open blob endpoint: %w", errors.Join(errs...))
}

func (a *account) port() string { return strconv.Itoa(a.listener.Addr().(*net.TCPAddr).Port) }

// endpoint is the public URL, with a slash at its end as Azure writes it.
func (a *account) endpoint() string {
	host, _, _ := net.SplitHostPort(a.listener.Addr().String())
	if a.port() != "443" {
		host = net.JoinHostPort(host, a.port())
	}
	return "https://" + host + "/"
}

func (a *account) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.server.Close()
	}
	<-a.done
	if err != nil {
		return fmt.Errorf("close blob endpoint: %w", err)
	}
	return nil
}
