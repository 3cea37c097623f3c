package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
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

// compare measures the contenders in turns, and gives each one's rates per second.
// Every round begins with another one, so that none always follows the same
// neighbour.
func compare(c config, callers int, contenders []contender) (map[string]sample, error) {
	samples := map[string]sample{}
	for round := range c.rounds {
		for i := range contenders {
			each := contenders[(i+round)%len(contenders)]
			var rate float64
			var err error
			pprof.Do(context.Background(), pprof.Labels("contender", each.name, "callers", strconv.Itoa(callers)), func(context.Context) {
				rate, err = measure(c, callers, each)
			})
			if err != nil {
				return nil, fmt.Errorf("%s, %d callers: %w", each.name, callers, err)
			}
			samples[each.name] = append(samples[each.name], rate)
		}
	}
	return samples, nil
}

// measure opens a contender in a new directory and gives its rate once it runs.
func measure(c config, callers int, each contender) (rate float64, err error) {
	dir, err := os.MkdirTemp(c.dir, "benchmark-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := each.open(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// The first part is not counted: files grow to their size, buffers to theirs.
	if _, err := drive(s, callers, c.time/2); err != nil {
		return 0, err
	}
	runtime.GC() // nobody pays for another's garbage
	return drive(s, callers, c.time)
}

// drive lets the callers work for a while, and gives how often per second they did.
func drive(s session, callers int, d time.Duration) (rate float64, err error) {
	var stop atomic.Bool
	var running sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	began := time.Now()
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
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), errors.Join(errs...)
}
