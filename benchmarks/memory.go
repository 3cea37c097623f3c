package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
)

// memoryCase measures what the replicator keeps in memory: for each destination, and for
// each change that waits or is parked. What the first ones cost is not counted, so that
// buffers of a fixed size are left out: the difference between few and many is.
func memoryCase(c config, emit func(line)) error {
	measure := func(name, unit string, figure func(dir string) (float64, error)) error {
		var s sample
		for range c.rounds {
			v, err := inDirectory(c, figure)
			if err != nil {
				return err
			}
			s = append(s, v)
		}
		emit(line{Case: "memory-" + name, Ours: round(s.median()), Unit: unit, N: len(s)})
		return nil
	}
	idle := map[int]sample{}
	for _, fan := range []int{1, 16, 64} {
		err := measure(fmt.Sprintf("goroutines/%d", fan), "goroutines", func(dir string) (float64, error) {
			heap, goroutines, err := idleMemory(dir, fan)
			idle[fan] = append(idle[fan], heap)
			return goroutines, err
		})
		if err != nil {
			return err
		}
	}
	few, many := idle[1], idle[64]
	emit(line{Case: "memory-destination", Ours: round((many.median() - few.median()) / 63), Unit: "bytes/destination", N: len(few)})
	err := measure("waiting", "bytes/change", func(dir string) (float64, error) { return heldMemory(dir, holdsOn, 60_000, 400_000, 0) })
	if err != nil {
		return err
	}
	return measure("parked", "bytes/change", func(dir string) (float64, error) { return heldMemory(dir, putsOff, 60_000, 200_000, 200_000) })
}

// heapNow is what the objects in the heap take after a collection.
func heapNow() float64 {
	runtime.GC()
	runtime.GC() // what a pool held is freed by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// idleMemory gives what a replicator with nothing to do takes.
func idleMemory(dir string, fan int) (heap, goroutines float64, err error) {
	before, running := heapNow(), runtime.NumGoroutine()
	change, err := changeOf(recordSize)
	if err != nil {
		return 0, 0, err
	}
	f, err := openFan(dir, fan, 1, change)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return heapNow() - before, float64(runtime.NumGoroutine() - running), nil
}

// holder is a destination that takes nothing.
type holder struct {
	apply func(ctx context.Context, batch []cdc.Delivery) error
}

func (*holder) Name() string { return "holder" }

func (*holder) Limits(string) cdc.Limits { return cdc.Limits{Events: true} }

func (h *holder) Apply(ctx context.Context, batch []cdc.Delivery) error { return h.apply(ctx, batch) }

// holdsOn holds on to its first batches, so that all else waits.
func holdsOn(ctx context.Context, _ []cdc.Delivery) error {
	<-ctx.Done()
	return ctx.Err()
}

// putsOff asks for a delivery to come again much later, so that all behind it are
// parked.
func putsOff(_ context.Context, batch []cdc.Delivery) error {
	errs := make([]error, len(batch))
	for i := range errs {
		errs[i] = cdc.RetryAfter(errors.New("later"), time.Hour)
	}
	return &cdc.BatchError{Errs: errs}
}

// heldMemory gives by how much the heap grows with every change between few and many.
func heldMemory(dir string, apply func(context.Context, []cdc.Delivery) error, few, many, parks int) (grown float64, err error) {
	change, err := changeOf(recordSize)
	if err != nil {
		return 0, err
	}
	f := &fanout{synthetic: new(synthetic), change: change}
	const name = "holder"
	f.replicator, err = replicator.New(f.synthetic, replicator.Options{Dir: dir, Timeout: time.Hour, Destinations: []replicator.Destination{{
		Name: name, Driver: &holder{apply}, Routes: replicator.Routes(change.Resource),
	}}})
	if err != nil {
		return 0, err
	}
	if err := f.replicator.Start(context.Background()); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, (&backlog{f.synthetic, f.replicator}).Close()) }()
	heap := func(count int) (float64, error) {
		const piece = 1000
		changes := make([]cdc.Change, piece)
		for f.last.Load() < int64(count) {
			for i := range changes {
				changes[i] = f.next()
				changes[i].Data = change.Data // one key, so that all stand behind the first
			}
			if err := f.recorder.Append(context.Background(), changes...); err != nil {
				return 0, err
			}
		}
		clear(changes)
		f.settleDown(name)
		return heapNow(), nil
	}
	first, err := heap(few)
	if err != nil {
		return 0, err
	}
	last, err := heap(many)
	if err != nil {
		return 0, err
	}
	// That it is what it is called: what is loaded of the waiting is at most a window's.
	const window = 16 << 20 / recordSize
	if parked := f.replicator.Stats().Destinations[name].Parked; parked < parks || parks == 0 && parked > window {
		return 0, fmt.Errorf("%d changes are parked, of %d", parked, many)
	}
	return (last - first) / float64(many-few), nil
}

// settleDown returns when a destination has stopped moving.
func (f *fanout) settleDown(name string) {
	for last := (replicator.DestinationStats{}); ; {
		now := f.replicator.Stats().Destinations[name]
		if now.Parked == last.Parked && now.Attempts == last.Attempts && now.Wanted == last.Wanted {
			return
		}
		last = now
		time.Sleep(300 * time.Millisecond)
	}
}
