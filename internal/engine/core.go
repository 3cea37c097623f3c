package engine

import (
	"cmp"
	"container/list"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// Settings are what a core decides by. They are exact: no field has a default.
type Settings struct {
	Destination string // for errors
	// Window bounds the bytes of the loaded changes, as they are encoded in the
	// journal, with what the core needs for each delivery counted in.
	Window int
	// MaxParked bounds the changes that gave their payload back. Beyond it nothing is
	// loaded.
	MaxParked int
	// Concurrency caps the running attempts, below what the driver allows.
	Concurrency int
	// Retries is how many charged attempts may follow the first one.
	Retries int
	Backoff backoff.Policy
	// GiveUpAfter ends the waiting for a destination that is away, 0 never.
	GiveUpAfter time.Duration
	// Hold keeps what follows a failed delivery in its lane from going.
	Hold bool
	// Rate is how many deliveries may be sent in a second, 0 any number.
	Rate float64
	// Timeout of an attempt. It is the caller's to enforce; the core only tells which
	// attempts overran it.
	Timeout time.Duration
	// RecordSuccesses asks for a Record of each replicated delivery too.
	RecordSuccesses bool
	// The abilities of the driver: Opener, SchemaSyncer, Checker.
	Opens, Syncs, Checks bool
	// Limits of a target, with the defaults filled in. Asked when the target's first
	// delivery comes, and again after each Opened and Synced. Beside an error they are
	// what does no harm.
	Limits func(target string) (cdc.Limits, error)
	// Rand gives numbers in [0,1) for the jitter.
	Rand func() float64
}

const (
	// loadBytes is read at a time: some hundred changes, so that the cost of a load
	// vanishes and yet the first batch leaves before the window is full.
	loadBytes = 256 << 10
	// itemCost is what a delivery costs the window beyond its change: the item, its
	// place in lane and queue, the fields of its own. Without it a window of tiny
	// changes would take many times its size.
	itemCost = 768
	// saveEvery bounds what a crash repeats; each save is two fsyncs. At first they come
	// more often, after saveFirst and then each after as long again: a process that dies
	// soon after every start still keeps half of what it did.
	saveEvery = time.Second
	saveFirst = 10 * time.Millisecond
	// savePerRange makes the saves of a cursor with very many ranges rarer, so that
	// they take no more than about a hundredth of the time.
	savePerRange = 20 * time.Microsecond
	// giveUpEvery is how often is looked for what has waited too long.
	giveUpEvery = time.Second
	// schemaRetry is how long a target that refused its schema for good is believed;
	// someone may have granted the right meanwhile.
	schemaRetry = 30 * time.Second
)

// helpless paces what is retried because our own side failed (ledger, journal, a
// target's schema): it is nobody's attempt, and there is nothing to spread.
func helpless(failures int) time.Duration {
	return backoff.Policy{Base: time.Second, Cap: 30 * time.Second}.Ceiling(failures)
}

// Core decides what one destination does next. It belongs to one goroutine at a time.
type Core struct {
	set Settings
	now time.Time // of the present step

	window   window
	behind   bool // the journal may have more than was asked for
	loading  bool
	loadFail retry

	targets    map[string]*target
	runnable   queue[*target] // those with something to start
	timers     timers
	stalled    *list.List // lanes that may stand still and have payloads
	wanted     wants      // lanes whose head has none
	fetched    bool       // the last that was read was a Fetch
	fetching   bool       // a Fetch is under way,
	called     []*item    // for these items,
	returning  []*lane    // of these lanes,
	coming     int        // which takes so many bytes of the window
	fetchFail  retry
	running    []*Attempt
	attempts   uint64
	accepted   uint64 // deliveries, ever: the clock of charging
	opened     bool
	opening    bool
	breaker    breaker
	despairAt  time.Time // when to look again for what has waited too long
	bucket     bucket
	left       bool      // the destination asked to be left alone
	checking   []refusal // failures that wait for the Check under way
	checkProbe bool      // the check speaks for a probe

	failures   failures
	known      uint64  // up to this Seq a former run may have left failures of the change itself
	ended      []*item // outcomes that wait for their Record
	recorded   []*item // in the Record under way
	outcomes   []Outcome
	recordFail retry

	unsaved bool
	saving  bool
	saved   time.Time // the first save of this run
	saveAt  time.Time
	saveErr error

	halted  bool
	wakeAt  time.Time
	actions []Action
	notices []Notice
	counts  counts

	freeItems      []*item
	freeLanes      []*lane
	freeAttempts   []*Attempt
	freeDeliveries []*cdc.Delivery
	answers        []error
	refusals       []refusal
	partsBuf       []*item
	seed           maphash.Seed // of digests
}

// retry paces one thing that is tried until it works.
type retry struct {
	failures int
	at       time.Time
	err      error
}

func (r *retry) fail(now time.Time, err error) {
	r.failures++
	r.err = err
	r.at = now.Add(helpless(r.failures))
}

// NewCore makes a core that goes on where the cursor says. Its first event is
// Opened if the driver opens, Tick if not.
func NewCore(s Settings, from journal.Cursor) *Core {
	return &Core{
		set:     s,
		window:  newWindow(from),
		behind:  true,
		opened:  !s.Opens,
		opening: s.Opens,
		targets: map[string]*target{},
		stalled: list.New(),
		bucket:  bucket{rate: s.Rate},
		seed:    maphash.MakeSeed(),
	}
}

// Step takes in an event and gives what is to be done now. Times never go back.
// The result is valid until the next Step.
func (c *Core) Step(now time.Time, event Event) []Action {
	c.now = now
	clear(c.actions)
	clear(c.notices)
	c.actions, c.notices = c.actions[:0], c.notices[:0]
	switch e := event.(type) {
	case More:
		c.behind = true
	case Loaded:
		c.load(e)
	case LoadFailed:
		c.loading = false
		c.loadFail.fail(now, e.Err)
	case Fetched:
		c.onFetched(e)
	case FetchFailed:
		c.onFetchFailed(e.Err)
	case Finished:
		c.finish(e)
	case Recorded:
		c.onRecorded(e)
	case Saved:
		c.saving, c.saveErr = false, e.Err
		c.unsaved = c.unsaved || e.Err != nil
	case Synced:
		c.onSynced(e)
	case Opened:
		c.onOpened(e.Err)
	case Checked:
		c.onChecked(e.Err)
	case Tick:
		c.wakeAt = time.Time{}
	case Halt:
		c.halted = true
	}
	c.unpark()
	c.despair()
	c.start()
	c.keep()
	c.wake()
	if len(c.notices) > 0 {
		c.act(Notify{c.notices})
	}
	return c.actions
}

func (c *Core) act(a Action)    { c.actions = append(c.actions, a) }
func (c *Core) notify(n Notice) { n.Time = c.now; c.notices = append(c.notices, n) }

// Settled reports whether a change that the journal gives was settled in a former
// run, so that it needs no routing.
func (c *Core) Settled(seq uint64) bool { return c.window.settled(seq) }

// Low is the Seq up to which everything is settled.
func (c *Core) Low() uint64 { return c.window.low() }

// Cursor is what is settled.
func (c *Core) Cursor() journal.Cursor { return c.window.cursor() }

// Quiet reports whether nothing is under way that would change the cursor. After
// Halt it becomes true when the last attempt has ended and its outcomes are
// recorded, or can't be.
func (c *Core) Quiet() bool {
	return len(c.running) == 0 && len(c.recorded) == 0 && !c.saving && (len(c.ended) == 0 || c.recordFail.failures > 0)
}

// load takes routed changes into the window and their deliveries into the lanes.
func (c *Core) load(e Loaded) {
	c.loading = false
	c.loadFail = retry{}
	if e.CaughtUp {
		c.behind = false
	}
	for i := range e.Changes {
		switch r := &e.Changes[i]; r.Kind {
		case Reshape:
			c.reshape(r)
		case Restate, Recall:
			c.replay(r)
		default:
			c.admit(r)
		}
	}
}

func (c *Core) admit(r *Routed) {
	done := c.window.pass(r.Change.Seq)
	items := 0
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if slices.Contains(done, v.Target) {
			continue
		}
		c.counts.wanted++
		if !skipped(v) {
			items++
			continue
		}
		c.counts.skipped++
		c.notify(Notice{Kind: NoteSettled, Status: Skipped, Change: r.Change, Target: v.Target, Reason: v.Skip})
	}
	if items == 0 {
		c.unsaved = true
		return
	}
	e := c.window.add(r.Change, r.Bytes, items)
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; skipped(v) || slices.Contains(done, v.Target) {
			e.done = append(e.done, v.Target)
		}
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if slices.Contains(e.done, v.Target) {
			continue
		}
		it := acquire(&c.freeItems)
		it.delivery = acquire(&c.freeDeliveries)
		*it.delivery = v.Delivery
		it.entry, it.sibling, it.err, it.mark = e, e.items, cause(v.Err), c.accepted
		it.deleted, it.grouped = v.Delivery.Op == cdc.Deleted, v.Grouped
		it.target = c.targetOf(v.Target)
		e.items = it
		if v.Err == nil && v.Skip == "" && c.set.Syncs {
			it.shape = c.shapeOf(it.target, v.Rule, r.Change)
		}
		// What failed in routing waits for its turn like any other, so that its failure
		// is recorded before a later change of the record goes.
		c.enter(it, laneName(v, r.Change), v.OldLane, recordLane(v, r.Change, c.set.Hold))
	}
}

// laneName gives the lane of a verdict. Where there is none, since the key could not be
// built, the record is the best guess.
func laneName(v *route.Verdict, change *cdc.Change) string { return cmp.Or(v.Lane, change.RecordID) }

// recordLane gives the lane in which a change stands too so that with Hold what follows it
// in its record is held whatever its key is, which a record that is deleted and inserted
// anew need not keep, and which can't be told where Transform fails; "" if there is none.
// Who orders by names of his own wants that order.
func recordLane(v *route.Verdict, change *cdc.Change, hold bool) string {
	if !hold || v.Grouped {
		return ""
	}
	return change.RecordID
}

// cause takes off the names that an error was given already: blame adds them where
// they are wanted.
func cause(err error) error {
	if e, ok := errors.AsType[*cdc.DeliveryError](err); ok {
		return e.Err
	}
	return err
}

func skipped(v *route.Verdict) bool { return v.Skip != "" && v.Err == nil }

// room is what is free of the window.
func (c *Core) room() int { return c.set.Window - c.window.bytes - c.coming }

// keep reads ahead, writes down, and saves, as far as each is due.
func (c *Core) keep() {
	if len(c.ended) > 0 && len(c.recorded) == 0 && !c.now.Before(c.recordFail.at) {
		c.record()
	}
	if c.halted {
		return
	}
	if c.room() <= 0 && (c.behind || c.wanted.Len() > 0) {
		c.shed()
	}
	// Either runs the user's functions, so they take turns.
	if room := c.room(); room > 0 && !c.loading && !c.fetching {
		load := c.behind && c.window.parked < c.set.MaxParked && !c.now.Before(c.loadFail.at) && !c.plenty()
		fetch := c.wanted.Len() > 0 && !c.now.Before(c.fetchFail.at)
		switch {
		case fetch && !(load && c.fetched):
			c.fetched = true
			c.fetch(room)
		case load:
			c.loading, c.fetched = true, false
			c.act(Load{min(room, loadBytes)})
		}
	}
	if c.unsaved && !c.saving && !c.now.Before(c.saveAt) {
		c.unsaved, c.saving = false, true
		if c.saved.IsZero() {
			c.saved = c.now
		}
		cursor := c.window.cursor()
		every := min(max(c.now.Sub(c.saved), saveFirst), saveEvery)
		c.saveAt = c.now.Add(every + time.Duration(len(cursor.Ranges)+len(cursor.Partial))*savePerRange)
		c.act(Save{cursor})
	}
}

// wake asks for a Tick at the next time at which something is due. What is under
// way needs none: its end is an event.
func (c *Core) wake() {
	var next time.Time
	soonest := func(t time.Time) {
		if t.After(c.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if len(c.timers) > 0 {
		soonest(c.timers[0].at)
	}
	if c.breaker.open() && !c.breaker.probing && (c.runnable.len() > 0 || !c.opened) {
		soonest(c.breaker.until)
	}
	if c.breaker.open() && c.set.GiveUpAfter > 0 {
		soonest(c.despairAt)
	}
	if c.set.Rate > 0 && c.runnable.len() > 0 {
		soonest(c.bucket.next())
	}
	if len(c.ended) > 0 {
		soonest(c.recordFail.at)
	}
	if c.behind && !c.loading {
		soonest(c.loadFail.at)
	}
	if c.unsaved && !c.saving {
		soonest(c.saveAt)
	}
	if c.wanted.Len() > 0 && !c.fetching {
		soonest(c.fetchFail.at)
	}
	if c.room() <= 0 {
		for _, a := range c.running {
			soonest(a.started.Add(c.set.Timeout + 1)) // from then on its lanes stand still
		}
	}
	if !next.IsZero() && !next.Equal(c.wakeAt) {
		c.wakeAt = next
		c.act(Wake{next})
	}
}
