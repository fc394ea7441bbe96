package localcloud_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/internal/localcloud"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	keep := func(c *localcloud.Config) { c.Data = data }
	w := open(t, keep)
	other := open(t)
	const a, b = "/subscriptions/s/resourceGroups/g/providers/A.B/c/one", "/subscriptions/s/resourceGroups/g/providers/A.B/c/two"
	first, second := w.cloud.Address(a), w.cloud.Address(b)
	if first == second || first != w.cloud.Address(strings.ToUpper(a)) {
		t.Errorf("addresses %s and %s", first, second)
	}
	if elsewhere := other.cloud.Address(a); elsewhere == first {
		t.Errorf("two clouds share %s", elsewhere)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(first, "0"))
	if err != nil {
		t.Fatalf("the address cannot be bound: %v", err)
	}
	_ = l.Close()
	w.close()
	if w = open(t, keep); w.cloud.Address(a) != first || w.cloud.Address(b) != second {
		t.Errorf("addresses became %s and %s", w.cloud.Address(a), w.cloud.Address(b))
	}
}

func TestStartNeedsAURL(t *testing.T) {
	t.Parallel()
	if _, err := localcloud.Start(t.Context(), localcloud.Config{}); err == nil {
		t.Error("a cloud without a URL started")
	}
}

func TestOneCloudPerFolder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	w := open(t, func(c *localcloud.Config) { c.Data = data })
	if _, err := localcloud.Start(t.Context(), localcloud.Config{URL: "https://127.0.0.1:1", Data: data}); !errors.Is(err, localcloud.ErrInUse) {
		t.Errorf("a second cloud on one folder: %v", err)
	}
	w.must(200, "GET", "/subscriptions", coreAPI, nil)
}
