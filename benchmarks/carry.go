package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

const (
	// carryWriters insert at the same time what is carried end to end.
	carryWriters = 64
	// manyWriters insert at the same time what is inserted in batches, of manyAtOnce records.
	manyWriters = 4
	manyAtOnce  = 100
	// carryPace is how many records a second of measuring stands for: what a destination
	// takes is counted in records, so that a measurement is of as many as fit its time.
	carryPace = 20_000
	// carriedName is that of the only destination.
	carriedName = "carried"
)

// records gives how many are carried in one measurement, when one second of it stands for
// so many.
func (c config) records(perSecond int) int { return max(int(float64(perSecond)*c.time.Seconds()), 1) }

// stretch measures from its beginning on.
type stretch struct {
	began time.Time
	used  time.Duration
}

// beginStretch collects garbage first: nobody pays for another's.
func beginStretch() stretch {
	runtime.GC()
	return stretch{time.Now(), processorTime()}
}

// pace is that of so many records since.
func (s stretch) pace(records int) pace {
	return pace{
		rate: float64(records) / time.Since(s.began).Seconds(),
		cpu:  float64(processorTime()-s.used) / float64(time.Microsecond) / float64(records),
	}
}

// way is how changes get to one destination. arrived is called when all are on their way,
// and returns when the destination has them.
type way func(dir, prefix string, records int, driver cdc.Driver, arrived func(*replicator.Replicator) error) (pace, error)

func carrying(dir string, driver cdc.Driver) replicator.Options {
	return replicator.Options{Dir: dir, Destinations: []replicator.Destination{{
		Name: carriedName, Driver: driver, Routes: replicator.Routes("orders"),
	}}}
}

// openCarriage opens the whole way from an Insert into a store in memory to one destination.
func openCarriage(dir string, driver cdc.Driver) (*replicatedInserter, error) {
	plain, err := openStore()
	if err != nil {
		return nil, err
	}
	r, err := replicator.New(plain.db, carrying(dir, driver))
	if err == nil {
		err = r.Start(context.Background())
	}
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return &replicatedInserter{plain, r}, nil
}

// insertAll inserts records one by one. Every writer waits until its change is durable.
func insertAll(into *store.Resource, records []store.Record) error {
	return share(carryWriters, len(records), func(i int) error {
		_, err := into.Insert(context.Background(), records[i])
		return err
	})
}

// insertBatches is insertAll with batches of records in a call of InsertMany.
func insertBatches(into *store.Resource, records []store.Record) error {
	return share(manyWriters, (len(records)+manyAtOnce-1)/manyAtOnce, func(i int) error {
		_, err := into.InsertMany(context.Background(), records[i*manyAtOnce:min((i+1)*manyAtOnce, len(records))])
		return err
	})
}

// endToEnd measures from the first Insert on, endToEndMany from the first InsertMany.
func endToEnd(dir, prefix string, records int, driver cdc.Driver, arrived func(*replicator.Replicator) error) (pace, error) {
	return carry(dir, prefix, records, driver, arrived, insertAll)
}

func endToEndMany(dir, prefix string, records int, driver cdc.Driver, arrived func(*replicator.Replicator) error) (pace, error) {
	return carry(dir, prefix, records, driver, arrived, insertBatches)
}

// carry makes the records before it measures, as the deliveries of the limit are.
func carry(dir, prefix string, records int, driver cdc.Driver, arrived func(*replicator.Replicator) error, insert func(*store.Resource, []store.Record) error) (p pace, err error) {
	w, err := openCarriage(dir, driver)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	all := make([]store.Record, records)
	for i := range all {
		all[i] = tenFields(prefix + strconv.Itoa(i))
	}
	s := beginStretch()
	if err := insert(w.orders, all); err != nil {
		return pace{}, err
	}
	err = arrived(w.replicator)
	return s.pace(records), err
}

// drainJournal measures what a new engine does with changes that are in the journal.
func drainJournal(dir, prefix string, records int, driver cdc.Driver, arrived func(*replicator.Replicator) error) (p pace, err error) {
	ctx, source := context.Background(), new(synthetic)
	r, err := replicator.New(source, carrying(dir, driver))
	if err != nil {
		return pace{}, err
	}
	if err := r.Start(ctx); err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, r.Stop(ctx)) }()
	if err := r.Pause(ctx, carriedName); err != nil {
		return pace{}, err
	}
	const piece = 1000
	for waiting := range slices.Chunk(deliveries(prefix, records), piece) {
		changes := make([]cdc.Change, len(waiting))
		for i, d := range waiting {
			changes[i] = d.Change
			changes[i].ChangeID, changes[i].Seq, changes[i].Version = cdc.ID{}, 0, 0 // the journal gives its own
		}
		if err := source.recorder.Append(ctx, changes...); err != nil {
			return pace{}, err
		}
	}
	s := beginStretch()
	if err := r.Resume(ctx, carriedName); err != nil {
		return pace{}, err
	}
	err = arrived(r)
	return s.pace(records), err
}

// settled returns when everything is at the destination, and that is noted.
func settled(r *replicator.Replicator) error { return r.Flush(context.Background()) }

// deliveries gives what a driver is handed for new records, to those that carry the same
// without a replicator.
func deliveries(prefix string, records int) []cdc.Delivery {
	out := make([]cdc.Delivery, records)
	for i := range out {
		rec := tenFields(fmt.Sprint(prefix, i))
		rec["items"] = int64(7) // as a store would have it
		out[i] = cdc.Delivery{
			Change: cdc.Change{
				ChangeID: cdc.ID{0: 1, 14: byte(i >> 8), 15: byte(i)}, Seq: uint64(i), Version: 1<<57 + uint64(i), Op: cdc.Inserted,
				Resource: "orders", RecordID: rec.String("id"), Data: rec, Time: time.UnixMicro(1_700_000_000_000_000).UTC(),
			},
			Target: "orders", Key: rec.Pick("id"), Record: rec,
		}
	}
	return out
}

// judgeCarried emits what was measured of a way beside what bounds it, and what each
// record takes of the processors in this process.
func judgeCarried(name, ours string, records int, samples map[string]measured, emit func(line)) {
	own, limit := samples[ours], samples["limit"]
	l := line{
		Case: fmt.Sprintf("%s/%d", name, records), Ours: round(own.rate.median()), Limit: round(limit.rate.median()),
		Unit: "changes/s", N: len(own.rate), Spread: round(own.rate.spread()),
	}
	emit(l.judged())
	emit(line{
		Case: fmt.Sprintf("%s-cpu/%d", name, records), Ours: round(own.cpu.median()), Limit: round(limit.cpu.median()),
		Unit: "µs/change", N: len(own.cpu), Spread: round(own.cpu.spread()),
	})
}

// judgeOriginal emits what was measured of the original beside ours and the server's
// limit.
func judgeOriginal(name string, samples map[string]measured, emit func(line)) {
	own, limit := samples["end to end"].rate, samples["limit"].rate
	if theirs, ok := samples["original"]; ok {
		emit(line{
			Case: name + "-original", Ours: round(own.median()), Limit: round(limit.median()), Peers: map[string]float64{"s3db.js": round(theirs.rate.median())},
			Unit: "changes/s", N: len(own), Spread: round(own.spread()),
		}.judged())
	}
}

// again emits the limit beside itself, in the same rounds: the noise.
func again(name string, records int, samples map[string]measured, emit func(line)) {
	s := samples["limit"].rate
	emit(line{
		Case: fmt.Sprintf("%s-aa/%d", name, records), Limit: round(s.median()), Unit: "changes/s", N: len(s), Spread: round(s.spread()),
		Peers: map[string]float64{"limit again": round(samples["limit again"].rate.median())},
	})
}

// share has so many goroutines do the work of every number below n.
func share(workers, n int, do func(i int) error) error {
	errs := make([]error, workers)
	var next atomic.Int64
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for errs[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[worker] = do(i)
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}
