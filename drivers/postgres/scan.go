package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Scan reads rows back, to compare them with what was sent: at most limit of them, in
// the order of their key, which are the named fields, from behind the one given; nil
// begins at the first. A row has a field for each column that is not NULL, the driver's
// own excepted, with a value as the column gives it: a date, a UUID and what the list
// of values has no type for are text, and numbers in JSON are exact. A table that is
// not there has no rows.
func (d *Driver) Scan(ctx context.Context, name string, key []string, after cdc.Record, limit int) ([]cdc.Record, error) {
	pool, err := d.present()
	if err != nil {
		return nil, err
	}
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
	there, err := readTable(ctx, pool, t.table)
	if err != nil {
		return nil, fmt.Errorf("postgres: scan %s: %w", name, judge(ctx, err))
	}
	if there == nil {
		return nil, nil
	}
	sql, params, err := t.scan(there, key, after, limit)
	if err != nil {
		return nil, fmt.Errorf("postgres: scan %s: %w", name, err)
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: scan %s: %w", name, judge(ctx, err))
	}
	defer conn.Release()
	result := conn.Conn().PgConn().ExecParams(ctx, sql, params, nil, []int16{1}, nil).Read()
	if result.Err != nil {
		return nil, fmt.Errorf("postgres: scan %s: %w", name, judge(ctx, result.Err))
	}
	rows := make([]cdc.Record, len(result.Rows))
	for i, values := range result.Rows {
		if rows[i], err = t.record(there, values); err != nil {
			return nil, fmt.Errorf("postgres: scan %s: %w", name, err)
		}
	}
	return rows, nil
}

// scan makes the statement and its parameters.
func (t *target) scan(there *table, key []string, after cdc.Record, limit int) (sql string, params [][]byte, err error) {
	if len(key) == 0 {
		return "", nil, errors.New("the key has no columns")
	}
	from := shape{table: there}
	var names []string
	for _, field := range key {
		column := t.column(field)
		at, ok := there.index[column]
		if !ok {
			return "", nil, fmt.Errorf("key column %q does not exist in the table", column)
		}
		names = append(names, column)
		from.rest = append(from.rest, at) // as if to be written, so that no version comes with it
		if after == nil {
			continue
		}
		var a array
		a.begin(nil)
		if reason := a.add(&there.columns[at], after[field]); reason != "" {
			return "", nil, fmt.Errorf("key column %q %s", column, reason)
		}
		_, element, _ := there.columns[at].kind.wire()
		params = append(params, a.end(element))
	}
	var columns, values []string
	for _, c := range there.columns {
		columns = append(columns, c.text())
	}
	where := ""
	if after != nil {
		for i := range names {
			values = append(values, from.value(i))
		}
		where = fmt.Sprintf("\nWHERE (%s) > (SELECT %s FROM %s)", quoteAll(names, "t."), strings.Join(values, ", "), from.source())
	}
	return fmt.Sprintf("SELECT %s\nFROM %s AS t%s\nORDER BY %s\nLIMIT %d", strings.Join(columns, ", "), there.name, where, quoteAll(names, "t."), limit), params, nil
}

// text gives the expression for a column's value as text that can be read back whatever
// the session's settings are.
func (c *column) text() string {
	name := "t." + quote(c.name)
	switch c.kind {
	case kindTimestamp, kindTimestampTZ:
		return "(extract(epoch FROM " + name + ") * 1000000)::int8::text"
	case kindDate:
		return "to_char(" + name + ", 'YYYY-MM-DD')"
	case kindBytes:
		return "encode(" + name + ", 'hex')"
	case kindArray:
		return "to_jsonb(" + name + ")::text"
	}
	return name + "::text"
}

// record makes a record of a row's texts.
func (t *target) record(there *table, texts [][]byte) (cdc.Record, error) {
	out := make(cdc.Record, len(texts))
	for i, text := range texts {
		c := &there.columns[i]
		if text == nil || isOwn(c.name) {
			continue
		}
		v, err := c.read(string(text))
		if err != nil {
			return nil, fmt.Errorf("column %q (%s) can't be read", c.name, c.declared) // the error quotes the value
		}
		out[t.field(c.name)] = v
	}
	return out, nil
}

// field gives the field of a column, as far as it is known.
func (t *target) field(column string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if field, ok := t.columns[column]; ok {
		return field
	}
	return column
}

// read reads what text gives.
func (c *column) read(text string) (any, error) {
	switch c.kind {
	case kindInt2, kindInt4, kindInt8:
		return strconv.ParseInt(text, 10, 64)
	case kindFloat4, kindFloat8:
		return strconv.ParseFloat(text, 64)
	case kindNumeric:
		return cdc.ParseDecimal(text)
	case kindBool:
		return text == "true", nil
	case kindBytes:
		return hex.DecodeString(text)
	case kindTimestamp, kindTimestampTZ:
		micros, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMicro(micros).UTC(), err
	case kindJSON, kindJSONB, kindArray:
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		return cdc.NormalizeValue(v)
	}
	return text, nil
}
