package whole

import (
	"slices"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/journal"
)

// numbers is what is known of the journal's.
type numbers struct {
	ids      map[uint64]cdc.ID // by Seq
	versions []version         // sorted by Seq

	// What was lost with the power: the Seqs behind kept, with these versions up to floor.
	kept, floor uint64
	lost        map[uint64]bool
}

type version struct{ seq, version uint64 }

func (n *numbers) init() { n.ids, n.lost = map[uint64]cdc.ID{}, map[uint64]bool{} }

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
	if c.Origin == cdc.Resolved && (w.OnFull == journal.Unjournaled || w.Sync != journal.SyncAlways) {
		// What came after it was let go, or lost, so that its record is what nobody announced.
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
	case at > 0 && all[at-1].version >= v.version, at < len(all) && all[at].version <= v.version,
		v.seq > w.journal.kept && v.version <= w.journal.floor:
		w.violation("the versions do not grow: seq %d has %d", v.seq, v.version)
	default:
		w.journal.versions = slices.Insert(all, at, v)
	}
}
