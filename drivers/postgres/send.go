package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// encoder makes statements of rows. Its memory is used again.
type encoder struct {
	values []any
	words  bits
	rows   []row

	groups     []*group
	waves      map[uint64]int
	seed       maphash.Seed
	scratch    []byte
	buffers    [][]byte // lent to the parameters
	lent       int
	statements []statement
	trusted    bool // some of them fail if a row is there that should not be
}

func newEncoder() *encoder { return &encoder{waves: map[uint64]int{}, seed: maphash.MakeSeed()} }

// room gives room for the values of rows, and for their sets of columns.
func (e *encoder) room(values, words int) ([]any, bits) {
	e.forget()
	e.values = slices.Grow(e.values[:0], values)[:values]
	e.words = slices.Grow(e.words[:0], words)[:words]
	clear(e.words)
	return e.values, e.words
}

// forget lets go of what rows held.
func (e *encoder) forget() {
	clear(e.values)
	e.values = e.values[:0]
}

// group is the rows of one statement.
type group struct {
	wave   int
	remove bool
	fresh  bool
	rows   []*row
}

// takes reports whether the row has the columns of the group's, and the same is to be
// done with it.
func (g *group) takes(r *row, wave int, fresh bool) bool {
	return g.wave == wave && g.remove == r.remove && g.fresh == fresh && slices.Equal(g.rows[0].set, r.set) && slices.Equal(g.rows[0].key, r.key)
}

// form is what the rows of a group are sent as.
type form struct {
	shape      shape
	columns    []int
	statements []string
	trusting   bool // they fail if a row is there already
}

// send writes the rows in one transaction. Rows that their columns can't hold are noted
// as failed and left out.
//
// A record that was just made has no row yet, and a plain INSERT costs the server two
// thirds of one that may meet a row. It says so itself if there is one after all, because
// the same was sent before. Then nothing was written, and all goes once more.
func (w *writer) send(ctx context.Context, rows []row) error {
	trusting := w.t.trusting()
	for !w.encode(rows, trusting) {
		if rows = w.standing(rows); len(rows) == 0 {
			return nil
		}
	}
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	err = transact(ctx, conn, w.e.statements)
	if w.e.trusted && isDuplicate(err) {
		w.t.meet()
		w.encode(rows, false)
		err = transact(ctx, conn, w.e.statements)
	}
	return err
}

// encode makes the statements for the rows. It gives false if a row can't be sent.
func (w *writer) encode(rows []row, trusting bool) bool {
	e := w.e
	clear(e.waves)
	e.groups, e.statements, e.lent, e.trusted = e.groups[:0], e.statements[:0], 0, false
	whole := true
	for i := range rows {
		if reason := w.group(&rows[i], trusting); reason != nil {
			w.errs[rows[i].at] = reason
			whole = false
		}
	}
	if !whole {
		return false
	}
	// Rows of a key that comes twice wait for the next wave; within one, what is deleted
	// makes room first.
	slices.SortStableFunc(e.groups, func(a, b *group) int {
		if a.wave != b.wave {
			return a.wave - b.wave
		}
		switch {
		case a.remove == b.remove:
			return 0
		case a.remove:
			return -1
		}
		return 1
	})
	for _, g := range e.groups {
		whole = w.statements(g) && whole
	}
	return whole
}

// group puts a row to those of its shape.
func (w *writer) group(r *row, trusting bool) error {
	e, wave := w.e, 0
	if w.t.mode == Upsert {
		key := e.scratch[:0]
		for at := range w.table.columns {
			if !r.key.has(at) {
				continue
			}
			start := len(key)
			key = append(key, 0, 0, 0, 0)
			var reason string
			if key, reason = w.table.columns[at].append(key, r.values[at]); reason != "" {
				return w.unfit(at, reason)
			}
			binary.BigEndian.PutUint32(key[start:], uint32(len(key)-start))
		}
		e.scratch = key
		// The rows of a changed key stand together, in one wave if they can. Two keys of
		// one hash cost a wave, and nothing else.
		hash := maphash.Bytes(e.seed, key)
		last, before := e.waves[hash]
		if before {
			wave = last + 1
		}
		e.waves[hash] = wave
	}
	fresh := r.fresh && trusting && wave == 0
	for _, g := range slices.Backward(e.groups) {
		if g.takes(r, wave, fresh) {
			g.rows = append(g.rows, r)
			return nil
		}
	}
	// The memory of a former batch's groups is behind those of this one.
	n := len(e.groups)
	if e.groups = slices.Grow(e.groups, 1)[:n+1]; e.groups[n] == nil {
		e.groups[n] = new(group)
	}
	g := e.groups[n]
	*g = group{wave, r.remove, fresh, append(g.rows[:0], r)}
	return nil
}

// form gives what a group's rows are sent as.
func (w *writer) form(g *group) *form {
	first := g.rows[0]
	sign := append(w.e.scratch[:0], 0)
	if g.remove {
		sign[0] |= 1
	}
	if g.fresh {
		sign[0] |= 2
	}
	for _, words := range [...]bits{first.set, first.key} {
		for _, word := range words {
			sign = binary.BigEndian.AppendUint64(sign, word)
		}
	}
	w.e.scratch = sign
	return w.t.form(w.table, sign, func() *form {
		s := shape{table: w.table}
		for at := range w.table.columns {
			switch {
			case first.key.has(at):
				s.key = append(s.key, at)
			case first.set.has(at):
				s.rest = append(s.rest, at)
			}
		}
		f := &form{shape: s, columns: s.columns()}
		switch {
		case w.t.mode == Append:
			f.statements = []string{s.appended()}
		case g.remove:
			f.statements = []string{s.remove()}
		case s.blind():
			f.statements = slices.DeleteFunc([]string{s.update(), s.insertMissing()}, func(sql string) bool { return sql == "" })
		case g.fresh:
			f.statements, f.trusting = []string{s.insert()}, true
		default:
			f.statements = []string{s.upsert()}
		}
		return f
	})
}

func (w *writer) unfit(at int, reason string) error {
	c := &w.table.columns[at]
	return cdc.Permanent(fmt.Errorf("postgres: column %q (%s) %s", c.name, c.declared, reason))
}

// statements encodes a group column by column. It gives false if a row can't be sent.
func (w *writer) statements(g *group) bool {
	e, f, whole := w.e, w.form(g), true
	params := make([][]byte, 0, len(f.columns))
	for i, at := range f.columns {
		c := &w.table.columns[at]
		var a array
		a.begin(e.borrow())
		version := f.shape.versioned() && i == len(f.columns)-1
		for _, r := range g.rows {
			if version {
				a.version(r.version)
				continue
			}
			v := r.values[at]
			if v == nil {
				a.null()
				continue
			}
			if reason := a.add(c, v); reason != "" {
				w.errs[r.at] = w.unfit(at, reason)
				whole = false
			}
		}
		_, element, _ := c.kind.wire()
		param := a.end(element)
		e.buffers[e.lent-1] = param
		params = append(params, param)
	}
	for _, sql := range f.statements {
		e.statements = append(e.statements, statement{sql, params})
	}
	e.trusted = e.trusted || f.trusting
	return whole
}

// borrow lends a buffer.
func (e *encoder) borrow() []byte {
	if e.lent == len(e.buffers) {
		e.buffers = append(e.buffers, nil)
	}
	e.lent++
	return e.buffers[e.lent-1]
}
