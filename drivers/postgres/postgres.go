// Package postgres delivers changes to tables of PostgreSQL. A table holds each record
// as it is now, or a row for each of its changes, see [Mode].
//
// # What it promises
//
// A batch is one transaction, and what Apply calls delivered is committed. Where the
// database refuses some rows for what is in them, the others are committed without
// them. A field that a record lacks leaves its column as it is, nil sets it to NULL.
// Numbers arrive with all their digits, times in microseconds; a value that its column
// can't hold exactly is that record's permanent failure, and never rounded or cut.
//
// Tables are created and get columns as records need them, see [SchemaSync]. No column
// is ever changed or dropped, and no row is but by its record's change.
//
// # Tables
//
// A target is a table's name, alone or with its schema ("analytics.orders"). Names keep
// their case. A row is found by [cdc.Delivery.Key]: the route's columns, else the
// table's primary key if the record has its columns, else id.
//
// Tables that the driver creates have a column _version, which holds the version of the
// change that wrote the row: nothing older is written over it. Any table that has a
// column _version of type bigint is guarded in this way. A row that was deleted leaves
// nothing behind; so that no request which was lost on the way brings it back, every
// transaction ends by looking at the server's clock, and is undone after its time.
//
// # What it does not
//
// Rows that others write are theirs: a change that comes later is written over them.
// Where no unique constraint covers the key, two processes that write the same record
// at the same time may add two rows; such a table is a mismatch.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
)

// Bounds of a batch. Up to a thousand rows, one statement on arrays is as quick as COPY
// or quicker (see BenchmarkWays), and larger ones hold locks longer. Of several writers
// the server gets to use several cores; more than a few wait for each other at the end
// of the same indexes.
const (
	batchItems  = 1000
	batchBytes  = 4 << 20
	concurrency = 4
)

// Driver writes to one database. Safe for concurrent use.
type Driver struct {
	opts    Options
	logger  *slog.Logger
	buffers sync.Pool // of *encoder

	mu      sync.Mutex // guards what follows
	pool    *pgxpool.Pool
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

// New gives a driver for the database. It does no I/O.
func New(opts Options) *Driver {
	d := &Driver{opts: opts, logger: opts.Logger, targets: map[string]*target{}}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	d.buffers.New = func() any { return newEncoder() }
	return d
}

// Name is "postgres".
func (d *Driver) Name() string { return "postgres" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error { return d.opts.validate() }

// Open connects. Wrong credentials and a database that does not exist are permanent
// errors.
func (d *Driver) Open(ctx context.Context) error {
	pool := d.opts.Pool
	if pool == nil {
		config, err := pgxpool.ParseConfig(d.opts.ConnectionString)
		if err != nil {
			return cdc.Permanent(d.opts.validate())
		}
		// A place beside those of the batches, for looking at tables.
		config.MaxConns = max(config.MaxConns, concurrency+1)
		// An idle connection may have died without anybody noticing.
		config.PingTimeout = 5 * time.Second
		if pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
			return fmt.Errorf("postgres: open: %w", judge(ctx, err))
		}
	}
	if err := pool.Ping(ctx); err != nil {
		d.release(pool)
		reason := fmt.Errorf("postgres: open: %w", judge(ctx, err))
		if certain(err) {
			return cdc.Permanent(reason)
		}
		return reason
	}
	d.mu.Lock()
	before := d.pool
	d.pool = pool
	d.mu.Unlock()
	if before != pool {
		d.release(before)
	}
	return nil
}

// release closes a pool, unless it is the caller's own.
func (d *Driver) release(pool *pgxpool.Pool) {
	if pool != nil && pool != d.opts.Pool {
		pool.Close()
	}
}

// Limits say that a target wants state, or in the mode Append every change, and which
// columns are its primary key.
func (d *Driver) Limits(name string) cdc.Limits {
	limits := cdc.Limits{Items: batchItems, Bytes: batchBytes, Concurrency: concurrency, Rows: cdc.RowsMerged}
	if d.opts.Tables[name].Mode == Append {
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

// Check asks the database for a sign of life.
func (d *Driver) Check(ctx context.Context) error {
	pool, err := d.present()
	if err != nil {
		return err
	}
	if err := pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: check: %w", judge(ctx, err))
	}
	return nil
}

// Close closes the pool, unless it is the caller's own. The driver may be opened again.
func (d *Driver) Close() error {
	d.mu.Lock()
	pool, targets := d.pool, slices.Collect(maps.Values(d.targets))
	d.pool = nil
	d.mu.Unlock()
	for _, t := range targets {
		t.begin()
	}
	d.release(pool)
	return nil
}

// present gives the pool of a driver that is open.
func (d *Driver) present() (*pgxpool.Pool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pool == nil {
		return nil, cdc.Unavailable(errors.New("postgres: not open"))
	}
	return d.pool, nil
}

// target gives what is known of a target.
func (d *Driver) target(name string) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[name]; t != nil {
		return t, nil
	}
	table, err := parseName(name)
	if err != nil {
		return nil, cdc.Permanent(fmt.Errorf("postgres: target %q: %w", name, err))
	}
	t := newTarget(name, table, d.opts)
	d.targets[name] = t
	return t, nil
}

// deadline gives the time by which a transaction must have ended: that of the attempt,
// or a moment for who sets none.
func deadline(ctx context.Context) time.Time {
	if at, ok := ctx.Deadline(); ok {
		return at
	}
	return time.Now().Add(30 * time.Second)
}
