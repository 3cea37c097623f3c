package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// handRow is a record of ten fields as a program of its own would hold it.
type handRow struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Email  string  `json:"email"`
	City   string  `json:"city"`
	Street string  `json:"street"`
	Total  float64 `json:"total"`
	Items  int64   `json:"items"`
	Paid   bool    `json:"paid"`
	Note   string  `json:"note"`
	Phone  string  `json:"phone"`
}

func handRows(n int) []handRow {
	rows := make([]handRow, n)
	for i := range rows {
		rows[i] = handRowOf(i)
	}
	return rows
}

func handRowOf(i int) handRow {
	r := tenFields(recordID(int64(i)))
	return handRow{
		r.String("id"), r.String("name"), r.String("email"), r.String("city"), r.String("street"), r.Float("total"), r.Int("items"), r.Bool("paid"),
		r.String("note"), r.String("phone"),
	}
}

// handWay is a way to upsert a batch on one connection.
type handWay func(ctx context.Context, conn *pgx.Conn, rows []handRow) error

func handWays() map[string]handWay {
	return map[string]handWay{"unnest": unnest, "copy": copyAndMerge, "pipeline": pipeline, once: insertOnce}
}

// once is the way that can't be repeated, so that it is no limit: it fails at the first
// row that is there.
const once = "insert once"

const onConflict = ` ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email, city = EXCLUDED.city,
	street = EXCLUDED.street, total = EXCLUDED.total, items = EXCLUDED.items, paid = EXCLUDED.paid, note = EXCLUDED.note, phone = EXCLUDED.phone`

const insertArrays = `INSERT INTO orders SELECT * FROM
	unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::int8[], $8::bool[], $9::text[], $10::text[])`

// unnest sends a statement with an array for each column.
func unnest(ctx context.Context, conn *pgx.Conn, rows []handRow) error {
	return sendArrays(ctx, conn, insertArrays+onConflict, rows)
}

// insertOnce is unnest for rows that are not there yet.
func insertOnce(ctx context.Context, conn *pgx.Conn, rows []handRow) error {
	return sendArrays(ctx, conn, insertArrays, rows)
}

func sendArrays(ctx context.Context, conn *pgx.Conn, statement string, rows []handRow) error {
	n := len(rows)
	ids, names, emails, cities, streets := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	totals, items, paid, notes, phones := make([]float64, n), make([]int64, n), make([]bool, n), make([]string, n), make([]string, n)
	for i := range rows {
		r := &rows[i]
		ids[i], names[i], emails[i], cities[i], streets[i] = r.ID, r.Name, r.Email, r.City, r.Street
		totals[i], items[i], paid[i], notes[i], phones[i] = r.Total, r.Items, r.Paid, r.Note, r.Phone
	}
	_, err := conn.Exec(ctx, statement, ids, names, emails, cities, streets, totals, items, paid, notes, phones)
	return err
}

// copyAndMerge copies into a temporary table, and upserts from there.
func copyAndMerge(ctx context.Context, conn *pgx.Conn, rows []handRow) error {
	const temporary = `CREATE TEMPORARY TABLE IF NOT EXISTS batch (LIKE orders) ON COMMIT DELETE ROWS`
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, temporary); err != nil {
			return err
		}
		source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i].values(), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"batch"}, []string{"id", "name", "email", "city", "street", "total", "items", "paid", "note", "phone"}, source); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO orders SELECT * FROM batch`+onConflict)
		return err
	})
}

const upsertOrder = `INSERT INTO orders VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)` + onConflict

// pipeline sends a statement for each row, all at once.
func pipeline(ctx context.Context, conn *pgx.Conn, rows []handRow) error {
	var batch pgx.Batch
	for i := range rows {
		batch.Queue(upsertOrder, rows[i].values()...)
	}
	return conn.SendBatch(ctx, &batch).Close()
}

func (r *handRow) values() []any {
	return []any{r.ID, r.Name, r.Email, r.City, r.Street, r.Total, r.Items, r.Paid, r.Note, r.Phone}
}

// byHand writes the rows with a hand-written loop on each connection.
func (db *database) byHand(way handWay, rows []handRow, clock func(func() error) error) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(db.url)
	if err != nil {
		return err
	}
	config.MaxConns = postgresWriters
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := db.exec(createOrders); err != nil {
		return err
	}
	return clock(func() error {
		batches := make(chan []handRow)
		errs := make([]error, postgresWriters)
		var writing sync.WaitGroup
		for i := range errs {
			writing.Go(func() {
				for batch := range batches {
					errs[i] = cmp.Or(errs[i], pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return way(ctx, c.Conn(), batch) }))
				}
			})
		}
		for batch := range slices.Chunk(rows, postgresBatch) {
			batches <- batch
		}
		close(batches)
		writing.Wait()
		return errors.Join(errs...)
	})
}

// fastestWay tries the hand-written ways, and gives the best of those that may be
// repeated.
func (db *database) fastestWay(rows int, emit func(line)) (handWay, error) {
	var tasks []task
	ways := handWays()
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		tasks = append(tasks, task{name, rows, func(clock func(func() error) error) error { return db.byHand(ways[name], handRows(rows), clock) }})
	}
	efforts, err := db.rounds("ways", 1, tasks)
	if err != nil {
		return nil, err
	}
	rates, server := map[string]float64{}, map[string]float64{}
	best := ""
	for name, e := range efforts {
		rates[name], server[name] = round(e.rate.median()), round(e.server.median())
		if name != once && (best == "" || rates[name] > rates[best]) {
			best = name
		}
	}
	emit(line{Case: "postgres-by-hand", Peers: rates, Unit: "rows/s", N: 1})
	emit(line{Case: "postgres-by-hand-server", Peers: server, Unit: "µs/row", N: 1})
	return ways[best], nil
}
