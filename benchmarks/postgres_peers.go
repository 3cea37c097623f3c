package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// benthosTable is an output of Benthos that upserts batches as a hand-written loop does.
// The components with sql_insert and sql_raw are a module of their own; they send a
// statement for each row, which is slower.
type benthosTable struct {
	pool *pgxpool.Pool
}

func (benthosTable) Connect(context.Context) error { return nil }

func (t benthosTable) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
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
	return t.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return unnest(ctx, c.Conn(), rows) })
}

func (benthosTable) Close(context.Context) error { return nil }

// benthosStream starts a stream into the table, with the input that input adds.
func (db *database) benthosStream(policy service.BatchPolicy, input func(*service.StreamBuilder) error) (stop func() error, err error) {
	if err := db.exec(createOrders); err != nil {
		return nil, err
	}
	env := service.NewEnvironment()
	err = env.RegisterBatchOutput("orders", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			return benthosTable{db.pool}, policy, postgresWriters, nil
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
func (db *database) benthosBatches(rows int, clock func(func() error) error) error {
	all, err := messages(rows)
	if err != nil {
		return err
	}
	var push service.MessageBatchHandlerFunc
	stop, err := db.benthosStream(service.BatchPolicy{}, func(b *service.StreamBuilder) (err error) {
		push, err = b.AddBatchProducerFunc()
		return err
	})
	if err != nil {
		return err
	}
	err = clock(func() error {
		return pushAll(2*postgresWriters, (rows+postgresBatch-1)/postgresBatch, func(i int) error {
			return push(context.Background(), all[i*postgresBatch:min((i+1)*postgresBatch, rows)])
		})
	})
	return errors.Join(err, stop())
}

// benthosSingly has callers hand Benthos a record each and wait until it is written, which
// is when it is safe.
func (db *database) benthosSingly(rows int, clock func(func() error) error) error {
	all, err := messages(rows)
	if err != nil {
		return err
	}
	var push service.MessageHandlerFunc
	stop, err := db.benthosStream(service.BatchPolicy{Count: postgresCallers, Period: "1ms"}, func(b *service.StreamBuilder) (err error) {
		push, err = b.AddProducerFunc()
		return err
	})
	if err != nil {
		return err
	}
	err = clock(func() error {
		return pushAll(postgresCallers, rows, func(i int) error { return push(context.Background(), all[i]) })
	})
	return errors.Join(err, stop())
}

// pushAll calls push for 0 to n−1, from as many goroutines.
func pushAll(callers, n int, push func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, callers)
	var pushing sync.WaitGroup
	for c := range callers {
		pushing.Go(func() {
			for errs[c] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[c] = push(i)
			}
		})
	}
	pushing.Wait()
	return errors.Join(errs...)
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
	return clock(func() error {
		err := pushAll(postgresCallers, rows, func(i int) error {
			_, err := client.Insert(ctx, upsertArgs{handRowOf(i)}, nil)
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
