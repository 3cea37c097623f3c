package replicator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/internal/clock"
	"github.com/s3db-go/replicator/internal/journal"
)

// Rewind delivers again what the journal still holds: every change that the source ended
// at or after a time, as far as the destination's routes want it now. What waited before
// still waits; nothing is skipped by a time that lies ahead of it. How far back the
// journal reaches is up to Options.Retain: a time before it is an error that names the
// first that is there, and nothing happens.
//
// A destination that holds state is written again from that time on, in order: for a
// moment it may show what a record was then, and when Flush returns it is as it was, or
// as mended routes make it. One that takes events gets each change once more, with its
// own id. Rows in the log are replaced by what becomes of their changes now. What a
// backfill sent since is sent again too.
//
// Calls of the driver that run are waited for until ctx ends, then cancelled; one that
// does not return then delays the rest until it has. A destination that is paused stays
// paused.
func (r *Replicator) Rewind(ctx context.Context, name string, to time.Time) error {
	return r.operate(ctx, "rewind", name, func(ctx context.Context, run *running, d *destination) error {
		seq, err := run.at(to)
		if err != nil {
			return err
		}
		resting := d.is(paused)
		if err := d.halt(ctx); err != nil {
			// It is about calls that were left, and about a cursor that is replaced now.
			r.opts.Logger.Warn("stopping a destination to rewind it", "destination", d.Name, "error", err)
		}
		cursor, _ := run.journal.Cursor(d.Name)
		err = run.journal.SaveCursor(d.Name, rewound(cursor, seq))
		if resting {
			d.become(paused, nil)
			return err
		}
		r.goOn(ctx, run, d)
		if err == nil {
			r.opts.Logger.Warn("destination rewound", "destination", d.Name, "seq", seq)
		}
		return err
	})
}

// at gives the Seq of the first change that ended at or after a time, one behind the last
// if there is none. Versions tell the time and grow with Seq.
func (run *running) at(to time.Time) (uint64, error) {
	stats := run.journal.Stats()
	if to.After(time.Now()) {
		return stats.Durable + 1, nil
	}
	first := cmp.Or(stats.First, stats.Durable+1)
	low, high := first, stats.Durable+1
	for low < high {
		middle := low + (high-low)/2
		version, err := run.version(middle)
		if err != nil {
			return 0, err
		}
		// In whole milliseconds, as a version tells it.
		if clock.Time(version).Before(to.Truncate(time.Millisecond)) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low > first || first == 1 {
		return low, nil
	}
	begins := "is empty"
	if version, err := run.version(first); err == nil {
		begins = "begins at " + clock.Time(version).Format(time.RFC3339Nano)
	}
	return 0, fmt.Errorf("the journal holds no changes of %s any more, it %s; see Options.Retain", to.Format(time.RFC3339Nano), begins)
}

// version gives that of the change at a Seq.
func (run *running) version(seq uint64) (uint64, error) {
	reader, err := run.journal.Read(seq - 1)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	entries, err := reader.Next(1)
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		return 0, fmt.Errorf("seq %d is not there", seq)
	}
	return entries[0].Change.Version, nil
}

// rewound gives the cursor that has settled nothing from seq on, and else what it had.
func rewound(c journal.Cursor, seq uint64) journal.Cursor {
	c.Low = min(c.Low, seq-1)
	c.Partial = slices.DeleteFunc(slices.Clone(c.Partial), func(p journal.Part) bool { return p.Seq >= seq })
	ranges := slices.Clone(c.Ranges)
	c.Ranges = nil
	for _, r := range ranges {
		if r.First < seq {
			c.Ranges = append(c.Ranges, journal.Range{First: r.First, Last: min(r.Last, seq-1)})
		}
	}
	return c
}
