package whole

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/keylock"
)

// secondLook is how long a remote store may still apply what its client gave up on.
const secondLook = 5 * time.Second

var (
	errStore = errors.New("the store does not answer")
	errDead  = errors.New("the process is dead")
)

// record is what the store has of one, and all that was ever applied to it.
type record struct {
	state   cdc.Record // nil if it is absent
	applied []*write
	gap     bool // not all that was applied was captured, as the user chose
}

// write is one that the application made.
type write struct {
	cdc.Change        // as announced
	n          int    // counts the writes
	place      int    // among those applied to the record, from 1; 0 if it was not
	seq        uint64 // as the journal has it, 0 if it was not seen there

	life      int       // in which it was announced, 0 if it was not
	announced time.Time // no later than this
	exposed   bool      // it was not flushed when the power was lost
	lost      bool      // and is not in the journal
}

// after is the record after the write.
func (wr *write) after() cdc.Record {
	if wr.Op == cdc.Deleted {
		return nil
	}
	return wr.Data
}

// apply changes the store. If the announcement was lost with the power, nobody waited for
// what arrives late. The caller holds the world's mutex.
func (w *world) apply(wr *write) {
	r := w.records[wr.RecordKey()]
	switch old := !r.state.Equal(stateBefore(wr.Change)); {
	case old && wr.exposed && w.Sync != journal.SyncAlways:
		r.gap = true
	case old:
		w.violation("%v is made of an old state of its record", wr)
	}
	r.applied = append(r.applied, wr)
	wr.place = len(r.applied)
	r.state = wr.after()
	w.log("applied %v", wr)
}

func stateBefore(c cdc.Change) cdc.Record {
	if c.Op == cdc.Deleted {
		return c.Data
	}
	return c.Before
}

func (wr *write) String() string { return fmt.Sprintf("%d:%s/%s", wr.n, wr.Op, wr.RecordID) }

// source is the store as a process uses it.
type source struct {
	cdc.Hook
	p     *process
	locks keylock.Set
}

var (
	_ cdc.Source  = (*source)(nil)
	_ cdc.Reader  = (*source)(nil)
	_ cdc.Scanner = (*source)(nil)
)

func (s *source) WithLock(resource, id string, fn func()) {
	s.locks.With(cdc.Key{Resource: resource, RecordID: id}, fn)
}

func (s *source) SecondLook() time.Duration {
	if s.p.w.Remote {
		return secondLook
	}
	return 0
}

func (s *source) Read(ctx context.Context, resource, id string) (cdc.Record, bool, error) {
	w := s.p.w
	r := w.draw("read " + resource + id)
	if err := s.p.pause(ctx, s.latency(r.Float64())); err != nil {
		return nil, false, err
	}
	if w.faulty(r) {
		return nil, false, errStore
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.records[cdc.Key{Resource: resource, RecordID: id}].state
	return state, state != nil, nil
}

// present calls then with what a record is, while nobody writes it.
func (s *source) present(ctx context.Context, key cdc.Key, then func(cdc.Record, bool) error) error {
	release, err := s.locks.Lock(ctx, key)
	if err != nil {
		return err
	}
	defer release()
	state, found, err := s.Read(ctx, key.Resource, key.RecordID)
	if err != nil {
		return err
	}
	return then(state, found)
}

func (s *source) Scan(ctx context.Context, resource, after string, limit int) (rows []cdc.Row, err error) {
	w := s.p.w
	r := w.draw("scan " + resource)
	for _, id := range w.ids {
		if id <= after || len(rows) == limit {
			continue
		}
		if err := s.p.pause(ctx, s.latency(r.Float64())); err != nil {
			return nil, err
		}
		w.mu.Lock()
		if state := w.records[cdc.Key{Resource: resource, RecordID: id}].state; state != nil {
			rows = append(rows, cdc.Row{RecordID: id, Data: state, SchemaVersion: w.shapes[resource].now()})
		}
		w.mu.Unlock()
	}
	if w.faulty(r) {
		return nil, errStore
	}
	return rows, s.p.pause(ctx, s.latency(r.Float64()))
}

// latency is how long a call of the store takes.
func (s *source) latency(share float64) time.Duration {
	longest := 2 * time.Millisecond
	if s.p.w.Remote {
		longest = 400 * time.Millisecond
	}
	return time.Duration(share * float64(longest))
}

// change makes the records as choose says, all in one announcement.
func (s *source) change(choose func(key cdc.Key, before cdc.Record) *write, keys ...cdc.Key) error {
	rec, leave := s.Enter()
	defer leave()
	if rec == nil {
		return cdc.ErrStopped
	}
	release, err := s.locks.Lock(context.Background(), keys...)
	if err != nil {
		return err
	}
	defer release()
	for {
		writes, err := s.prepare(choose, keys)
		if err != nil {
			return err
		}
		changes := make([]cdc.Change, len(writes))
		for i, wr := range writes {
			changes[i] = wr.Change
		}
		pending, err := rec.Begin(context.Background(), changes...)
		if errors.Is(err, cdc.ErrStale) {
			continue
		}
		if err != nil {
			return err
		}
		s.p.announced(writes)
		for i, wr := range writes {
			s.carryOut(wr, pending[i])
		}
		return nil
	}
}

// announced notes that writes were acknowledged by the journal.
func (p *process) announced(writes []*write) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, wr := range writes {
		wr.life, wr.announced = p.life, time.Now()
	}
}

// prepare reads the records and makes the changes.
func (s *source) prepare(choose func(key cdc.Key, before cdc.Record) *write, keys []cdc.Key) ([]*write, error) {
	var writes []*write
	for _, key := range keys {
		// It is read like any other, but for the failures, which are of no interest here.
		r := s.p.w.draw("get " + key.String())
		if err := s.p.pause(context.Background(), s.latency(r.Float64())); err != nil {
			return nil, err
		}
		s.p.w.mu.Lock()
		if wr := choose(key, s.p.w.records[key].state); wr != nil {
			writes = append(writes, wr)
		}
		s.p.w.mu.Unlock()
	}
	return writes, nil
}

// carryOut applies an announced write, or does not, and tells its end.
func (s *source) carryOut(wr *write, pending cdc.Pending) {
	w := s.p.w
	r := w.draw("write " + wr.RecordKey().String())
	fate := r.Float64()
	faulty := w.faulty(r)
	before, after := s.latency(r.Float64()), s.latency(r.Float64())
	late := time.Duration(r.Int64N(int64(secondLook)))
	if s.p.send(wr, before, late, fate) != nil {
		return
	}
	switch {
	case faulty && fate < 0.4: // refused
		s.p.withdraw(wr)
		pending.Abort()
	case faulty && s.p.w.Remote && fate < 0.8: // no answer, and it is applied later, or never
		s.p.giveUp(wr, late, fate < 0.6)
		pending.Doubt(errStore)
	case faulty && s.p.w.Remote: // applied, and the answer is lost
		if s.p.arrive(wr) == nil {
			pending.Doubt(errStore)
		}
	default:
		if s.p.arrive(wr) != nil || s.p.pause(context.Background(), after) != nil {
			return
		}
		pending.Commit()
	}
}

// send puts a write on the way to the store.
func (p *process) send(wr *write, takes, late time.Duration, fate float64) error {
	p.w.mu.Lock()
	if p.isDead {
		p.w.mu.Unlock()
		return errDead
	}
	p.onTheWay = append(p.onTheWay, request{wr, late, fate < 0.5})
	p.w.mu.Unlock()
	return p.pause(context.Background(), takes)
}

// request is a write that a remote store may apply although the process dies.
type request struct {
	write   *write
	late    time.Duration
	applied bool
}

// withdraw takes a write back that was not applied.
func (p *process) withdraw(wr *write) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.onTheWay = slices.DeleteFunc(p.onTheWay, func(r request) bool { return r.write == wr })
}

// arrive applies a write, unless the process died with it.
func (p *process) arrive(wr *write) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.isDead {
		return errDead
	}
	p.onTheWay = slices.DeleteFunc(p.onTheWay, func(r request) bool { return r.write == wr })
	p.w.apply(wr)
	return nil
}

// giveUp leaves a write to the store, which may apply it later.
func (p *process) giveUp(wr *write, late time.Duration, applies bool) {
	p.withdraw(wr)
	if applies {
		p.w.late(wr, late)
	}
}

// late applies a write after its client gave up.
func (w *world) late(wr *write, d time.Duration) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log("late")
		w.apply(wr)
	})
}
