package localcloud

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/patchbay/patchbay/internal/arm/id"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"github.com/patchbay/patchbay/internal/localcloud/store"
)

const (
	addressKind  = "_address"
	blockDoc     = "/_cloud/network/block"
	claimPort    = 7741 // on the last address of a block: whoever listens there has the block
	claimHost    = 254
	lastHost     = 250
	blocks       = 250
	plainAddress = "127.0.0.1"
)

// addresses hands out loopback addresses from one block 127.77.x.1-250. The block
// is claimed by listening on a port in it, so that clouds on one machine do not
// share addresses and a killed one leaves no claim behind.
type addresses struct {
	store *store.Store
	logf  func(string, ...any)

	mu    sync.Mutex
	claim net.Listener // nil where the machine has no such addresses
	block int
}

// openAddresses claims the block that the data folder had before, or another. The
// seed makes the first choice differ between folders.
func openAddresses(s *store.Store, seed string, logf func(string, ...any)) *addresses {
	a := &addresses{store: s, logf: logf}
	first := preferredBlock(s, seed)
	for n := range blocks {
		block := (first+n)%blocks + 1
		l, err := net.Listen("tcp", fmt.Sprintf("127.77.%d.%d:%d", block, claimHost, claimPort))
		if err != nil {
			if n == 0 && !bindable(block) {
				return a
			}
			continue
		}
		a.claim, a.block = l, block
		break
	}
	if a.claim != nil {
		s.Put(blockDoc, provider.Document{"type": "_block", "block": a.block})
	}
	return a
}

func preferredBlock(s *store.Store, seed string) int {
	if doc, ok := s.Get(blockDoc); ok {
		if n, ok := doc["block"].(float64); ok {
			return int(n) - 1
		}
	}
	sum := sha256.Sum256([]byte(seed))
	return int(binary.BigEndian.Uint32(sum[:4]) % blocks)
}

// bindable tells whether the machine lets a program listen in a block at all.
func bindable(block int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.77.%d.1:0", block))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// all lists every address that may be handed out.
func (a *addresses) all() []string {
	if a.claim == nil {
		return nil
	}
	var hosts []string
	for n := 1; n <= lastHost; n++ {
		hosts = append(hosts, a.address(n))
	}
	return hosts
}

func (a *addresses) address(host int) string { return fmt.Sprintf("127.77.%d.%d", a.block, host) }

// of returns a resource's address, the same after a restart as long as the block is.
func (a *addresses) of(resource string) string {
	if a.claim == nil {
		return plainAddress
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	docID := "/_cloud/addresses/" + strconv.Quote(id.Fold(resource))
	if doc, ok := a.store.Get(docID); ok {
		if n, ok := doc["host"].(float64); ok {
			return a.address(int(n))
		}
	}
	taken := map[int]bool{}
	a.store.View(addressKind, func(_ string, d provider.Document, _ map[string]string) {
		if n, ok := d["host"].(float64); ok {
			taken[int(n)] = true
		}
	})
	for n := 1; n <= lastHost; n++ {
		if !taken[n] {
			a.store.Put(docID, provider.Document{"type": addressKind, "host": n})
			return a.address(n)
		}
	}
	a.logf("no loopback address is left for %s", resource)
	return plainAddress
}

// forget gives every address back.
func (a *addresses) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.store.Delete("/_cloud/addresses")
}

func (a *addresses) close() {
	if a.claim != nil {
		_ = a.claim.Close() // nothing was accepted on it
	}
}
