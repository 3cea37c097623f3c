package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/schema"
)

// row is what becomes of a delivery at the table: a row that is written or, with
// remove, deleted. A changed key makes two of one delivery.
type row struct {
	at      int // the delivery's place in the batch
	remove  bool
	fresh   bool // its record was made just now, so that there is no such row yet
	version uint64
	values  []any // by the column's place
	set     bits  // the columns that are given
	key     bits  // those of them that are the key
}

// bits is a set of columns.
type bits []uint64

func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }

// due reports whether it is worth looking at the table again for columns that it lacks:
// not at every batch, where they are left out on purpose.
func (t *target) due() bool {
	const again = 10 * time.Second
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rules.OnMismatch == schema.Error || t.rules.Strategy != schema.ValidateOnly || time.Since(t.looked) > again
}

// lacking is what a table lacks for the rows of a batch.
type lacking struct {
	columns map[string]any // with the first value of each that is not nil
	key     map[string]any // the columns of a key; only told where no table is known
}

// scatter makes the rows, with the values by column. What is wrong with single
// deliveries is noted with them.
func (w *writer) scatter() lacking {
	s := scattering{w: w, missing: lacking{columns: map[string]any{}}}
	if w.table != nil {
		s.columns = len(w.table.columns)
	}
	rows := len(w.batch)
	for i := range w.batch {
		if w.batch[i].OldKey != nil {
			rows++
		}
	}
	s.values, s.words = w.e.room(rows*s.columns, 2*rows*((s.columns+63)/64))
	w.rows = w.e.rows[:0]
	rekeys := w.rekeys()
	for i := range w.batch {
		if w.errs[i] != nil {
			continue
		}
		d, before := &w.batch[i], len(w.rows)
		if rekeys {
			d = w.rekeyed(d)
		}
		if err := s.delivery(i, d); err != nil {
			w.rows = w.rows[:before]
			w.errs[i] = cdc.Permanent(fmt.Errorf("postgres: %w", err))
		}
	}
	w.e.rows = w.rows
	// In the source's order, so that of two records the one that gives a value up comes
	// before the one that takes it.
	byVersion := func(a, b row) int { return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.at, b.at)) }
	if !slices.IsSortedFunc(w.rows, byVersion) {
		slices.SortStableFunc(w.rows, byVersion)
	}
	return s.missing
}

// scattering is the state of one scatter.
type scattering struct {
	w       *writer
	columns int
	values  []any // of which each row gets a part
	words   bits
	missing lacking
}

func (s *scattering) row(at int, version uint64, remove bool) row {
	words := (s.columns + 63) / 64
	if len(s.words) < 2*words { // a key that was made anew has an old one too
		s.values, s.words = make([]any, s.columns), make(bits, 2*words)
	}
	r := row{at: at, remove: remove, version: version, values: s.values[:s.columns:s.columns], set: s.words[:words:words], key: s.words[words : 2*words : 2*words]}
	s.values, s.words = s.values[s.columns:], s.words[2*words:]
	return r
}

func (s *scattering) delivery(at int, d *cdc.Delivery) error {
	if s.w.t.mode == Append {
		return s.change(at, d)
	}
	if d.OldKey != nil {
		old := s.row(at, d.Version, true)
		if err := s.putKey(&old, d.OldKey); err != nil {
			return err
		}
		s.w.rows = append(s.w.rows, old)
	}
	r := s.row(at, d.Version, d.Record == nil)
	if err := s.putKey(&r, d.Key); err != nil {
		return err
	}
	r.fresh = d.Op == cdc.Inserted && d.Origin == cdc.Live
	byColumn := !s.w.t.snake && s.w.table != nil
	if byColumn && s.columnwise(&r, d.Record) == len(d.Record) {
		s.w.rows = append(s.w.rows, r)
		return nil
	}
	for field, v := range d.Record {
		if _, is := d.Key[field]; is || byColumn && s.w.table.takes(field) {
			continue
		}
		if err := s.put(&r, field, v); err != nil {
			return err
		}
	}
	s.w.rows = append(s.w.rows, r)
	return nil
}

// columnwise sets the columns that have the names of fields, and gives how many fields
// it took: nearly always all, and then nothing has to be looked up by field.
func (s *scattering) columnwise(r *row, record cdc.Record) (taken int) {
	for i := range s.w.table.columns {
		c := &s.w.table.columns[i]
		if c.special {
			continue
		}
		v, ok := record[c.name]
		if !ok {
			continue
		}
		taken++
		if !r.key.has(i) {
			r.values[i] = v
			r.set.add(i)
		}
	}
	return taken
}

// rekeys reports whether the table has a primary key, and no column for the key of those
// that have no other.
func (w *writer) rekeys() bool {
	return w.table != nil && len(w.table.primary) > 0 && w.table.column(w.t.column("id")) == nil
}

// rekeyed gives a delivery that was routed before the table's primary key was known,
// with that key: the database may not have answered when it was asked for.
func (w *writer) rekeyed(d *cdc.Delivery) *cdc.Delivery {
	if len(d.Key) != 1 || !d.Key.Has("id") {
		return d
	}
	key := w.t.key()
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

// change makes the row of the mode Append.
func (s *scattering) change(at int, d *cdc.Delivery) error {
	r := s.row(at, d.Version, false)
	record := d.Record
	if record == nil {
		record = d.Before
	}
	for field, v := range record {
		if err := s.put(&r, field, v); err != nil {
			return err
		}
	}
	for field, v := range d.Key {
		if !record.Has(field) {
			if err := s.put(&r, field, v); err != nil {
				return err
			}
		}
	}
	for _, own := range [...]struct {
		column string
		value  any
	}{
		{changeColumn, d.ChangeID.String()}, {operationColumn, d.Op.String()}, {versionColumn, int64(d.Version)}, {timeColumn, d.Time},
	} {
		if s.w.table == nil {
			continue
		}
		if i, ok := s.w.table.index[own.column]; ok {
			r.values[i] = own.value
			r.set.add(i)
		}
	}
	s.w.rows = append(s.w.rows, r)
	return nil
}

// putKey sets the columns of a key. A table that is there must have them.
func (s *scattering) putKey(r *row, key cdc.Record) error {
	if s.w.table == nil {
		if s.missing.key == nil {
			s.missing.key = make(map[string]any, len(key))
			for field, v := range key {
				s.missing.key[s.w.t.column(field)] = v
			}
		}
		return nil
	}
	for field, v := range key {
		column := s.w.t.column(field)
		i, ok := s.w.table.index[column]
		if !ok {
			return fmt.Errorf("key column %q does not exist in the table%s", column, s.w.table.otherKey())
		}
		r.key.add(i)
		if err := s.put(r, field, v); err != nil {
			return err
		}
	}
	return nil
}

// put sets one column.
func (s *scattering) put(r *row, field string, v any) error {
	column := s.w.t.column(field)
	var i int
	var known bool
	if s.w.table != nil {
		i, known = s.w.table.index[column]
	}
	if !known {
		if err := checkName(column); err != nil {
			return fmt.Errorf("field %q: %w", field, err)
		}
	}
	switch {
	case isOwn(column):
		return fmt.Errorf("field %q has the name of a column that the driver writes", field)
	case !known:
		if v != nil && s.missing.columns[column] == nil {
			s.missing.columns[column] = v
		}
		return nil // of what was never anything but nil, there need not be a column
	case s.w.table.columns[i].computed:
		return nil
	case r.set.has(i):
		return fmt.Errorf("field %q and another become the same column %q", field, column)
	}
	r.values[i] = v
	r.set.add(i)
	return nil
}

// keyless fails the rows whose key no unique constraint covers, where the rules let nothing
// be written to such a table: two writers at a time could make two rows of a record. It
// reports whether there are any.
func (w *writer) keyless() (any bool) {
	if w.t.mode == Append || w.t.rules.OnMismatch != schema.Error {
		return false
	}
	var judged bits // the key of the row before
	var reason error
	for _, r := range w.rows {
		if judged == nil || !slices.Equal(judged, r.key) {
			var key []string
			for at, c := range w.table.columns {
				if r.key.has(at) {
					key = append(key, c.name)
				}
			}
			judged, reason = r.key, nil
			if !w.table.arbiter(key) {
				reason = cdc.Unavailable(fmt.Errorf("postgres: %s: the table has no unique constraint on %s, by which a row would be found%s", w.t.name, quoteAll(key, ""), w.table.otherKey()))
			}
		}
		if reason != nil && w.errs[r.at] == nil {
			w.errs[r.at], any = reason, true
		}
	}
	return any
}

// lack says of the columns that the table still lacks what the rules say: their records
// fail, or go without them.
func (w *writer) lack(missing lacking, why error) {
	if len(missing.columns) == 0 || w.t.rules.OnMismatch != schema.Error {
		return
	}
	for i, d := range w.batch {
		record := d.Record
		if record == nil && w.t.mode == Append {
			record = d.Before
		}
		for field, v := range record {
			column := w.t.column(field)
			if v != nil && w.errs[i] == nil && w.table.column(column) == nil {
				err := why // which names what the column was not added for
				if err == nil {
					err = fmt.Errorf("column %q does not exist", column)
				}
				w.errs[i] = cdc.Unavailable(fmt.Errorf("postgres: %s: %w", w.t.name, err))
			}
		}
	}
}
