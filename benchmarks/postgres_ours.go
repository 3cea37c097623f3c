package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/store"
)

// stageSample is what of a drain comes before the driver, in µs of the processors for
// each change.
type stageSample struct{ journal, nowhere sample }

// The destinations of a drain: one that is measured, and one that takes everything and
// does nothing with it.
const (
	analytics = "analytics"
	nowhere   = "nowhere"
)

// described is a source that keeps no records, and has the schema of a store's resource.
type described struct {
	*synthetic
	cdc.Describer
}

// openDescribed starts a replicator on such a source, whose destinations are paused.
func openDescribed(dir string, destinations ...replicator.Destination) (*described, *replicator.Replicator, error) {
	plain, err := openStore() // of which only the definition is used
	if err != nil {
		return nil, nil, err
	}
	source := &described{new(synthetic), plain.db}
	for i := range destinations {
		destinations[i].Routes = replicator.Routes("orders")
	}
	r, err := replicator.New(source, replicator.Options{Dir: dir, Destinations: destinations})
	if err == nil {
		err = r.Start(context.Background())
	}
	return source, r, err
}

// leaveChanges leaves changes in the journal of a directory, for both destinations.
func leaveChanges(dir string, n int) error {
	ctx := context.Background()
	source, r, err := openDescribed(dir, replicator.Destination{Name: analytics, Driver: new(counter)}, replicator.Destination{Name: nowhere, Driver: new(counter)})
	if err != nil {
		return err
	}
	if err := errors.Join(r.Pause(ctx, analytics), r.Pause(ctx, nowhere)); err != nil {
		return err
	}
	next := 0
	for next < n && err == nil {
		changes := make([]cdc.Change, min(1000, n-next))
		for i := range changes {
			record := tenFields(recordID(int64(next)))
			record["items"] = int64(7) // as a store would have it
			changes[i] = cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: record.String("id"), Data: record, SchemaVersion: 1}
			next++
		}
		err = source.recorder.Append(ctx, changes...)
	}
	return errors.Join(err, r.Stop(ctx))
}

// drain has a new engine write what waits, and finds out what its stages take.
func (db *database) drain(dir string, rows int, stages *stageSample, clock func(func() error) error) error {
	if err := leaveChanges(dir, rows); err != nil {
		return err
	}
	each := func(work func() error) (float64, error) {
		used := processorTime()
		err := work()
		return float64(processorTime()-used) / float64(time.Microsecond) / float64(rows), err
	}
	read, err := each(func() error { return readJournal(dir, rows) })
	if err != nil {
		return err
	}
	ctx := context.Background()
	driver := postgres.New(postgres.Options{ConnectionString: db.url})
	taken := &counter{limits: driver.Limits("orders"), all: int64(rows), done: make(chan struct{})}
	_, r, err := openDescribed(dir, replicator.Destination{Name: analytics, Driver: driver}, replicator.Destination{Name: nowhere, Driver: taken})
	if err != nil {
		return err
	}
	routed, err := each(func() error {
		err := r.Resume(ctx, nowhere)
		if err == nil {
			<-taken.done
		}
		return err
	})
	if err == nil {
		err = r.Remove(ctx, nowhere)
	}
	if err == nil {
		stages.journal, stages.nowhere = append(stages.journal, read), append(stages.nowhere, routed)
		err = clock(func() error { return errors.Join(r.Resume(ctx, analytics), r.Flush(ctx)) })
	}
	return errors.Join(err, r.Stop(ctx))
}

// readJournal reads what waits, and does nothing with it.
func readJournal(dir string, rows int) error {
	fsys, err := disk.OS(dir)
	if err != nil {
		return err
	}
	j, err := journal.Open(fsys, journal.Options{})
	if err != nil {
		return errors.Join(err, fsys.Close())
	}
	reader, err := j.ReadFor(analytics, 0)
	for n := 0; n < rows && err == nil; {
		var entries []journal.Entry
		entries, err = reader.Next(1 << 20)
		if n += len(entries); err == nil && len(entries) == 0 {
			err = fmt.Errorf("the journal has only %d changes", n)
		}
	}
	return errors.Join(err, j.Close(), fsys.Close())
}

// counter is a destination that takes everything, and says when it has it all.
type counter struct {
	limits cdc.Limits
	all    int64
	taken  atomic.Int64
	done   chan struct{}
}

func (*counter) Name() string { return "counter" }

func (c *counter) Limits(string) cdc.Limits { return c.limits }

func (c *counter) Apply(_ context.Context, batch []cdc.Delivery) error {
	if c.taken.Add(int64(len(batch))) == c.all {
		close(c.done)
	}
	return nil
}

// openInserting starts a replicator from a store in memory to the database.
func (db *database) openInserting(dir string) (*replicatedInserter, error) {
	plain, err := openStore()
	if err != nil {
		return nil, err
	}
	r, err := replicator.New(plain.db, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{
		Name: analytics, Driver: postgres.New(postgres.Options{ConnectionString: db.url}), Routes: replicator.Routes("orders"),
	}}})
	if err == nil {
		err = r.Start(context.Background())
	}
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return &replicatedInserter{plain, r}, nil
}

// recordsOf gives the records that handRows has as rows. They are made before anything is
// measured, as the rows of the loop by hand and the messages of Benthos are.
func recordsOf(n int) []store.Record {
	out := make([]store.Record, n)
	for i := range out {
		out[i] = tenFields(recordID(int64(i)))
	}
	return out
}

// insertAll has records inserted until all are written.
func (db *database) insertAll(dir string, rows int, clock func(func() error) error) error {
	r, err := db.openInserting(dir)
	if err != nil {
		return err
	}
	ctx, all := context.Background(), recordsOf(rows)
	err = clock(func() error {
		err := share(postgresCallers, rows, func(i int) error {
			_, err := r.orders.Insert(ctx, all[i])
			return err
		})
		return errors.Join(err, r.replicator.Flush(ctx))
	})
	return errors.Join(err, r.Close())
}

// insertBatches has batches of records inserted until all are written.
func (db *database) insertBatches(dir string, rows int, clock func(func() error) error) error {
	r, err := db.openInserting(dir)
	if err != nil {
		return err
	}
	ctx, all := context.Background(), recordsOf(rows)
	err = clock(func() error {
		err := share(postgresWriters, (rows+postgresBatch-1)/postgresBatch, func(i int) error {
			_, err := r.orders.InsertMany(ctx, all[i*postgresBatch:min((i+1)*postgresBatch, rows)])
			return err
		})
		return errors.Join(err, r.replicator.Flush(ctx))
	})
	return errors.Join(err, r.Close())
}

// latency measures the time from the return of an Insert to the commit, when nothing else
// happens.
func (db *database) latency(c config, inserts int, emit func(line)) error {
	if err := db.exec("DROP TABLE IF EXISTS orders"); err != nil {
		return err
	}
	var took sample
	_, err := inDirectory(c, func(dir string) (struct{}, error) {
		r, err := db.openInserting(dir)
		if err != nil {
			return struct{}{}, err
		}
		for i := 0; i < inserts && err == nil; i++ {
			err = r.insert(recordID(int64(i)))
			began := time.Now()
			err = errors.Join(err, r.replicator.Flush(context.Background()))
			took = append(took, float64(time.Since(began))/float64(time.Microsecond))
		}
		return struct{}{}, errors.Join(err, r.Close())
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	emit(line{Case: "postgres-latency-p50", Ours: round(took[len(took)/2]), Unit: "µs", N: len(took)})
	emit(line{Case: "postgres-latency-p99", Ours: round(took[len(took)*99/100]), Unit: "µs", N: len(took)})
	return nil
}
