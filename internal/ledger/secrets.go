package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
)

// Given returns the secrets given with an operation; none once it has ended.
func (s *SQLite) Given(ctx context.Context, operation string) (connection.Secrets, error) {
	var out connection.Secrets
	err := s.read(ctx, "read given secrets", func(tx *sql.Tx) error {
		seq, uid, err := operationRow(ctx, tx, operation)
		if err != nil {
			return err
		}
		out, err = s.openSecrets(ctx, tx, uid, `SELECT slot, sealed FROM given WHERE operation = ?`, seq)
		return err
	})
	return out, err
}

// Kept returns the secrets kept for a connection; none when there is no such connection.
func (s *SQLite) Kept(ctx context.Context, uid string) (connection.Secrets, error) {
	out, err := s.openSecrets(ctx, s.db, uid, `SELECT slot, sealed FROM kept WHERE uid = ?`, uid)
	return out, wrap("read kept secrets", err)
}

// Forget erases kept secrets.
func (s *SQLite) Forget(ctx context.Context, l *Lease, uid string, slots ...string) error {
	return s.fenced(ctx, "forget kept secrets", l, func(tx *sql.Tx, _ *held) error {
		if len(slots) == 0 {
			_, err := tx.ExecContext(ctx, `DELETE FROM kept WHERE uid = ?`, uid)
			return err
		}
		for _, slot := range slots {
			if _, err := tx.ExecContext(ctx, `DELETE FROM kept WHERE uid = ? AND slot = ?`, uid, slot); err != nil {
				return err
			}
		}
		return nil
	})
}

// putGiven seals secrets under the binding they will have when kept, so that keeping
// them needs no key.
func (s *SQLite) putGiven(ctx context.Context, tx *sql.Tx, op *Operation, given connection.Secrets) error {
	for slot, secret := range given {
		sealed := s.box.Seal([]byte(secret.Reveal()), secretBinding(op.UID, slot)...)
		_, err := tx.ExecContext(ctx, `INSERT INTO given (operation, slot, sealed) VALUES (?, ?, ?)`, op.Seq, slot, sealed)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *SQLite) openSecrets(ctx context.Context, q queryer, uid, query string, arg any) (connection.Secrets, error) {
	type row struct {
		slot   string
		sealed []byte
	}
	rows, err := collect(ctx, q, func(r *sql.Rows) (row, error) {
		var v row
		err := r.Scan(&v.slot, &v.sealed)
		return v, err
	}, query, arg)
	if err != nil {
		return nil, err
	}
	out := make(connection.Secrets, len(rows))
	for _, r := range rows {
		text, err := s.box.Open(r.sealed, secretBinding(uid, r.slot)...)
		if err != nil {
			return nil, fmt.Errorf("slot %s: %w: %w", r.slot, ErrSeal, err)
		}
		out[r.slot] = connection.NewSecret(string(text))
	}
	return out, nil
}

// secretBinding ties a sealed secret to its connection and slot.
func secretBinding(uid, slot string) []string { return []string{uid, "secret", slot} }
