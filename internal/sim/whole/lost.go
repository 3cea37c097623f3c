package whole

import (
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// slack is how long a flush may be late: what the writer has under way before it, and a new
// segment.
const slack = 20 * slowest

// flushed notes how a flush of the journal ended that began at a time. After one that
// succeeded what was acknowledged before survives a loss of power; after one that failed
// nothing more is believed of this life.
func (p *process) flushed(began time.Time, err error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.unflushed = p.unflushed || err != nil; !p.unflushed {
		p.w.safe = began
	}
}

// expose says at the end of a life what may be lost with the power. An interval bounds it:
// whatever was announced in this life longer ago must be flushed by now. The caller holds
// the mutex.
func (p *process) expose(lost bool) {
	w := p.w
	for _, wr := range w.writes {
		if wr.life == 0 || wr.announced.Before(w.safe) {
			continue
		}
		wr.exposed = wr.exposed || lost
		if late := time.Since(wr.announced) - time.Duration(w.Sync); wr.life == p.life && w.Sync > 0 && late > slack && !p.unflushed && w.OnFull != journal.Unjournaled {
			w.violation("%v was not flushed for %v", wr, time.Since(wr.announced))
		}
	}
	w.cut = w.cut || lost
}

// forget: with the power a journal that is not flushed always may have lost its end. What
// it lost was never promised, and its numbers are given again, to other changes. What it
// has is what it had, without gaps.
func (w *world) forget(last uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut || w.Sync == journal.SyncAlways {
		return
	}
	w.cut = false
	w.log("the journal ends at %d", last)
	for seq := range w.journal.ids {
		if seq > last {
			delete(w.journal.ids, seq)
		}
	}
	w.journal.lose(last)
	for _, wr := range w.writes {
		if wr.seq > last {
			wr.seq = 0
		}
	}
	for _, pl := range w.places {
		pl.forget(last)
	}
}

// forget takes out what the journal has no more. What failed stands in the log all the
// same, and keeps its lanes closed.
func (pl *place) forget(last uint64) {
	lost := func(e *entry) bool { return e.change.Seq > last }
	for name, e := range pl.entries {
		if !lost(e) {
			continue
		}
		delete(pl.entries, name)
		e.told = false
		if e.change.Origin == cdc.Live || e.change.Origin == cdc.Resolved {
			pl.w.records[e.change.RecordKey()].gap = true
		}
	}
	for name, lane := range pl.lanes {
		pl.lanes[name] = slices.DeleteFunc(lane, func(e *entry) bool { return lost(e) && !e.ever })
	}
	for name, past := range pl.pasts {
		if pl.pasts[name] = slices.DeleteFunc(past, lost); len(pl.pasts[name]) == 0 {
			delete(pl.pasts, name)
		}
	}
}

// lose forgets the numbers behind a Seq. Those that are given from now on have a later
// version all the same, by which destinations tell old from new.
func (n *numbers) lose(last uint64) {
	for _, v := range n.versions {
		if v.seq > last {
			n.lost[v.version], n.floor = true, max(n.floor, v.version)
		}
	}
	n.kept = last
	n.versions = slices.DeleteFunc(n.versions, func(v version) bool { return v.seq > last })
}

// excuse finds the writes that were lost with the power. Of a record that lost its newest,
// one before it may seem not to have been applied when its end is lost. The caller holds
// the mutex.
func (w *world) excuse() {
	for _, wr := range w.writes {
		r := w.records[wr.RecordKey()]
		if wr.place > 0 && wr.seq == 0 && w.Sync != journal.SyncAlways &&
			slices.ContainsFunc(r.applied[wr.place-1:], func(later *write) bool { return later.exposed }) {
			wr.lost, r.gap = true, true
		}
	}
}
