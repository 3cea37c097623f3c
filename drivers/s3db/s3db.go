// Package s3db delivers changes to another resource store in the s3db format: a
// bucket on a server, in any region, a directory, or memory. The destination's resources
// are created and kept in step with the source's, partitions and behavior included, so
// that the copy can be opened and used like the original, by this library's store or by
// s3db.js.
//
// Records arrive exactly as they were sent: no defaults, timestamps or ids are
// made at the destination. Secret attributes arrive encrypted under the
// destination's own passphrase.
//
// What the format can't hold arrives in the nearest form that it can, see
// [Driver.SyncSchema].
//
// A server that denies access, has lost the bucket, is too busy, fails or does not
// answer makes the destination wait, and no record pays for it. Only what it says of a
// record itself, that it is too large, is that record's fault. Credentials that are
// refused, and a bucket that is not there, fail Start.
//
// # Ids
//
// A record's id at the destination is made from its key. The key column "id" is the id
// as it is, so that a copy has its source's ids. Any other key becomes text in which
// different keys are different:
//
//   - the values of the columns, in the order of their names, joined by "~.";
//   - text as it is, with "~" and what an id can't hold (/ \ = % and control
//     characters) written as "~" and two hexadecimal digits for each byte: "a/b" is
//     "a~2Fb";
//   - numbers by their value as "~n42" (4.20 is 4.2), booleans as "~b1", times as
//     "~t2026-02-28T12:00:00Z", which text never begins with.
//
// So a key of one column of plain text is just that text. An id that can't be one in
// this store is written like the text of any other key, and so is one that already
// reads like something written that way ("a~2Fb" becomes "a~7E2Fb"): no two ids become
// one. What is longer than 200 bytes then is given up.
package s3db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

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
	// ConnectionString names the store as [store.Open] has it: "s3://KEY:SECRET@backup",
	// "file:///var/backup". It is never shown in errors.
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

	mu      sync.Mutex         // guards what follows
	db      *store.DB          // nil while the driver is not open
	defined map[definition]int // the newest version of a closed schema that a target was given
}

// definition is what a target has of a resource.
type definition struct{ target, resource string }

var (
	_ cdc.Driver       = (*Driver)(nil)
	_ cdc.Validator    = (*Driver)(nil)
	_ cdc.Opener       = (*Driver)(nil)
	_ cdc.Limited      = (*Driver)(nil)
	_ cdc.SchemaSyncer = (*Driver)(nil)
	_ cdc.Checker      = (*Driver)(nil)
	_ cdc.Hosted       = (*Driver)(nil)
	_ io.Closer        = (*Driver)(nil)
)

// New gives a driver for the store. It does no I/O.
func New(opts Options) *Driver { return &Driver{opts: opts, defined: map[definition]int{}} }

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
	if d.opts.ConnectionString != "" {
		if err := store.ValidateConnectionString(d.opts.ConnectionString); err != nil {
			errs = append(errs, fmt.Errorf("s3db: ConnectionString: %w", err))
		}
	}
	if d.opts.Store != nil && d.opts.ConnectionString != "" {
		errs = append(errs, errors.New("s3db: ConnectionString and Store are both set; only one can be written to"))
	}
	if d.opts.Store != nil && d.opts.Passphrase != "" {
		errs = append(errs, errors.New("s3db: Passphrase has no effect beside Store, which was opened with its own"))
	}
	return errors.Join(errs...)
}

// DeliversTo reports whether Options.Store is the source. A connection string that names
// the same place is not found out.
func (d *Driver) DeliversTo(source cdc.Source) bool {
	return d.opts.Store != nil && source == cdc.Source(d.opts.Store)
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
	d.db = db
	return nil
}

// Limits say that secrets may come, which are encrypted at rest, and that a record
// takes the place of the one before.
func (d *Driver) Limits(string) cdc.Limits { return cdc.Limits{Secrets: true, Rows: cdc.RowsReplaced} }

// SyncSchema makes the target's definition take records of the schema. What a
// closed schema says is taken over, in the source's own words where it has some:
// the copy follows its source, with its timestamps, behavior, partitions and ids too. Of an open schema missing fields are added, by their
// type alone, and nothing is required; only a field that the schema knows to be secret
// also becomes one where it was not, and what records held in it before is read no
// more. What the schema does not name stays.
//
// A field that nobody described is added when a record brings it, with the type of
// that value; nil has none, and is not kept before the field has one. A field that
// got its type from an integer becomes one of numbers when another number arrives; a
// number that arrives in a field of text becomes its text.
//
// The format's decimals have a fixed number of digits behind the point. A decimal of an
// open schema gets as many as its source declares ("money" has 2); a number with more of
// them is refused there, since it would be rounded. Where nobody says how many there are,
// a decimal becomes text, which keeps all, but in a field of numbers it stays a number, as
// long as a float64 holds it exactly. A definition of the caller's own rounds as it says.
//
// Of a record that was written before its resource was defined anew, and comes after, a value
// that does not fit the new type of its field becomes one that does, or is left out, as the
// source itself reads it then.
//
// Bytes become text in base64, unless a closed schema says buffer or bits: s3db.js loses
// them from such a field with any update that does not name it. Times are cut to
// milliseconds.
func (d *Driver) SyncSchema(ctx context.Context, name string, schema cdc.Schema) error {
	t, err := d.target(name)
	if err != nil {
		return err
	}
	if !schema.Open {
		d.defines(name, schema) // before it is so: whoever meets the new definition knows of it then
	}
	if err := t.sync(ctx, schema); err != nil {
		err = fmt.Errorf("s3db: define %s: %w", name, err)
		if ctx.Err() != nil {
			return err
		}
		if errors.Is(err, store.ErrNoPassphrase) {
			// No time heals it, and other resources should not wait for this one.
			return cdc.Permanent(fmt.Errorf("%w; set Options.Passphrase", err))
		}
		// Whatever else is wrong with a definition, no record is to blame.
		return cdc.Unavailable(err)
	}
	return nil
}

// defines notes which version of a resource a target is given.
func (d *Driver) defines(target string, schema cdc.Schema) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := definition{target, schema.Resource}
	d.defined[key] = max(d.defined[key], schema.Version)
}

// former reports whether a record was written under an earlier definition than the target
// is given by now.
func (d *Driver) former(delivery cdc.Delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return delivery.SchemaVersion > 0 && delivery.SchemaVersion < d.defined[definition{delivery.Target, delivery.Resource}]
}

// Apply writes the records of the batch, several at a time.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	errs := make([]error, len(batch))
	var next atomic.Int64
	var writers sync.WaitGroup
	// Few that write many each: a server's client needs a deep stack, and growing one
	// for each record costs a quarter of the call.
	for range min(putsPerBatch, len(batch)) {
		writers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(batch)); i = next.Add(1) - 1 {
				errs[i] = d.deliver(ctx, batch[i])
			}
		})
	}
	writers.Wait()
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
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
	id, err := recordID(delivery.Key, delivery.RecordID)
	old := id
	if err == nil && delivery.OldKey != nil {
		old, err = recordID(delivery.OldKey, delivery.RecordID)
	}
	if err != nil {
		return cdc.Permanent(fmt.Errorf("s3db: %s: %w", delivery.Target, err))
	}
	if delivery.Record == nil {
		err = t.delete(ctx, id)
	} else {
		// It may be defined anew at any moment in between.
		for try, unfit := 0, true; unfit && try < 3; try++ {
			err = t.put(ctx, id, delivery.Record, d.former(delivery))
			_, unfit = errors.AsType[*store.ValidationError](err)
			unfit = unfit && d.former(delivery)
		}
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

// Check asks the store for its definitions.
func (d *Driver) Check(ctx context.Context) error {
	t, err := d.target("")
	if err != nil {
		return err
	}
	if err := t.db.Check(ctx); err != nil {
		return fmt.Errorf("s3db: %w", judge(ctx, err))
	}
	return nil
}

func (d *Driver) target(name string) (target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return target{}, cdc.Unavailable(errors.New("s3db: not open"))
	}
	return target{d.db, name}, nil
}

// Close closes the store, unless it is the caller's own. The driver may be opened
// again.
func (d *Driver) Close() error {
	d.mu.Lock()
	db := d.db
	d.db = nil
	d.mu.Unlock()
	if db == nil || d.opts.Store != nil {
		return nil
	}
	return db.Close()
}
