package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// destination is an engine with what it is asked about. A destination that is detached
// gets a new engine.
type destination struct {
	name, driver string
	make         func() *engine.Engine // not started

	mu     sync.Mutex // guards engine
	engine *engine.Engine
}

func (d *destination) present() *engine.Engine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.engine
}

// start brings up a new engine in the place of the one that was stopped.
func (d *destination) start(ctx context.Context) error {
	e := d.make()
	d.mu.Lock()
	d.engine = e
	d.mu.Unlock()
	return e.Start(ctx)
}

// openJournal opens the journal, and what watches over its disk budget.
func (r *Replicator) openJournal(run *running) error {
	run.relief = newRelief()
	if r.opts.Volatile {
		run.journal = journal.NewMemory(journal.MemoryOptions{MaxBytes: int(r.opts.MaxJournalBytes)})
		return nil
	}
	o := r.opts.journal()
	o.Pressure = func(p journal.Pressure) { r.pressed(run, p) }
	j, err := journal.Open(run.fs, o)
	if err != nil {
		return err
	}
	run.journal, run.relief.slowest = j, j.Slowest
	return nil
}

// relief detaches destinations when the journal is full, from a goroutine of its own:
// the journal tells from the one that writes, and must not be kept waiting.
type relief struct {
	slowest func() (cursor string, low uint64, found bool)

	full   chan struct{} // holds one value when the journal was said to be full
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func newRelief() *relief {
	r := &relief{full: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// tell notes that the journal is full. It never waits.
func (r *relief) tell() {
	select {
	case r.full <- struct{}{}:
	default:
	}
}

func (r *relief) stop() {
	r.cancel()
	r.work.Wait()
}

// pressed turns what the journal tells of its disk budget into an event.
func (r *Replicator) pressed(run *running, p journal.Pressure) {
	pressure := pressures[p]
	r.hub.Publish(Event{Kind: JournalPressure, Time: time.Now(), Reason: string(pressure)})
	r.opts.Logger.Warn("journal: the disk budget", "pressure", pressure)
	if p == journal.PressureFull && r.opts.OnFull == DetachSlowest {
		run.relief.tell()
	}
}

// relieve detaches one destination after the other, the slowest first, until the
// journal has room.
func (r *Replicator) relieve(run *running) {
	// The journal sees within a second that segments were deleted.
	const again = 2 * time.Second
	for {
		select {
		case <-run.relief.full:
		case <-run.relief.ctx.Done():
			return
		}
		for run.journal.Stats().Pressure == journal.PressureFull && run.relief.ctx.Err() == nil {
			name, _, found := run.relief.slowest()
			if found {
				if err := r.detach(run, name); err != nil {
					r.opts.Logger.Error("a destination can't be detached", "destination", name, "error", err)
				}
			}
			pause := time.NewTimer(again)
			select {
			case <-pause.C:
			case <-run.relief.ctx.Done():
				pause.Stop()
			}
		}
	}
}

// detach moves a destination to the journal's end: its engine is stopped, the log
// gets a row, the cursor is moved, a new engine starts from there. If anything but the
// start fails, the destination stays stopped where it was.
func (r *Replicator) detach(run *running, name string) error {
	d := run.find(name)
	if d == nil {
		return errors.New("it is not configured")
	}
	ctx, cancel := context.WithTimeout(run.relief.ctx, time.Second)
	defer cancel()
	if err := d.present().Stop(ctx); err != nil {
		return err
	}
	cursor, _ := run.journal.Cursor(name)
	from, to := cursor.Low+1, run.journal.Stats().Durable
	if from <= to {
		oldest, err := run.oldest(name, from, to)
		if err != nil {
			return err
		}
		gone := fmt.Errorf("the journal was full: the changes from seq %d to %d are not delivered here", from, to)
		if oldest != nil {
			// What the change held stays out: the row is about all of them.
			change := Change{ChangeID: oldest.ChangeID, Seq: oldest.Seq, Version: oldest.Version, Op: oldest.Op,
				Resource: oldest.Resource, RecordID: oldest.RecordID, Time: oldest.Time}
			row := ledger.Row{Destination: name, Driver: d.driver, Status: ledger.Failed, Time: time.Now(), Error: gone.Error(), Change: change}
			if err := run.ledger.Put(row); err != nil {
				return err
			}
		}
		if err := run.journal.SaveCursor(name, journal.Cursor{Low: to}); err != nil {
			return err
		}
		r.hub.Publish(Event{Kind: JournalPressure, Time: time.Now(), Destination: name, Reason: string(PressureFull), Err: gone})
		r.opts.Logger.Warn("destination detached", "destination", name, "from", from, "to", to)
	}
	return d.start(run.relief.ctx)
}

// oldest gives the first change for a destination in a part of the journal.
func (run *running) oldest(name string, from, to uint64) (*cdc.Change, error) {
	reader, err := run.journal.ReadFor(name, from-1)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for seq := from; seq <= to; {
		entries, err := reader.Next(1)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Kind == journal.Committed {
				return e.Change, nil
			}
			seq = e.Change.Seq + 1
		}
	}
	return nil, nil
}

func (run *running) find(name string) *destination {
	for _, d := range run.engines {
		if d.name == name {
			return d
		}
	}
	return nil
}
