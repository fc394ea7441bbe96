package postgres

import (
	"fmt"
	"strings"
)

// hostRules says who may sign in to a server and how; it becomes pg_hba.conf.
type hostRules struct {
	gate       string // the only address TCP sessions come from
	admin      string // administrator login, "" without password sign-in
	password   bool   // passwordAuth
	entra      bool   // activeDirectoryAuth
	requireTLS bool
	ldapPort   int
	realm      string // names the server to the token check
}

const (
	bindPrefix = "CN="
	bindSuffix = ",O="
)

// render writes the rules in order of match. The administrator stands before the
// Entra group: being granted an app's role must not change how it signs in.
func (h hostRules) render() string {
	host := "hostssl"
	if !h.requireTLS {
		host = "host"
	}
	password := "reject"
	if h.password {
		password = "scram-sha-256"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("local all %s trust", superuser)
	line("local all all reject")
	line("host all %s all reject", superuser)
	if h.admin != "" {
		line("%s all %s %s/32 %s", host, quoteHBA(h.admin), h.gate, password)
	}
	if h.entra {
		line(`%s all +%s %s/32 ldap ldapserver=127.0.0.1 ldapport=%d ldapprefix="%s" ldapsuffix="%s%s"`,
			host, entraRole, h.gate, h.ldapPort, bindPrefix, bindSuffix, h.realm)
	} else {
		line("%s all +%s %s/32 reject", host, entraRole, h.gate)
	}
	line("%s all all %s/32 %s", host, h.gate, password)
	return b.String()
}

// quoteHBA keeps a name from being read as a keyword or a group.
func quoteHBA(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// bindName takes the role and the realm out of a bind's distinguished name. The
// server puts the role in unescaped, so only the outermost marks count.
func bindName(dn string) (role, realm string, ok bool) {
	rest, ok := strings.CutPrefix(dn, bindPrefix)
	if !ok {
		return "", "", false
	}
	n := strings.LastIndex(rest, bindSuffix)
	if n < 1 {
		return "", "", false
	}
	return rest[:n], rest[n+len(bindSuffix):], true
}
