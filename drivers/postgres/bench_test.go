package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

var benchRows = flag.Int("bench.rows", 100_000, "how many rows a benchmark sends in one iteration")

// batchRows is the driver's own batch size, which the hand-written loops use too.
const batchRows = 1000

func benchRow(i int) store.Record {
	return store.Record{
		"id": fmt.Sprintf("order-%07d", i), "customer": fmt.Sprintf("customer-%05d", i%5000), "total": float64(i%100000) / 100, "quantity": int64(i % 17),
		"status": []string{"placed", "paid", "shipped", "delivered"}[i%4], "placedAt": time.Unix(1.7e9+int64(i), 0).UTC(),
	}
}

var benchAttributes = store.Attributes{
	"customer": "string|required", "total": "number|required", "quantity": "number|integer", "status": "string", "placedAt": "datetime",
}

// byHand upserts the rows with as many connections, in batches: what a program would do
// that has all rows in memory and nothing else to care for.
func byHand(b *testing.B, url string, rows []store.Record, connections int) time.Duration {
	b.Helper()
	ctx := b.Context()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `DROP TABLE IF EXISTS orders`); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE orders (id text PRIMARY KEY, customer text, total float8, quantity int8, status text, "placedAt" timestamptz)`); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	batches := make(chan []store.Record)
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for batch := range batches {
				n := len(batch)
				ids, customers, statuses := make([]string, n), make([]string, n), make([]string, n)
				totals, quantities, placed := make([]float64, n), make([]int64, n), make([]time.Time, n)
				for i, r := range batch {
					ids[i], customers[i], statuses[i] = r.String("id"), r.String("customer"), r.String("status")
					totals[i], quantities[i], placed[i] = r.Float("total"), r.Int("quantity"), r.Time("placedAt")
				}
				_, err := pool.Exec(ctx, `INSERT INTO orders SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::int8[], $5::text[], $6::timestamptz[])
					ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, total = EXCLUDED.total, quantity = EXCLUDED.quantity, status = EXCLUDED.status, "placedAt" = EXCLUDED."placedAt"`,
					ids, customers, totals, quantities, statuses, placed)
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for batch := range slices.Chunk(rows, batchRows) {
		batches <- batch
	}
	close(batches)
	wg.Wait()
	return time.Since(start)
}

// run is a replicator from a store in memory to the database.
type run struct {
	db *store.DB
	r  *replicator.Replicator
}

func startRun(b *testing.B, dir string, db *store.DB, driver replicator.Driver) *run {
	b.Helper()
	r, err := replicator.New(db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{Name: "analytics", Driver: driver, Routes: replicator.Routes("orders")}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	return &run{db, r}
}

func (r *run) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.r.Stop(ctx) // without draining
}

func benchStore(b *testing.B) *store.DB {
	b.Helper()
	db, err := store.Open(b.Context(), "memory://"+b.Name())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if _, err := db.CreateResource(b.Context(), store.Definition{Name: "orders", Attributes: benchAttributes}); err != nil {
		b.Fatal(err)
	}
	return db
}

// insert writes rows from many callers, as a server has them.
func (r *run) insert(b *testing.B, rows []store.Record) {
	b.Helper()
	const callers = 64
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < len(rows); i += callers {
				if _, err := r.db.Resource("orders").Insert(b.Context(), rows[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkDrain sends what waits in the journal, beside hand-written loops with the
// same rows, in turns.
func BenchmarkDrain(b *testing.B) {
	url := testbed.Postgres(b)
	rows := make([]store.Record, *benchRows)
	for i := range rows {
		rows[i] = benchRow(i)
	}
	var hand, ours time.Duration
	for b.Loop() {
		db := benchStore(b)
		dir := b.TempDir()
		away := startRun(b, dir, db, memory.New(memory.Options{Before: func(context.Context, []cdc.Delivery) error {
			return cdc.Unavailable(errors.New("not yet"))
		}}))
		away.insert(b, rows)
		away.stop()

		hand += min(byHand(b, url, rows, 1), byHand(b, url, rows, 4))
		execB(b, url, `DROP TABLE orders`)
		start := time.Now()
		r := startRun(b, dir, db, postgres.New(postgres.Options{ConnectionString: url}))
		if err := r.r.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		r.stop()
		counts(b, url, len(rows))
	}
	report(b, hand, ours)
}

// BenchmarkEndToEnd inserts into a store in memory, through the durable journal, until
// all is committed.
func BenchmarkEndToEnd(b *testing.B) {
	url := testbed.Postgres(b)
	rows := make([]store.Record, *benchRows)
	for i := range rows {
		rows[i] = benchRow(i)
	}
	var hand, ours time.Duration
	for b.Loop() {
		hand += min(byHand(b, url, rows, 1), byHand(b, url, rows, 4))
		execB(b, url, `DROP TABLE orders`)
		r := startRun(b, b.TempDir(), benchStore(b), postgres.New(postgres.Options{ConnectionString: url}))
		start := time.Now()
		r.insert(b, rows)
		if err := r.r.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		r.stop()
		counts(b, url, len(rows))
	}
	report(b, hand, ours)
}

// BenchmarkApply is the driver alone, with one caller.
func BenchmarkApply(b *testing.B) {
	url := testbed.Postgres(b)
	d := postgres.New(postgres.Options{ConnectionString: url})
	if err := d.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	batch := make([]cdc.Delivery, batchRows)
	n := 0
	for b.Loop() {
		for i := range batch {
			row := benchRow(n)
			n++
			batch[i] = cdc.Delivery{
				Change: cdc.Change{Seq: uint64(n), Version: uint64(n), Op: cdc.Inserted, Resource: "orders", RecordID: row.String("id")},
				Target: "orders", Key: row.Pick("id"), Record: row,
			}
		}
		if err := d.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLatency is the time from the return of Insert to the commit, when nothing
// else happens.
func BenchmarkLatency(b *testing.B) {
	r := startRun(b, b.TempDir(), benchStore(b), postgres.New(postgres.Options{ConnectionString: testbed.Postgres(b)}))
	defer r.stop()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		if _, err := r.db.Resource("orders").Insert(b.Context(), benchRow(i)); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := r.r.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func execB(b *testing.B, url, statement string) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(b.Context(), statement); err != nil {
		b.Fatal(err)
	}
}

// counts counts at the destination.
func counts(b *testing.B, url string, want int) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	var n int
	if err := pool.QueryRow(b.Context(), `SELECT count(*) FROM orders`).Scan(&n); err != nil || n != want {
		b.Fatalf("%d rows arrived of %d, %v", n, want, err)
	}
}

func report(b *testing.B, hand, ours time.Duration) {
	total := float64(b.N * *benchRows)
	b.ReportMetric(total/hand.Seconds(), "hand-rows/s")
	b.ReportMetric(total/ours.Seconds(), "rows/s")
	b.ReportMetric(hand.Seconds()/ours.Seconds(), "ratio")
}

// BenchmarkWays compares the ways to upsert a batch, by its size: one statement on
// arrays, and COPY into a temporary table with a statement on that. The driver's batches
// have at most a thousand rows, up to which the first is the quicker one.
func BenchmarkWays(b *testing.B) {
	ctx := b.Context()
	pool, err := pgxpool.New(ctx, testbed.Postgres(b))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	for _, s := range []string{
		`CREATE TABLE orders (id text PRIMARY KEY, customer text, total float8, quantity int8, status text, placed timestamptz)`,
		`CREATE TEMPORARY TABLE batch (LIKE orders) ON COMMIT DELETE ROWS`,
	} {
		if _, err := conn.Exec(ctx, s); err != nil {
			b.Fatal(err)
		}
	}
	const conflict = ` ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, total = EXCLUDED.total, quantity = EXCLUDED.quantity, status = EXCLUDED.status, placed = EXCLUDED.placed`
	ways := map[string]func(rows [][]any) error{
		"unnest": func(rows [][]any) error {
			n := len(rows)
			ids, customers, statuses := make([]string, n), make([]string, n), make([]string, n)
			totals, quantities, placed := make([]float64, n), make([]int64, n), make([]time.Time, n)
			for i, r := range rows {
				ids[i], customers[i], totals[i], quantities[i], statuses[i], placed[i] = r[0].(string), r[1].(string), r[2].(float64), r[3].(int64), r[4].(string), r[5].(time.Time)
			}
			_, err := conn.Exec(ctx, `INSERT INTO orders SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::int8[], $5::text[], $6::timestamptz[])`+conflict,
				ids, customers, totals, quantities, statuses, placed)
			return err
		},
		"copy": func(rows [][]any) error {
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if _, err := tx.CopyFrom(ctx, pgx.Identifier{"batch"}, []string{"id", "customer", "total", "quantity", "status", "placed"}, pgx.CopyFromRows(rows)); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `INSERT INTO orders SELECT * FROM batch`+conflict)
				return err
			})
		},
	}
	for _, size := range []int{10, 100, 1000, 5000} {
		for _, way := range []string{"unnest", "copy"} {
			b.Run(fmt.Sprintf("%s/%d", way, size), func(b *testing.B) {
				n := 0
				for b.Loop() {
					rows := make([][]any, size)
					for i := range rows {
						r := benchRow(n % 500_000)
						rows[i] = []any{r["id"], r["customer"], r["total"], r["quantity"], r["status"], r["placedAt"]}
						n++
					}
					if err := ways[way](rows); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
