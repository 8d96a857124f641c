package sqlitefile

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// maxStatements bounds the prepared statements of a connection. The packages have a few dozen queries in all; one that
// puts values into its text would otherwise keep every one of them.
const maxStatements = 256

// Tx is a transaction: of the writer in [Op].Exec, or a read-only snapshot in [File.Read]. It is good until that
// function returns. Queries are prepared once and kept by their text, so the text must be constant but for table names;
// values go in as arguments for plain question marks.
type Tx struct {
	conn  driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue
}

// Exec runs one statement and returns how many rows it changed. Arguments may be nil, string, []byte, bool, float64 and
// the integer types.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	st, err := tx.prepare(query)
	if err != nil {
		return 0, err
	}
	vals, err := tx.bind(args)
	if err != nil {
		return 0, err
	}
	res, err := st.(driver.StmtExecContext).ExecContext(context.Background(), vals)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Each calls row for every row that the query gives. The Row is good until row returns; its bytes and strings may be
// kept. The same query must not be run inside row.
func (tx *Tx) Each(query string, row func(r Row) error, args ...any) error {
	st, err := tx.prepare(query)
	if err != nil {
		return err
	}
	vals, err := tx.bind(args)
	if err != nil {
		return err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(context.Background(), vals)
	if err != nil {
		return err
	}
	r := make(Row, len(rows.Columns()))
	for {
		if err = rows.Next(r); err != nil {
			break
		}
		if err = row(r); err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// One is Each for a query of which only the first row is wanted; it says whether there was one. A nil row is for
// queries that ask no more than that.
func (tx *Tx) One(query string, row func(r Row) error, args ...any) (bool, error) {
	found := false
	err := tx.Each(query, func(r Row) error {
		if found {
			return nil
		}
		found = true
		if row == nil {
			return nil
		}
		return row(r)
	}, args...)
	return found, err
}

// Row is the columns of one row.
type Row []driver.Value

// Null says whether the column is NULL.
func (r Row) Null(i int) bool { return r[i] == nil }

// Int returns the column as an integer; 0 when it is not one.
func (r Row) Int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

// Uint is Int for a column that an unsigned integer was written to.
func (r Row) Uint(i int) uint64 { return uint64(r.Int(i)) } //nolint:gosec // the inverse of what writing it did

// Text returns the column as a string; empty when it is neither text nor a blob.
func (r Row) Text(i int) string {
	switch v := r[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Bytes returns the column as bytes: nil for NULL, never nil for an empty blob.
func (r Row) Bytes(i int) []byte {
	switch v := r[i].(type) {
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func (tx *Tx) prepare(query string) (driver.Stmt, error) {
	if st := tx.stmts[query]; st != nil {
		return st, nil
	}
	if len(tx.stmts) >= maxStatements {
		if err := tx.forget(); err != nil {
			return nil, err
		}
	}
	st, err := tx.conn.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare statement: %w", err)
	}
	tx.stmts[query] = st
	return st, nil
}

func (tx *Tx) forget() error {
	var errs []error
	for _, st := range tx.stmts {
		errs = append(errs, st.Close())
	}
	clear(tx.stmts)
	return errors.Join(errs...)
}

// bind converts the arguments. Their slice is used again: the driver copies what it needs before it returns.
func (tx *Tx) bind(args []any) ([]driver.NamedValue, error) {
	tx.args = tx.args[:0]
	for i, a := range args {
		v, err := value(a)
		if err != nil {
			return nil, fmt.Errorf("bind argument %d: %w", i+1, err)
		}
		tx.args = append(tx.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return tx.args, nil
}

func value(a any) (driver.Value, error) {
	switch v := a.(type) {
	case nil, int64, string, []byte, bool, float64:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case uint8:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint64:
		return int64(v), nil //nolint:gosec // all 64 bits are kept; Row.Uint gives them back
	}
	return nil, fmt.Errorf("type %T is not known", a)
}

func connect(ctx context.Context, path string, pragmas ...string) (*Tx, error) {
	u := url.URL{Scheme: "file", Path: path}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	tx := &Tx{conn: conn, stmts: map[string]driver.Stmt{}}
	for _, p := range pragmas {
		if err := tx.Each("PRAGMA "+p, func(Row) error { return nil }); err != nil {
			return nil, errors.Join(fmt.Errorf("set pragma: %w", err), tx.close())
		}
	}
	if err := tx.forget(); err != nil {
		return nil, errors.Join(err, tx.close())
	}
	return tx, nil
}

func (tx *Tx) close() error { return errors.Join(tx.forget(), tx.conn.Close()) }

// script runs statements that are not worth keeping.
func (tx *Tx) script(sql string) error {
	_, err := tx.conn.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return err
}

// pagesWritten counts the pages that the connection has written since it was opened.
func (tx *Tx) pagesWritten() int {
	n, _, err := tx.conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false)
	if err != nil {
		return 0
	}
	return n
}
