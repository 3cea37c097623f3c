// Package s3db delivers changes to another resource store in the s3db format: a
// bucket, a directory, or memory. The destination's resources are created and kept
// in step with the source's, so that the copy can be opened and used like the
// original, by this library's store or by s3db.js.
//
// Records arrive exactly as they were sent: no defaults, timestamps or ids are
// made at the destination. Secret attributes arrive encrypted under the
// destination's own passphrase.
//
// What the format can't hold arrives in the nearest form that it can, see
// [Driver.SyncSchema].
package s3db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// putsPerBatch is how many records of a batch are written at a time. A put waits
// for the disk or the network nearly all its time; more than this, times the
// batches at a time, only queue up there.
const putsPerBatch = 16

// Options say which store is written to. Exactly one of ConnectionString and Store
// is required.
type Options struct {
	// ConnectionString names the store as [store.Open] has it: "file:///var/backup".
	// It is never shown in errors.
	ConnectionString string
	// Passphrase encrypts secret attributes at the destination. Default none: then
	// a resource with secret attributes is an error, unless the connection string
	// holds a passphrase.
	Passphrase string
	// Store is an open store of the caller's own. It is not closed.
	Store *store.DB
}

// Driver writes to one store. Safe for concurrent use.
type Driver struct {
	opts Options

	// mu guards db and targets. It is held for look-ups only.
	mu      sync.Mutex
	db      *store.DB
	targets map[string]*target
}

var (
	_ cdc.Driver       = (*Driver)(nil)
	_ cdc.Validator    = (*Driver)(nil)
	_ cdc.Opener       = (*Driver)(nil)
	_ cdc.Limited      = (*Driver)(nil)
	_ cdc.SchemaSyncer = (*Driver)(nil)
	_ io.Closer        = (*Driver)(nil)
)

// New gives a driver for the store. It does no I/O.
func New(opts Options) *Driver { return &Driver{opts: opts} }

// Name is "s3db".
func (d *Driver) Name() string { return "s3db" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error {
	var errs []error
	if d.opts.Store == nil && d.opts.ConnectionString == "" {
		errs = append(errs, errors.New("s3db: ConnectionString is empty (is an environment variable not set?), and there is no Store"))
	}
	if d.opts.Store != nil && d.opts.ConnectionString != "" {
		errs = append(errs, errors.New("s3db: ConnectionString and Store are both set; only one can be written to"))
	}
	if d.opts.Store != nil && d.opts.Passphrase != "" {
		errs = append(errs, errors.New("s3db: Passphrase has no effect beside Store, which was opened with its own"))
	}
	return errors.Join(errs...)
}

// Open opens the store, unless it is the caller's own.
func (d *Driver) Open(ctx context.Context) error {
	db := d.opts.Store
	if db == nil {
		var opts []store.Option
		if d.opts.Passphrase != "" {
			opts = append(opts, store.WithPassphrase(d.opts.Passphrase))
		}
		var err error
		if db, err = store.Open(ctx, d.opts.ConnectionString, opts...); err != nil {
			return fmt.Errorf("s3db: open: %w", judgeOpen(ctx, err))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.db, d.targets = db, make(map[string]*target)
	return nil
}

// Limits say that secrets may come: they are encrypted at rest.
func (d *Driver) Limits(string) cdc.Limits { return cdc.Limits{Secrets: true} }

// SyncSchema makes the target's definition take records of the schema. What a
// closed schema says is taken over, in the source's own words where it has some:
// the copy follows its source. Of an open schema missing fields are added, by their
// type alone, and nothing is required. What the schema does not name stays.
//
// A field that nobody described is added when a record brings it, with the type of
// that value; nil has none, and is not kept before the field has one. A field that
// got its type from an integer becomes one of numbers when a fraction arrives.
//
// The format has neither decimals nor bytes: both become text, bytes in base64.
// Times are cut to milliseconds.
func (d *Driver) SyncSchema(ctx context.Context, name string, schema cdc.Schema) error {
	t, err := d.target(name)
	if err != nil {
		return err
	}
	if err := t.sync(ctx, schema); err != nil {
		err = fmt.Errorf("s3db: define %s: %w", name, err)
		if ctx.Err() != nil {
			return err
		}
		// Whatever is wrong with a definition, no record is to blame.
		return cdc.Unavailable(err)
	}
	return nil
}

// Apply writes the records of the batch, several at a time.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	errs := make([]error, len(batch))
	var g errgroup.Group
	g.SetLimit(putsPerBatch)
	for i, delivery := range batch {
		g.Go(func() error {
			errs[i] = d.deliver(ctx, delivery)
			return errs[i]
		})
	}
	if g.Wait() != nil {
		return &cdc.BatchError{Errs: errs}
	}
	return nil
}

// deliver writes or deletes one record.
func (d *Driver) deliver(ctx context.Context, delivery cdc.Delivery) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("s3db: %w", err)
	}
	t, err := d.target(delivery.Target)
	if err != nil {
		return err
	}
	id, err := recordID(delivery.Key)
	old := id
	if err == nil && delivery.OldKey != nil {
		old, err = recordID(delivery.OldKey)
	}
	if err != nil {
		return cdc.Permanent(fmt.Errorf("s3db: %s: %w", delivery.Target, err))
	}
	if delivery.Record == nil {
		err = t.delete(ctx, id)
	} else {
		err = t.put(ctx, id, delivery.Record)
	}
	// The one under the old key goes last: if that fails, the record is there twice
	// until the repeat, and never not at all.
	if err == nil && old != id {
		err = t.delete(ctx, old)
	}
	if err != nil {
		return fmt.Errorf("s3db: %w", judge(ctx, withoutIDs(err, delivery.RecordID, id, old)))
	}
	return nil
}

// target gives the target of that name, which is made when it is first named.
func (d *Driver) target(name string) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil, cdc.Unavailable(errors.New("s3db: not open"))
	}
	t := d.targets[name]
	if t == nil {
		t = &target{db: d.db, name: name}
		d.targets[name] = t
	}
	return t, nil
}

// Close closes the store, unless it is the caller's own. The driver may be opened
// again.
func (d *Driver) Close() error {
	d.mu.Lock()
	db := d.db
	d.db, d.targets = nil, nil
	d.mu.Unlock()
	if db == nil || d.opts.Store != nil {
		return nil
	}
	return db.Close()
}
