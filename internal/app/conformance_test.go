//go:build conformance

package app

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestConformanceOfOurRequests drives every target's connection through its life and
// hands each request our engine sent to the judge of published ARM types.
func TestConformanceOfOurRequests(t *testing.T) {
	dir := os.Getenv("REFERENCE")
	if dir == "" {
		t.Fatal("REFERENCE names no folder; run: make conformance REFERENCE=DIR")
	}
	c := startCloud(t, "--record-bodies")
	c.makeGroup()
	c.makeSite("app1", map[string]string{"FOREIGN": "theirs"})
	c.makeCache()
	c.makeAccount()
	c.makeServer("pg1")
	s := c.newConnector().start()
	c.forget()
	bodies := map[string]map[string]any{"cache": cacheByKey(c), "cacheid": cacheByIdentity(c), "blob": blobByIdentity(c), "pgid": databaseByIdentity(c, "pg1"),
		"pgsecret": databaseByPassword(c, "pg1", "pgadmin", adminPassword)}
	u, p := c.makeIdentity("shopper"), c.newPrincipal("shopper")
	for name, linker := range c.targetsFor(u.auth(c)) {
		bodies["user"+name] = linker
	}
	for name, linker := range c.targetsFor(p.auth()) {
		bodies["principal"+name] = linker
	}
	for name, linker := range bodies {
		for _, step := range []func() answer{
			func() answer { return s.do("PUT", s.linker("app1", name), linker) },
			func() answer { return s.do("POST", s.linker("app1", name)+"/validateLinker", nil) },
			func() answer { return s.do("DELETE", s.linker("app1", name), nil) },
		} {
			if op := step(); op.text("status") != "Succeeded" {
				t.Fatalf("%s: %s", name, op.Raw)
			}
		}
	}
	lines, n := c.sentBy(s.engine.ObjectID)
	if n < 50 {
		t.Fatalf("only %d requests were recorded", n)
	}
	judge := exec.Command("python3", filepath.Join(dir, "armtypes", "validate.py"))
	judge.Stdin = bytes.NewReader(lines)
	out, err := judge.CombinedOutput()
	t.Logf("%s", tail(out, 2000))
	if err != nil {
		t.Errorf("the judge found errors: %v", err)
	}
}

func cacheByIdentity(c *cloudUnderTest) map[string]any {
	return body(c.cache()+"/databases/0", map[string]any{"authType": "systemAssignedIdentity"})
}

// sentBy returns what a principal sent, as the judge reads it; polling addresses are
// not judged.
func (c *cloudUnderTest) sentBy(objectID string) ([]byte, int) {
	c.t.Helper()
	var log struct{ Value []map[string]any }
	raw := c.call(c.ready.Endpoint, c.token, "GET", "/_local/requests", nil).Raw
	if err := json.Unmarshal(raw, &log); err != nil {
		if err := json.Unmarshal(raw, &log.Value); err != nil {
			c.t.Fatal(err)
		}
	}
	var out bytes.Buffer
	n := 0
	for _, r := range log.Value {
		path, _ := r["path"].(string)
		if r["caller"] != objectID || strings.Contains(path, "/operationStatuses/") || strings.Contains(path, "/operationResults/") {
			continue
		}
		body := r["requestBody"]
		if text, ok := body.(string); ok && text != "" {
			body = json.RawMessage(text)
		} else if ok {
			body = nil
		}
		line, err := json.Marshal(map[string]any{"method": r["method"], "path": path, "apiVersion": r["apiVersion"], "body": body})
		if err != nil {
			c.t.Fatal(err)
		}
		out.Write(append(line, '\n'))
		n++
	}
	return out.Bytes(), n
}
