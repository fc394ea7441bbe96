package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/plan"
)

// Claim notes that the connection is about to own the keys. A record that stands
// already keeps what it says.
func (s *SQLite) Claim(ctx context.Context, l *Lease, uid string, keys []connection.Key) error {
	return s.fenced(ctx, "claim facets", l, func(tx *sql.Tx, _ *held) error {
		for _, k := range keys {
			_, err := tx.ExecContext(ctx, `
				INSERT INTO records (folded, kind, resource, name, claimed) VALUES (?, ?, ?, ?, 1)
				ON CONFLICT (folded) DO NOTHING`, k.Fold(), k.Kind, k.Resource, k.Name)
			if err != nil {
				return err
			}
			if err := own(ctx, tx, k, uid); err != nil {
				return err
			}
		}
		return nil
	})
}

// own makes uid an owner of the record of a key.
func own(ctx context.Context, tx *sql.Tx, k connection.Key, uid string) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO owners (record, uid) SELECT id, ? FROM records WHERE folded = ?
		ON CONFLICT (record, uid) DO NOTHING`, uid, k.Fold())
	return err
}

// Store writes a record as a whole, its spelling of the key included, and makes uid
// one of its owners.
func (s *SQLite) Store(ctx context.Context, l *Lease, uid string, r *plan.Record) error {
	var previous []byte
	if r.Previous != nil {
		plain, err := EncodeState(r.Previous)
		if err != nil {
			return fmt.Errorf("store record: %w", err)
		}
		previous = s.box.Seal(plain, recordBinding(uid, r.Key)...)
	}
	written, err := encode(r.Written)
	if err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	outputs, err := encode(r.Outputs)
	if err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	return s.fenced(ctx, "store record", l, func(tx *sql.Tx, _ *held) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO records (folded, kind, resource, name, found, written, outputs, scaffold, claimed, spelling, writer, previous)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (folded) DO UPDATE SET kind = excluded.kind, resource = excluded.resource, name = excluded.name,
				found = excluded.found, written = excluded.written, outputs = excluded.outputs,
				scaffold = excluded.scaffold, claimed = excluded.claimed, spelling = excluded.spelling,
				writer = excluded.writer, previous = excluded.previous`,
			r.Key.Fold(), r.Key.Kind, r.Key.Resource, r.Key.Name, r.Found, written, outputs,
			r.Scaffold, r.Claimed, r.Spelling, uid, previous)
		if err != nil {
			return err
		}
		return own(ctx, tx, r.Key, uid)
	})
}

// Release takes uid off the owners. gone is true when no owner is left, also when
// there was none before.
func (s *SQLite) Release(ctx context.Context, l *Lease, uid string, k connection.Key) (gone bool, err error) {
	err = s.fenced(ctx, "release facet", l, func(tx *sql.Tx, _ *held) error {
		for _, q := range []string{
			`DELETE FROM owners WHERE uid = ?1 AND record = (SELECT id FROM records WHERE folded = ?2)`,
			`DELETE FROM records WHERE folded = ?2 AND NOT EXISTS (SELECT 1 FROM owners WHERE record = records.id)`,
		} {
			if _, err := tx.ExecContext(ctx, q, uid, k.Fold()); err != nil {
				return err
			}
		}
		return tx.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM records WHERE folded = ?)`, k.Fold()).Scan(&gone)
	})
	return gone && err == nil, err
}

const recordColumns = `r.kind, r.resource, r.name, r.found, r.written, r.outputs, r.scaffold, r.claimed, r.spelling,
	r.writer, r.previous, (SELECT json_group_array(uid) FROM (SELECT uid FROM owners WHERE record = r.id ORDER BY rowid))`

// Records returns what is known of the given keys, in their order; unknown ones are
// left out. A previous state that does not open with this key comes as a state that
// is Unknown, so that a lost key loses no more than that.
func (s *SQLite) Records(ctx context.Context, keys []connection.Key) ([]*plan.Record, error) {
	folded := make([]string, len(keys))
	for i, k := range keys {
		folded[i] = k.Fold()
	}
	list, err := json.Marshal(folded)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	out, err := collect(ctx, s.db, s.scanRecord, `
		SELECT `+recordColumns+` FROM records r JOIN json_each(?) k ON k.value = r.folded
		GROUP BY r.id ORDER BY min(k.key)`, string(list))
	return out, wrap("read records", err)
}

// RecordsOf returns everything a connection owns, in the order it came to own it.
func (s *SQLite) RecordsOf(ctx context.Context, uid string) ([]*plan.Record, error) {
	out, err := collect(ctx, s.db, s.scanRecord, `
		SELECT `+recordColumns+` FROM records r JOIN owners o ON o.record = r.id WHERE o.uid = ? ORDER BY o.rowid`, uid)
	return out, wrap("read records", err)
}

func (s *SQLite) scanRecord(rows *sql.Rows) (*plan.Record, error) {
	var (
		r                        plan.Record
		written, outputs, owners []byte
		writer                   string
		previous                 []byte
	)
	err := rows.Scan(&r.Key.Kind, &r.Key.Resource, &r.Key.Name, &r.Found, &written, &outputs,
		&r.Scaffold, &r.Claimed, &r.Spelling, &writer, &previous, &owners)
	if err != nil {
		return nil, err
	}
	for _, col := range []struct {
		text []byte
		into any
	}{{written, &r.Written}, {outputs, &r.Outputs}, {owners, &r.Owners}} {
		if len(col.text) == 0 {
			continue
		}
		if err := json.Unmarshal(col.text, col.into); err != nil {
			return nil, fmt.Errorf("decode record %s: %w", r.Key, err)
		}
	}
	r.Previous, err = s.openPrevious(&r, writer, previous)
	return &r, err
}

func (s *SQLite) openPrevious(r *plan.Record, writer string, sealed []byte) (*connection.State, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := s.box.Open(sealed, recordBinding(writer, r.Key)...)
	if err != nil {
		return &connection.State{Exists: true, Unknown: true, Why: errors.Join(ErrSeal, err).Error()}, nil
	}
	return DecodeState(plain)
}

// recordBinding ties a sealed previous state to the connection that wrote it and its facet.
func recordBinding(uid string, k connection.Key) []string { return []string{uid, "record", k.Fold()} }
