package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/connection"
)

// defaultLimit is how many operations are listed when nobody says.
const defaultLimit = 100

// Accept stores an operation with the connection it leaves behind meanwhile (nil
// leaves the connection as it is) and the secrets given with it. UID, Connection and
// Source are taken from c where op has none; an ID that is set is kept. ErrBusy also
// when another connection has come to be under the same ARM id since the caller looked.
func (s *SQLite) Accept(ctx context.Context, op *Operation, c *connection.Connection, given connection.Secrets) error {
	next := *op
	if err := completeOperation(&next, c); err != nil {
		return fmt.Errorf("accept operation: %w", err)
	}
	next.Status = Accepted
	err := s.write(ctx, "accept operation", func(tx *sql.Tx) error {
		next.Accepted = s.now().UTC() // in here nobody else writes: times follow the order of acceptance
		if err := admit(ctx, tx, &next); err != nil {
			return err
		}
		if err := insertOperation(ctx, tx, &next); err != nil {
			return err
		}
		if c != nil {
			if err := putConnection(ctx, tx, c); err != nil {
				return err
			}
		}
		return s.putGiven(ctx, tx, &next, given)
	})
	if err == nil {
		*op = next
	}
	return err
}

// completeOperation fills in what follows from the connection and refuses what is
// left without a name.
func completeOperation(op *Operation, c *connection.Connection) error {
	if c != nil {
		for have, from := range map[*string]string{&op.UID: c.UID, &op.Connection: c.ID, &op.Source: c.Source} {
			if *have == "" {
				*have = from
			}
		}
		if c.UID != op.UID {
			return fmt.Errorf("operation is for connection %q, not %q", op.UID, c.UID)
		}
	}
	if op.UID == "" || op.Connection == "" || op.Source == "" {
		return errors.New("operation without connection or source")
	}
	if op.ID == "" {
		op.ID = uuid.NewString()
	}
	return nil
}

// admit refuses a second unfinished operation on a connection, and a connection
// whose ARM id belongs to another one.
func admit(ctx context.Context, tx *sql.Tx, op *Operation) error {
	folded := connection.FoldID(op.Connection)
	var other string
	err := tx.QueryRowContext(ctx, `
		SELECT verb || ' ' || id FROM operations WHERE ended IS NULL AND (uid = ? OR conn_folded = ?) LIMIT 1`,
		op.UID, folded).Scan(&other)
	if err == nil {
		return fmt.Errorf("%w: %s", ErrBusy, other)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = tx.QueryRowContext(ctx, `SELECT uid FROM connections WHERE id_folded = ? AND uid <> ?`, folded, op.UID).Scan(&other)
	if err == nil {
		return fmt.Errorf("%w: the connection came to be meanwhile", ErrBusy)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

func insertOperation(ctx context.Context, tx *sql.Tx, op *Operation) error {
	wanted, err := encode(op.Wanted)
	if err != nil {
		return err
	}
	before, err := encode(op.Before)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `
		INSERT INTO operations (id, verb, uid, connection, conn_folded, source, source_folded, runner, caller,
			correlation, status, wanted, before, force, forget, undo, accepted, message)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
		op.ID, op.Verb, op.UID, op.Connection, connection.FoldID(op.Connection), op.Source,
		connection.FoldID(op.Source), op.Runner, op.Caller, op.Correlation, op.Status, wanted, before,
		op.Force, op.Forget, op.Undo, nanos(op.Accepted), op.Message).Scan(&op.Seq)
}

// Operation returns one. A running one whose lease is dead shows as Interrupted.
func (s *SQLite) Operation(ctx context.Context, id string) (*Operation, error) {
	rows, err := s.seen(ctx, `SELECT `+operationColumns+` FROM operations WHERE id = ?`, id)
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, wrap("read operation", err)
	}
	return rows[0], nil
}

// Operations lists those of a source, the newest first.
func (s *SQLite) Operations(ctx context.Context, source string, limit int) ([]*Operation, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	query, args := `SELECT `+operationColumns+` FROM operations ORDER BY seq DESC LIMIT ?`, []any{limit}
	if source != "" {
		query = `SELECT ` + operationColumns + ` FROM operations WHERE source_folded = ? ORDER BY seq DESC LIMIT ?`
		args = []any{connection.FoldID(source), limit}
	}
	out, err := s.seen(ctx, query, args...)
	return out, wrap("list operations", err)
}

// seen reads operations as a reader should see them, without writing anything.
func (s *SQLite) seen(ctx context.Context, query string, args ...any) ([]*Operation, error) {
	rows, err := collect(ctx, s.db, scanOperation, query, args...)
	if err != nil {
		return nil, err
	}
	out := make([]*Operation, len(rows))
	for i, r := range rows {
		if out[i], err = s.judged(ctx, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// judged tells an interrupted operation from a running one. Its lease may have ended
// in good order between reading the row and looking at the file lock, so the row
// must still say the same afterwards.
func (s *SQLite) judged(ctx context.Context, r *stored) (*Operation, error) {
	dead, err := s.dead(r)
	if err != nil || !dead {
		return &r.Operation, err
	}
	again, err := collect(ctx, s.db, scanOperation, `SELECT `+operationColumns+` FROM operations WHERE seq = ?`, r.Seq)
	if err != nil {
		return nil, err
	}
	for _, now := range again {
		if now.Status == Running && now.fence == r.fence {
			now.Status = Interrupted
		}
		r = now
	}
	return &r.Operation, nil
}

// RequestUndo marks an unfinished operation. ErrEnded when it has ended.
func (s *SQLite) RequestUndo(ctx context.Context, operation string) error {
	return s.write(ctx, "request undo", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE operations SET undo = 1 WHERE id = ? AND ended IS NULL`, operation)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 1 {
			return err
		}
		if _, _, err := operationRow(ctx, tx, operation); err != nil {
			return err
		}
		return ErrEnded
	})
}

// operationRow finds the row number and the connection of an operation.
func operationRow(ctx context.Context, q queryer, id string) (seq int64, uid string, err error) {
	err = q.QueryRowContext(ctx, `SELECT seq, uid FROM operations WHERE id = ?`, id).Scan(&seq, &uid)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return seq, uid, err
}

// stored is an operation's row: the operation and its lease.
type stored struct {
	Operation
	fence   int64
	expires int64
}

const operationColumns = `seq, id, verb, uid, connection, source, runner, caller, correlation, status,
	wanted, before, force, forget, undo, accepted, started, ended, message, problem, report, fence, expires`

func scanOperation(rows *sql.Rows) (*stored, error) {
	var (
		r                        stored
		wanted, before, problem  []byte
		accepted, started, ended sql.NullInt64
	)
	err := rows.Scan(&r.Seq, &r.ID, &r.Verb, &r.UID, &r.Connection, &r.Source, &r.Runner, &r.Caller,
		&r.Correlation, &r.Status, &wanted, &before, &r.Force, &r.Forget, &r.Undo,
		&accepted, &started, &ended, &r.Message, &problem, &r.Report, &r.fence, &r.expires)
	if err != nil {
		return nil, err
	}
	r.Accepted, r.Started, r.Ended = fromNanos(accepted), fromNanos(started), fromNanos(ended)
	if r.Wanted, err = decode[connection.Connection](wanted); err != nil {
		return nil, err
	}
	if r.Before, err = decode[connection.Connection](before); err != nil {
		return nil, err
	}
	r.Problem, err = decode[connection.Problem](problem)
	return &r, err
}
