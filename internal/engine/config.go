package engine

import (
	"cmp"
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backoff"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/panics"
	"github.com/s3db-go/replicator/internal/route"
)

// Config is what an engine is made of.
type Config struct {
	// Name is the destination's: the identity of its cursor and of its rows.
	Name string
	// Replicator names the whole in the ledger's rows.
	Replicator string

	Driver  cdc.Driver
	Journal Journal
	// Read calls then with a record's present state, false if it is gone, while no write of
	// the record is under way. Only Retry uses it. nil: the source can't be read.
	Read   func(ctx context.Context, record cdc.Key, then func(cdc.Record, bool) error) error
	Router Router
	Ledger Ledger
	// Schema gives the shape that a rule makes of a resource, false if there is none
	// to sync. Called outside of all locks, once per attempt of a sync. nil syncs
	// nothing.
	// The version is the least that will do; an error is that of asking, and asked again.
	Schema func(resource string, rule, version int) (cdc.Schema, bool, error)
	// Shapes are known before anything is delivered. A target that refuses one for
	// good fails Start.
	Shapes []Sync
	// Notify is told everything that happens, one thing at a time, in order. It must not
	// block. nil tells nobody.
	Notify func(Notice)
	// Observe is called before each call of Driver.Apply, in its goroutine; what it gives is
	// the driver's context, and a function to be called with the driver's answer. nil: nobody
	// looks.
	Observe func(ctx context.Context, batch []cdc.Delivery) (context.Context, func(error))

	// Window bounds the bytes of loaded changes. Default 16 MiB.
	Window int
	// MaxParked bounds the changes that wait behind a failed delivery without taking
	// room in the window, at some 300 bytes each; beyond it the destination waits.
	// Default 250,000.
	MaxParked int
	// Concurrency caps the driver's own limit. Default: no cap.
	Concurrency int
	// MaxRetries is how many attempts may follow the first, -1 for none. Default 3.
	MaxRetries int
	// Backoff between the attempts of a delivery, with full jitter. Default 1 s
	// doubling to a minute: a lane that could go again should not idle longer.
	Backoff backoff.Policy
	// GiveUpAfter is how long a delivery waits for a destination that has been
	// unavailable for as long. Default: for ever.
	GiveUpAfter time.Duration
	// Hold puts what follows a failed delivery in its lane into the ledger too.
	Hold bool
	// Rate is how many deliveries are sent in a second. Default: no limit.
	Rate float64
	// Places, if not nil, is shared by engines: an attempt that is not the engine's only
	// one takes a place in it while it runs.
	Places chan struct{}
	// Timeout of an attempt. Default 30 s.
	Timeout time.Duration
	// Rand gives numbers in [0,1) for the jitter, one at a time. Default: those of
	// math/rand/v2.
	Rand func() float64
	// RecordSuccesses writes a row for each replicated delivery too.
	RecordSuccesses bool
}

// Journal is what an engine needs of the journal.
type Journal interface {
	Read(after uint64) (journal.Reader, error)
	Last() uint64
	Cursor(name string) (journal.Cursor, bool)
	SaveCursor(name string, c journal.Cursor) error
	AppendTo(ctx context.Context, destination string, changes []cdc.Change, w *journal.Watch) (int, error)
}

// Router decides what becomes of a change. It appends to dst one verdict per rule
// that wants the change, and recovers from panics of the user's functions. An error
// means that nothing could be decided, and that it may be tried again.
type Router interface {
	Route(dst []route.Verdict, change *cdc.Change) ([]route.Verdict, error)
	// Ways gives the rules for a resource, and their targets.
	Ways(resource string) []route.Way
	// ShapeOf gives what a rule makes of a resource with this schema.
	ShapeOf(source cdc.Schema, rule int) (cdc.Schema, error)
}

// Ledger keeps outcomes. When Settle or Amend return nil what they wrote is durable.
type Ledger interface {
	Settle(ends ...ledger.End) (failures []int, err error)
	Failures(q ledger.Query, n int) iter.Seq2[[]ledger.Row, error]
	EachFailure(destination string, do func(target string, record cdc.Key)) error
	Amend(rows []ledger.Row, change func(*ledger.Row)) ([]ledger.Row, error)
}

func (c Config) withDefaults() Config {
	c.Window = cmp.Or(c.Window, 16<<20)
	c.MaxParked = cmp.Or(c.MaxParked, 250_000)
	c.Concurrency = cmp.Or(c.Concurrency, math.MaxInt)
	c.MaxRetries = max(cmp.Or(c.MaxRetries, 3), 0)
	c.Backoff = cmp.Or(c.Backoff, backoff.Policy{Base: time.Second, Cap: time.Minute})
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Observe == nil {
		c.Observe = func(ctx context.Context, _ []cdc.Delivery) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if c.Notify == nil {
		c.Notify = func(Notice) {}
	}
	return c
}

// settings are what the core decides by.
func (c Config) settings() Settings {
	_, opens := c.Driver.(cdc.Opener)
	_, syncs := c.Driver.(cdc.SchemaSyncer)
	_, checks := c.Driver.(cdc.Checker)
	limited, _ := c.Driver.(cdc.Limited)
	return Settings{
		Destination:     c.Name,
		Window:          c.Window,
		MaxParked:       c.MaxParked,
		Concurrency:     c.Concurrency,
		Retries:         c.MaxRetries,
		Backoff:         c.Backoff,
		GiveUpAfter:     c.GiveUpAfter,
		Hold:            c.Hold,
		Rate:            c.Rate,
		Timeout:         c.Timeout,
		RecordSuccesses: c.RecordSuccesses,
		Opens:           opens,
		Syncs:           syncs && c.Schema != nil,
		Checks:          checks,
		Limits:          func(target string) (cdc.Limits, error) { return limitsOf(limited, target) },
		Rand:            c.Rand,
	}
}

// limitsOf asks the driver and fills in the defaults. One that panics gets, beside the
// error, what does no harm at any target: each change goes as it is.
func limitsOf(driver cdc.Limited, target string) (l cdc.Limits, err error) {
	defer func() {
		if v := recover(); v != nil {
			l, err = cdc.Limits{Events: true}.WithDefaults(), panics.Error("the driver's Limits", v)
		}
	}()
	if driver != nil {
		l = driver.Limits(target)
	}
	return l.WithDefaults(), nil
}
