package whole

import (
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/hub"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// loadable is what a load may bring beyond the window: what the deliveries of a load
// take is known only when it has come.
const loadable = 256 << 10

// noticed: what the engine tells must be true, and each delivery settles once.
func (st *station) noticed(n engine.Notice) {
	if st.p.died() {
		return
	}
	st.hub.publish(n)
	pl, w := st.place, st.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.Kind != engine.NoteSettled {
		w.log("%s: notice %d, %v", pl.Name, n.Kind, n.Err)
		return
	}
	e := pl.entries[entryName{n.Target, n.Change.Seq, n.Change.ChangeID}]
	if e == nil && n.Change.Origin == cdc.Replayed {
		return
	}
	w.log("%s: %v settles with status %d, retries %d, %v", pl.Name, e, n.Status, n.RetryCount, n.Err)
	if e.settled && e.change.Origin != cdc.Replayed { // that may be retried again while it is on its way
		w.violation("%s: %v settles twice", pl.Name, e)
	}
	e.settled = true
	if e.strayed && n.Status == engine.Coalesced {
		e.contained = true // it was under the key that the routes gave it first
	}
	pl.checkGivenUp(e, n)
	if e.change.Origin == cdc.Replayed && n.Status != engine.Replicated {
		return
	}
	switch {
	case n.Status == engine.Replicated && !(e.accepted && e.told),
		n.Status == engine.Coalesced && !e.contained && !e.accepted,
		n.Status == engine.Skipped && e.verdict.Skip == "",
		(n.Status == engine.Failed || n.Status == engine.Held) && !e.logged,
		n.Status == engine.Held && !(pl.Hold && pl.closed(e)):
		w.violation("%s: %v settles with status %d: accepted %v, told %v, contained %v, logged %v", pl.Name, e, n.Status, e.accepted, e.told, e.contained, e.logged)
	}
}

// checkGivenUp: who gives up for want of a destination has waited for it, and it has
// accepted nothing for as long.
func (pl *place) checkGivenUp(e *entry, n engine.Notice) {
	if n.Status != engine.Failed || e.change.Origin == cdc.Replayed || !strings.Contains(n.Err.Error(), "unavailable for more than") {
		return
	}
	from, longest := e.change.Time, time.Duration(0)
	for _, at := range append(pl.took, time.Now()) {
		if at.After(from) {
			longest, from = max(longest, at.Sub(from)), at
		}
	}
	if longest < pl.GiveUp {
		pl.w.violation("%s: %v is given up, and the destination accepted nothing for %v at most", pl.Name, e, longest)
	}
}

// checkCursor: a cursor passes only what is done.
func (pl *place) checkCursor(p *process, c journal.Cursor) {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.isDead {
		return
	}
	passed := func(e *entry) bool {
		if e.change.Seq <= c.Low {
			return true
		}
		for _, r := range c.Ranges {
			if r.First <= e.change.Seq && e.change.Seq <= r.Last {
				return true
			}
		}
		for _, part := range c.Partial {
			for _, target := range part.Targets {
				if part.Seq == e.change.Seq && target == e.verdict.Target {
					return true
				}
			}
		}
		return false
	}
	for _, e := range pl.entries {
		if e.change.Origin != cdc.Replayed && !e.done() && passed(e) {
			w.violation("%s: the cursor %v passes %v", pl.Name, c, e)
		}
	}
}

// check: what must hold at every moment.
func (p *process) check() {
	for _, st := range p.stations {
		e := st.present()
		if e == nil || p.died() {
			continue
		}
		s := e.Stats()
		if s.Wanted != s.Replicated+s.Coalesced+s.Skipped+s.Failed+uint64(s.Loaded) {
			p.w.accuse("%s: the counts don't add up: %+v", st.place.Name, s)
		}
		if s.WindowBytes > st.place.Window+loadable {
			p.w.accuse("%s: %d bytes are loaded into a window of %d", st.place.Name, s.WindowBytes, st.place.Window)
		}
		if s.Waiting == 0 && s.Lag != 0 {
			p.w.accuse("%s: a lag of %v, and nothing waits", st.place.Name, s.Lag)
		}
	}
}

// finish notes that the last process has stopped.
func (w *world) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// checkEnd: every change that the store applied was delivered, or stands in the log, at
// every destination; and the destinations hold what that makes of them.
func (w *world) checkEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.excuse()
	w.checkUncaught()
	for _, pl := range w.places {
		if pl.Syncs && !pl.Late {
			pl.checkShapes()
		}
		if pl.Late && pl.joined {
			pl.checkFilled()
		}
		for _, wr := range w.writes {
			pl.checkWrite(wr)
		}
		for _, e := range pl.entries {
			if e.change.Origin != cdc.Replayed && !e.done() {
				w.violation("%s: %v was neither delivered nor logged", pl.Name, e)
			}
		}
		for name, past := range pl.pasts {
			if w.records[name.record].gap {
				continue // what a destination does not know of it can't do
			}
			pl.checkNewest(name, past)
			if !pl.Events {
				pl.checkRows(name, past)
			}
			if w.Mended {
				pl.checkMended(name, past)
			}
		}
	}
	w.checkLog()
}

// checkWrite: whatever was applied is in the journal, and came to a destination that
// was there all the time.
func (pl *place) checkWrite(wr *write) {
	w := pl.w
	switch {
	case wr.place == 0 || w.records[wr.RecordKey()].gap && wr.seq == 0:
	case wr.seq == 0:
		w.violation("%v was applied, and never journaled", wr)
	case !pl.Late && pl.named[changeName{wr.Resource, wr.ChangeID}] == nil:
		w.violation("%s: %v never came", pl.Name, wr)
	}
}

// checkFilled: of every record that is there something came to a place that began with a
// backfill.
func (pl *place) checkFilled() {
	for _, t := range pl.targets() {
		for _, id := range pl.w.ids {
			key := cdc.Key{Resource: t.Resource, RecordID: id}
			if r := pl.w.records[key]; r.state != nil && !r.gap && len(pl.pasts[pastName{t.Target, key}]) == 0 {
				pl.w.violation("%s: nothing came of %v for %s", pl.Name, key, t.Target)
			}
		}
	}
}

// checkNewest: the last that came of a record is its newest state.
func (pl *place) checkNewest(name pastName, past []*entry) {
	last := past[len(past)-1]
	if applied := pl.w.records[name.record].applied; last.state != len(applied) {
		pl.w.violation("%s: what came of %v for %s ends with state %d of %d", pl.Name, name.record, name.target, last.state, len(applied))
	}
}

// checkMended: when nothing fails any more and all is retried, a target for events has
// had every change, and one for state has each record's newest.
func (pl *place) checkMended(name pastName, past []*entry) {
	w := pl.w
	if slices.ContainsFunc(past, func(e *entry) bool { return e.gone }) {
		return // somebody gave it up
	}
	for _, e := range past {
		wanted := e.verdict.Skip == "" && e.verdict.Err == nil
		accepted := slices.ContainsFunc(pl.named[changeName{name.target, e.change.ChangeID}], func(o *entry) bool { return o.accepted })
		if e.failed || pl.Events && wanted && !accepted {
			w.violation("%s: %v failed, and was never sent again", pl.Name, e)
		}
	}
	last := past[len(past)-1]
	verdicts, _ := pl.router.Route(nil, last.change)
	pl.checkLeft(name, past, verdicts)
	for _, v := range verdicts {
		if v.Target != name.target || v.Skip != "" || pl.Events || pl.Rows != cdc.RowsReplaced {
			continue
		}
		if row := rowOf(name.target, v.Delivery.Key); !pl.table[row].Equal(v.Delivery.Record) {
			w.violation("%s holds %v in row %v after all was retried, and not %v", pl.Name, pl.table[row], row, v.Delivery.Record)
		}
	}
}

// checkLeft: of a record that never was to stay as it is, no row is left under another key
// than its present one.
func (pl *place) checkLeft(name pastName, past []*entry, present []route.Verdict) {
	if pl.Events || slices.ContainsFunc(past, func(e *entry) bool { return e.verdict.Skip != "" }) {
		return
	}
	for row, record := range pl.table {
		at := slices.IndexFunc(present, func(v route.Verdict) bool {
			return row == rowOf(name.target, v.Delivery.Key) && v.Delivery.Record != nil
		})
		if row.target == name.target && record.String("id") == name.record.RecordID && at < 0 {
			pl.w.violation("%s holds %v in row %v, which %v has left", pl.Name, record, row, name.record)
		}
	}
}

// checkLog: what the log was given it has.
func (w *world) checkLog() {
	l, err := ledger.Open(w.folder + "/log.db")
	if err != nil {
		w.violation("%v", err)
		return
	}
	defer l.Close()
	// A backfill's chunk that is repeated has the same ids, and one row.
	type name struct {
		destination, target string
		id                  cdc.ID
	}
	found := map[name]bool{}
	for row, err := range l.Rows(ledger.Query{}) {
		if err != nil {
			w.violation("%v", err)
			return
		}
		found[name{row.Destination, row.Target, row.Change.ChangeID}] = true
	}
	for _, pl := range w.places {
		for _, e := range pl.entries {
			if e.logged && !found[name{pl.Name, e.verdict.Target, e.change.ChangeID}] {
				w.violation("%s: %v is not in the log any more", pl.Name, e)
			}
		}
	}
}

// listeners are those of a destination's events: one that is quick and one that is slow.
type listeners struct {
	hub       *hub.Hub[notice]
	p         *process
	name      string
	cancel    []func()
	published int
	heardOut  bool // they had time to hear all
}

// notice is an event, or how many a listener missed.
type notice struct {
	engine.Notice
	missed int
}

func newListeners(p *process, name string) *listeners {
	l := &listeners{p: p, name: name, hub: hub.New(4, func(n int) notice { return notice{missed: n} })}
	for _, slow := range []time.Duration{0, 3 * time.Second} {
		values, cancel := l.hub.Subscribe(nil)
		var done = make(chan struct{})
		seen := 0
		go func() {
			defer close(done)
			for n := range values {
				if seen += n.missed; n.missed == 0 {
					seen++
				}
				time.Sleep(slow)
			}
		}()
		l.cancel = append(l.cancel, func() {
			cancel()
			<-done
			if seen > l.published || l.heardOut && seen < l.published {
				p.w.accuse("%s: a listener was told %d of %d events", name, seen, l.published)
			}
		})
	}
	return l
}

func (l *listeners) publish(n engine.Notice) {
	l.published++
	l.hub.Publish(notice{Notice: n})
}

// end ends them. In the last life they hear all before, which is more than a listener may ask
// for that ends in between.
func (l *listeners) end() {
	const hearing = time.Minute // for the few that wait for the slow one
	if w := l.p.w; time.Now().After(w.healthy) && !l.p.died() {
		time.Sleep(hearing)
		l.heardOut = true
	}
	for _, cancel := range l.cancel {
		cancel()
	}
}
