package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// benthosTable is an output of Benthos into the table.
type benthosTable struct {
	pool  *pgxpool.Pool
	write func(ctx context.Context, conn *pgx.Conn, batch service.MessageBatch) error
}

func (benthosTable) Connect(context.Context) error { return nil }

func (t benthosTable) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	return t.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return t.write(ctx, c.Conn(), batch) })
}

func (benthosTable) Close(context.Context) error { return nil }

// benthosOwn writes a batch as Benthos's output sql_insert does: a mapping gives the
// arguments of each message, and one INSERT has the values of all. The component itself is
// in a module that needs hundreds of others; it uses an older driver, which prepares the
// statement anew each time.
func benthosOwn() (func(context.Context, *pgx.Conn, service.MessageBatch) error, error) {
	mapping, err := bloblang.Parse(`root = [ this.id, this.name, this.email, this.city, this.street, this.total, this.items.int64(), this.paid, this.note, this.phone ]`)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn *pgx.Conn, batch service.MessageBatch) error {
		var args []any
		executor, statement := batch.BloblangExecutor(mapping), strings.Builder{}
		statement.WriteString("INSERT INTO orders (id, name, email, city, street, total, items, paid, note, phone) VALUES ")
		for i := range batch {
			message, err := executor.Query(i)
			if err != nil {
				return err
			}
			values, err := message.AsStructured()
			if err != nil {
				return err
			}
			if i > 0 {
				statement.WriteByte(',')
			}
			for j, v := range values.([]any) {
				statement.WriteByte("(,"[min(j, 1)])
				args = append(args, v)
				statement.WriteString("$" + strconv.Itoa(len(args)))
			}
			statement.WriteByte(')')
		}
		statement.WriteString(onConflict)
		_, err := conn.Exec(ctx, statement.String(), args...)
		return err
	}, nil
}

// benthosByHand writes a batch as a hand-written loop does, which no component of Benthos
// does.
func benthosByHand(ctx context.Context, conn *pgx.Conn, batch service.MessageBatch) error {
	rows := make([]handRow, len(batch))
	for i, message := range batch {
		body, err := message.AsBytes()
		if err == nil {
			err = json.Unmarshal(body, &rows[i])
		}
		if err != nil {
			return err
		}
	}
	return unnest(ctx, conn, rows)
}

// benthosTables gives the output as Benthos has it, and one that has been given the
// hand-written loop's statement.
func (db *database) benthosTables() (own, byHand benthosTable, err error) {
	write, err := benthosOwn()
	return benthosTable{db.pool, write}, benthosTable{db.pool, benthosByHand}, err
}

// benthosStream starts a stream into the table, with the input that input adds.
func (db *database) benthosStream(output benthosTable, policy service.BatchPolicy, input func(*service.StreamBuilder) error) (stop func() error, err error) {
	if err := db.exec(createOrders); err != nil {
		return nil, err
	}
	env := service.NewEnvironment()
	err = env.RegisterBatchOutput("orders", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			return output, policy, postgresWriters, nil
		})
	if err != nil {
		return nil, err
	}
	builder := env.NewStreamBuilder()
	err = errors.Join(builder.SetLoggerYAML("level: none"), builder.SetMetricsYAML("none: {}"), builder.AddOutputYAML("orders: {}"), input(builder))
	if err != nil {
		return nil, err
	}
	stream, err := builder.Build()
	if err != nil {
		return nil, err
	}
	var running sync.WaitGroup
	var ended error
	running.Go(func() { ended = stream.Run(context.Background()) })
	return func() error {
		err := stream.Stop(context.Background())
		running.Wait()
		return errors.Join(err, ended)
	}, nil
}

// messages are rows as an input of Benthos hands them on.
func messages(n int) ([]*service.Message, error) {
	out := make([]*service.Message, n)
	for i := range out {
		body, err := json.Marshal(handRowOf(i))
		if err != nil {
			return nil, err
		}
		out[i] = service.NewMessage(body)
	}
	return out, nil
}

// benthosBatches gives Benthos whole batches, as many at a time as it writes.
func (db *database) benthosBatches(output benthosTable, rows int, clock func(func() error) error) error {
	all, err := messages(rows)
	if err != nil {
		return err
	}
	var push service.MessageBatchHandlerFunc
	stop, err := db.benthosStream(output, service.BatchPolicy{}, func(b *service.StreamBuilder) (err error) {
		push, err = b.AddBatchProducerFunc()
		return err
	})
	if err != nil {
		return err
	}
	err = clock(func() error {
		return share(2*postgresWriters, (rows+postgresBatch-1)/postgresBatch, func(i int) error {
			return push(context.Background(), all[i*postgresBatch:min((i+1)*postgresBatch, rows)])
		})
	})
	return errors.Join(err, stop())
}

// benthosSingly has callers hand Benthos a record each and wait until it is written, which
// is when it is safe.
func (db *database) benthosSingly(output benthosTable, rows int, clock func(func() error) error) error {
	all, err := messages(rows)
	if err != nil {
		return err
	}
	var push service.MessageHandlerFunc
	stop, err := db.benthosStream(output, service.BatchPolicy{Count: postgresCallers, Period: "1ms"}, func(b *service.StreamBuilder) (err error) {
		push, err = b.AddProducerFunc()
		return err
	})
	if err != nil {
		return err
	}
	err = clock(func() error {
		return share(postgresCallers, rows, func(i int) error { return push(context.Background(), all[i]) })
	})
	return errors.Join(err, stop())
}

// upsertArgs is River's job for one change.
type upsertArgs struct{ handRow }

// Kind names the job.
func (upsertArgs) Kind() string { return "upsert" }

// upsertWorker does it.
type upsertWorker struct {
	river.WorkerDefaults[upsertArgs]
	pool *pgxpool.Pool
	left atomic.Int64
	done chan struct{}
}

// Work writes the row.
func (w *upsertWorker) Work(ctx context.Context, job *river.Job[upsertArgs]) error {
	_, err := w.pool.Exec(ctx, upsertOrder, job.Args.values()...)
	if err == nil && w.left.Add(-1) == 0 {
		close(w.done)
	}
	return err
}

// river has callers insert a job for each record, which workers do at the same time.
func (db *database) river(rows int, clock func(func() error) error) (err error) {
	ctx := context.Background()
	if err := db.exec(createOrders); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(db.url)
	if err != nil {
		return err
	}
	config.MaxConns = postgresCallers
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	worker := &upsertWorker{pool: pool, done: make(chan struct{})}
	worker.left.Store(int64(rows))
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	client, err := river.NewClient(driver, &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}},
		Workers: workers,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, client.StopAndCancel(ctx), db.exec("TRUNCATE river_job"))
	}()
	all := handRows(rows)
	return clock(func() error {
		err := share(postgresCallers, rows, func(i int) error {
			_, err := client.Insert(ctx, upsertArgs{all[i]}, nil)
			return err
		})
		if err == nil {
			<-worker.done
		}
		return err
	})
}

// original has s3db.js insert records that its replicator writes, one by one.
func (db *database) original(b *bed, rows int, clock func(func() error) error) error {
	if err := db.exec(createOrders); err != nil {
		return err
	}
	table := map[string]any{"table": "orders", "actions": []string{"insert", "update", "delete"}}
	o, ok, err := openOriginal(b, originalDestination{
		Driver: "postgres", Resources: map[string]any{"orders": []any{table}}, Config: map[string]any{"connectionString": db.url},
	}, rows)
	if err != nil {
		return fmt.Errorf("s3db.js: %w", err)
	}
	if !ok {
		return errLeftOut
	}
	return errors.Join(clock(o.replicate), o.Close())
}
