package redis

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// ruleName is what Azure lets a firewall rule be called.
var ruleName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// policy is a built-in access policy: what it says and what it lets through.
type policy struct {
	permissions string
	allows      func(command string, readOnly bool) bool
}

// policies are the built-in access policies.
var policies = map[string]policy{
	"Data Owner": {"+@all allkeys", func(string, bool) bool { return true }},
	"Data Contributor": {"+@all -@dangerous +cluster|info +cluster|nodes +cluster|slots allkeys", func(command string, _ bool) bool {
		return !dangerous[command]
	}},
	"Data Reader": {"+@read +@connection +cluster|info +cluster|nodes +cluster|slots allkeys", func(command string, readOnly bool) bool {
		return connection[command] || command == "CLUSTER" || readOnly && !scripting[command]
	}},
}

// Categories of commands, as far as the engine knows them and the policies ask.
var (
	dangerous  = set("FLUSHALL FLUSHDB KEYS SORT SORT_RO SWAPDB MIGRATE RESTORE INFO CONFIG DEBUG SHUTDOWN ACL MONITOR REPLICAOF ROLE SLOWLOG")
	connection = set("AUTH HELLO PING ECHO SELECT QUIT RESET CLIENT COMMAND")
	scripting  = set("EVAL EVAL_RO EVALSHA EVALSHA_RO SCRIPT FCALL FCALL_RO FUNCTION")
	// beforeSignIn may run without authentication.
	beforeSignIn = set("AUTH HELLO QUIT RESET")
)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

type addressRange struct{ first, last netip.Addr }

func parseRange(first, last string) (addressRange, error) {
	a, err := netip.ParseAddr(first)
	if err != nil {
		return addressRange{}, fmt.Errorf("startIP: %w", err)
	}
	b, err := netip.ParseAddr(last)
	if err != nil {
		return addressRange{}, fmt.Errorf("endIP: %w", err)
	}
	if !a.Is4() || !b.Is4() {
		return addressRange{}, errors.New("only IPv4 addresses are allowed")
	}
	if b.Less(a) {
		return addressRange{}, errors.New("endIP lies before startIP")
	}
	return addressRange{a, b}, nil
}

// admits decides whether a client may connect: no rule means everyone, the first
// rule closes the cache to everyone it does not name.
func admits(cache provider.Document, rules []provider.Document, from netip.Addr) bool {
	if cache == nil || provider.Text(cache, "properties", "publicNetworkAccess") == "Disabled" {
		return false
	}
	if len(rules) == 0 {
		return true
	}
	from = from.Unmap()
	for _, rule := range rules {
		r, err := parseRange(provider.Text(rule, "properties", "startIP"), provider.Text(rule, "properties", "endIP"))
		if err == nil && !from.Less(r.first) && !r.last.Less(from) {
			return true
		}
	}
	return false
}
