package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/patchbay/patchbay/internal/connection"
)

// Connection returns one connection by ARM id.
func (s *SQLite) Connection(ctx context.Context, id string) (*connection.Connection, error) {
	return s.connection(ctx, `SELECT body FROM connections WHERE id_folded = ?`, connection.FoldID(id))
}

// ByUID returns one connection by uid.
func (s *SQLite) ByUID(ctx context.Context, uid string) (*connection.Connection, error) {
	return s.connection(ctx, `SELECT body FROM connections WHERE uid = ?`, uid)
}

func (s *SQLite) connection(ctx context.Context, query, arg string) (*connection.Connection, error) {
	var body string
	err := s.db.QueryRowContext(ctx, query, arg).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, wrap("read connection", err)
	}
	return decode[connection.Connection]([]byte(body))
}

// Connections lists those of a source, ordered by name.
func (s *SQLite) Connections(ctx context.Context, source string) ([]*connection.Connection, error) {
	query, args := `SELECT body FROM connections ORDER BY name, id_folded`, []any{}
	if source != "" {
		query = `SELECT body FROM connections WHERE source_folded = ? ORDER BY name, id_folded`
		args = append(args, connection.FoldID(source))
	}
	out, err := collect(ctx, s.db, func(r *sql.Rows) (*connection.Connection, error) {
		var body string
		if err := r.Scan(&body); err != nil {
			return nil, err
		}
		return decode[connection.Connection]([]byte(body))
	}, query, args...)
	return out, wrap("list connections", err)
}

// putConnection stores a connection as readers see it from now on.
func putConnection(ctx context.Context, tx *sql.Tx, c *connection.Connection) error {
	body, err := encode(c)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO connections (uid, id_folded, source_folded, name, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (uid) DO UPDATE SET id_folded = excluded.id_folded,
			source_folded = excluded.source_folded, name = excluded.name, body = excluded.body`,
		c.UID, connection.FoldID(c.ID), connection.FoldID(c.Source), c.Name, body)
	return err
}

// dropConnection removes a connection, its kept secrets, and the records nobody
// else owns.
func dropConnection(ctx context.Context, tx *sql.Tx, uid string) error {
	for _, q := range []string{
		`DELETE FROM records WHERE id IN (SELECT record FROM owners WHERE uid = ?1)
			AND NOT EXISTS (SELECT 1 FROM owners o WHERE o.record = records.id AND o.uid <> ?1)`,
		`DELETE FROM connections WHERE uid = ?1`, // owners and kept secrets go with it
	} {
		if _, err := tx.ExecContext(ctx, q, uid); err != nil {
			return err
		}
	}
	return nil
}

// encode writes a value as JSON text; a nil pointer or map is NULL.
func encode[T any](v T) (sql.NullString, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return sql.NullString{}, fmt.Errorf("encode %T: %w", v, err)
	}
	return sql.NullString{String: string(b), Valid: string(b) != "null"}, nil
}

// decode reads what encode wrote; nothing makes nil.
func decode[T any](b []byte) (*T, error) {
	if len(b) == 0 {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}

// collect runs a query and makes one value per row.
func collect[T any](ctx context.Context, q queryer, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
