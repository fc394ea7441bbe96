package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/patchbay/patchbay/internal/seal"
)

// Options say where a ledger lives and how it seals.
type Options struct {
	Path     string           // of the SQLite file; created with its folder when absent
	Box      *seal.Box        // seals and stamps; its key is kept elsewhere
	LeaseTTL time.Duration    // how long a lease lasts without Renew; 0 means 30 s
	Now      func() time.Time // nil means time.Now
	MaxPages int              // upper bound of the file in pages of 4 KiB; 0 means none
}

// defaultTTL is the life of a lease that is not renewed.
const defaultTTL = 30 * time.Second

// busyTimeout is how long one transaction waits for those of other processes.
const busyTimeout = 15 * time.Second

// maxConns bounds the open connections: one writes, the others read meanwhile.
const maxConns = 4

// SQLite is the embedded ledger: one file, used by any number of processes of one
// machine. A lease is a row with a fencing number, and while its process lives also
// a file lock on the source, so that a dead process is noticed at once.
type SQLite struct {
	db     *sql.DB
	box    *seal.Box
	ttl    time.Duration
	now    func() time.Time
	holder string
	files  *fileLocks
	writer chan struct{} // holds one token while this process writes
}

var _ Ledger = (*SQLite)(nil)

// Open opens the ledger at o.Path, creates it when absent and brings its schema up
// to date. Any number of processes may do so at once.
func Open(ctx context.Context, o Options) (*SQLite, error) {
	if o.Box == nil {
		return nil, errors.New("open ledger: no key to seal with")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, wrap("open ledger", err)
	}
	db, err := sql.Open("sqlite", dsn(path, o.MaxPages))
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	s := &SQLite{
		db: db, box: o.Box, ttl: o.LeaseTTL, now: o.Now,
		holder: processName(),
		files:  newFileLocks(filepath.Join(filepath.Dir(path), "locks")),
		writer: make(chan struct{}, 1),
	}
	if s.ttl == 0 {
		s.ttl = defaultTTL
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(wrap("open ledger", err), db.Close())
	}
	return s, nil
}

// Close lets every lease of this process go, so that others may take its
// operations at once, and closes the file.
func (s *SQLite) Close() error {
	return errors.Join(s.files.close(), s.db.Close())
}

// dsn names the file and the settings that each connection to it starts with.
// Full synchronisation makes the journal survive a power cut, not only a kill.
func dsn(path string, maxPages int) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_error_rc": {"1"}}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "secure_delete(1)")
	q.Add("_pragma", "synchronous(FULL)")
	if maxPages > 0 {
		q.Add("_pragma", fmt.Sprintf("max_page_count(%d)", maxPages))
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	u := url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}
	return u.String()
}

// makePrivate creates the file when absent (the driver would leave its rights to the
// umask) and takes rights of others away. SQLite gives its side files the rights of
// the file. The file is linked into place, never opened here: closing any descriptor
// of it would drop the locks that SQLite holds on it for this whole process.
func makePrivate(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createPrivate(path)
	}
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o600)
	}
	return nil
}

func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ledger-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// processName is what a lease says about its holder.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

// write runs f in one transaction that holds the write lock from its start. Nothing
// of it remains when f or the commit fails.
func (s *SQLite) write(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	return s.exclusive(ctx, what, func() error { return s.transact(ctx, what, nil, f) })
}

// exclusive runs f while nothing else in this process writes or takes: what the store
// says of a lease and what this process holds for it change together.
func (s *SQLite) exclusive(ctx context.Context, what string, f func() error) error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
		return f()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

// read runs f on one snapshot of the store, which it cannot change and does not lock.
func (s *SQLite) read(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	return s.transact(ctx, what, &sql.TxOptions{ReadOnly: true}, f)
}

func (s *SQLite) transact(ctx context.Context, what string, o *sql.TxOptions, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, o)
	if err != nil {
		return wrap(what, ended(ctx, err))
	}
	// SQLite has already rolled back after some errors; saying so again is harmless.
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return wrap(what, ended(ctx, err))
	}
	return wrap(what, ended(ctx, tx.Commit()))
}

// ended names the end of ctx as the cause of what it did to a transaction: database/sql
// rolls back under way, and then says only that the transaction is done.
func ended(ctx context.Context, err error) error {
	if cause := ctx.Err(); errors.Is(err, sql.ErrTxDone) && cause != nil {
		return cause
	}
	return err
}

// wrap adds what was attempted, and ErrFull when there was no room for it.
func wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case full(err) && !errors.Is(err, ErrFull):
		return fmt.Errorf("%s: %w: %w", what, ErrFull, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func full(err error) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		// The shared-memory file cannot be extended only when the disk is full.
		return e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE
	}
	return errors.Is(err, syscall.ENOSPC)
}

// nanos is the stored form of a time; the zero time is NULL.
func nanos(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixNano(), Valid: !t.IsZero()}
}

func fromNanos(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(0, n.Int64).UTC()
}
