package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
)

// Finish ends the operation and lets the lease go. With keep, the secrets given with
// it replace those kept in the same slots, and other slots stay; without, the given
// ones are dropped and those kept from earlier operations stay. Operations and their
// journals stay for audit, without their sealed parts. When it fails nothing has
// changed and the lease is still held.
func (s *SQLite) Finish(ctx context.Context, l *Lease, op *Operation, c *connection.Connection, keep bool) error {
	if !op.Status.Done() {
		return fmt.Errorf("finish operation: status %q is not an end", op.Status)
	}
	end := *op
	if end.Ended.IsZero() {
		end.Ended = s.now().UTC()
	}
	err := s.exclusive(ctx, "finish operation", func() error {
		err := s.underLease(ctx, "finish operation", l, func(tx *sql.Tx, r *held) error {
			return conclude(ctx, tx, r, &end, c, keep)
		})
		if err == nil {
			// Not before the commit: who gets the file lock takes every running row for dead.
			s.files.release(connection.FoldID(l.Source), l.Operation, l.Fence)
		}
		return err
	})
	if err == nil {
		*op = end
	}
	return err
}

// conclude writes everything that the end of an operation changes.
func conclude(ctx context.Context, tx *sql.Tx, r *held, op *Operation, c *connection.Connection, keep bool) error {
	if c != nil && c.UID != r.uid {
		return fmt.Errorf("operation is for connection %q, not %q", r.uid, c.UID)
	}
	if err := endOperation(ctx, tx, r.seq, op); err != nil {
		return err
	}
	if err := settle(ctx, tx, r, c, keep); err != nil {
		return err
	}
	return forgetOperation(ctx, tx, r.seq)
}

func endOperation(ctx context.Context, tx *sql.Tx, seq int64, op *Operation) error {
	problem, err := encode(op.Problem)
	if err != nil {
		return err
	}
	report := sql.NullString{String: string(op.Report), Valid: op.Report != nil}
	_, err = tx.ExecContext(ctx, `
		UPDATE operations SET status = ?, ended = ?, message = ?, problem = ?, report = ?, expires = 0 WHERE seq = ?`,
		op.Status, nanos(op.Ended), op.Message, problem, report, seq)
	return err
}

// settle leaves the connection and its kept secrets as the operation made them.
func settle(ctx context.Context, tx *sql.Tx, r *held, c *connection.Connection, keep bool) error {
	if c == nil {
		return dropConnection(ctx, tx, r.uid)
	}
	if err := putConnection(ctx, tx, c); err != nil {
		return err
	}
	if !keep {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT OR REPLACE INTO kept (uid, slot, sealed) SELECT ?, slot, sealed FROM given WHERE operation = ?`,
		r.uid, r.seq)
	return err
}

// forgetOperation erases what only a running operation needs.
func forgetOperation(ctx context.Context, tx *sql.Tx, seq int64) error {
	for _, q := range []string{
		`DELETE FROM given WHERE operation = ?`,
		`DELETE FROM locks WHERE operation = ?`,
		`UPDATE journal SET sealed = NULL WHERE operation = ? AND sealed IS NOT NULL`,
	} {
		if _, err := tx.ExecContext(ctx, q, seq); err != nil {
			return err
		}
	}
	return nil
}
