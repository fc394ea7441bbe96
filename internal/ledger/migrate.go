package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// migrations are run in order of their numbers, each once, and never changed after
// a release.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migration is one script and the version it leads to.
type migration struct {
	version int
	name    string
}

// scripts lists the migrations; their numbers count from 1 without gaps.
func scripts() ([]migration, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	out := make([]migration, len(entries))
	for i, e := range entries {
		n, err := strconv.Atoi(e.Name()[:4])
		if err != nil || n != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", e.Name(), i+1)
		}
		out[i] = migration{n, "migrations/" + e.Name()}
	}
	return out, nil
}

// migrate brings the schema up to date. The usual case is one query.
func (s *SQLite) migrate(ctx context.Context) error {
	all, err := scripts()
	if err != nil {
		return err
	}
	have, err := version(ctx, s.db)
	if err != nil {
		return err
	}
	switch want := len(all); {
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("the store has schema %d, this program knows up to %d: use a newer one", have, want)
	}
	// One process at a time changes the journal mode and the schema.
	unlock, err := s.files.wait(ctx, "schema")
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.journalMode(ctx); err != nil {
		return err
	}
	return s.write(ctx, "migrate", func(tx *sql.Tx) error { return upgrade(ctx, tx, all, s.now) })
}

// version is the number of the last migration; 0 for a new file.
func version(ctx context.Context, q queryer) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'migrations'`).Scan(&n)
	if err != nil || n == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&n)
	return n, err
}

// queryer is a database or a transaction on it.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// journalMode turns the write-ahead log on; the file remembers it. SQLite does not
// wait for readers here, so we do.
func (s *SQLite) journalMode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for {
		var mode string
		err := s.db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
		if err == nil && mode == "wal" {
			return nil
		}
		if err != nil && !busy(err) {
			return err
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func upgrade(ctx context.Context, tx *sql.Tx, all []migration, now func() time.Time) error {
	const table = `CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT`
	if _, err := tx.ExecContext(ctx, table); err != nil {
		return err
	}
	have, err := version(ctx, tx)
	if err != nil {
		return err
	}
	for _, m := range all[min(have, len(all)):] {
		script, err := migrations.ReadFile(m.name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(script)); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO migrations VALUES (?, ?)`, m.version, nanos(now())); err != nil {
			return err
		}
	}
	return nil
}
