package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchbay/patchbay/internal/cli"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/ledger"
	"github.com/patchbay/patchbay/internal/plan"
	"github.com/patchbay/patchbay/internal/seal"
)

// roomLeft makes serve's store full: "pages 2" lets its file grow by so much and no
// more, as a full disk does; "writes 5" lets so many writes through, to stop the work at
// a place of the test's choice.
const roomLeft = "PATCHBAY_TEST_ROOM_LEFT"

const pageSize = 4096

// mainInFullStore is Main whose server has that much room left.
func mainInFullStore(args []string, room string) int {
	streams := cli.SystemStreams()
	d := deps(streams, os.LookupEnv)
	a := &app{env: os.LookupEnv, streams: streams}
	unit, number, _ := strings.Cut(room, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	d.Serve = func(ctx context.Context, o cli.ServeOptions, ready func(cli.ReadyInfo)) error {
		return a.serveOver(ctx, o, ready, func(l ledger.Ledger) ledger.Ledger {
			if unit == "pages" {
				return smallFile(ctx, l, o.State, n)
			}
			c := &cramped{Ledger: l, note: filepath.Join(o.State, fullNote)}
			c.left.Store(int64(n))
			return c
		})
	}
	return cli.Main(context.Background(), d, args)
}

// smallFile opens a ledger again with a bound to its size.
func smallFile(ctx context.Context, l ledger.Ledger, state string, pages int) ledger.Ledger {
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

// fullNote is a file that is there once a cramped ledger has refused a write.
const fullNote = "full"

// cramped is a ledger whose store is full after some writes. Leases need no room of
// their own, and they come and go by the clock: they fail, but do not count.
type cramped struct {
	ledger.Ledger
	left atomic.Int64
	note string
}

func (c *cramped) room(n int64) error {
	if c.left.Add(-n) >= 0 {
		return nil
	}
	_ = os.WriteFile(c.note, nil, 0o600)
	return fmt.Errorf("write: %w", ledger.ErrFull)
}

func (c *cramped) Accept(ctx context.Context, op *ledger.Operation, conn *connection.Connection, given connection.Secrets) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Accept(ctx, op, conn, given)
}

func (c *cramped) Take(ctx context.Context, runner, only string) (*ledger.Operation, *ledger.Lease, error) {
	if err := c.room(0); err != nil {
		return nil, nil, err
	}
	return c.Ledger.Take(ctx, runner, only)
}

func (c *cramped) Renew(ctx context.Context, l *ledger.Lease) error {
	if err := c.room(0); err != nil {
		return err
	}
	return c.Ledger.Renew(ctx, l)
}

func (c *cramped) Append(ctx context.Context, l *ledger.Lease, e ledger.Entry) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Append(ctx, l, e)
}

func (c *cramped) Claim(ctx context.Context, l *ledger.Lease, uid string, keys []connection.Key) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Claim(ctx, l, uid, keys)
}

func (c *cramped) Store(ctx context.Context, l *ledger.Lease, uid string, r *plan.Record) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Store(ctx, l, uid, r)
}

func (c *cramped) Release(ctx context.Context, l *ledger.Lease, uid string, k connection.Key) (bool, error) {
	if err := c.room(1); err != nil {
		return false, err
	}
	return c.Ledger.Release(ctx, l, uid, k)
}

func (c *cramped) Forget(ctx context.Context, l *ledger.Lease, uid string, slots ...string) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Forget(ctx, l, uid, slots...)
}

func (c *cramped) Finish(ctx context.Context, l *ledger.Lease, op *ledger.Operation, conn *connection.Connection, keep bool) error {
	if err := c.room(1); err != nil {
		return err
	}
	return c.Ledger.Finish(ctx, l, op, conn, keep)
}

// TestFullInTheMiddle lets the store run full at one write after another of a create and
// of a delete: the work stops where the journal does. Once there is room again the
// operation comes to its end, with nothing half written and nothing forgotten.
func TestFullInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*cloudUnderTest) map[string]any{"blob": blobByIdentity, "pgid": func(c *cloudUnderTest) map[string]any { return databaseByIdentity(c, "pg1") }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := stage(t)
			c.letTestsIn("pg1")
			s.start()
			before := c.world()
			s.put(t, name, make(c))
			after := c.world()
			s.remove(t, name)
			s.stop()
			path := s.linker("app1", name)
			step := map[string]int{"blob": 2, "pgid": 9}[name] // about ten places in each
			s.fullAt(t, step, change{"PUT", path, make(c)}, change{"DELETE", path, nil}, after)
			s.start()
			s.put(t, name, make(c))
			s.stop()
			s.fullAt(t, step, change{"DELETE", path, nil}, change{"PUT", path, make(c)}, before)
		})
	}
}

// fullAt makes a change with room for n writes, for n in steps until it needs no more;
// each time it is finished with room, held to the world it leads to, and undone.
func (s *connector) fullAt(t *testing.T, step int, do, back change, want map[string]string) {
	t.Helper()
	note := filepath.Join(s.home, "state", fullNote)
	for n := 0; ; n += step {
		_ = os.Remove(note)
		s.start(fmt.Sprintf("%s=writes %d", roomLeft, n))
		title := fmt.Sprintf("%s with room for %d writes", do.method, n)
		a := s.call(do.method, do.path, do.body)
		if a.Status >= 400 {
			sentence(t, title, a, 507, "STORE_FULL")
			s.stop()
			continue
		}
		id, enough := a.Header.Get("X-Patchbay-Operation"), false
		eventually(t, "an end or a full store", func() bool {
			_, err := os.Stat(note)
			enough = ended(s.call("GET", "/providers/Patchbay/operations/"+id, nil).text("status"))
			return err == nil || enough
		})
		s.stop()
		s.start()
		if op := s.await(id); op.text("status") != "Succeeded" {
			t.Errorf("%s: ended as %s", title, op.Raw)
		}
		if d := cmp.Diff(want, s.cloud.world()); d != "" {
			t.Errorf("%s: not as after an undisturbed run: %s", title, d)
		}
		s.must(t, back.method, back.path, back.body)
		s.stop()
		if enough || t.Failed() {
			return
		}
	}
}

// TestFullDiskRefuses fills a store with requests: the one that finds no room is
// refused in words, and nothing of it is kept.
func TestFullDiskRefuses(t *testing.T) {
	t.Parallel()
	c, s := stage(t)
	s.start()
	s.put(t, "first", cacheByKey(c))
	before := c.snapshot()
	s.stop()
	s.start(roomLeft + "=pages 2")
	sentence(t, "a full store", s.fill(t), 507, "STORE_FULL")
	s.stop()
	s.start()
	s.settled(t, before)
	s.put(t, "last", blobByIdentity(c))
	s.remove(t, "last")
	s.remove(t, "first")
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
		s.await(answer{Body: v.(map[string]any)}.text("id"))
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
