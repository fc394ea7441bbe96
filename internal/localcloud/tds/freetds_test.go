package tds_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFreeTDS: the other client library of the protocol, which shares nothing with the
// one the tests are written in, signs in over TLS and works.
// hack/setup brings it.
func TestFreeTDS(t *testing.T) {
	t.Parallel()
	_, cfg := serve(t)
	dir := t.TempDir()
	conf := fmt.Sprintf("[peer]\nhost = %s\nport = %d\ntds version = 7.4\nencryption = require\nclient charset = UTF-8\n", cfg.Host, cfg.Port)
	if err := os.WriteFile(filepath.Join(dir, "freetds.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(password, statements string) string {
		cmd := exec.CommandContext(t.Context(), "tsql", "-S", "peer", "-U", adminName, "-P", password, "-D", "db1", "-o", "fhq")
		cmd.Env = []string{"FREETDSCONF=" + filepath.Join(dir, "freetds.conf"), "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"}
		cmd.Stdin = strings.NewReader(statements + "\ngo\nexit\n")
		out, _ := cmd.CombinedOutput() // it tells by its words, not by its exit code
		return string(out)
	}
	got := ask(adminPassword, "CREATE TABLE t (id int, text nvarchar(50))\ngo\nINSERT INTO t VALUES (1, N'zwölf'), (2, NULL)\ngo\nSELECT id, text, SUSER_SNAME() FROM t ORDER BY id")
	if !strings.Contains(got, "1\tzwölf\t"+adminName) || !strings.Contains(got, "2\tNULL\t"+adminName) {
		t.Errorf("it says %q", got)
	}
	if got := ask(adminPassword, "SELECT nothing FROM t"); !strings.Contains(got, "Msg 207") {
		t.Errorf("an unknown column: %q", got)
	}
	if got := ask("wrong", "SELECT 1"); !strings.Contains(got, "18456") {
		t.Errorf("a wrong password: %q", got)
	}
}
