package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// outageChanges is how many wait for the destination. The default is more than twice what
// the window holds, so that most are parked.
var outageChanges = flag.Uint64("outage-changes", 50_000, "the changes that wait for a destination in an outage of a week")

// generated is a journal of many changes that takes no memory.
type generated struct {
	*memory
	last uint64
}

func (g *generated) Last() uint64 { return g.last }

func (g *generated) Read(after uint64) (journal.Reader, error) { return &generator{g, after}, nil }

type generator struct {
	journal *generated
	at      uint64
}

var generatedRecord = cdc.Record{"name": "Alice"}

func (r *generator) Next(maxBytes int) (entries []journal.Entry, err error) {
	const size = 500
	for n := size; r.at < r.journal.last && (n <= maxBytes || n == size); n += size {
		r.at++
		c := &cdc.Change{Seq: r.at, Version: r.at, Op: cdc.Updated, Resource: "things", RecordID: fmt.Sprint("r", r.at%5000), Data: generatedRecord, Time: time.Now()}
		entries = append(entries, journal.Entry{Change: c, Bytes: size})
	}
	return entries, nil
}

func (r *generator) Skip(to uint64) { r.at = max(r.at, to-1) }

func (r *generator) More() <-chan struct{} {
	if r.at == r.journal.last {
		return nil // nothing is ever added
	}
	now := make(chan struct{})
	close(now)
	return now
}

func (r *generator) Close() error { return nil }

// A week in which the destination is away, with many changes waiting for it (a million by
// flag), spends no attempt and no memory, whether or not the driver knows an outage when it
// sees one.
func TestAWeekAwayWithAMillionChanges(t *testing.T) {
	for name, failure := range map[string]error{"marked": cdc.Unavailable(errBroken), "unmarked": errors.New("neither one thing nor the other")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const week = 7 * 24 * time.Hour
				changes := *outageChanges
				if name == "unmarked" {
					changes = min(changes/2, 100_000) // once is enough: it takes a while
				}
				bare := heap()
				d := &ordering{until: time.Now().Add(week), failure: failure, last: map[string]uint64{}}
				j := &generated{newMemory(), changes}
				j.SaveCursor("dest", journal.Cursor{})
				kinds := map[engine.Kind]int{}
				charged := 0
				e := engine.New(engine.Config{
					Name: "dest", Driver: d, Journal: j, Ledger: &book{},
					Router: route.New([]route.Rule{{From: "things"}}, route.Options{}),
					Notify: func(n engine.Notice) {
						kinds[n.Kind]++
						if n.RetryCount > 0 {
							charged++
						}
					},
				})
				if err := e.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(week - time.Hour)
				s := e.Stats()
				if !s.Breaker.Open || s.Waiting != changes || s.Lag < week-time.Hour {
					t.Errorf("in the outage: %+v", s)
				}
				// The window, what its deliveries take beside their bytes, and what is parked.
				if grown := int64(heap()) - int64(bare); grown > 150<<20 {
					t.Errorf("%d MiB of memory are held", grown>>20)
				}
				if err := e.Drain(t.Context(), changes); err != nil {
					t.Fatal(err)
				}
				if err := e.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				s = e.Stats()
				if s.Replicated != changes || s.Failed != 0 || charged != 0 || uint64(d.count) != changes || d.disorder != 0 {
					t.Errorf("%d attempts were charged, %d of %d accepted, %d out of order: %+v", charged, d.count, changes, d.disorder, s)
				}
				if kinds[engine.NoteBreakerOpened] != 1 || kinds[engine.NoteBreakerClosed] != 1 {
					t.Errorf("the breaker opened %d times and closed %d times", kinds[engine.NoteBreakerOpened], kinds[engine.NoteBreakerClosed])
				}
			})
		})
	}
}

// ordering is a destination that is away until a time and then counts what comes, and
// what does not come in order.
type ordering struct {
	until   time.Time
	failure error

	mu              sync.Mutex
	last            map[string]uint64
	count, disorder int
}

func (*ordering) Name() string             { return "ordering" }
func (*ordering) Limits(string) cdc.Limits { return cdc.Limits{Events: true} }

func (o *ordering) Apply(_ context.Context, batch []cdc.Delivery) error {
	if time.Now().Before(o.until) {
		return o.failure
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range batch {
		if d.Seq <= o.last[d.RecordID] {
			o.disorder++
		}
		o.last[d.RecordID] = d.Seq
		o.count++
	}
	return nil
}
