package bigquery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/s3db-go/replicator/cdc"
)

// row is an encoded row: what becomes of a delivery at the table. A changed key makes
// two of one delivery.
type row struct {
	at   int // the delivery's place in the batch
	data []byte
}

// lacking is what a table lacks for the rows of a batch.
type lacking struct {
	columns map[string]any // with the first value of each that is not nil
	key     map[string]any // the columns of a key; only known if there is no table
}

// encoder makes rows of deliveries, for a table as it is known. Its memory is used again.
type encoder struct {
	t       *target
	table   *table // nil if it is not known; then only what it lacks is found
	buf     []byte
	rows    []row
	data    [][]byte // those of the rows that are sent
	set     []int    // by column, the row that gave it last
	row     int      // counts the rows
	missing lacking
}

// encode makes the rows of the deliveries that are not done. What is wrong with single
// ones is noted with them.
func (w *writer) encode() lacking {
	e := w.e
	e.t, e.table, e.missing = w.t, w.table, lacking{columns: map[string]any{}}
	e.buf, e.rows, e.row = e.buf[:0], slices.Grow(e.rows[:0], len(w.batch)), 0
	if w.table != nil {
		columns := len(w.table.fields.columns)
		e.set = slices.Grow(e.set[:0], columns)[:columns]
		clear(e.set)
	}
	rekeys := w.rekeys()
	for i := range w.batch {
		if w.done[i] {
			continue
		}
		w.errs[i] = nil
		d, before := &w.batch[i], len(e.rows)
		if rekeys {
			d = w.rekeyed(d)
		}
		if err := e.delivery(i, d); err != nil {
			e.rows = e.rows[:before]
			w.errs[i] = cdc.Permanent(fmt.Errorf("bigquery: %s: %w", w.t.name, err))
		}
	}
	w.rows = e.rows
	return e.missing
}

func (e *encoder) delivery(at int, d *cdc.Delivery) error {
	if e.t.mode != Mutable {
		return e.change(at, d)
	}
	if d.OldKey != nil {
		if err := e.remove(at, d, d.OldKey); err != nil {
			return err
		}
	}
	if d.Record == nil {
		return e.remove(at, d, d.Key)
	}
	start := e.begin()
	if err := e.key(d.Key); err != nil {
		return err
	}
	if err := e.fields(d.Record, d.Key); err != nil {
		return err
	}
	e.captured(at, start, "UPSERT", d.Version)
	return nil
}

// remove makes the row that deletes another. It needs no more than the key, and values
// of whatever must not be null.
func (e *encoder) remove(at int, d *cdc.Delivery, key cdc.Record) error {
	start := e.begin()
	if err := e.key(key); err != nil {
		return err
	}
	if e.table != nil {
		for i := range e.table.fields.columns {
			c := &e.table.fields.columns[i]
			if !c.required || e.set[i] == e.row || c.kind == kindNone {
				continue
			}
			v := d.Before[c.name]
			if _, reason := c.append(nil, v); v == nil || reason != "" {
				v = c.kind.any()
			}
			if err := e.put(c.name, v); err != nil {
				return err
			}
		}
	}
	e.captured(at, start, "DELETE", d.Version)
	return nil
}

// any gives a value of a kind, for a row that is deleted.
func (k kind) any() any {
	switch k {
	case kindBytes:
		return []byte{}
	case kindInt, kindFloat, kindNumeric, kindBigNumeric:
		return int64(0)
	case kindBool:
		return false
	case kindTimestamp, kindDate, kindDatetime:
		return time.Unix(0, 0).UTC()
	case kindTime:
		return "00:00:00"
	case kindJSON, kindRecord:
		return map[string]any{}
	}
	return ""
}

// change makes the row of a change that is kept.
func (e *encoder) change(at int, d *cdc.Delivery) error {
	start := e.begin()
	record := d.Record
	if record == nil {
		record = d.Before
	}
	if err := e.fields(record, nil); err != nil {
		return err
	}
	for field, v := range d.Key {
		if e.table == nil {
			e.lackKey(d.Key)
		} else if !record.Has(field) {
			if err := e.put(field, v); err != nil {
				return err
			}
		}
	}
	if e.table == nil {
		return nil
	}
	e.own(operationColumn, operation(d.Op))
	e.own(timeColumn, d.Time)
	e.own(changeColumn, d.ChangeID.String())
	if e.t.mode == Immutable {
		e.own(deletedColumn, d.Op == cdc.Deleted)
		e.own(versionColumn, int64(d.Version))
	}
	e.end(at, start)
	return nil
}

// operation gives the word that s3db.js has for an operation.
func operation(op cdc.Op) string {
	switch op {
	case cdc.Inserted:
		return "insert"
	case cdc.Deleted:
		return "delete"
	}
	return "update"
}

// own sets one of the driver's columns, unless somebody's table lacks it or has another
// there.
func (e *encoder) own(name string, v any) {
	if c := e.table.fields.column(name); c != nil {
		if out, reason := c.append(e.buf, v); reason == "" {
			e.buf = out
		}
	}
}

// begin begins a row, and gives its place in the buffer.
func (e *encoder) begin() int {
	e.row++
	return len(e.buf)
}

func (e *encoder) end(at, start int) {
	if e.table != nil {
		e.rows = append(e.rows, row{at, e.buf[start:len(e.buf):len(e.buf)]})
	}
}

// captured ends a row of a table that takes changes, each in the place of those of its
// key with a lower sequence number.
func (e *encoder) captured(at, start int, what string, version uint64) {
	if e.table == nil {
		return
	}
	e.buf = protowire.AppendString(protowire.AppendTag(e.buf, e.table.after(0), protowire.BytesType), what)
	e.buf = protowire.AppendTag(e.buf, e.table.after(1), protowire.BytesType)
	var digits [16]byte
	e.buf = protowire.AppendBytes(e.buf, strconv.AppendUint(digits[:0], version, 16))
	e.end(at, start)
}

// key sets the columns of a key. A table that is there must have them.
func (e *encoder) key(key cdc.Record) error {
	if e.table == nil {
		e.lackKey(key)
		return nil
	}
	for field, v := range key {
		switch {
		case v == nil:
			return fmt.Errorf("key column %q is null", field)
		case e.table.fields.column(field) == nil:
			return fmt.Errorf("key column %q does not exist in the table", field)
		}
		if err := e.put(field, v); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) lackKey(key cdc.Record) {
	if e.missing.key == nil {
		e.missing.key = key
	}
}

// fields sets the columns of a record, but those of the key, which are set. It asks the
// record for each column: nearly always that is all there is, and then no column has to
// be looked up by its field.
func (e *encoder) fields(record, key cdc.Record) error {
	taken := 0
	if e.table != nil {
		for i := range e.table.fields.columns {
			c := &e.table.fields.columns[i]
			v, ok := record[c.name]
			if !ok || e.reserved(c.name) {
				continue
			}
			taken++
			if _, is := key[c.name]; is {
				continue
			}
			if err := e.column(i, c.name, v); err != nil {
				return err
			}
		}
	}
	if taken == len(record) {
		return nil
	}
	for field, v := range record {
		if _, is := key[field]; is || e.table != nil && e.table.fields.has(field) && !e.reserved(field) {
			continue
		}
		if err := e.put(field, v); err != nil {
			return err
		}
	}
	return nil
}

// reserved reports whether a field has the name of a column that the driver writes.
func (e *encoder) reserved(field string) bool {
	return e.t.mode != Mutable && isOwn(strings.ToLower(field))
}

// put sets the column of a field.
func (e *encoder) put(field string, v any) error {
	if e.reserved(field) {
		return fmt.Errorf("field %q has the name of a column that the driver writes", field)
	}
	i, known := 0, false
	if e.table != nil {
		i, known = e.table.fields.find(field)
	}
	if !known {
		if err := checkColumn(field); err != nil {
			return err
		}
		if v != nil && e.missing.columns[field] == nil {
			e.missing.columns[field] = v
		}
		return nil // of what was never anything but nil, there need not be a column
	}
	return e.column(i, field, v)
}

// column sets one column with the value of a field.
func (e *encoder) column(i int, field string, v any) error {
	c := &e.table.fields.columns[i]
	if e.set[i] == e.row {
		return fmt.Errorf("field %q and another become the same column %q", field, c.name)
	}
	e.set[i] = e.row
	if v == nil {
		return nil
	}
	out, reason := c.append(e.buf, v)
	if reason != "" {
		return fmt.Errorf("column %q %s", c.name, reason)
	}
	e.buf = out
	return nil
}

// rekeys reports whether the table has a primary key, and no column for the key of those
// that have no other.
func (w *writer) rekeys() bool {
	return w.table != nil && w.t.mode == Mutable && len(w.table.primary) > 0 && w.table.fields.column("id") == nil
}

// rekeyed gives a delivery that was routed before the table's primary key was known,
// with that key: BigQuery may not have answered when it was asked for.
func (w *writer) rekeyed(d *cdc.Delivery) *cdc.Delivery {
	if len(d.Key) != 1 || !d.Key.Has("id") {
		return d
	}
	key := w.table.primary
	picked := func(r cdc.Record) cdc.Record {
		out := r.Pick(key...)
		if len(out) < len(key) || slices.ContainsFunc(key, func(field string) bool { return out[field] == nil }) {
			return nil
		}
		return out
	}
	own := *d
	own.OldKey = nil
	if d.Record == nil {
		own.Key = picked(d.Before)
	} else if own.Key = picked(d.Record); !picked(d.Before).Equal(own.Key) {
		own.OldKey = picked(d.Before)
	}
	if own.Key == nil {
		return d
	}
	return &own
}
