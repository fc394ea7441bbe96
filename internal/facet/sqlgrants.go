package facet

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/internal/connection"
)

// sqlGrants are the fixed roles behind each word of the catalog, from the narrowest to the
// widest. The one in the middle is the catalog's default: an app that keeps data of its own
// makes its own tables. all is what the Azure CLI grants in effect.
func sqlGrants() []struct {
	word  string
	roles []string
} {
	return []struct {
		word  string
		roles []string
	}{
		{"read", []string{"db_datareader"}},
		{"readwrite", []string{"db_datareader", "db_datawriter", "db_ddladmin"}},
		{"all", []string{"db_owner"}},
	}
}

// sqlRoles are the roles a facet asks for, by a word or one by one, as a state tells them
// that fits no word; those of the middle where it does not say.
func sqlRoles(f connection.Facet) []string {
	wanted := f.Want[connection.AttrGrant].Text
	if strings.HasPrefix(wanted, "db_") {
		return strings.Split(wanted, ",")
	}
	for _, g := range sqlGrants() {
		if g.word == wanted {
			return g.roles
		}
	}
	return sqlGrants()[1].roles
}

// sqlLacks are the roles wanted that a member does not have; an owner lacks none.
func sqlLacks(wanted, has []string) []string {
	if slices.Contains(has, "db_owner") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(r string) bool { return slices.Contains(has, r) })
}

// sqlExceeds are the roles of other grants that a member has besides those wanted.
func sqlExceeds(wanted, has []string) []string {
	var out []string
	for _, g := range sqlGrants() {
		for _, role := range g.roles {
			if slices.Contains(has, role) && !slices.Contains(wanted, role) && !slices.Contains(out, role) {
				out = append(out, role)
			}
		}
	}
	return out
}

// sqlName quotes an identifier of Transact-SQL.
func sqlName(name string) string {
	return "[" + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), "]", "]]") + "]"
}

// sqlText quotes a string of Transact-SQL.
func sqlText(text string) string { return "N'" + strings.ReplaceAll(text, "'", "''") + "'" }

// sqlSID writes a GUID of the directory as the SID a database keeps: its bytes, the first
// three groups turned round.
func sqlSID(guid string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	if err != nil || len(raw) != 16 {
		return nil, fmt.Errorf("%q is no GUID", guid)
	}
	return turned(raw), nil
}

// sqlGUID reads a SID back; "" when it is not a GUID's.
func sqlGUID(sid []byte) string {
	if len(sid) != 16 {
		return ""
	}
	text := hex.EncodeToString(turned(sid))
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

func turned(raw []byte) []byte {
	out := slices.Clone(raw)
	slices.Reverse(out[0:4])
	slices.Reverse(out[4:6])
	slices.Reverse(out[6:8])
	return out
}
