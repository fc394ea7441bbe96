package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
)

// Append journals one entry under the lease's fence. Seq is given by the ledger, At
// too when it is zero.
func (s *SQLite) Append(ctx context.Context, l *Lease, e Entry) error {
	if e.At.IsZero() {
		e.At = s.now()
	}
	return s.fenced(ctx, "append to journal", l, func(tx *sql.Tx, r *held) error {
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE operation = ?`, r.seq).Scan(&e.Seq)
		if err != nil {
			return err
		}
		var sealed []byte
		if len(e.Sealed) > 0 {
			sealed = s.box.Seal(e.Sealed, journalBinding(r.uid, l.Operation, e.Seq)...)
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO journal (operation, seq, at, phase, step, note, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			r.seq, e.Seq, nanos(e.At), e.Phase, e.Step, e.Note, sealed)
		return err
	})
}

// Journal returns the entries of an operation in order. With another key than the
// one they were sealed with it returns all entries, without the sealed parts that do
// not open, together with ErrSeal: enough to show, not enough to go on from.
func (s *SQLite) Journal(ctx context.Context, operation string) ([]Entry, error) {
	var out []Entry
	var uid string
	err := s.read(ctx, "read journal", func(tx *sql.Tx) error {
		seq, of, err := operationRow(ctx, tx, operation)
		if err != nil {
			return err
		}
		uid = of
		out, err = collect(ctx, tx, scanEntry, `
			SELECT seq, at, phase, step, note, sealed FROM journal WHERE operation = ? ORDER BY seq`, seq)
		return err
	})
	if err != nil {
		return nil, err
	}
	var refused error
	for i, e := range out {
		if len(e.Sealed) == 0 {
			continue
		}
		out[i].Sealed, err = s.box.Open(e.Sealed, journalBinding(uid, operation, e.Seq)...)
		if err != nil {
			refused = errors.Join(refused, fmt.Errorf("open journal entry %d: %w: %w", e.Seq, ErrSeal, err))
		}
	}
	return out, refused
}

func scanEntry(rows *sql.Rows) (Entry, error) {
	var e Entry
	var at sql.NullInt64
	err := rows.Scan(&e.Seq, &at, &e.Phase, &e.Step, &e.Note, &e.Sealed)
	e.At = fromNanos(at)
	return e, err
}

// journalBinding ties a sealed entry to its connection and its place.
func journalBinding(uid, operation string, seq int64) []string {
	return []string{uid, "journal", operation, strconv.FormatInt(seq, 10)}
}
