package replicator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// openJournal opens the journal, and what watches over its disk budget.
func (r *Replicator) openJournal(run *running) error {
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

// relief detaches destinations when the journal is full, in the background: the journal
// tells from the goroutine that writes, and must not be kept waiting.
type relief struct {
	slowest func() (cursor string, low uint64, found bool)
	full    chan struct{} // holds one value when the journal was said to be full
}

func newRelief() *relief { return &relief{full: make(chan struct{}, 1)} }

// tell notes that the journal is full. It never waits.
func (r *relief) tell() {
	select {
	case r.full <- struct{}{}:
	default:
	}
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
func (r *Replicator) relieve(ctx context.Context, run *running) {
	// The journal sees within a second that segments were deleted.
	const again = 2 * time.Second
	for {
		select {
		case <-run.relief.full:
		case <-ctx.Done():
			return
		}
		for run.journal.Stats().Pressure == journal.PressureFull && ctx.Err() == nil {
			if name, _, found := run.relief.slowest(); found {
				if err := r.detach(ctx, run, name); err != nil {
					r.opts.Logger.Error("a destination can't be detached", "destination", name, "error", err)
				}
			}
			_ = sleep(ctx, again)
		}
		if err := run.recorder.NoteSchemas(ctx); err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn("a schema is not noted yet; the resource's next write tries again", "error", err)
		}
	}
}

// detach moves a destination to the journal's end and lets it go on from there. Where it
// holds state, and the source can be scanned, it is backfilled with what is present by
// then, as soon as it takes anything.
func (r *Replicator) detach(ctx context.Context, run *running, name string) error {
	d := run.find(name)
	if d == nil {
		return errors.New("it is not configured")
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := d.take(short); err != nil {
		return err
	}
	defer d.give()
	resting := d.is(paused)
	if err := d.halt(short); err != nil {
		// It is about calls that were left, and about a cursor that is replaced now.
		r.opts.Logger.Warn("stopping a destination to detach it", "destination", name, "error", err)
	}
	err := r.letGo(ctx, run, d)
	if resting {
		d.become(paused, nil)
	} else {
		r.goOn(ctx, run, d)
	}
	return err
}

// letGo puts down in the log what a destination lets go of, and for a backfill what that
// takes; then it moves the cursor. The notes of schemas that it skips with the changes come
// anew, as for a destination that is new there. The destination is halted, and the caller
// has its turn.
func (r *Replicator) letGo(ctx context.Context, run *running, d *destination) error {
	cursor, _ := run.journal.Cursor(d.Name)
	from, to := cursor.Low+1, run.journal.Stats().Durable
	if from > to {
		return nil
	}
	oldest, err := run.oldest(d.Name, from, to)
	if err != nil {
		return err
	}
	gone := fmt.Errorf("the journal was full: the changes from seq %d to %d are not delivered here", from, to)
	if oldest != nil {
		// What the change held stays out: the row is about all of them.
		change := Change{ChangeID: oldest.ChangeID, Seq: oldest.Seq, Version: oldest.Version, Op: oldest.Op,
			Resource: oldest.Resource, RecordID: oldest.RecordID, Time: oldest.Time}
		row := ledger.Row{Destination: d.Name, Driver: d.Driver.Name(), Status: ledger.Failed, Time: time.Now(), Error: gone.Error(), Change: change}
		if err := run.ledger.Put(row); err != nil {
			return err
		}
	}
	if err := d.restock(); err != nil {
		return err
	}
	move := func() error { return run.journal.SaveCursor(d.Name, journal.Cursor{Low: to}) }
	if err := run.recorder.Admit(ctx, move); err != nil {
		return err
	}
	r.hub.Publish(Event{Kind: JournalPressure, Time: time.Now(), Destination: d.Name, Reason: string(PressureFull), Err: gone})
	r.opts.Logger.Warn("destination detached", "destination", d.Name, "from", from, "to", to)
	return nil
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
