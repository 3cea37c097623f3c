package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// contender is one way of doing the work that a case is about.
type contender struct {
	name string
	open func(dir string) (session, error)
}

// session does it, in a directory of its own.
type session interface {
	// do does the work once. Each caller is a goroutine, and has a number.
	do(caller int) error
	Close() error
}

// drainer is a session whose work goes on when do has returned.
type drainer interface {
	// drain returns when all of it is done. Nobody calls do meanwhile.
	drain()
}

// sample is what was measured of one contender, a figure for each round.
type sample []float64

func (s sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// spread is the width of the sample as a part of its median.
func (s sample) spread() float64 { return (slices.Max(s) - slices.Min(s)) / s.median() }

// measured is what was found out about a contender: how often it did the work per
// second, and what each time took of the processors.
type measured struct{ rate, cpu sample }

// pace is what one measurement gives.
type pace struct {
	rate float64 // per second
	cpu  float64 // µs of a processor each
}

// compare measures the contenders in turns, each in a new directory.
func compare(c config, callers int, contenders []contender) (map[string]measured, error) {
	var turns []turn
	for _, each := range contenders {
		turns = append(turns, turn{each.name, func() (pace, error) { return measure(c, callers, each) }})
	}
	return inTurns(c, callers, turns)
}

// turn is one measurement of a contender.
type turn struct {
	name string
	take func() (pace, error)
}

// inTurns measures contenders, of which each says itself how.
func inTurns(c config, callers int, turns []turn) (map[string]measured, error) {
	samples := map[string]measured{}
	for round := range c.rounds {
		for _, i := range order(round, len(turns)) {
			each := turns[i]
			var p pace
			var err error
			pprof.Do(context.Background(), pprof.Labels("contender", fmt.Sprintf("%s/%d", each.name, callers)), func(context.Context) {
				p, err = each.take()
			})
			if err != nil {
				return nil, fmt.Errorf("%s, %d callers: %w", each.name, callers, err)
			}
			m := samples[each.name]
			samples[each.name] = measured{append(m.rate, p.rate), append(m.cpu, p.cpu)}
		}
	}
	return samples, nil
}

// order gives the order of n contenders in a round. Over n rounds, 2n where n is odd, each
// follows every other equally often (a Williams design): whoever comes behind one that
// leaves a server with garbage, or the processors warm, pays for that.
func order(round, n int) []int {
	out := make([]int, n)
	for i := range out {
		place := i / 2 // 0, n-1, 1, n-2, 2 and so on
		if i%2 == 1 {
			place = n - 1 - place
		}
		out[i] = (place + round) % n
	}
	if round/n%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// measure opens a contender in a new directory and gives its pace once it runs.
func measure(c config, callers int, each contender) (pace, error) {
	return inDirectory(c, func(dir string) (pace, error) { return measureIn(dir, c, callers, each) })
}

// inDirectory gives what fn finds out in a new directory, which it then removes.
func inDirectory[T any](c config, fn func(dir string) (T, error)) (result T, err error) {
	dir, err := os.MkdirTemp(c.dir, "benchmark-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return fn(dir)
}

func measureIn(dir string, c config, callers int, each contender) (p pace, err error) {
	s, err := each.open(dir)
	if err != nil {
		return pace{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// The first part is not counted: files grow to their size, buffers to theirs.
	if _, err := drive(s, callers, c.time/2); err != nil {
		return pace{}, err
	}
	runtime.GC() // nobody pays for another's garbage
	return drive(s, callers, c.time)
}

// drive lets the callers work for a while, and gives their pace.
func drive(s session, callers int, d time.Duration) (pace, error) {
	var stop atomic.Bool
	var running sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	began, used := time.Now(), processorTime()
	defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	for i := range callers {
		running.Go(func() {
			n := 0
			for ; !stop.Load() && errs[i] == nil; n++ {
				errs[i] = s.do(i)
			}
			counts[i] = n
		})
	}
	running.Wait()
	if d, ok := s.(drainer); ok {
		d.drain()
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return pace{
		rate: float64(total) / time.Since(began).Seconds(),
		cpu:  float64(processorTime()-used) / float64(time.Microsecond) / float64(total),
	}, errors.Join(errs...)
}
