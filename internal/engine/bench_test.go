package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// BenchmarkCore measures the deciding alone: changes come in as loads, every batch
// is accepted at once. An operation is one delivery.
func BenchmarkCore(b *testing.B) {
	for _, records := range []int{1, 100, 100_000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			keys := make([]string, records)
			for i := range keys {
				keys[i] = fmt.Sprintf("record-%08d", i)
			}
			core := engine.NewCore(engine.Settings{
				Window: 16 << 20, MaxParked: 250_000, Concurrency: 8, Retries: 3, Timeout: 30 * time.Second,
				Backoff: backoff.Policy{Base: time.Second, Cap: time.Minute},
				Limits: func(string) (cdc.Limits, error) {
					return cdc.Limits{Items: 100, Bytes: 1 << 20, Concurrency: 8, Events: true}, nil
				},
				Rand: func() float64 { return 0.5 },
			}, journal.Cursor{})

			const perLoad = 500
			changes := make([]cdc.Change, 1<<16) // more than the window holds at once
			routed := make([]engine.Routed, perLoad)
			verdicts := make([]route.Verdict, perLoad)
			now := time.Unix(0, 0)
			var seq, target uint64
			var todo []engine.Action
			b.ReportAllocs()
			step := func(e engine.Event) { todo = append(todo, core.Step(now, e)...) }
			step(engine.Tick{})
			for b.Loop() {
				// Work off what is asked for until one more is settled.
				for target++; core.Low() < target; {
					if len(todo) == 0 {
						b.Fatal("the core asks for nothing")
					}
					actions := todo
					todo = nil
					for _, a := range actions {
						switch a := a.(type) {
						case engine.Load:
							for i := range routed {
								seq++
								key := keys[seq%uint64(records)]
								change := &changes[seq%uint64(len(changes))]
								*change = cdc.Change{Seq: seq, Op: cdc.Updated, Resource: "users", RecordID: key, Time: now}
								verdicts[i] = route.Verdict{Target: "users", Lane: key, Delivery: cdc.Delivery{Change: *change, Target: "users"}}
								routed[i] = engine.Routed{Change: change, Bytes: 500, Verdicts: verdicts[i : i+1]}
							}
							step(engine.Loaded{Changes: routed})
						case engine.Apply:
							step(engine.Finished{Attempt: a.Attempt, Took: time.Millisecond})
						case engine.Save:
							step(engine.Saved{})
						}
					}
				}
			}
		})
	}
}

// BenchmarkEngine measures the whole way from the journal in memory through routing,
// core and goroutines to a driver that accepts everything. An operation is one
// delivery; the benchmark of the core shows what of it is deciding.
func BenchmarkEngine(b *testing.B) {
	d := &noop{}
	m := newMemory()
	e := engine.New(engine.Config{
		Name: "dest", Driver: d, Journal: m, Ledger: &book{},
		Router: route.New([]route.Rule{{From: "things"}}, route.Options{Limits: d.Limits}),
	})
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	m.schema = 0
	m.mu.Lock()
	record := cdc.Record{"name": "Alice", "total": int64(12)}
	for i := range b.N {
		m.changes = append(m.changes, &cdc.Change{Seq: uint64(i + 1), Op: cdc.Updated, Resource: "things", RecordID: fmt.Sprintf("record-%06d", i%100_000), Data: record})
	}
	m.mu.Unlock()
	b.ReportAllocs()
	b.ResetTimer()
	m.put(cdc.Updated, "last", record)
	if err := e.Drain(b.Context(), m.Last()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(e.Stats().Attempts), "deliveries/call")
	if err := e.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBeside measures how quickly the changes of healthy records arrive while
// others can't be delivered: none, one with 100,000 changes, or 50,000 with one each.
// An operation is one healthy delivery.
func BenchmarkBeside(b *testing.B) {
	for _, bb := range []struct {
		name             string
		records, changes int
	}{{"none", 0, 0}, {"one record with 100000 changes", 1, 100_000}, {"50000 records", 50_000, 50_000}} {
		b.Run(bb.name, func(b *testing.B) {
			d := &counter{reached: make(chan struct{}, 1)}
			m := newMemory()
			e := engine.New(engine.Config{
				Name: "dest", Driver: d, Journal: m, Ledger: &book{}, MaxRetries: 1_000_000,
				Router: route.New([]route.Rule{{From: "things"}}, route.Options{Limits: d.Limits}),
			})
			m.schema = 0
			m.SaveCursor("dest", journal.Cursor{})
			record := cdc.Record{"name": "Alice", "total": int64(12)}
			for i := range bb.changes {
				m.put(cdc.Updated, fmt.Sprintf("sick%06d", i%bb.records), record)
				if i%5 == 0 {
					m.put(cdc.Updated, fmt.Sprintf("fine%06d", i), record)
				}
			}
			if err := e.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			d.await(uint64(bb.changes+4) / 5)
			for i := range b.N {
				m.put(cdc.Updated, fmt.Sprintf("fine%06d", i%100_000), record)
			}
			b.ResetTimer()
			d.await(uint64(bb.changes+4)/5 + uint64(b.N))
			b.StopTimer()
			b.ReportMetric(float64(e.Stats().Parked), "parked")
			if err := e.Stop(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// noop accepts everything.
type noop struct{}

func (*noop) Name() string                                { return "noop" }
func (*noop) Limits(string) cdc.Limits                    { return cdc.Limits{Events: true} }
func (*noop) Apply(context.Context, []cdc.Delivery) error { return nil }

// counter accepts and counts all but the records that are sick.
type counter struct {
	noop
	reached chan struct{} // told when wanted are counted

	mu              sync.Mutex
	counted, wanted uint64
}

func (c *counter) Apply(_ context.Context, batch []cdc.Delivery) error {
	answer := &cdc.BatchError{Errs: make([]error, len(batch))}
	fine := uint64(len(batch))
	for i := range batch {
		if batch[i].RecordID[0] == 's' {
			answer.Errs[i] = cdc.RetryAfter(errBroken, time.Minute)
			fine--
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.counted; before < c.wanted && before+fine >= c.wanted {
		c.reached <- struct{}{}
	}
	c.counted += fine
	return answer
}

func (c *counter) await(n uint64) {
	c.mu.Lock()
	c.wanted = n
	there := c.counted >= n
	c.mu.Unlock()
	if !there {
		<-c.reached
	}
}
