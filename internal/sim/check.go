package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
)

// checks is what the checks remember.
type checks struct {
	lanes  map[laneName][]*fate // what is wanted there, in order
	newest map[laneName]uint64  // what was applied there last

	// In this life of the process.
	running     map[*engine.Attempt][]*fate
	inFlight    map[laneName]*engine.Attempt
	accepts     int // deliveries that the core was told as accepted
	loaded      int // deliveries loaded and not settled
	loadedBytes int // of the changes with such deliveries
	open        map[*change]int
	wanted      int
	ended       map[engine.Status]int
}

type laneName struct{ target, key string }

func (k *checks) init() { k.lanes, k.newest = map[laneName][]*fate{}, map[laneName]uint64{} }

func (w *world) violation(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.log("VIOLATION %v", w.err)
	}
}

// begin forgets what a process knew.
func (w *world) begin() {
	w.running, w.inFlight, w.open = map[*engine.Attempt][]*fate{}, map[laneName]*engine.Attempt{}, map[*change]int{}
	w.ended = map[engine.Status]int{}
	w.accepts, w.loaded, w.loadedBytes, w.wanted = 0, 0, 0, 0
	clear(w.synced)
	for _, c := range w.journal {
		for _, f := range c.fates {
			f.loaded, f.told, f.settled, f.mark, f.count, f.suspect, f.guilty = false, false, false, 0, 0, false, false
		}
	}
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
	return l
}

func (f *fate) String() string { return fmt.Sprintf("%s %d", f.verdict.Target, f.change.Seq) }

// done: whatever comes later in the lane may be applied.
func (f *fate) done() bool { return f.accepted || f.contained || f.row }

// contains reports whether a state target that has f has all that g would have
// brought. It is said here once more, in other words than the engine's.
func (f *fate) contains(g *fate) bool {
	d, e := f.verdict.Delivery, g.verdict.Delivery
	if f.verdict.Target == events || f.verdict.Err != nil || g.verdict.Err != nil || d.OldKey != nil || e.OldKey != nil || f.verdict.Lane != g.verdict.Lane {
		return false
	}
	if d.Record == nil {
		return true
	}
	if e.Record == nil {
		return false
	}
	return len(d.Record.Pick(fields(e.Record)...)) == len(e.Record)
}

func fields(r cdc.Record) (names []string) {
	for f := range r {
		names = append(names, f)
	}
	return names
}

// load notes that the core is about to be told of a verdict.
func (w *world) load(f *fate) {
	w.wanted++
	f.loaded, f.mark = true, w.accepts
	w.loaded++
	if w.open[f.change]++; w.open[f.change] == 1 {
		w.loadedBytes += f.change.bytes
	}
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
func (w *world) accept(f *fate) {
	for _, name := range f.lanes() {
		w.newest[name] = f.change.Seq
		for _, other := range w.lanes[name] {
			switch {
			case other.change.Seq < f.change.Seq && f.contains(other):
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
		if o.Status == engine.Failed {
			w.find(o.Target, o.Change.Seq).row = true
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
	if n.RetryCount > w.set.Retries {
		w.violation("%v was charged %d attempts", f, n.RetryCount)
	}
	// The notice of an attempt does not count that attempt yet.
	f.count, f.guilty = n.RetryCount, f.suspect
	if n.Kind != engine.NoteSettled {
		return
	}
	if f.settled {
		w.violation("%v settles twice", f)
	}
	if n.Status == engine.Failed {
		w.checkGuilt(f, n)
	}
	f.settled = true
	w.ended[n.Status]++
	w.loaded--
	if w.open[f.change]--; w.open[f.change] == 0 {
		w.loadedBytes -= f.change.bytes
	}
	switch {
	case n.Status == engine.Replicated && !(f.accepted && f.told),
		n.Status == engine.Coalesced && !f.contained && !f.accepted,
		n.Status == engine.Skipped && f.verdict.Skip == "",
		n.Status == engine.Failed && !f.row:
		w.violation("%v settles with status %d: accepted %v, told %v, contained %v, row %v", f, n.Status, f.accepted, f.told, f.contained, f.row)
	}
}

// checkGuilt: a delivery is given up for its own fault only. At a state target it may
// also be for that of the one that contains it.
func (w *world) checkGuilt(f *fate, n engine.Notice) {
	switch {
	case n.Target != events, errors.Is(n.Err, errTransform), errors.Is(n.Err, errRefused):
	case cdc.FaultOf(n.Err) == cdc.RecordFault && f.poison == permanent && !f.crowd:
	case cdc.FaultOf(n.Err) != cdc.RecordFault && n.RetryCount == w.set.Retries && !f.crowd:
	default:
		w.violation("%v is given up after %d retries: %v", f, n.RetryCount, n.Err)
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
}

// checkLoad: a load asks for no more than there is room.
func (w *world) checkLoad(a engine.Load) {
	if room := w.set.Window - w.core.Stats(w.now).WindowBytes; a.Bytes > room {
		w.violation("a load of %d bytes with room for %d", a.Bytes, room)
	}
}

// check: what must hold at every moment.
func (w *world) check() {
	s := w.core.Stats(w.now)
	sum := s.Replicated + s.Coalesced + s.Skipped + s.Failed
	if s.Wanted != uint64(w.wanted) || s.Loaded != w.loaded || s.Wanted != sum+uint64(w.loaded) {
		w.violation("the counts don't add up: %+v, loaded %d of %d", s, w.loaded, w.wanted)
	}
	for status, n := range map[engine.Status]uint64{engine.Replicated: s.Replicated, engine.Coalesced: s.Coalesced, engine.Skipped: s.Skipped, engine.Failed: s.Failed} {
		if w.ended[status] != int(n) {
			w.violation("%d told with status %d, %d counted", w.ended[status], status, n)
		}
	}
	// The last load may overrun by one change.
	if w.loadedBytes > w.set.Window+largest {
		w.violation("%d bytes are loaded into a window of %d", w.loadedBytes, w.set.Window)
	}
	if s.InFlight != len(w.running) {
		w.violation("%d attempts run, the core knows %d", len(w.running), s.InFlight)
	}
}

// largest is the most bytes that a change has.
const largest = 220

// sealed: a clean stop has saved everything, so what is settled never comes again.
// With several routes that is said only of what lies below all that is not settled:
// the cursor knows changes, not deliveries.
func (w *world) sealed() {
	for _, c := range w.journal {
		waits := func(f *fate) bool { return f.loaded && !f.settled }
		if len(w.targets) > 1 && slices.ContainsFunc(c.fates, waits) {
			return
		}
		for _, f := range c.fates {
			f.sealed = f.sealed || f.settled
		}
	}
}

// checkEnd: a state target holds the newest of what was not given up, or newer.
func (w *world) checkEnd() {
	for name, fates := range w.lanes {
		for _, f := range fates {
			if name.target != events && !f.row && f.change.Seq > w.newest[name] {
				w.violation("%s ends with %d of lane %q, and not with %d", name.target, w.newest[name], name.key, f.change.Seq)
			}
		}
	}
}
