package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/memory"
)

// leftBacklog is what was measured while a backlog was left, behind few waiting changes
// and behind many: appends per second, and µs of the processors per append.
type leftBacklog struct{ Small, Large, SmallCPU, LargeCPU sample }

// foundBacklog is what was measured when it was found: the time from the process's
// start to the first delivery, and the bytes of objects in the heap from then on.
type foundBacklog struct {
	First time.Duration
	Heap  uint64
}

const (
	// fewChanges is what the small backlog begins with.
	fewChanges = 10_000
	// backlogCallers append at the same time.
	backlogCallers = 64
)

// synthetic is a source whose records nobody keeps.
type synthetic struct {
	recorder cdc.Recorder
	last     atomic.Int64
}

func (s *synthetic) Capture(r cdc.Recorder) (release func(), err error) {
	s.recorder = r
	return func() {}, nil
}

func (s *synthetic) changes(n int) []cdc.Change {
	changes := make([]cdc.Change, n)
	for i := range changes {
		id := fmt.Sprintf("o-%012d", s.last.Add(1))
		changes[i] = cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: id,
			Data: cdc.Record{"id": id, "total": 129.5, "customer": "c-4711", "paid": true}}
	}
	return changes
}

func (s *synthetic) do(int) error { return s.recorder.Append(context.Background(), s.changes(1)...) }

// backlog is a replicator whose one destination takes nothing.
type backlog struct {
	*synthetic
	replicator *replicator.Replicator
}

func openBacklog(dir string, before func(context.Context, []cdc.Delivery) error) (*backlog, error) {
	b := &backlog{synthetic: new(synthetic)}
	var err error
	b.replicator, err = replicator.New(b, replicator.Options{Dir: dir, Destinations: []replicator.Destination{{
		Driver: memory.New(memory.Options{Before: before}),
		Routes: replicator.Routes("orders"),
	}}})
	if err != nil {
		return nil, err
	}
	return b, b.replicator.Start(context.Background())
}

func away(context.Context, []cdc.Delivery) error { return cdc.Unavailable(errors.New("away")) }

// fill appends many changes at a time, from several callers.
func (b *backlog) fill(n int) error {
	const piece = 1000
	var left atomic.Int64
	left.Store(int64(n))
	errs := make([]error, 2*runtime.GOMAXPROCS(0))
	var filling sync.WaitGroup
	for i := range errs {
		filling.Go(func() {
			for errs[i] == nil {
				rest := left.Add(-piece) + piece
				if rest <= 0 {
					return
				}
				errs[i] = b.recorder.Append(context.Background(), b.changes(int(min(rest, piece)))...)
			}
		})
	}
	filling.Wait()
	return errors.Join(errs...)
}

// Close stops the replicator as it is, with everything still waiting.
func (b *backlog) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.replicator.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// leaveBacklog makes the large backlog, and measures in turns what it is to append to
// it and to a small one. The process then ends without Stop, so that the next one has
// to recover.
func leaveBacklog(c config) (leftBacklog, error) {
	var result leftBacklog
	large, err := openBacklog(filepath.Join(c.dir, "large"), away)
	if err != nil {
		return result, err
	}
	if err := large.fill(c.changes); err != nil {
		return result, err
	}
	for range c.rounds {
		if err := result.measure(c, large); err != nil {
			return result, err
		}
	}
	return result, nil
}

func (r *leftBacklog) measure(c config, large *backlog) (err error) {
	dir := filepath.Join(c.dir, "small")
	small, err := openBacklog(dir, away)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, small.Close(), os.RemoveAll(dir)) }()
	if err := small.fill(min(fewChanges, c.changes)); err != nil {
		return err
	}
	for _, turn := range []struct {
		on        *backlog
		rate, cpu *sample
	}{{small, &r.Small, &r.SmallCPU}, {large, &r.Large, &r.LargeCPU}} {
		// As in every case, the first part is not counted.
		if _, err := drive(turn.on, backlogCallers, c.time/2); err != nil {
			return err
		}
		runtime.GC()
		p, err := drive(turn.on, backlogCallers, c.time)
		if err != nil {
			return err
		}
		*turn.rate, *turn.cpu = append(*turn.rate, p.rate), append(*turn.cpu, p.cpu)
	}
	return nil
}

// findBacklog starts on a backlog, and measures until the memory is what it will be:
// the destination holds on to its first batches, so that all that may be loaded is.
func findBacklog(dir string, born time.Time) (foundBacklog, error) {
	first := make(chan time.Duration, 1)
	release := make(chan struct{})
	b, err := openBacklog(dir, func(context.Context, []cdc.Delivery) error {
		select {
		case first <- time.Since(born):
		default:
		}
		<-release
		return cdc.Unavailable(errors.New("seen enough"))
	})
	if err != nil {
		return foundBacklog{}, err
	}
	result := foundBacklog{First: <-first}
	// The highest of some looks, since loading goes on after the first delivery.
	for range 10 {
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		result.Heap = max(result.Heap, m.HeapAlloc)
	}
	close(release)
	return result, b.Close()
}
