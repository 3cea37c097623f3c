package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

const (
	// fanoutCallers bring changes at the same time.
	fanoutCallers = 64
	// fanoutWindow is how many changes may be under way. Whoever brings another one
	// waits, so that nobody wins by letting a backlog grow.
	fanoutWindow = 16 << 10
	// judgedFan is the number of destinations at which the peers are measured too.
	judgedFan = 16
)

// fanoutCase measures how many changes a second get to many destinations, each of which
// takes every change and does nothing with it. Ours makes each one durable first; the
// peers keep them in memory.
func fanoutCase(c config, emit func(line)) error {
	change, err := changeOf(recordSize)
	if err != nil {
		return err
	}
	contend := func(name string, open func(string, int, cdc.Change) (session, error), fan int) contender {
		return contender{name, func(dir string) (session, error) { return open(dir, fan, change) }}
	}
	for _, fan := range []int{1, judgedFan, 64} {
		contenders := []contender{contend("ours", openFanout, fan)}
		if fan == judgedFan {
			contenders = append(contenders, contend("watermill", openWatermill, fan), contend("benthos", openBenthos, fan),
				contend("ours again", openFanout, fan))
		}
		samples, err := compare(c, fanoutCallers, contenders)
		if err != nil {
			return err
		}
		ours := samples["ours"]
		l := line{Case: fmt.Sprintf("fanout/%d", fan), Ours: round(ours.rate.median()), Unit: "changes/s", N: len(ours.rate), Spread: round(ours.rate.spread())}
		if fan == judgedFan {
			l.Peers = map[string]float64{"watermill": round(samples["watermill"].rate.median()), "benthos": round(samples["benthos"].rate.median())}
			l = l.judged()
		}
		emit(l)
		if fan == judgedFan {
			l.Case, l.RatioPeer = "fanout-aa/"+strconv.Itoa(fan), 0
			l.Peers = map[string]float64{"ours again": round(samples["ours again"].rate.median())}
			emit(l)
		}
		cpu := line{Case: fmt.Sprintf("fanout-cpu/%d", fan), Unit: "µs/delivery", N: len(ours.cpu), Spread: round(ours.cpu.spread())}
		each := func(of string) float64 { return round(samples[of].cpu.median() / float64(fan)) }
		cpu.Ours = each("ours")
		if fan == judgedFan {
			cpu.Peers = map[string]float64{"watermill": each("watermill"), "benthos": each("benthos")}
		}
		emit(cpu)
	}
	return drainCase(c, change, emit)
}

// drainCase measures what is delivered a second of changes that waited.
func drainCase(c config, change cdc.Change, emit func(line)) error {
	const waiting = 100_000
	var rates sample
	for range c.rounds {
		rate, err := inDirectory(c, func(dir string) (float64, error) { return drain(dir, change, waiting) })
		if err != nil {
			return err
		}
		rates = append(rates, rate)
	}
	emit(line{Case: fmt.Sprintf("fanout-drain/%d", judgedFan), Ours: round(rates.median()), Unit: "changes/s", N: len(rates), Spread: round(rates.spread())})
	return nil
}

func drain(dir string, change cdc.Change, waiting int) (rate float64, err error) {
	f, err := openFan(dir, judgedFan, waiting, change)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const piece = 1000
	changes := make([]cdc.Change, piece)
	f.gauge.closed.Lock()
	for range waiting / piece {
		for i := range changes {
			changes[i] = f.next()
			f.gauge.take()
		}
		if err := f.recorder.Append(context.Background(), changes...); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	f.gauge.closed.Unlock()
	f.gauge.wait()
	return float64(waiting) / time.Since(began).Seconds(), nil
}

// gauge counts what arrives at a number of destinations, and lets no more be brought
// than its window holds.
type gauge struct {
	fan       int64
	window    chan struct{} // a place for each change that is under way
	delivered atomic.Int64  // deliveries
	closed    sync.RWMutex  // who holds it keeps the destinations from taking anything
}

func newGauge(fan, window int) *gauge {
	return &gauge{fan: int64(fan), window: make(chan struct{}, window)}
}

// take takes a place for a change.
func (g *gauge) take() { g.window <- struct{}{} }

// arrived counts deliveries, and frees a place whenever as many have arrived as there
// are destinations.
func (g *gauge) arrived(n int) {
	g.closed.RLock()
	defer g.closed.RUnlock()
	after := g.delivered.Add(int64(n))
	for range after/g.fan - (after-int64(n))/g.fan {
		<-g.window
	}
}

// wait returns when nothing is under way. Nobody may take a place meanwhile.
func (g *gauge) wait() {
	for range cap(g.window) {
		g.window <- struct{}{}
	}
	for range cap(g.window) {
		<-g.window
	}
}

// sink is a destination that takes everything as an event.
type sink struct{ gauge *gauge }

func (*sink) Name() string { return "sink" }

func (*sink) Limits(string) cdc.Limits { return cdc.Limits{Events: true} }

func (s *sink) Apply(_ context.Context, batch []cdc.Delivery) error {
	s.gauge.arrived(len(batch))
	return nil
}

// fanout is our way from a source to many sinks.
type fanout struct {
	*synthetic
	gauge      *gauge
	change     cdc.Change
	replicator *replicator.Replicator
}

func openFanout(dir string, fan int, change cdc.Change) (session, error) {
	return openFan(dir, fan, fanoutWindow, change)
}

func openFan(dir string, fan, window int, change cdc.Change) (*fanout, error) {
	f := &fanout{synthetic: new(synthetic), gauge: newGauge(fan, window), change: change}
	opts := replicator.Options{Dir: dir}
	for i := range fan {
		opts.Destinations = append(opts.Destinations, replicator.Destination{
			Name: fmt.Sprintf("sink-%d", i), Driver: &sink{f.gauge}, Routes: replicator.Routes(change.Resource),
		})
	}
	var err error
	if f.replicator, err = replicator.New(f.synthetic, opts); err != nil {
		return nil, err
	}
	return f, f.replicator.Start(context.Background())
}

// next gives a change of a record that had none yet.
func (f *fanout) next() cdc.Change {
	c := f.change
	c.ChangeID = cdc.ID{}
	c.RecordID = recordID(f.last.Add(1))
	// The key at a target is the id in the record: with one for all, all would stand in one lane.
	c.Data = c.Data.Clone()
	c.Data["id"] = c.RecordID
	return c
}

func recordID(n int64) string { return "o-" + strconv.FormatInt(n, 10) }

func (f *fanout) do(int) error {
	f.gauge.take()
	return f.recorder.Append(context.Background(), f.next())
}

func (f *fanout) drain() { f.gauge.wait() }

func (f *fanout) Close() error { return f.replicator.Stop(context.Background()) }

// encoded gives what the peers are handed: the change as bytes, as it stands in our
// journal too.
func encoded(change cdc.Change, n int64) (id string, payload []byte, err error) {
	change.RecordID = recordID(n)
	payload, err = codec.AppendChange(nil, &change)
	return change.RecordID, payload, err
}
