package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/patchbay/patchbay/internal/connection"
)

// heads selects the operations that may run next: of each source the oldest
// unfinished one. A running one is always the oldest, as sources work in order.
// Another runner's operation at the head blocks its source.
const heads = `SELECT ` + operationColumns + ` FROM operations o
	WHERE o.ended IS NULL AND o.runner = ?1
	AND NOT EXISTS (SELECT 1 FROM operations e
		WHERE e.ended IS NULL AND e.source_folded = o.source_folded AND e.seq < o.seq)
	AND (?2 = '' OR EXISTS (SELECT 1 FROM operations t
		WHERE t.id = ?2 AND t.source_folded = o.source_folded AND t.seq >= o.seq))
	AND (?3 = '' OR o.source_folded = ?3)
	ORDER BY o.seq`

// Take leases the oldest operation that may run now. The file lock of its source
// decides who may try: whoever gets it knows that nobody else's lease is alive,
// whatever its expiry; whoever does not get it leaves the source alone, even when the
// row's lease has expired, as the process that holds it lives. Within one process,
// and where files cannot be locked, expiry decides.
func (s *SQLite) Take(ctx context.Context, runner, only string) (*Operation, *Lease, error) {
	if only != "" {
		if _, _, err := operationRow(ctx, s.db, only); err != nil {
			return nil, nil, wrap("take operation", err)
		}
	}
	candidates, err := collect(ctx, s.db, scanOperation, heads, runner, only, "")
	if err != nil {
		return nil, nil, wrap("take operation", err)
	}
	for _, c := range candidates {
		op, l, err := s.takeSource(ctx, connection.FoldID(c.Source), runner, only)
		if err != nil || op != nil {
			return op, l, err
		}
	}
	return nil, nil, nil
}

// takeSource leases the head of one source, if this process may.
func (s *SQLite) takeSource(ctx context.Context, source, runner, only string) (op *Operation, l *Lease, err error) {
	err = s.exclusive(ctx, "take operation", func() error {
		whose, err := s.files.take(source)
		if err != nil || whose == elsewhere {
			return wrap("take operation", err)
		}
		op, l, err = s.leaseHead(ctx, whose, source, runner, only)
		switch {
		case l != nil:
			s.files.assign(source, l.Operation, l.Fence)
		case whose != ours:
			s.files.release(source, "", 0)
		}
		return err
	})
	return op, l, err
}

// leaseHead leases the head of a source for a process that stands to its file lock
// as whose says.
func (s *SQLite) leaseHead(ctx context.Context, whose holding, source, runner, only string) (op *Operation, l *Lease, err error) {
	err = s.transact(ctx, "take operation", nil, func(tx *sql.Tx) error {
		// What was the head a moment ago may have ended since.
		found, err := collect(ctx, tx, scanOperation, heads, runner, only, source)
		if err != nil || len(found) == 0 {
			return err
		}
		if whose != free && found[0].Status == Running && found[0].expires > s.now().UnixNano() {
			return nil // at work in this process, or where we cannot see
		}
		op, l, err = s.lease(ctx, tx, found[0])
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return op, l, nil
}

// lease makes the operation this process's own, with a higher fence than before.
func (s *SQLite) lease(ctx context.Context, tx *sql.Tx, r *stored) (*Operation, *Lease, error) {
	now := s.now().UTC()
	if r.Started.IsZero() {
		r.Started = now
	}
	r.Status, r.fence = Running, r.fence+1
	_, err := tx.ExecContext(ctx, `
		UPDATE operations SET status = ?, started = ?, holder = ?, fence = ?, expires = ? WHERE seq = ?`,
		r.Status, nanos(r.Started), s.holder, r.fence, now.Add(s.ttl).UnixNano(), r.Seq)
	if err != nil {
		return nil, nil, err
	}
	return &r.Operation, &Lease{Operation: r.ID, Source: r.Source, Holder: s.holder, Fence: r.fence}, nil
}

// dead tells whether a running operation could be taken over. It writes nothing.
func (s *SQLite) dead(r *stored) (bool, error) {
	if r.Status != Running {
		return false, nil
	}
	whose, err := s.files.look(connection.FoldID(r.Source))
	switch {
	case err != nil:
		return false, err
	case whose == elsewhere:
		return false, nil
	case whose == free:
		return true, nil
	}
	return r.expires <= s.now().UnixNano(), nil
}

// Renew extends a lease by its whole life from now.
func (s *SQLite) Renew(ctx context.Context, l *Lease) error {
	return s.fenced(ctx, "renew lease", l, func(tx *sql.Tx, r *held) error {
		_, err := tx.ExecContext(ctx, `UPDATE operations SET expires = ? WHERE seq = ?`, s.now().Add(s.ttl).UnixNano(), r.seq)
		return err
	})
}

// held is what a write under a lease knows of its operation.
type held struct {
	seq int64
	uid string
}

// fenced runs f in one transaction with the check of the lease.
func (s *SQLite) fenced(ctx context.Context, what string, l *Lease, f func(tx *sql.Tx, r *held) error) error {
	return s.exclusive(ctx, what, func() error { return s.underLease(ctx, what, l, f) })
}

// underLease is fenced for who writes exclusively already. Once another process has
// taken the operation, this one's file lock is of no more use.
func (s *SQLite) underLease(ctx context.Context, what string, l *Lease, f func(tx *sql.Tx, r *held) error) error {
	err := s.transact(ctx, what, nil, func(tx *sql.Tx) error {
		r, err := checkLease(ctx, tx, l)
		if err != nil {
			return err
		}
		return f(tx, r)
	})
	if errors.Is(err, ErrFenced) {
		s.files.release(connection.FoldID(l.Source), l.Operation, l.Fence)
	}
	return err
}

// checkLease returns ErrFenced unless the operation runs under exactly this lease.
func checkLease(ctx context.Context, q queryer, l *Lease) (*held, error) {
	var r held
	err := q.QueryRowContext(ctx, `SELECT seq, uid FROM operations WHERE id = ? AND status = ? AND fence = ?`,
		l.Operation, Running, l.Fence).Scan(&r.seq, &r.uid)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrFenced
	}
	return &r, err
}
