package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
)

var errRefused = errors.New("the role may not create tables")

// destination is the model of a driver and what is behind it.
type destination struct {
	synced map[string]int // schema versions by target
	calls  int
}

func (d *destination) init() { d.synced = map[string]int{} }

func (w *world) limits(target string) cdc.Limits {
	return cdc.Limits{
		Items: w.items, Bytes: w.batchBytes, Concurrency: w.concurrency,
		Events: target == events, Ordered: w.ordered, Rows: w.style,
	}
}

// down gives the error of an outage, nil if there is none.
func (w *world) down() error {
	for i, o := range w.outages {
		if !w.now.Before(o.from) && w.now.Before(o.to) && w.now.Before(w.healthy) {
			if i == 1 { // not every driver knows an outage when it sees one
				return errors.New("something went wrong")
			}
			return cdc.Unavailable(errors.New("connection refused"))
		}
	}
	return nil
}

func (w *world) openError() error {
	if w.faulty() {
		return errors.New("does not answer")
	}
	return w.down()
}

func (w *world) sync(a engine.Sync) {
	version := w.schema
	w.after(w.jitter(), w.epoch, func() {
		err := w.down()
		if err == nil && w.faulty() {
			err = errors.New("a lock could not be had")
			if w.chance(0.2) {
				err = cdc.Permanent(errRefused)
			}
		}
		if err == nil {
			w.synced[a.Target] = version
		}
		w.tell(engine.Synced{Sync: a, Version: version, Err: err})
	})
}

// apply is the call of a driver: it takes a while, changes the destination at some
// moment in between, and may answer long after its timeout.
func (w *world) apply(a *engine.Attempt) {
	w.checkAttempt(a)
	took := time.Duration(w.rnd.IntN(200)) * time.Millisecond
	stuck := false
	if w.now.Before(w.healthy) {
		switch {
		case w.chance(0.05):
			took = time.Duration(w.rnd.IntN(25)) * time.Second
		case w.chance(w.faults / 10):
			took, stuck = w.set.Timeout+time.Duration(w.rnd.IntN(300))*time.Second, true
		}
	}
	w.calls++
	id := w.calls
	w.log("apply %d: %s", id, batch{a})
	// The moment of the change is anywhere; the answer is on its way for the rest.
	work := time.Duration(w.rnd.Int64N(int64(took) + 1))
	w.after(work, w.epoch, func() {
		err := w.answer(a, stuck)
		w.after(took-work, w.epoch, func() {
			w.log("answer %d: %v", id, err)
			w.answered(a, err)
			w.tell(engine.Finished{Attempt: a, Err: err, Took: took})
		})
	})
}

// answer changes the destination and gives what the driver says about it.
func (w *world) answer(a *engine.Attempt, stuck bool) error {
	if err := w.down(); err != nil {
		return err
	}
	fates := w.fatesOf(a)
	for _, f := range fates {
		if f.poison == deadly {
			return cdc.Unavailable(errors.New("connection reset"))
		}
	}
	if stuck && w.chance(0.5) {
		return context.DeadlineExceeded
	}
	n := len(fates)
	items := &cdc.BatchError{Errs: make([]error, n)}
	var first error
	for i, f := range fates {
		err := w.itemError(f)
		if i > 0 && w.limits(a.Target).Ordered && f.verdict.Lane == fates[i-1].verdict.Lane && items.Errs[i-1] != nil {
			err = errors.New("not reached")
		}
		items.Errs[i] = err
		if first == nil {
			first = err
		}
	}
	if first != nil && w.chance(0.4) {
		return first // all or nothing: the batch was one transaction
	}
	for i, f := range fates {
		if items.Errs[i] == nil {
			w.accept(f, a.Deliveries[i])
		}
	}
	switch {
	case w.faulty() && w.chance(0.3):
		return errors.New("the answer was lost")
	case w.faulty() && w.chance(0.1):
		return &cdc.BatchError{Errs: make([]error, n+1-2*w.rnd.IntN(2))}
	case stuck && w.chance(0.5):
		return context.DeadlineExceeded
	case first == nil && w.chance(0.8):
		return nil
	}
	if w.limits(a.Target).Ordered {
		// A driver need not mark what stands behind a failure.
		for i := n - 1; i > 0; i-- {
			if fates[i].verdict.Lane == fates[i-1].verdict.Lane && items.Errs[i-1] != nil && w.chance(0.5) {
				items.Errs[i] = nil
			}
		}
	}
	if w.chance(0.3) {
		return fmt.Errorf("apply: %w", items)
	}
	return items
}

// itemError is why the destination refuses a delivery, nil if it does not.
func (w *world) itemError(f *fate) error {
	switch f.poison {
	case permanent:
		return cdc.Permanent(errors.New("the value is out of range"))
	case transient:
		return errors.New("internal error")
	}
	if !w.faulty() {
		return nil
	}
	switch w.rnd.IntN(4) {
	case 0:
		return cdc.RetryAfter(errors.New("slow down"), time.Duration(w.rnd.IntN(600))*time.Second)
	case 1:
		return cdc.Unavailable(errors.New("connection reset"))
	}
	return errors.New("deadlock detected")
}

// batch names the deliveries of an attempt, if anybody asks.
type batch struct{ *engine.Attempt }

func (b batch) String() string {
	names := []string{b.Target}
	for _, d := range b.Deliveries {
		names = append(names, fmt.Sprintf("%d:%s/%s", d.Seq, d.Op, d.RecordID))
	}
	return strings.Join(names, " ")
}
