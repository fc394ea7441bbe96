package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/connection"
)

// unlockWithin bounds the store's part of an unlock, which nobody waits for with a context.
const unlockWithin = 5 * time.Second

// Lock takes the lock of a resource, for one goroutine: a second Lock under the same
// lease waits as well. It looks every few milliseconds until ctx ends, and returns
// ErrFenced as soon as the lease was taken. Locks that were not let go end with their
// operation.
func (s *SQLite) Lock(ctx context.Context, l *Lease, resource string) (unlock func(), err error) {
	folded := connection.FoldID(resource)
	for {
		got, err := s.tryLock(ctx, l, folded)
		if err != nil {
			return nil, err
		}
		if got {
			return s.unlocker(ctx, l, folded), nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("lock resource: %w", ctx.Err())
		}
	}
}

// tryLock looks first and writes only when there is hope, as those who wait must not
// slow down the one who works.
func (s *SQLite) tryLock(ctx context.Context, l *Lease, folded string) (got bool, err error) {
	err = s.read(ctx, "lock resource", func(tx *sql.Tx) error {
		r, err := checkLease(ctx, tx, l)
		if err != nil {
			return err
		}
		got, err = s.lockable(ctx, tx, r, l, folded)
		return err
	})
	if err != nil || !got {
		return false, err
	}
	err = s.fenced(ctx, "lock resource", l, func(tx *sql.Tx, r *held) error {
		if got, err = s.lockable(ctx, tx, r, l, folded); err != nil || !got {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO locks (resource_folded, operation, fence) VALUES (?, ?, ?)`,
			folded, r.seq, l.Fence)
		return err
	})
	return got && err == nil, err
}

// lockable tells whether nobody alive holds the lock.
func (s *SQLite) lockable(ctx context.Context, tx *sql.Tx, r *held, l *Lease, folded string) (bool, error) {
	var by, fence int64
	err := tx.QueryRowContext(ctx, `SELECT operation, fence FROM locks WHERE resource_folded = ?`, folded).Scan(&by, &fence)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, nil
	case err != nil:
		return false, err
	case by == r.seq:
		return fence != l.Fence, nil // an earlier runner of the same operation is fenced off
	}
	found, err := collect(ctx, tx, scanOperation, `SELECT `+operationColumns+` FROM operations WHERE seq = ?`, by)
	if err != nil || len(found) == 0 || found[0].Status != Running || found[0].fence != fence {
		return err == nil, err
	}
	return s.dead(found[0])
}

// unlocker lets the lock go once, and only this lease's.
func (s *SQLite) unlocker(ctx context.Context, l *Lease, folded string) func() {
	ctx = context.WithoutCancel(ctx)
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(ctx, unlockWithin)
		defer cancel()
		// When this fails the lock ends with the operation: slower, never wrong.
		_ = s.write(ctx, "unlock resource", func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM locks WHERE resource_folded = ? AND fence = ?
				AND operation = (SELECT seq FROM operations WHERE id = ?)`, folded, l.Fence, l.Operation)
			return err
		})
	})
}
