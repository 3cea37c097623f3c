package replicator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
	"github.com/s3db-go/replicator/internal/route"
)

// LogOptions say what is kept of the outcomes. Failed deliveries always are.
type LogOptions struct {
	// Successes keeps a row for every delivery that succeeded, too. It costs a
	// durable write per batch of outcomes.
	Successes bool
	// Retention is how long rows stay that are settled: replicated, superseded or
	// discarded. 0 is 30 days, so that a log that nobody looks after does not fill the
	// disk; -1 keeps them for ever.
	Retention time.Duration
	// FailedRetention is how long a row stays failed or held when nobody sends it again:
	// then it is discarded, as by Discard. 0, the default, is for ever.
	FailedRetention time.Duration
	// Resource names a resource of the source that gets a copy of the log, for reading with
	// the store's own queries; by custom "plg_replicator_logs". It is made if it is not
	// there, and divided by the day of createdAt. It is written behind, see
	// Stats.LogCopy, has no secrets, and Data and Before in it are cut to 8 KiB each. The
	// name begins with "plg_", which "*" leaves out, and no route can name it. "", the
	// default, makes no copy.
	Resource string
}

const defaultRetention = 30 * 24 * time.Hour

// logFaults judges what is said of the log.
func (o Options) logFaults() (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("replicator: "+format, args...)) }
	if o.Log.Retention < -1 {
		add("Log.Retention is %v; it can't be negative, but for -1, which keeps all", o.Log.Retention)
	}
	if o.Log.FailedRetention < 0 {
		add("Log.FailedRetention is %v; it can't be negative, and 0 keeps all", o.Log.FailedRetention)
	}
	if o.RetryFailedEvery < 0 {
		add("RetryFailedEvery is %v; it can't be negative, and 0 retries nothing by itself", o.RetryFailedEvery)
	}
	if o.RetryFailedMax < 0 {
		add("RetryFailedMax is %d; it can't be negative", o.RetryFailedMax)
	}
	if o.Log.Resource == "" {
		return faults
	}
	if !strings.HasPrefix(o.Log.Resource, route.Plugins) {
		add("Log.Resource is %q; its name must begin with %q, so that no route carries it unasked", o.Log.Resource, route.Plugins)
	}
	for _, d := range o.Destinations {
		for i, r := range d.Routes {
			if r.From == o.Log.Resource {
				add("destination %q: Routes[%d] carries the log's copy %q; each failure of it would be another row", d.Name, i, r.From)
			}
		}
	}
	return faults
}

// unhosted is the fault of a source that can't keep the copy that is asked for.
func (o Options) unhosted(source cdc.Source) (faults []error) {
	if _, ok := source.(cdc.LogHost); o.Log.Resource != "" && !ok {
		faults = append(faults, fmt.Errorf("replicator: Log.Resource is %q, but the source can't keep a copy of the log", o.Log.Resource))
	}
	return faults
}

const (
	// purgeAtOnce rows are removed in one write of the log, which an outcome that is to be
	// written at that moment waits for.
	purgeAtOnce = 128
	// After each such write the log is left alone for purgeRest times as long: so it meets
	// one outcome in ten at most, and still removes more in a second than most write.
	purgeRest = 9
	// trimEvery is how often the log is looked through; sooner where rows stay only for
	// minutes.
	trimEvery  = time.Minute
	trimOftest = time.Second
)

// trimLog removes what has been in the log for long enough, until ctx ends.
func (r *Replicator) trimLog(ctx context.Context, run *running) {
	o := r.opts.Log
	every := trimEvery
	for _, age := range []time.Duration{o.Retention, o.FailedRetention} {
		if age > 0 {
			every = min(every, max(age/10, trimOftest))
		}
	}
	for sleep(ctx, every) == nil {
		if err := r.trimOnce(ctx, run, time.Now()); err != nil && ctx.Err() == nil {
			r.opts.Logger.Warn("the log can't be trimmed", "error", err)
		}
	}
}

func (r *Replicator) trimOnce(ctx context.Context, run *running, now time.Time) error {
	o := r.opts.Log
	if o.FailedRetention > 0 {
		if _, err := r.discard(ctx, ledger.Query{Until: now.Add(-o.FailedRetention), GivenUp: true}); err != nil {
			return err
		}
	}
	for found := purgeAtOnce; o.Retention > 0 && found == purgeAtOnce; {
		began := time.Now()
		var err error
		if found, err = run.ledger.Purge(now.Add(-o.Retention), purgeAtOnce); err != nil {
			return err
		}
		if err := sleep(ctx, purgeRest*time.Since(began)); err != nil {
			return err
		}
	}
	return nil
}
