package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// statement is one that is ready to be sent.
type statement struct {
	sql    string
	params [][]byte
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
	statements = append(slices.Clip(statements), end)
	names := make([]string, 0, len(statements))
	for _, s := range statements {
		name, err := prepared(ctx, conn.Conn(), s.sql)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	p := conn.Conn().PgConn().StartPipeline(ctx)
	conn.Conn().PgConn().Frontend().Send(roomFor(statements))
	binaryFormat := []int16{1}
	for i, s := range statements {
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
	case refused && answered == len(statements)-1 && pg.Code == "22012":
		conn.Conn().Close(ctx) // it may be its clock that is wrong
		return errLate
	case refused && (pg.Code == "25006" || pg.Code == "26000"):
		// A primary that became a standby, and another host may be the primary now; or
		// somebody had the connection forget what it had prepared.
		conn.Conn().Close(ctx)
	}
	return err
}

// room is no message. It makes room for those that follow, whose buffer begins small
// each time: growing on the way to the size of a batch takes several times the memory.
type room int

var _ pgproto3.FrontendMessage = room(0)

func roomFor(statements []statement) (r room) {
	for _, s := range statements {
		r += room(len(s.sql)) + 256 // with what stands around the parameters
		for _, p := range s.params {
			r += room(len(p)) + 4
		}
	}
	return r
}

// Encode is called to have the message appended.
func (r room) Encode(dst []byte) ([]byte, error) { return slices.Grow(dst, int(r)), nil }

// Decode is never called.
func (room) Decode([]byte) error { return nil }

// Frontend tells a client's messages from a server's.
func (room) Frontend() {}

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
