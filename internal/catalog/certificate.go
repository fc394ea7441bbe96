package catalog

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// The documentation has no settings for a service principal with a certificate. It gets
// those of one with a secret; where the secret stands by itself, the certificate (PEM,
// with its key) takes its place under a name that says so.
const (
	secretSuffix      = "_CLIENTSECRET"
	certificateSuffix = "_CLIENTCERTIFICATE"
)

// withCertificate offers certificates wherever a client secret will do.
func (t *Target) withCertificate() {
	if _, ok := t.Auth[connection.AuthServicePrincipalSecret]; ok {
		t.Auth[connection.AuthServicePrincipalCertificate] = Auth{As: connection.AuthServicePrincipalSecret}
	}
}

// actAs turns the rows of one auth type into those of another that gets the same. None
// are left where a certificate cannot stand for the secret.
func actAs(auth string, rows []Row) []Row {
	if auth != connection.AuthServicePrincipalCertificate {
		return rows
	}
	out := slices.Clone(rows)
	for i, row := range rows {
		if !slices.ContainsFunc(row.Value, func(text string) bool { return slices.Contains(placeholders(text), FactClientSecret) }) {
			continue
		}
		name, found := strings.CutSuffix(row.Name, secretSuffix)
		if !found || len(row.Value) != 1 || row.Value[0] != "{"+FactClientSecret+"}" {
			return nil
		}
		out[i].Name, out[i].Value, out[i].Differs = name+certificateSuffix, Templates{"{" + FactCertificate + "}"}, nil
	}
	return out
}
