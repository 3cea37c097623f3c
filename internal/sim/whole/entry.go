package whole

import (
	"fmt"
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// entry is what one place's routes made of a change for one target, and what became of
// it.
type entry struct {
	place   *place
	change  *cdc.Change
	state   int // which of the record's states it brings, counted by its writes
	verdict route.Verdict

	// For good.
	accepted  bool // the destination applied it
	contained bool // the destination applied one that contains it, or the log has such
	logged    bool // the log has a row of it
	failed    bool // as failed or held
	ever      bool // so it was once
	sealed    bool // settled before a clean stop
	marked    bool // the log says that it is on the road again
	gone      bool // the log says that nobody wants it any more
	discarded bool // so, and it was not on the road

	// The routes made something else of it before the transform was mended.
	former cdc.Record
	varied bool
	// And with it another lane.
	strayed bool

	// In this life of the engine.
	told    bool // the engine was told that it is accepted
	settled bool
}

// lanes are those in which it stands: two if it leaves one for another, none if the routes
// said another thing when they were asked again, which need not move it.
func (e *entry) lanes() []laneName {
	if e.strayed {
		return nil
	}
	if e.change.Origin == cdc.Replayed && !e.place.Hold && e.place.Events {
		return []laneName{{e.verdict.Target, "what Retry sends of " + e.change.RecordKey().String()}}
	}
	lanes := []laneName{{e.verdict.Target, e.verdict.Lane}}
	if e.verdict.OldLane != "" {
		lanes = append(lanes, laneName{e.verdict.Target, e.verdict.OldLane})
	}
	return lanes
}

// meets reports whether two have a lane in common.
func (e *entry) meets(o *entry) bool {
	return slices.ContainsFunc(e.lanes(), func(l laneName) bool { return slices.Contains(o.lanes(), l) })
}

// past is what came of its record for its target.
func (e *entry) past() pastName { return pastName{e.verdict.Target, e.change.RecordKey()} }

func (e *entry) String() string {
	return fmt.Sprintf("%s %d:%s/%s", e.verdict.Target, e.change.Seq, e.verdict.Delivery.Op, e.change.RecordID)
}

// done: whatever comes later in the lane may be applied.
func (e *entry) done() bool {
	return e.verdict.Skip != "" && e.verdict.Err == nil || e.accepted || e.contained || e.logged
}

// closed reports whether an earlier one of the lane stood in the log as failed, at least
// for a time: who mends that need not open the lane at once.
func (pl *place) closed(e *entry) bool {
	return pl.before(e, func(o *entry) bool { return o.ever }) != nil
}

// routed notes what the routes of a place made of a change.
func (pl *place) routed(c *cdc.Change, verdicts []route.Verdict) {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Seq == 0 {
		return // Retry only wants to know
	}
	state := w.check(c)
	for _, v := range verdicts {
		if v.Lane == "" {
			v.Lane = c.RecordID
		}
		name := entryName{v.Target, c.Seq, c.ChangeID}
		if known := pl.entries[name]; known != nil {
			if !known.verdict.Delivery.Record.Equal(v.Delivery.Record) { // the transform was mended
				known.former, known.varied = known.verdict.Delivery.Record, true
			}
			if v.Err == nil {
				if moved := v.Lane != known.verdict.Lane || v.OldLane != known.verdict.OldLane; moved {
					pl.leave(known)
				}
				known.verdict = v
			}
			continue
		}
		e := &entry{place: pl, change: c, state: state, verdict: v}
		pl.entries[name] = e
		pl.named[changeName{v.Target, c.ChangeID}] = append(pl.named[changeName{v.Target, c.ChangeID}], e)
		if c.Origin == cdc.Replayed {
			continue // it has no place in the order in which the changes came
		}
		past, at := inserted(pl.pasts[e.past()], e)
		if at > 0 && past[at-1].state > state || at+1 < len(past) && past[at+1].state < state {
			w.violation("%s: the journal has state %d of %s at seq %d, out of order", pl.Name, state, c.RecordKey(), c.Seq)
		}
		pl.pasts[e.past()] = past
		for _, l := range e.lanes() {
			pl.lanes[l], _ = inserted(pl.lanes[l], e)
		}
	}
}

// leave takes an entry out of its lanes.
func (pl *place) leave(e *entry) {
	for _, l := range e.lanes() {
		pl.lanes[l] = slices.DeleteFunc(pl.lanes[l], func(o *entry) bool { return o == e })
	}
	e.strayed = true
}

// inserted puts an entry in its place by Seq, and gives that.
func inserted(entries []*entry, e *entry) ([]*entry, int) {
	at, _ := slices.BinarySearchFunc(entries, e.change.Seq, func(o *entry, seq uint64) int { return int(o.change.Seq) - int(seq) })
	return slices.Insert(entries, at, e), at
}

// checkDelivery: what is sent is what the routes made of it.
func (pl *place) checkDelivery(e *entry, d cdc.Delivery) {
	w := pl.w
	want := e.verdict.Delivery
	switch {
	case e.sealed:
		w.violation("%s: %v is delivered again after a clean stop", pl.Name, e)
	case e.verdict.Err != nil || e.verdict.Skip != "":
		w.violation("%s: %v is delivered although the routes did not let it through", pl.Name, e)
	case d.ChangeID != want.ChangeID || d.Version != want.Version || d.Op != want.Op || (d.Record == nil) != (want.Record == nil):
		w.violation("%s: %v is delivered as %v", pl.Name, e, d.Change)
	case pl.Events && !d.Record.Equal(want.Record) && !(e.varied && d.Record.Equal(e.former)):
		w.violation("%s: %v is delivered as %v", pl.Name, e, d.Record)
	case pl.Hold && !e.failed && pl.behind(e) != nil:
		w.violation("%s: %v of version %d is delivered behind %v of version %d, which failed", pl.Name, e, e.change.Version, pl.behind(e), pl.behind(e).change.Version)
	case e.change.Origin == cdc.Replayed && !pl.Hold && slices.ContainsFunc(pl.named[changeName{d.Target, d.ChangeID}], func(o *entry) bool { return o.discarded }):
		w.violation("%s: %v is sent again, and was discarded", pl.Name, e)
	}
}

// behind gives an earlier one of its lanes that stands in the log as failed, nil if there
// is none.
func (pl *place) behind(e *entry) *entry {
	return pl.before(e, func(o *entry) bool { return o.failed })
}

// before gives an earlier one of its lanes that is such, nil if there is none.
func (pl *place) before(e *entry, such func(*entry) bool) *entry {
	for _, l := range e.lanes() {
		for _, o := range pl.lanes[l] {
			if such(o) && o.change.Version < e.change.Version {
				return o
			}
		}
	}
	return nil
}

// accept: the destination applies a delivery. Everything before it in its lane must be
// done, and nothing after it may be known to be.
func (pl *place) accept(e *entry, d cdc.Delivery) {
	pl.put(pl.table, d)
	e.accepted = true
	if e.change.Origin == cdc.Replayed {
		pl.acceptReplayed(e, d)
		return
	}
	for _, other := range pl.pasts[e.past()] {
		if other.change.Seq < e.change.Seq && pl.contains(d, other) {
			other.contained = true
		}
	}
	for _, l := range e.lanes() {
		for _, other := range pl.lanes[l] {
			switch seq := other.change.Seq; {
			case seq < e.change.Seq && !other.done():
				pl.w.violation("%s: %v is applied before %v", pl.Name, e, other)
			case seq > e.change.Seq && other.told:
				pl.w.violation("%s: %v is applied after %v", pl.Name, e, other)
			}
		}
	}
}

// acceptReplayed: the destination applies what Retry sent. At a target that wants state
// nothing newer may be known to be there; at any other the failures of a record come in
// order.
func (pl *place) acceptReplayed(e *entry, d cdc.Delivery) {
	for _, of := range pl.named[changeName{d.Target, d.ChangeID}] {
		of.accepted = true
	}
	if pl.Events {
		if pl.w.Retries > 0 || pl.GiveUp > 0 {
			return // what failed once more may be retried behind what did not
		}
		for _, other := range pl.entries {
			if other.change.Seq == e.change.Seq && other.change.RecordID == e.change.RecordID && other.verdict.Target == d.Target && other.told && other.change.Version > e.change.Version {
				pl.w.violation("%s: %v of version %d is replayed after version %d", pl.Name, e, e.change.Version, other.change.Version)
			}
		}
		return
	}
	for _, other := range pl.pasts[e.past()] {
		switch {
		case other.state > e.state && other.told:
			pl.w.violation("%s: %v brings state %d again after state %d", pl.Name, e, e.state, other.state)
		case other.change.Seq < e.change.Seq && pl.contains(d, other):
			other.contained = true
		}
	}
}

// contains reports whether a delivery for a state target has all that an earlier one
// would have brought. It is said here once more, in other words than the engine's.
func (pl *place) contains(d cdc.Delivery, earlier *entry) bool {
	was := earlier.verdict.Delivery.Record
	switch {
	case pl.Events || earlier.verdict.Err != nil:
		return false
	case d.OldKey != nil || earlier.verdict.Delivery.OldKey != nil || !d.Key.Equal(earlier.verdict.Delivery.Key):
		return false // of two rows neither has all
	case d.Record == nil || pl.Rows == cdc.RowsReplaced:
		return true
	case was == nil:
		return false
	}
	for field := range was {
		if !d.Record.Has(field) {
			return false
		}
	}
	return true
}

// numbers is what is known of the journal's.
type numbers struct {
	ids      map[uint64]cdc.ID // by Seq
	versions []version         // sorted by Seq
}

type version struct{ seq, version uint64 }

func (n *numbers) init() { n.ids = map[uint64]cdc.ID{} }

// check: a change that the journal gives is one that the store applied, or a state that
// a record had, and its numbers are its own for ever. It gives which of the record's
// states it brings. The caller holds the mutex.
func (w *world) check(c *cdc.Change) (state int) {
	if c.Origin == cdc.Replayed {
		return w.checkReplayed(c)
	}
	if id, known := w.journal.ids[c.Seq]; known && id != c.ChangeID {
		w.violation("seq %d is %s and %s", c.Seq, id, c.ChangeID)
	}
	w.journal.ids[c.Seq] = c.ChangeID
	w.checkVersion(version{c.Seq, c.Version})
	if c.Origin == cdc.Snapshot {
		return w.checkState(c)
	}
	if c.ChangeID[8:][0] != 0 || w.numbered(c) == nil {
		w.violation("%v was never announced", c)
		return 0
	}
	wr := w.numbered(c)
	if c.Origin == cdc.Resolved && w.OnFull == journal.Unjournaled {
		// What came after it was let go, so that its record is what nobody announced.
		w.records[c.RecordKey()].gap = true
		wr.seq = c.Seq
		if c.Op == cdc.Deleted {
			return len(w.records[c.RecordKey()].applied)
		}
		return w.checkState(c)
	}
	switch {
	case wr.place == 0:
		w.violation("%v is in the journal, and the store did not apply it", wr)
	case c.Origin != cdc.Live || c.Op != wr.Op || !c.Data.Equal(wr.Data) || !c.Before.Equal(wr.Before):
		w.violation("%v is in the journal as %v of origin %v with %v", wr, c, c.Origin, c.Data)
	case wr.seq != 0 && wr.seq != c.Seq:
		w.violation("%v has seq %d and %d", wr, wr.seq, c.Seq)
	}
	wr.seq = c.Seq
	return wr.place
}

// numbered gives the write whose id a change has.
func (w *world) numbered(c *cdc.Change) *write {
	n := 0
	for _, b := range c.ChangeID[8:] {
		n = n<<8 | int(b)
	}
	if n < 1 || n > len(w.writes) || w.writes[n-1].RecordKey() != c.RecordKey() {
		return nil
	}
	return w.writes[n-1]
}

// checkReplayed: what Retry sends is a record's present state, or a change that failed.
func (w *world) checkReplayed(c *cdc.Change) (state int) {
	if of, restated := w.restated[c.ChangeID]; restated {
		if c.Op != cdc.Deleted && !c.Data.Equal(of.state) || c.Op == cdc.Deleted && of.state != nil {
			w.violation("%v is restated with %v, and the record is %v", c, c.Data, of.state)
		}
		return of.place
	}
	wr := w.numbered(c)
	if c.ChangeID[8:][0] != 0 || wr == nil {
		return w.checkState(c)
	}
	if w.records[c.RecordKey()].gap {
		return wr.place // it may have been resolved to what nobody announced
	}
	if wr.place == 0 || c.Op != wr.Op || !c.Data.Equal(wr.Data) || !c.Before.Equal(wr.Before) {
		w.violation("%v is replayed as %v with %v", wr, c, c.Data)
	}
	return wr.place
}

// restatement is what a record was when Retry put its state on the road.
type restatement struct {
	state cdc.Record
	place int
}

// checkState: what is sent of a present record is one of the states that it had.
func (w *world) checkState(c *cdc.Change) (state int) {
	n := int(c.Data.Int("n"))
	if n < 1 || n > len(w.writes) {
		w.violation("%v is no state of its record", c)
		return 0
	}
	wr := w.writes[n-1]
	if wr.place == 0 || wr.RecordKey() != c.RecordKey() || !c.Data.Equal(wr.after()) {
		w.violation("%v is no state of its record", c)
	}
	return wr.place
}

// checkVersion: the version grows with Seq.
func (w *world) checkVersion(v version) {
	all := w.journal.versions
	at, known := slices.BinarySearchFunc(all, v, func(a, b version) int { return int(a.seq) - int(b.seq) })
	switch {
	case known && all[at].version != v.version:
		w.violation("seq %d has version %d and %d", v.seq, all[at].version, v.version)
	case known:
	case at > 0 && all[at-1].version >= v.version, at < len(all) && all[at].version <= v.version:
		w.violation("the versions do not grow: seq %d has %d", v.seq, v.version)
	default:
		w.journal.versions = slices.Insert(all, at, v)
	}
}
