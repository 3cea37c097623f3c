package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
)

// checks is what the checks remember.
type checks struct {
	lanes  map[laneName][]*fate    // what is wanted there, in order
	newest map[laneName]uint64     // what was applied there last
	table  map[laneName]cdc.Record // what the state targets hold

	largest  int       // load, in bytes of the window
	lastAway time.Time // when the destination was last away for too long

	// In this life of the process.
	running  map[*engine.Attempt][]*fate
	inFlight map[laneName]*engine.Attempt
	accepts  int // deliveries that the core was told as accepted
	loaded   int // deliveries loaded and not settled
	wanted   int
	ended    map[engine.Status]int
}

type laneName struct{ target, key string }

func (k *checks) init() {
	k.lanes, k.newest = map[laneName][]*fate{}, map[laneName]uint64{}
	k.table = map[laneName]cdc.Record{}
}

func (w *world) violation(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.log("VIOLATION %v", w.err)
	}
}

// begin forgets what a process knew.
func (w *world) begin() {
	w.running, w.inFlight = map[*engine.Attempt][]*fate{}, map[laneName]*engine.Attempt{}
	w.ended = map[engine.Status]int{}
	w.accepts, w.loaded, w.wanted = 0, 0, 0
	clear(w.synced)
	for _, c := range w.journal {
		for _, f := range c.fates {
			f.restored = false
			f.loaded, f.told, f.settled, f.mark, f.count, f.suspect, f.guilty, f.away, f.missed = false, false, false, 0, 0, false, false, false, 0
		}
	}
}

// restore notes what a cursor says of changes that are settled in part.
func (w *world) restore() {
	for _, p := range w.cursor.Partial {
		for _, target := range p.Targets {
			w.find(target, p.Seq).restored = true
		}
	}
}

// closeLanes tells a new core what the ledger says of lanes that are held.
func (w *world) closeLanes() {
	if !w.set.Hold {
		return
	}
	for _, fates := range w.lanes {
		for _, f := range fates {
			if f.row {
				for _, l := range f.lanes() {
					w.core.Hold(l.target, l.key, f.change.Seq)
				}
			}
		}
	}
}

// behind reports whether an earlier one of the lanes stands in the ledger.
func (w *world) behind(f *fate) bool {
	for _, l := range f.lanes() {
		for _, other := range w.lanes[l] {
			if other.row && other.change.Seq < f.change.Seq {
				return true
			}
		}
	}
	return false
}

// expect notes a delivery that is wanted, in its lanes.
func (w *world) expect(f *fate) {
	if f.verdict.Skip != "" {
		return
	}
	for _, l := range f.lanes() {
		w.lanes[l] = append(w.lanes[l], f)
	}
}

func (f *fate) lanes() []laneName {
	l := []laneName{{f.verdict.Target, f.verdict.Lane}}
	if f.verdict.OldLane != "" {
		l = append(l, laneName{f.verdict.Target, f.verdict.OldLane})
	}
	if record := (laneName{f.verdict.Target, f.change.RecordID}); f.held && record.key != f.verdict.Lane {
		l = append(l, record)
	}
	return l
}

func (f *fate) String() string { return fmt.Sprintf("%s %d", f.verdict.Target, f.change.Seq) }

// done: whatever comes later in the lane may be applied.
func (f *fate) done() bool { return f.accepted || f.contained || f.row }

// load notes that the core is about to be told of a verdict.
func (w *world) load(f *fate) {
	w.wanted++
	f.loaded, f.mark = true, w.accepts
	w.loaded++
}

func (w *world) fatesOf(a *engine.Attempt) []*fate { return w.running[a] }

// checkAttempt: one attempt per lane, within the limits, in order, with the schema in
// place, nothing twice after a clean stop, one delivery while the breaker is open.
func (w *world) checkAttempt(a *engine.Attempt) {
	l := w.limits(a.Target)
	size := 0
	var fates []*fate
	last := map[laneName]uint64{}
	for _, d := range a.Deliveries {
		f := w.find(a.Target, d.Seq)
		fates = append(fates, f)
		size += f.change.bytes
		if f.sealed {
			w.violation("%v is delivered again after a clean stop", f)
		}
		if f.verdict.Err != nil {
			w.violation("%v is delivered although routing failed", f)
		}
		if w.set.Hold && w.behind(f) && !f.row {
			w.violation("%v is delivered behind one that failed", f)
		}
		if w.set.Syncs && d.SchemaVersion > w.synced[a.Target] {
			w.violation("%v has schema version %d, the target %d", f, d.SchemaVersion, w.synced[a.Target])
		}
		for _, name := range f.lanes() {
			if w.inFlight[name] != nil && w.inFlight[name] != a {
				w.violation("two attempts of lane %v at a time", name)
			}
			w.inFlight[name] = a
			if before, twice := last[name]; twice && (!l.Ordered || before >= d.Seq) {
				w.violation("%d and %d of lane %v stand in one batch", before, d.Seq, name)
			}
			last[name] = d.Seq
		}
	}
	w.running[a] = fates
	if len(fates) == 0 || len(fates) > l.Items || len(fates) > 1 && size > l.Bytes {
		w.violation("a batch of %d deliveries and %d bytes", len(fates), size)
	}
	if len(w.running) > min(l.Concurrency, w.set.Concurrency) {
		w.violation("%d attempts at a time", len(w.running))
	}
	if w.halting {
		w.violation("an attempt starts after Halt")
	}
	if w.core.Stats(w.now).Breaker.Open && len(fates) > 1 {
		w.violation("%d deliveries probe an open breaker", len(fates))
	}
}

func (w *world) find(target string, seq uint64) *fate {
	for _, f := range w.journal[seq-1].fates {
		if f.verdict.Target == target {
			return f
		}
	}
	return nil
}

// accept: the destination applies a delivery. Everything before it in its lanes must
// be done, and nothing after it may be known to be.
func (w *world) accept(f *fate, d cdc.Delivery) {
	w.put(f, d)
	for _, name := range f.lanes() {
		w.newest[name] = f.change.Seq
		for _, other := range w.lanes[name] {
			switch {
			case other.change.Seq < f.change.Seq && w.contains(f, d, other):
				other.contained = true
			case other.change.Seq < f.change.Seq && !other.done():
				w.violation("%v is applied before %v", f, other)
			case other.change.Seq > f.change.Seq && other.told:
				w.violation("%v is applied after %v", f, other)
			}
		}
	}
	f.accepted = true
}

// answered: the core is about to be told the driver's answer. What it may conclude
// from it is worked out here by the words of the contract.
func (w *world) answered(a *engine.Attempt, err error) {
	fates := w.running[a]
	delete(w.running, a)
	batch, perItem := errors.AsType[*cdc.BatchError](err)
	perItem = perItem && len(batch.Errs) == len(fates)
	var failed []*fate
	for i, f := range fates {
		for _, name := range f.lanes() {
			delete(w.inFlight, name)
		}
		refused := func(i int) bool { return err != nil && (!perItem || batch.Errs[i] != nil) }
		behind := false
		for j := range i {
			behind = behind || refused(j) && w.limits(a.Target).Ordered && fates[j].verdict.Lane == f.verdict.Lane
		}
		switch {
		case behind: // not tried, as far as the contract says
		case refused(i):
			failed = append(failed, f)
		default:
			f.told = true
			w.accepts++
		}
	}
	for _, f := range failed {
		f.suspect = w.accepts > f.mark
		f.mark = w.accepts
		f.crowd = !perItem && len(fates) > 1
	}
}

// checked: the destination lives, so whoever failed alone is to blame.
func (w *world) checked(err error) {
	if err != nil {
		return
	}
	for _, c := range w.journal {
		for _, f := range c.fates {
			f.suspect = f.suspect || f.loaded && !f.settled
		}
	}
}

// recorded: rows became durable.
func (w *world) recorded(outcomes []engine.Outcome) {
	for _, o := range outcomes {
		if o.Status != engine.Replicated {
			f := w.find(o.Target, o.Change.Seq)
			f.row = true
			// What it contains is in this row.
			for _, other := range w.lanes[f.lanes()[0]] {
				if other.change.Seq < f.change.Seq && w.contains(f, f.verdict.Delivery, other) {
					other.contained, other.given = true, true
				}
			}
		}
	}
}

// noticed: what the core tells must be true, and each delivery settles once.
func (w *world) noticed(n engine.Notice) {
	if n.Change == nil {
		w.log("  breaker: kind %d, %v", n.Kind, n.Err)
		return
	}
	f := w.find(n.Target, n.Change.Seq)
	w.log("  %v: kind %d, status %d, retries %d, %v", f, n.Kind, n.Status, n.RetryCount, n.Err)
	// At a state target a delivery takes over the attempts of the one it contains.
	if n.Target == events && n.RetryCount > f.count && !f.guilty {
		w.violation("%v is charged although nothing else was accepted", f)
	}
	// The notice of an attempt does not count that attempt yet.
	if n.RetryCount > f.count && f.away {
		f.missed++
	}
	if n.RetryCount > w.set.Retries+doubts || n.Target == events && (f.missed > doubts || n.RetryCount-f.missed > w.set.Retries) {
		w.violation("%v was charged %d attempts, %d for what the destination answered", f, n.RetryCount, f.missed)
	}
	f.count, f.guilty, f.away = n.RetryCount, f.suspect, cdc.FaultOf(n.Err) == cdc.DestinationFault
	if n.Kind != engine.NoteSettled {
		return
	}
	if f.settled {
		w.violation("%v settles twice", f)
	}
	switch n.Status {
	case engine.Failed:
		w.checkGuilt(f, n)
	case engine.Held:
		if !w.set.Hold || !w.behind(f) {
			w.violation("%v is held, and nothing before it failed", f)
		}
	}
	f.settled = true
	w.ended[n.Status]++
	w.loaded--
	switch {
	case n.Status == engine.Replicated && !(f.accepted && f.told),
		n.Status == engine.Coalesced && !f.contained && !f.accepted,
		n.Status == engine.Skipped && f.verdict.Skip == "",
		(n.Status == engine.Failed || n.Status == engine.Held) && !f.row:
		w.violation("%v settles with status %d: accepted %v, told %v, contained %v, row %v", f, n.Status, f.accepted, f.told, f.contained, f.row)
	}
}

// checkCursor: a cursor passes only what is done.
func (w *world) checkCursor(c journal.Cursor) {
	passed := func(from, to uint64) {
		for seq := from; seq <= to; seq++ {
			for _, f := range w.journal[seq-1].fates {
				if f.verdict.Skip == "" && !f.done() {
					w.violation("the cursor %v passes %v", c, f)
				}
			}
		}
	}
	passed(1, c.Low)
	end := c.Low
	for _, r := range c.Ranges {
		if r.First <= end+1 || r.Last < r.First {
			w.violation("the cursor %v is not in order", c)
		}
		end = r.Last
		passed(r.First, r.Last)
	}
	for _, p := range c.Partial {
		if p.Seq <= c.Low {
			w.violation("the cursor %v is not in order", c)
		}
		for _, target := range p.Targets {
			if f := w.find(target, p.Seq); f.verdict.Skip == "" && !f.done() {
				w.violation("the cursor %v passes %v", c, f)
			}
		}
	}
}

// checkLoad: a load asks for no more than there is room.
func (w *world) checkLoad(a engine.Load) {
	if room := w.set.Window - w.core.Stats(w.now).WindowBytes; a.Bytes > room {
		w.violation("a load of %d bytes with room for %d", a.Bytes, room)
	}
}

// checkFetch: only what was loaded and waits is read again, and not beside a load.
func (w *world) checkFetch(a engine.Fetch) {
	if w.reading {
		w.violation("two are reading the journal")
	}
	for i, seq := range a.Seqs {
		if !slices.ContainsFunc(w.journal[seq-1].fates, func(f *fate) bool { return f.loaded && !f.settled }) || i > 0 && seq <= a.Seqs[i-1] {
			w.violation("a fetch of %v", a.Seqs)
		}
	}
}

// check: what must hold at every moment.
func (w *world) check() {
	s := w.core.Stats(w.now)
	sum := s.Replicated + s.Coalesced + s.Skipped + s.Failed
	if s.Wanted != uint64(w.wanted) || s.Loaded != w.loaded || s.Wanted != sum+uint64(w.loaded) {
		w.violation("the counts don't add up: %+v, loaded %d of %d", s, w.loaded, w.wanted)
	}
	w.ended[engine.Failed] += w.ended[engine.Held] // they count as one
	w.ended[engine.Held] = 0
	for status, n := range map[engine.Status]uint64{engine.Replicated: s.Replicated, engine.Coalesced: s.Coalesced, engine.Skipped: s.Skipped, engine.Failed: s.Failed} {
		if w.ended[status] != int(n) {
			w.violation("%d told with status %d, %d counted", w.ended[status], status, n)
		}
	}
	// What the deliveries of a load take is known only when it has come.
	if s.WindowBytes > w.set.Window+w.largest {
		w.violation("%d bytes are loaded into a window of %d", s.WindowBytes, w.set.Window)
	}
	if s.InFlight != len(w.running) {
		w.violation("%d attempts run, the core knows %d", len(w.running), s.InFlight)
	}
}

// sealed: a clean stop has saved everything, so what is settled never comes again.
func (w *world) sealed() {
	for _, c := range w.journal {
		for _, f := range c.fates {
			f.sealed = f.sealed || f.settled
		}
	}
}
