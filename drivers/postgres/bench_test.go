package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// batchRows is the driver's own batch size.
const batchRows = 1000

func benchRow(i int) cdc.Record {
	return cdc.Record{
		"id": fmt.Sprintf("order-%07d", i), "customer": fmt.Sprintf("customer-%05d", i%5000), "total": float64(i%100000) / 100, "quantity": int64(i % 17),
		"status": []string{"placed", "paid", "shipped", "delivered"}[i%4], "placedAt": time.Unix(1.7e9+int64(i), 0).UTC(),
	}
}

// BenchmarkApply is the driver alone, with one caller. The module benchmarks measures the
// whole way, beside others.
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
