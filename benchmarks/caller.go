package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/store"
)

// callerCase measures what a writer pays: an Insert of a record of ten fields into a
// store in memory, alone and with a replicator hooked in whose one destination is
// paused, so that nothing but the writing is measured.
func callerCase(c config, emit func(line)) error {
	contenders := []caller{
		{"plain", openPlain},
		{"volatile", func(string) (inserter, error) { return openReplicated(replicator.Options{Volatile: true}) }},
		{"durable", func(dir string) (inserter, error) { return openReplicated(replicator.Options{Dir: dir}) }},
		{"begin", openBegin},
		{"both", openBoth},
	}
	for _, l := range []load{
		{callers: 1, inserts: 6000},
		{callers: 64, inserts: 60_000},
		{callers: 64, inserts: 12_000, pause: 5 * time.Millisecond},
		{callers: maxCallers, inserts: 60_000},
	} {
		samples := map[string]paidSample{}
		for round := range c.rounds {
			for _, i := range order(round, len(contenders)) {
				each := contenders[i]
				p, err := inDirectory(c, func(dir string) (paid, error) { return each.measure(dir, l) })
				if err != nil {
					return fmt.Errorf("%s, %s callers: %w", each.name, l, err)
				}
				samples[each.name] = samples[each.name].add(p)
			}
		}
		plain, volatile, durable, begin, both := samples["plain"], samples["volatile"], samples["durable"], samples["begin"], samples["both"]
		record := func(what, unit string, ours, limit sample) line {
			return line{Case: fmt.Sprintf("caller-%s/%s", what, l), Ours: round(ours.median()), Limit: round(limit.median()),
				Unit: unit, N: len(ours), Spread: round(ours.spread())}
		}
		if l.callers == 1 {
			over := volatile.median.minus(plain.median)
			emit(line{Case: "caller-volatile-over/1", Ours: round(over.median()), Unit: "µs median", N: len(over), Spread: round(volatile.median.spread())})
			over = volatile.allocs.minus(plain.allocs)
			emit(line{Case: "caller-volatile-allocs/1", Ours: round(over.median()), Unit: "allocations/insert", N: len(over)})
		}
		emit(record("volatile", "µs median", volatile.median, plain.median))
		if l.callers == maxCallers {
			emit(record("durable", "inserts/s", durable.rate, plain.rate).judged())
			continue
		}
		for _, limit := range []struct {
			what string
			of   sample
		}{{"durable", begin.median}, {"durable-both", both.median}} {
			waits := record(limit.what, "µs median", durable.median, limit.of)
			waits.RatioLimit = round(waits.Limit / waits.Ours)
			emit(waits)
		}
	}
	return nil
}

// load is what callers do in one measurement. The inserts are fewer than fill the 64 MiB of
// a volatile journal that nobody reads.
type load struct {
	callers, inserts int
	// pause is how long a caller waits between two inserts, on average. Without it the
	// callers want all that the processors can do, and wait for each other's work.
	pause time.Duration
}

func (l load) String() string {
	if l.pause > 0 {
		return fmt.Sprintf("%d-paced", l.callers)
	}
	return strconv.Itoa(l.callers)
}

// inserter inserts records, each with an id that was not used before.
type inserter interface {
	insert(id string) error
	Close() error
}

// caller is one way to write.
type caller struct {
	name string
	open func(dir string) (inserter, error)
}

// paid is what a writer paid.
type paid struct {
	median float64 // µs
	rate   float64 // per second, of all callers
	allocs float64 // objects each
}

type paidSample struct{ median, rate, allocs sample }

func (s paidSample) add(p paid) paidSample {
	return paidSample{append(s.median, p.median), append(s.rate, p.rate), append(s.allocs, p.allocs)}
}

// minus gives the differences round by round, in which the neighbours were the same.
func (s sample) minus(other sample) (out sample) {
	for i := range s {
		out = append(out, s[i]-other[i])
	}
	return out
}

func (c caller) measure(dir string, l load) (p paid, err error) {
	s, err := c.open(dir)
	if err != nil {
		return paid{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// The first part is not counted.
	if _, err := insertMany(s, l, "warm-", l.inserts/3); err != nil {
		return paid{}, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	took, err := insertMany(s, l, "r-", l.inserts)
	whole := time.Since(began)
	runtime.ReadMemStats(&after)
	if err != nil {
		return paid{}, err
	}
	slices.Sort(took)
	return paid{
		median: float64(took[l.inserts/2]) / float64(time.Microsecond),
		rate:   float64(l.inserts) / whole.Seconds(), allocs: float64(after.Mallocs-before.Mallocs) / float64(l.inserts),
	}, nil
}

// insertMany gives how long each of the inserts took.
func insertMany(s inserter, l load, prefix string, count int) ([]time.Duration, error) {
	took, errs := make([]time.Duration, count), make([]error, l.callers)
	var next atomic.Int64
	var running sync.WaitGroup
	for i := range l.callers {
		running.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				id := prefix + strconv.Itoa(n)
				began := time.Now()
				errs[i] = s.insert(id)
				took[n] = time.Since(began)
				if l.pause > 0 {
					time.Sleep(rand.N(2 * l.pause))
				}
			}
		})
	}
	running.Wait()
	return took, errors.Join(errs...)
}

// tenFields is the record that is inserted.
func tenFields(id string) store.Record {
	return store.Record{
		"id": id, "name": "Alice Example", "email": "alice@example.com", "city": "Lisbon", "street": "Rua Augusta 12",
		"total": 129.5, "items": 7, "paid": true, "note": "leave it at the door", "phone": "+351 21 000 0000",
	}
}

var tenAttributes = store.Attributes{
	"name": "string|required", "email": "string|required", "city": "string", "street": "string",
	"total": "number", "items": "number|integer", "paid": "boolean", "note": "string", "phone": "string",
}

// plainInserter inserts into a store that nobody captures.
type plainInserter struct {
	db     *store.DB
	orders *store.Resource
}

func openPlain(string) (inserter, error) { return openStore() }

func openStore() (*plainInserter, error) {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://caller")
	if err != nil {
		return nil, err
	}
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: tenAttributes})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &plainInserter{db, orders}, nil
}

func (p *plainInserter) insert(id string) error {
	_, err := p.orders.Insert(context.Background(), tenFields(id))
	return err
}

func (p *plainInserter) Close() error { return p.db.Close() }

// replicatedInserter inserts into a store whose writes are captured.
type replicatedInserter struct {
	*plainInserter
	replicator *replicator.Replicator
}

func openReplicated(opts replicator.Options) (inserter, error) {
	plain, err := openStore()
	if err != nil {
		return nil, err
	}
	const name = "paused"
	opts.Destinations = []replicator.Destination{{Name: name, Driver: &sink{newGauge(1, 1)}, Routes: replicator.Routes("orders")}}
	r, err := replicator.New(plain.db, opts)
	if err == nil {
		err = r.Start(context.Background())
	}
	if err == nil {
		err = r.Pause(context.Background(), name)
	}
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return &replicatedInserter{plain, r}, nil
}

func (r *replicatedInserter) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what waits is not to be delivered
	err := r.replicator.Stop(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, r.plainInserter.Close())
}

// beginner makes announcements durable, and nothing else.
type beginner struct {
	fsys    disk.FS
	journal *journal.Disk
}

func openBegin(dir string) (inserter, error) {
	fsys, err := disk.OS(filepath.Join(dir, "journal"))
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(fsys, journal.Options{})
	if err != nil {
		return nil, errors.Join(err, fsys.Close())
	}
	return &beginner{fsys, j}, nil
}

func (b *beginner) insert(id string) error {
	c := cdc.Change{ChangeID: cdc.ID{1}, Op: cdc.Inserted, Resource: "orders", RecordID: id, Time: time.UnixMicro(1_700_000_000_000_000).UTC(), Data: tenFields(id)}
	c.Data["items"] = int64(7)
	ticket, err := b.journal.Begin(context.Background(), []cdc.Change{c})
	if err == nil {
		b.journal.Commit(ticket, 0, nil)
	}
	return err
}

func (b *beginner) Close() error { return errors.Join(b.journal.Close(), b.fsys.Close()) }

// twice announces and then inserts, and neither knows of the other: the work of a durable
// Insert without what brings the two together.
type twice struct {
	*plainInserter
	*beginner
}

func openBoth(dir string) (inserter, error) {
	plain, err := openStore()
	if err != nil {
		return nil, err
	}
	b, err := openBegin(dir)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return twice{plain, b.(*beginner)}, nil
}

func (t twice) insert(id string) error {
	if err := t.beginner.insert(id); err != nil {
		return err
	}
	return t.plainInserter.insert(id)
}

func (t twice) Close() error { return errors.Join(t.beginner.Close(), t.plainInserter.Close()) }
