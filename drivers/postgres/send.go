package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
)

// statement is one that is ready to be sent.
type statement struct {
	sql    string
	params [][]byte
}

// encoder makes statements of rows. Its memory is used again.
type encoder struct {
	groups     []*group
	byShape    map[string]*group
	waves      map[string]int
	scratch    []byte
	buffers    [][]byte // lent to the parameters
	lent       int
	statements []statement
}

// group is the rows of one statement.
type group struct {
	wave   int
	remove bool
	shape  shape
	rows   []*row
}

// send writes the rows in one transaction. Rows that their columns can't hold are noted
// as failed and left out.
func (w *writer) send(ctx context.Context, rows []row) error {
	e := w.d.buffers.Get().(*encoder)
	defer func() {
		e.reset() // it keeps no row
		w.d.buffers.Put(e)
	}()
	for !w.encode(e, rows) {
		if rows = w.standing(rows); len(rows) == 0 {
			return nil
		}
	}
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return transact(ctx, conn, e.statements)
}

// encode makes the statements for the rows. It gives false if a row can't be sent.
func (w *writer) encode(e *encoder, rows []row) bool {
	e.reset()
	whole := true
	for i := range rows {
		if reason := w.group(e, &rows[i]); reason != nil {
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
		whole = w.statements(e, g) && whole
	}
	return whole
}

func (e *encoder) reset() {
	if e.byShape == nil {
		e.byShape, e.waves = map[string]*group{}, map[string]int{}
	}
	clear(e.byShape)
	clear(e.waves)
	clear(e.groups)
	e.groups, e.statements, e.lent = e.groups[:0], e.statements[:0], 0
}

// group puts a row to those of its shape.
func (w *writer) group(e *encoder, r *row) error {
	wave := 0
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
		// The rows of a changed key stand together, in one wave if they can.
		last, before := e.waves[string(key)]
		if before {
			wave = last + 1
		}
		e.waves[string(key)] = wave
	}
	sign := e.scratch[:0]
	sign = binary.AppendUvarint(sign, uint64(wave))
	if r.remove {
		sign = append(sign, 1)
	} else {
		sign = append(sign, 0)
	}
	for _, word := range r.set {
		sign = binary.BigEndian.AppendUint64(sign, word)
	}
	for _, word := range r.key {
		sign = binary.BigEndian.AppendUint64(sign, word)
	}
	e.scratch = sign
	g := e.byShape[string(sign)]
	if g == nil {
		g = &group{wave: wave, remove: r.remove, shape: shape{table: w.table}}
		for at := range w.table.columns {
			switch {
			case r.key.has(at):
				g.shape.key = append(g.shape.key, at)
			case r.set.has(at):
				g.shape.rest = append(g.shape.rest, at)
			}
		}
		e.byShape[string(sign)] = g
		e.groups = append(e.groups, g)
	}
	g.rows = append(g.rows, r)
	return nil
}

func (w *writer) unfit(at int, reason string) error {
	c := &w.table.columns[at]
	return cdc.Permanent(fmt.Errorf("postgres: %s: column %q (%s) %s", w.t.name, c.name, c.declared, reason))
}

// statements encodes a group column by column. It gives false if a row can't be sent.
func (w *writer) statements(e *encoder, g *group) bool {
	whole := true
	var params [][]byte
	for _, at := range g.shape.columns() {
		c := &w.table.columns[at]
		var a array
		a.begin(e.borrow())
		version := g.shape.versioned() && c.name == versionColumn
		for _, r := range g.rows {
			v := r.values[at]
			if version {
				v = int64(r.version)
			}
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
	add := func(sql string) {
		if sql != "" {
			e.statements = append(e.statements, statement{sql, params})
		}
	}
	switch s := g.shape; {
	case w.t.mode == Append:
		add(s.appended())
	case g.remove:
		add(s.remove())
	case s.blind():
		add(s.update())
		add(s.insertMissing())
	default:
		add(s.upsert())
	}
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

// maxPrepared bounds the statements that a connection keeps prepared. Records that lack
// now this and now that field make one for each set of columns.
const maxPrepared = 200

// Keys of what is kept with a connection.
const (
	aheadKey    = "s3db-go/replicator ahead"
	preparedKey = "s3db-go/replicator prepared"
)

// transact sends statements and the fence at once, as one transaction, and reads the
// answers.
func transact(ctx context.Context, conn *pgxpool.Conn, statements []statement) error {
	until, err := serverTime(ctx, conn.Conn(), deadline(ctx))
	if err != nil {
		return err
	}
	end := statement{fence, [][]byte{binary.BigEndian.AppendUint64(nil, uint64(sub2000(until)))}}
	names := make([]string, 0, len(statements)+1)
	for _, s := range append(statements, end) {
		name, err := prepared(ctx, conn.Conn(), s.sql)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	p := conn.Conn().PgConn().StartPipeline(ctx)
	binaryFormat := []int16{1}
	for i, s := range append(statements, end) {
		if names[i] == "" {
			p.SendQueryParams(s.sql, s.params, nil, binaryFormat, nil)
		} else {
			p.SendQueryPrepared(names[i], s.params, binaryFormat, nil)
		}
	}
	err = p.Sync()
	answered, committed := 0, false
	for err == nil && !committed {
		var result any
		result, err = p.GetResults()
		switch r := result.(type) {
		case *pgconn.ResultReader:
			_, err = r.Close()
		case *pgconn.PipelineSync:
			committed = true
		}
		if err == nil {
			answered++
		}
	}
	if closed := p.Close(); err == nil {
		err = closed
	}
	pg, refused := err.(*pgconn.PgError)
	switch {
	case refused && answered == len(statements) && pg.Code == "22012":
		conn.Conn().Close(ctx) // it may be its clock that is wrong
		return errLate
	case refused && (pg.Code == "25006" || pg.Code == "26000"):
		// A primary that became a standby, and another host may be the primary now; or
		// somebody had the connection forget what it had prepared.
		conn.Conn().Close(ctx)
	}
	return err
}

// serverTime translates a time into that of the server's clock. How much that is ahead
// is measured once for each connection; the way of the answer makes it look less, which
// errs to the safe side.
func serverTime(ctx context.Context, conn *pgx.Conn, at time.Time) (time.Time, error) {
	data := conn.PgConn().CustomData()
	ahead, ok := data[aheadKey].(time.Duration)
	if !ok {
		var there time.Time
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&there); err != nil {
			return time.Time{}, err
		}
		ahead = time.Until(there)
		data[aheadKey] = ahead
	}
	return at.Add(ahead), nil
}

// prepared gives the name under which the connection has the statement, "" if it is
// better sent as it is: behind a pooler that hands connections around, which is told to
// pgx by another mode than its usual one, or when there are too many.
func prepared(ctx context.Context, conn *pgx.Conn, sql string) (string, error) {
	if conn.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return "", nil
	}
	data := conn.PgConn().CustomData()
	names, ok := data[preparedKey].(map[string]string)
	if !ok {
		names = map[string]string{}
		data[preparedKey] = names
	}
	if name, ok := names[sql]; ok {
		return name, nil
	}
	if len(names) >= maxPrepared {
		return "", nil
	}
	statement, err := conn.Prepare(ctx, sql, sql)
	if err != nil {
		return "", err
	}
	names[sql] = statement.Name
	return statement.Name, nil
}
