package sim

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/route"
)

// The targets of a world. Events wants every change, rows the newest state of each
// record, keyed too, under a key that moves from record to record.
const (
	events = "events"
	rows   = "rows"
	keyed  = "keyed"
)

// deliveryCost is what a delivery may take of the window beyond its change's bytes.
const deliveryCost = 1 << 10

// heartbeat is a record that is written only after the faults have ended, and whose
// changes nothing keeps back.
const heartbeat = "heartbeat"

var errTransform = errors.New("the transform failed")

// writer makes the journal.
type writer struct {
	journal []*change
	writes  []uint64 // the Seqs of all but the heartbeats
	last    uint64   // the last of them
	state   map[string]cdc.Record
	schema  int
	targets []string // of the routes
}

// change is a journaled change with everything that will be made of it.
type change struct {
	cdc.Change
	bytes int
	fates []*fate // one per verdict
}

// fate is one verdict and what became of it.
type fate struct {
	verdict route.Verdict
	change  *change
	poison  poison
	held    bool // with Hold it stands in its record's lane too

	// For good.
	accepted  bool // the destination applied it
	contained bool // the destination applied one that contains it
	row       bool // a failed row is durable
	given     bool // a failed row contains it
	sealed    bool // settled before a clean stop

	// In this life of the process.
	restored bool // the cursor says that it is settled
	loaded   bool
	told     bool // the core was told that it is accepted
	settled  bool
	mark     int  // what the core had been told as accepted when this last failed
	count    int  // RetryCount of the last notice
	suspect  bool // the last attempt may be charged
	guilty   bool // the one before might be
	away     bool // the destination was unavailable at the last one
	missed   int  // how many of those that count were such
	crowd    bool // the last answer made no difference between several
}

// poison is how a delivery fails whenever it is tried.
type poison uint8

const (
	healthy poison = iota
	permanent
	transient
	deadly // takes the destination down for a moment
)

func (w *world) init() {
	w.state = map[string]cdc.Record{}
	w.schema = 1
	for _, t := range []string{events, rows, keyed} {
		if w.chance(0.6) {
			w.targets = append(w.targets, t)
		}
	}
	if len(w.targets) == 0 {
		w.targets = []string{events}
	}
	w.checks.init()
	w.destination.init()
}

// write journals the next change of some record.
func (w *world) write() {
	w.writes = append(w.writes, uint64(len(w.journal)+1))
	w.last = uint64(len(w.journal) + 1)
	w.writeTo(fmt.Sprintf("r%d", w.rnd.IntN(w.records)))
}

func (w *world) writeTo(id string) {
	special := ""
	if id == heartbeat {
		special = heartbeat // a key of its own, so that it stands behind nobody
	}
	before := w.state[id]
	var after cdc.Record
	op := cdc.Updated
	switch {
	case before == nil:
		op = cdc.Inserted
		after = cdc.Record{"id": id, "key": cmp.Or(special, w.key())}
	case special == "" && w.chance(0.15):
		op = cdc.Deleted
	default:
		after = before.Clone()
	}
	if after != nil {
		after["n"] = int64(len(w.journal))
		if special == "" && w.chance(0.2) {
			after["key"] = w.key()
		}
		delete(after, "extra")
		if w.chance(0.5) {
			after["extra"] = true
		}
	}
	if after == nil {
		delete(w.state, id)
	} else {
		w.state[id] = after
	}
	if w.chance(0.03) {
		w.schema++
	}
	c := &change{bytes: 20 + w.rnd.IntN(200)}
	c.Change = cdc.Change{
		Seq: uint64(len(w.journal) + 1), Version: uint64(len(w.journal) + 1), Op: op,
		Resource: "things", RecordID: id, Data: after, Before: before, Time: w.now, SchemaVersion: w.schema,
	}
	c.ChangeID[15], c.ChangeID[14] = byte(c.Seq), byte(c.Seq>>8)
	for rule, target := range w.targets {
		f := w.fateOf(c, rule, target)
		c.fates = append(c.fates, f)
		w.expect(f)
	}
	w.journal = append(w.journal, c)
	w.log("write %d %s %s", c.Seq, op, id)
	if w.waiting {
		w.waiting = false
		w.after(w.jitter(), w.epoch, func() { w.tell(engine.More{}) })
	}
}

// key is one of few, so that they move between records.
func (w *world) key() string { return fmt.Sprintf("k%d", w.rnd.IntN(4)) }

// fateOf decides once and for all what the routes make of a change, so that they are
// pure.
func (w *world) fateOf(c *change, rule int, target string) *fate {
	f := &fate{change: c, held: w.set.Hold}
	v := &f.verdict
	v.Rule, v.Target, v.Lane = rule, target, c.RecordID
	ordinary := c.RecordID != heartbeat
	if ordinary && w.chance(0.1) {
		v.Skip = "filtered"
		return f
	}
	d := &v.Delivery
	d.Change, d.Target = c.Change, target
	d.Data, d.Change.Before = nil, nil
	d.Record, d.Before, d.Key = c.Data, c.Before, cdc.Record{"id": c.RecordID}
	if target == keyed {
		is, was := c.Data, c.Before
		if is == nil {
			is = was
		}
		d.Key = is.Pick("key")
		v.Lane = is.String("key")
		if was != nil && was.String("key") != v.Lane {
			d.OldKey = was.Pick("key")
			v.OldLane = was.String("key")
		}
	}
	if ordinary && w.chance(0.04) {
		v.Err = errTransform
	}
	if ordinary && w.chance(0.08) {
		f.poison = w.poison()
	}
	return f
}

// poison chooses how a delivery fails. What only another record's success can prove
// guilty is left out where the window may hold no other record: it would rightly
// wait for ever.
func (w *world) poison() poison {
	p := poison(1 + w.rnd.IntN(3))
	roomy := w.set.Window == largeWindow || w.set.MaxParked == manyParked
	if p == deadly && !roomy || p == transient && !roomy && !w.set.Checks {
		return permanent
	}
	return p
}

// read is the journal's reader and the router.
func (w *world) read(most int) engine.Event {
	if w.faulty() {
		return engine.LoadFailed{Err: errors.New("the disk can't be read")}
	}
	var loaded engine.Loaded
	size := 0
	for w.position < uint64(len(w.journal)) {
		c := w.journal[w.position]
		if size > 0 && size+c.bytes > most {
			break
		}
		size += c.bytes
		w.position++
		if w.core.Settled(c.Seq) {
			continue
		}
		r := engine.Routed{Change: &c.Change, Bytes: c.bytes}
		for _, f := range c.fates {
			r.Verdicts = append(r.Verdicts, f.verdict)
			if !f.restored {
				w.load(f)
			}
		}
		loaded.Changes = append(loaded.Changes, r)
	}
	w.largest = max(w.largest, size+len(loaded.Changes)*len(w.targets)*deliveryCost)
	loaded.CaughtUp = w.position == uint64(len(w.journal))
	w.waiting = loaded.CaughtUp
	return loaded
}

// reread is read once more, for some changes.
func (w *world) reread(seqs []uint64) engine.Event {
	if w.faulty() {
		return engine.FetchFailed{Err: errors.New("the disk can't be read")}
	}
	var fetched engine.Fetched
	size := 0
	for _, seq := range seqs {
		c := w.journal[seq-1]
		size += c.bytes
		r := engine.Routed{Change: &c.Change, Bytes: c.bytes}
		for _, f := range c.fates {
			r.Verdicts = append(r.Verdicts, f.verdict)
		}
		fetched.Changes = append(fetched.Changes, r)
	}
	w.largest = max(w.largest, size+len(seqs)*len(w.targets)*deliveryCost)
	return fetched
}
