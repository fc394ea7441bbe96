package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/seal"
)

// roomLeft makes serve's store as full as a full disk makes it: its file may grow by
// that many pages and no more.
const roomLeft = "PATCHBAY_TEST_ROOM_LEFT"

const pageSize = 4096

// mainInFullStore is Main whose server has that much room left.
func mainInFullStore(args []string, pages int) int {
	streams := cli.SystemStreams()
	d := deps(streams, os.LookupEnv)
	a := &app{env: os.LookupEnv, streams: streams}
	d.Serve = func(ctx context.Context, o cli.ServeOptions, ready func(cli.ReadyInfo)) error {
		return a.serveOver(ctx, o, ready, func(l ledger.Ledger) ledger.Ledger { return cramped(ctx, l, o.State, pages) })
	}
	return cli.Main(context.Background(), d, args)
}

// cramped opens a ledger again with a bound to its size.
func cramped(ctx context.Context, l ledger.Ledger, state string, pages int) ledger.Ledger {
	path := filepath.Join(state, "ledger.db")
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(l.Close())
	info, err := os.Stat(path)
	must(err)
	box, err := seal.OpenKeyFile(filepath.Join(state, "seal.key"))
	must(err)
	small, err := ledger.Open(ctx, ledger.Options{Path: path, Box: box, MaxPages: int(info.Size()/pageSize) + pages})
	must(err)
	return small
}

// TestFullDisk fills the store of a server: what cannot be journalled is refused
// before it begins, what had begun stays in the journal, and once there is room again
// every operation comes to an end with nothing half written.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	if op := s.do("PUT", s.linker("app1", "first"), cacheByKey(c)); op.text("status") != "Succeeded" {
		t.Fatalf("create: %s", op.Raw)
	}
	before := c.snapshot()
	s.stop()
	for _, pages := range []int{0, 1, 2, 3, 5, 8} {
		s.start(roomLeft + "=" + strconv.Itoa(pages))
		refused := s.fill(t)
		sentence(t, fmt.Sprintf("room for %d pages", pages), refused, 507, "STORE_FULL")
		if got := s.call("GET", s.linker("app1", "first"), nil).text("properties", "provisioningState"); got != "Succeeded" {
			t.Errorf("room for %d pages: reading a full store: %q", pages, got)
		}
		s.stop()
		s.start()
		s.settled(t, before)
		s.stop()
	}
	s.start()
	if op := s.do("PUT", s.linker("app1", "last"), blobByIdentity(c)); op.text("status") != "Succeeded" {
		t.Errorf("create with room again: %s", op.Raw)
	}
	for _, name := range []string{"last", "first"} {
		if op := s.do("DELETE", s.linker("app1", name), nil); op.text("status") != "Succeeded" {
			t.Errorf("delete with room again: %s", op.Raw)
		}
	}
}

// fill asks for one connection after another until one is refused. Operations that
// come to no end meanwhile are left to whoever takes them later.
func (s *connector) fill(t *testing.T) answer {
	t.Helper()
	for n := range 100 {
		a := s.call("PUT", s.linker("app1", fmt.Sprintf("more%d", n)), blobByIdentity(s.cloud))
		if a.Status >= 400 {
			return a
		}
	}
	t.Fatal("the store does not fill")
	return answer{}
}

// settled waits until every operation has ended, holds each further connection to all
// or nothing, and removes what came to be.
func (s *connector) settled(t *testing.T, before map[string]string) {
	t.Helper()
	list, _ := s.call("GET", "/providers/Patchbay/operations", nil).at("value").([]any)
	for _, v := range list {
		op := s.await(answer{Body: v.(map[string]any)}.text("id"))
		t.Logf("%s %s %d", op.text("verb"), op.text("status"), len(op.at("journal").([]any)))
	}
	linkers, _ := s.call("GET", s.cloud.site("app1")+"/providers/Microsoft.ServiceLinker/linkers", nil).at("value").([]any)
	settings := s.cloud.settings("app1")
	for _, v := range linkers {
		linker := answer{Body: v.(map[string]any)}
		name := linker.text("name")
		if name == "first" {
			continue
		}
		switch state := linker.text("properties", "provisioningState"); state {
		case "Failed":
		case "Succeeded":
			rows, _ := s.call("POST", s.linker("app1", name)+"/listConfigurations", nil).at("configurations").([]any)
			for _, row := range rows {
				if r := (answer{Body: row.(map[string]any)}); settings[r.text("name")] != r.text("value") || r.text("value") == "" {
					t.Errorf("%s is made, but %s is %q", name, r.text("name"), settings[r.text("name")])
				}
			}
		default:
			t.Errorf("%s is left %s", name, state)
		}
		if op := s.do("DELETE", s.linker("app1", name), nil); op.text("status") != "Succeeded" {
			t.Errorf("delete %s: %s", name, op.Raw)
		}
	}
	if d := cmp.Diff(before, s.cloud.snapshot()); d != "" {
		t.Errorf("something is left: %s", d)
	}
}
