// Package bigquery delivers changes to tables of Google BigQuery, through the Storage
// Write API. A table holds each record as it is now, or a row for each of its changes,
// see [Mutability].
//
// # What it promises
//
// What Apply calls delivered is durable at BigQuery: the service acknowledged the rows,
// each of them. Rows that it refuses for what is in them fail alone. Numbers arrive with
// all their digits, times in microseconds; a value that its column can't hold exactly is
// that record's permanent failure, and never rounded or cut.
//
// Datasets and tables are created, and tables get columns, as records need them, see
// [SchemaSync]. No column is ever changed or dropped.
//
// # Tables
//
// A target is a table's name, alone or with its dataset ("analytics.orders").
//
// Mutable tables are written by change data capture: each row comes as an upsert or a
// delete, with the change's version as its sequence number, so that nothing older is
// ever written over a row, and what comes twice is there once. A row is found by
// [cdc.Delivery.Key]: the route's columns, else the table's primary key if the record
// has its columns, else id. The whole row is replaced: a field that a record lacks is
// NULL afterwards, as is one that is nil.
//
// Tables that keep every change get each at least once, and with it _change_id. The view
// beside them (see [Table.View]) has each once.
//
// # Values
//
// Of the types of columns that it makes itself: decimals are BIGNUMERIC, or STRING where
// the first one has more digits than that holds, and never go through a float; lists and
// objects are JSON. In tables that are there, lists are written to REPEATED columns, in
// which BigQuery keeps no null and does not tell an empty one from none, and objects to
// RECORDs, whose fields somebody else adds.
//
// # What depends on BigQuery
//
// These are rules of the service. A server that stands in its place, as in the tests,
// can't show them; they are from its documentation, the page in parentheses below
// cloud.google.com/bigquery.
//
//   - An acknowledged change of a Mutable table is seen by queries at once if the table's
//     max_staleness is 0, as it is unless somebody sets it; the query then merges by itself,
//     and costs accordingly (docs/change-data-capture).
//   - A deleted key and its sequence number are remembered for two days. A request that was
//     lost on the way for longer than that could bring a row back (same page).
//   - Mutable tables have a primary key of up to 16 columns, up to 2,000 columns at the
//     top, and take no statements that change rows while changes are captured into them
//     (same page).
//   - A column that was just made may be unknown to the Storage Write API for some minutes.
//     The destination is unavailable until then, and no attempt is charged
//     (docs/write-api-best-practices#handle_schema_updates).
//   - A table that was dropped and made anew under its name may not be found, or lose what
//     is written to it, in the first minutes: users have seen it. Only SchemaSync.DropCreate
//     does that.
//   - What a project may send in a second, and how many connections it may have, is limited;
//     beyond that the destination is unavailable, for as long as BigQuery says. A request
//     has up to 20 MB (quotas#write-api-limits), so that a row has less.
//   - A table may be changed five times in ten seconds (quotas#standard_tables). All columns
//     that a batch needs are one change.
//   - Rows that arrived within the last half hour can't be changed by UPDATE, DELETE or MERGE
//     in a transaction of several statements; that concerns what others do with tables that
//     keep every change (docs/write-api#use_data_manipulation_language_dml_with_recently_streamed_data).
//   - A merge of captured changes reads the whole table, whatever its partitions
//     (docs/change-data-capture).
//   - Partitions that expire, and their limits, are the table's own (docs/partitioned-tables).
//
// # What it does not
//
// Rows that others write are theirs: a change that comes later is written over them.
// Columns whose names BigQuery takes only in some places, those with other characters
// than letters, digits and underscores, are not written.
package bigquery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

// Bounds of a batch. A request takes 20 MB, and a row is smaller there than in a batch.
// Requests go one after another on one connection without waiting for each other; with
// eight under way, a drain took a tenth less time than with four.
const (
	batchItems  = 500
	batchBytes  = 4 << 20
	concurrency = 8
)

// Driver writes to one project. Safe for concurrent use.
type Driver struct {
	opts    Options
	logger  *slog.Logger
	closing sync.WaitGroup // streams that are
	buffers sync.Pool      // of *encoder

	mu      sync.Mutex // guards what follows
	clients *clients   // nil if not open
	targets map[string]*target
}

var (
	_ cdc.Driver       = (*Driver)(nil)
	_ cdc.Validator    = (*Driver)(nil)
	_ cdc.Opener       = (*Driver)(nil)
	_ cdc.Limited      = (*Driver)(nil)
	_ cdc.SchemaSyncer = (*Driver)(nil)
	_ cdc.Checker      = (*Driver)(nil)
	_ io.Closer        = (*Driver)(nil)
)

// New gives a driver for the project. It does no I/O.
func New(opts Options) *Driver {
	d := &Driver{opts: opts, logger: opts.Logger, targets: map[string]*target{}}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	d.buffers.New = func() any { return new(encoder) }
	return d
}

// Name is "bigquery".
func (d *Driver) Name() string { return "bigquery" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error { return d.opts.validate() }

// Open makes the clients and asks for the dataset, which need not be there. Credentials
// that are wrong, or that give no access, are a permanent error.
func (d *Driver) Open(ctx context.Context) error {
	if err := d.opts.validate(); err != nil {
		return cdc.Permanent(err)
	}
	c, err := d.opts.connect(ctx)
	if err != nil {
		return cdc.Permanent(fmt.Errorf("bigquery: open: %w", err))
	}
	if err := d.ask(ctx, c); err != nil {
		_ = c.write.Close() // nothing was sent
		if certain(err) {
			return cdc.Permanent(fmt.Errorf("bigquery: open: %w", judge(ctx, err, nil)))
		}
		return fmt.Errorf("bigquery: open: %w", judge(ctx, err, nil))
	}
	d.mu.Lock()
	before := d.clients
	d.clients = c
	d.mu.Unlock()
	if before != nil {
		d.release(before)
	}
	return nil
}

// ask asks for a sign of life. A dataset that is not there is one.
func (d *Driver) ask(ctx context.Context, c *clients) error {
	_, err := c.rest.Datasets.Get(d.opts.ProjectID, d.opts.Dataset).Context(ctx).Do()
	if answered(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// release closes what was open.
func (d *Driver) release(c *clients) {
	d.mu.Lock()
	targets := slices.Collect(maps.Values(d.targets))
	d.mu.Unlock()
	for _, t := range targets {
		d.retire(t, t.reset())
	}
	_ = c.write.Close() // every row that counts is acknowledged
	d.closing.Wait()
}

// Limits say that a target wants state, in whole rows, or every change, and which
// columns are its primary key.
func (d *Driver) Limits(name string) cdc.Limits {
	limits := cdc.Limits{Items: batchItems, Bytes: batchBytes, Concurrency: concurrency, Rows: cdc.RowsReplaced}
	if d.opts.Tables[name].mutability(d.opts) != Mutable {
		limits.Events, limits.Ordered, limits.Rows = true, true, cdc.RowsUnknown
		return limits
	}
	d.mu.Lock()
	t := d.targets[name]
	d.mu.Unlock()
	if t != nil {
		limits.Key = t.key()
	}
	return limits
}

// Check asks the service for a sign of life.
func (d *Driver) Check(ctx context.Context) error {
	c, err := d.present()
	if err != nil {
		return err
	}
	if err := d.ask(ctx, c); err != nil {
		return fmt.Errorf("bigquery: check: %w", judge(ctx, err, nil))
	}
	return nil
}

// Close closes all streams. The driver may be opened again.
func (d *Driver) Close() error {
	d.mu.Lock()
	c := d.clients
	d.clients = nil
	d.mu.Unlock()
	if c != nil {
		d.release(c)
	}
	return nil
}

// present gives the clients of a driver that is open.
func (d *Driver) present() (*clients, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clients == nil {
		return nil, cdc.Unavailable(errors.New("bigquery: not open"))
	}
	return d.clients, nil
}

// target gives what is known of a target.
func (d *Driver) target(name string) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[name]; t != nil {
		return t, nil
	}
	table, err := parseName(name, d.opts)
	if err != nil {
		return nil, cdc.Permanent(fmt.Errorf("bigquery: target %q: %w", name, err))
	}
	t := newTarget(name, table, d.opts)
	d.targets[name] = t
	return t, nil
}
