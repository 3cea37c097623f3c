package whole

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// place is a destination: what outlives the process, and what is known of it.
type place struct {
	Destination
	w       *world
	router  *route.Router
	outages []outage
	joined  bool // it was there in some life

	// The world's mutex guards what follows.
	entries map[entryName]*entry
	named   map[changeName][]*entry // a backfill's chunk that is repeated has the same ids
	lanes   map[laneName][]*entry   // in order of Seq
	pasts   map[pastName][]*entry   // likewise
	table   map[rowName]cdc.Record
	columns map[columnName]bool
	took    []time.Time // when the engine was told that something was accepted
	calls   []*call     // under way
}

type outage struct {
	from, to time.Time
	shy      bool // it looks like any other failure
}

type laneName struct{ target, key string }

// pastName is a record at a target.
type pastName struct {
	target string
	record cdc.Key
}

type entryName struct {
	target string
	seq    uint64
	change cdc.ID
}

type changeName struct {
	target string
	change cdc.ID
}

func newPlace(w *world, d Destination) *place {
	pl := &place{
		Destination: d, w: w,
		entries: map[entryName]*entry{}, named: map[changeName][]*entry{}, lanes: map[laneName][]*entry{},
		pasts: map[pastName][]*entry{}, table: map[rowName]cdc.Record{},
		columns: map[columnName]bool{},
	}
	r := w.dice("place " + d.Name)
	var rules []route.Rule
	for i, resource := range resources {
		rule := route.Rule{From: resource}
		if d.Moves {
			rule.Key = []string{keyField}
		}
		if d.Groups {
			rule.OrderBy = func(c cdc.Change) string { return groupOf(c.Data) }
		}
		if d.Name != "d1" || i > 0 { // the first route of the first destination is a plain one
			filter, broken := int64(2+r.IntN(8)), int64(5+r.IntN(40))
			rule.ShouldReplicate = func(c cdc.Change) bool { return c.RecordID == beat || c.Data.Int("n")%filter != 0 }
			rule.OnLeave = route.Leave(r.IntN(2))
			rule.Transform = func(c cdc.Change) (cdc.Record, error) {
				if c.RecordID != beat && c.Data.Int("n")%broken == 0 && !w.mended() {
					return nil, errTransform
				}
				return c.Data, nil
			}
		}
		rules = append(rules, rule)
		if r.IntN(4) == 0 {
			rules = append(rules, route.Rule{From: resource, To: resource + "2", Key: rule.Key, OrderBy: rule.OrderBy})
		}
	}
	o := route.Options{Destination: d.Name, Limits: pl.limits}
	if w.Schemas > 0 {
		o.Schema = w.present
	}
	pl.router = route.New(rules, o)
	for range w.Outages {
		from := w.start.Add(time.Duration(r.Int64N(int64(w.Spread))))
		pl.outages = append(pl.outages, outage{from, from.Add(time.Duration(r.IntN(60)) * time.Second), r.IntN(3) == 0})
	}
	return pl
}

func groupOf(record cdc.Record) string { return fmt.Sprint("group ", record.Int(groupField)) }

// groupsOf gives the group that a change stands in, and the one that it leaves if it does.
func groupsOf(c *cdc.Change) (is, was string) {
	if is = groupOf(c.Data); c.Op == cdc.Updated {
		was = groupOf(c.Before)
	}
	if was == is {
		was = ""
	}
	return is, was
}

var errTransform = errors.New("the transform failed")

func (pl *place) limits(string) cdc.Limits {
	return cdc.Limits{Items: pl.Items, Bytes: 1 << 20, Concurrency: pl.Concurrency, Events: pl.Events, Ordered: pl.Ordered, Rows: pl.Rows}
}

// down gives the error of an outage, nil if there is none.
func (pl *place) down() error {
	now := time.Now()
	for _, o := range pl.outages {
		if now.Before(o.from) || now.After(o.to) || now.After(pl.w.healthy) {
			continue
		}
		if o.shy { // not every driver knows an outage when it sees one
			return errors.New("something went wrong")
		}
		return cdc.Unavailable(errors.New("connection refused"))
	}
	return nil
}

// poison is how a delivery fails whenever it is tried.
type poison uint8

const (
	harmless poison = iota
	permanent
	transient
	deadly // takes the destination down for a moment
)

// poisonOf says how a write fails at the place.
func (pl *place) poisonOf(c *cdc.Change) poison {
	r := pl.w.dice(fmt.Sprint("poison ", pl.Name, c.Op, c.Data.Int("n")))
	if c.RecordID == beat || r.Float64() > 0.06 || pl.w.mended() {
		return harmless
	}
	p := poison(1 + r.IntN(3))
	// What only another record's success can prove guilty waits for ever, rightly,
	// where the window holds no other, or a full journal takes no other.
	if (pl.Window != largeWindow || pl.w.MaxBytes > 0) && p != permanent {
		return permanent
	}
	return p
}

// call is one of a driver.
type call struct {
	p       *process
	entries []*entry
	batch   []cdc.Delivery
	landed  bool // the destination has made of it what it makes of it
}

// driver carries to a place, for one process.
type driver struct {
	*place
	p *process
}

var (
	_ cdc.Driver  = driver{}
	_ cdc.Limited = driver{}
)

func (driver) Name() string                      { return "simulated" }
func (d driver) Limits(target string) cdc.Limits { return d.limits(target) }

// Drivers with further abilities.
type (
	opens  struct{ driver }
	checks struct{ driver }
	both   struct{ checks }
)

func (d driver) open(ctx context.Context) error {
	r := d.w.draw("open " + d.place.Name)
	if err := d.p.pause(ctx, time.Duration(r.IntN(200))*time.Millisecond); err != nil {
		return err
	}
	if d.w.faulty(r) {
		return errors.New("does not answer")
	}
	return d.down()
}

func (d opens) Open(ctx context.Context) error   { return d.open(ctx) }
func (d checks) Check(ctx context.Context) error { return d.open(ctx) }
func (d both) Open(ctx context.Context) error    { return d.open(ctx) }

// able gives the driver with the abilities that the place's has.
func (d driver) able() cdc.Driver {
	switch {
	case d.Opens && d.Checks:
		return both{checks{d}}
	case d.Opens:
		return opens{d}
	case d.Checks:
		return checks{d}
	}
	return d
}

// Apply takes a while, changes the destination at some moment in between, and may
// answer long after its time.
func (d driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	r := d.w.draw(fmt.Sprint("apply ", d.place.Name, batch[0].Target, batch[0].Seq))
	took := time.Duration(r.Int64N(int64(200 * time.Millisecond)))
	stuck := false
	if time.Now().Before(d.w.healthy) {
		switch {
		case r.Float64() < 0.03:
			took = time.Duration(r.Int64N(int64(25 * time.Second)))
		case r.Float64() < d.w.Faults/10:
			took, stuck = timeout+time.Duration(r.Int64N(int64(100*time.Second))), true
		}
	}
	c := &call{p: d.p, batch: batch}
	if err := d.begin(c); err != nil {
		return err
	}
	bound := ctx
	if stuck {
		bound = context.WithoutCancel(ctx)
	}
	work := time.Duration(r.Int64N(int64(took) + 1))
	err := d.p.pause(bound, work)
	if err == nil || err != errDead && r.Float64() < 0.5 { // what was sent may arrive although nobody waits for it
		err = errors.Join(d.land(c, r), err)
	}
	if err == nil {
		err = d.p.pause(bound, took-work)
	}
	d.answered(c, err)
	return err
}

// land is the moment at which the destination changes, and gives what the driver says
// about it.
func (pl *place) land(c *call, r *rand.Rand) error {
	pl.w.mu.Lock()
	defer pl.w.mu.Unlock()
	if c.p.isDead {
		return errDead
	}
	return pl.landed(c, r)
}

// landed does the work of land. The caller holds the world's mutex.
func (pl *place) landed(c *call, r *rand.Rand) error {
	c.landed = true
	if err := pl.down(); err != nil {
		return err
	}
	faulty := func() bool { return pl.w.faulty(r) }
	n := len(c.entries)
	items := &cdc.BatchError{Errs: make([]error, n)}
	var first error
	for i, e := range c.entries {
		switch {
		case pl.poisonOf(e.change) == deadly:
			return cdc.Unavailable(errors.New("connection reset"))
		case pl.Ordered && e.follows(c.entries[:i], items.Errs):
			items.Errs[i] = errors.New("not reached")
		case pl.poisonOf(e.change) == permanent:
			items.Errs[i] = cdc.Permanent(errors.New("the value is out of range"))
		case pl.poisonOf(e.change) == transient:
			items.Errs[i] = errors.New("internal error")
		case faulty():
			items.Errs[i] = pl.mishap(r.Float64())
		}
		if first == nil {
			first = items.Errs[i]
		}
	}
	if first != nil && r.Float64() < 0.4 {
		return first // all or nothing: the batch was one transaction
	}
	for i, e := range c.entries {
		if items.Errs[i] == nil {
			pl.accept(e, c.batch[i])
		}
	}
	switch {
	case faulty() && r.Float64() < 0.3:
		return errors.New("the answer was lost")
	case faulty() && r.Float64() < 0.1:
		return &cdc.BatchError{Errs: make([]error, n+1)}
	case faulty() && r.Float64() < 0.1:
		return &cdc.BatchError{Errs: make([]error, n-1)}
	case first == nil && r.Float64() < 0.8:
		return nil
	}
	if pl.Ordered {
		// A driver need not mark what stands behind a failure.
		for i := n - 1; i > 0; i-- {
			if c.entries[i].follows(c.entries[:i], items.Errs) && r.Float64() < 0.5 {
				items.Errs[i] = nil
			}
		}
	}
	return items
}

// mishap is a failure that passes.
func (pl *place) mishap(kind float64) error {
	switch {
	case kind < 0.25:
		return cdc.RetryAfter(errors.New("slow down"), time.Duration(kind*1000)*time.Second)
	case kind < 0.5:
		return cdc.Unavailable(errors.New("connection reset"))
	}
	return errors.New("deadlock detected")
}

// begin: a call starts. At most one is under way for a lane, and no more than the
// driver allows.
func (pl *place) begin(c *call) error {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.p.isDead {
		return errDead
	}
	last := map[laneName]uint64{}
	for _, d := range c.batch {
		e := pl.entries[entryName{d.Target, d.Seq, d.ChangeID}]
		if e == nil {
			w.violation("%s is sent %v, which was never read", pl.Name, d.Change)
			return errDead
		}
		c.entries = append(c.entries, e)
		for _, other := range pl.calls {
			if slices.ContainsFunc(other.entries, e.meets) {
				w.violation("%s: two attempts of lane %v at a time", pl.Name, e.lanes())
			}
		}
		for _, l := range e.lanes() {
			if before, twice := last[l]; twice && (!pl.Ordered || before >= d.Seq) {
				w.violation("%s: %d and %d of lane %v stand in one batch", pl.Name, before, d.Seq, l)
			}
			last[l] = d.Seq
		}
		pl.checkDelivery(e, d)
	}
	pl.calls = append(pl.calls, c)
	w.log("%s: apply %v", pl.Name, c.entries)
	if len(c.entries) == 0 || len(c.entries) > pl.Items {
		w.violation("%s: a batch of %d", pl.Name, len(c.entries))
	}
	if len(pl.calls) > pl.Concurrency {
		w.violation("%s: %d calls at a time", pl.Name, len(pl.calls))
	}
	return nil
}

// answered: the engine is about to be told the driver's answer. What it may conclude
// from it is worked out here by the words of the contract.
func (pl *place) answered(c *call, err error) {
	w := pl.w
	w.mu.Lock()
	defer w.mu.Unlock()
	pl.calls = slices.DeleteFunc(pl.calls, func(o *call) bool { return o == c })
	if c.p.isDead {
		return
	}
	w.log("%s: answer to %v: %v", pl.Name, c.entries, err)
	batch, perItem := errors.AsType[*cdc.BatchError](err)
	perItem = perItem && len(batch.Errs) == len(c.entries)
	refused := func(i int) bool { return err != nil && (!perItem || batch.Errs[i] != nil) }
	for i, e := range c.entries {
		behind := false
		for j := range i {
			behind = behind || refused(j) && pl.Ordered && c.entries[j].meets(e)
		}
		if !refused(i) && !behind {
			e.told = true
			pl.took = append(pl.took, time.Now())
		}
	}
}

// follows reports whether one stands behind one of a batch that failed, in a lane of both.
func (e *entry) follows(batch []*entry, errs []error) bool {
	for j, o := range batch {
		if errs[j] != nil && o.meets(e) {
			return true
		}
	}
	return false
}
