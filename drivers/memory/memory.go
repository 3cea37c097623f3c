// Package memory is the reference driver: a destination inside the process. It
// does what the contract asks of every driver in the plainest way, which makes it
// useful in the tests of programs that replicate: what arrived can be read back,
// and [Options.Before] fails, delays or partly refuses what comes.
//
// A target holds state (the newest record of each key) or, with [Options.Events],
// every delivery as it came. Nothing survives the process.
package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/s3db-go/replicator/cdc"
)

// Options choose what a [Driver] is. The zero value is a state destination that
// accepts everything.
type Options struct {
	// Events makes every target keep each delivery as it came, repeats included, in
	// place of the newest record of each key. Default false.
	Events bool
	// Items bounds a batch, Concurrency the number of batches at a time. Defaults:
	// those of [cdc.Limits].
	Items       int
	Concurrency int
	// Before, meant for tests, is called with every batch before it is applied,
	// without any lock held and as concurrently as Apply is. Its answer becomes
	// Apply's: after nil everything is applied; after a [*cdc.BatchError] of the
	// right length the deliveries whose entry is nil; after any other error nothing.
	// It must keep the rules of Apply: the batch is read-only, and not to be kept.
	Before func(ctx context.Context, batch []cdc.Delivery) error
}

// Driver keeps what it is sent. Safe for concurrent use.
type Driver struct {
	opts Options

	// mu guards targets and all that is in it.
	mu      sync.Mutex
	targets map[string]*target
}

type target struct {
	rows   map[string]row
	events []cdc.Delivery
}

// row is the newest state of a key. A deleted row stays with a nil record: its
// version is what tells a late repeat of an older delivery from a new insert.
type row struct {
	record  cdc.Record
	version uint64
}

var (
	_ cdc.Driver    = (*Driver)(nil)
	_ cdc.Validator = (*Driver)(nil)
	_ cdc.Limited   = (*Driver)(nil)
	_ cdc.Checker   = (*Driver)(nil)
)

// New gives an empty destination.
func New(opts Options) *Driver {
	return &Driver{opts: opts, targets: make(map[string]*target)}
}

// Name is "memory".
func (d *Driver) Name() string { return "memory" }

// String gives the name; the content stays out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports negative bounds.
func (d *Driver) Validate() error {
	var errs []error
	if d.opts.Items < 0 {
		errs = append(errs, fmt.Errorf("memory: Items is %d, must not be negative", d.opts.Items))
	}
	if d.opts.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("memory: Concurrency is %d, must not be negative", d.opts.Concurrency))
	}
	return errors.Join(errs...)
}

// Limits are the same for every target.
func (d *Driver) Limits(string) cdc.Limits {
	return cdc.Limits{Items: d.opts.Items, Concurrency: d.opts.Concurrency, Events: d.opts.Events, Rows: cdc.RowsReplaced}
}

// Check says that the destination lives, as it does for as long as the process.
func (d *Driver) Check(context.Context) error { return nil }

// Apply takes the batch in. At a state target a delivery whose version is below
// what its key already has is taken as applied before, so repeats in any number
// and order leave the newest state. A value that is not of the list of
// [cdc.Normalize] is the record's permanent fault.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	errs := make([]error, len(batch))
	if d.opts.Before != nil {
		if err := d.opts.Before(ctx, batch); err != nil {
			partial, ok := errors.AsType[*cdc.BatchError](err)
			if !ok || len(partial.Errs) != len(batch) {
				return err
			}
			copy(errs, partial.Errs)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	failed := false
	for i, delivery := range batch {
		if errs[i] == nil {
			errs[i] = d.take(delivery)
		}
		failed = failed || errs[i] != nil
	}
	if failed {
		return &cdc.BatchError{Errs: errs}
	}
	return nil
}

// take applies one delivery. The caller holds mu.
func (d *Driver) take(delivery cdc.Delivery) error {
	own, err := copied(delivery)
	if err != nil {
		// The reason may quote the value, so only the record is named.
		return cdc.Permanent(fmt.Errorf("memory: %s %s: holds a value that can't be replicated", delivery.Target, delivery.RecordID))
	}
	t := d.targets[own.Target]
	if t == nil {
		t = &target{rows: make(map[string]row)}
		d.targets[own.Target] = t
	}
	if d.opts.Events {
		t.events = append(t.events, own)
		return nil
	}
	if own.OldKey != nil {
		t.put(own.OldKey, nil, own.Version)
	}
	t.put(own.Key, own.Record, own.Version)
	return nil
}

// put makes the record the state of the key, unless something newer is there.
func (t *target) put(key, record cdc.Record, version uint64) {
	k := keyText(key)
	if version < t.rows[k].version {
		return
	}
	t.rows[k] = row{record, version}
}

// Records gives a deep copy of what a state target holds, by the text of the key:
// a single text column is its value, any other key is JSON with the columns in
// alphabetical order, such as {"line":2,"order":"o1"}.
func (d *Driver) Records(target string) map[string]cdc.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]cdc.Record)
	if t := d.targets[target]; t != nil {
		for k, row := range t.rows {
			if row.record != nil {
				out[k] = clone(row.record)
			}
		}
	}
	return out
}

// Version gives the version that a state target last applied to a key, deletes
// included; 0 if it never saw the key. The key's text is that of [Driver.Records].
func (d *Driver) Version(target, key string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[target]; t != nil {
		return t.rows[key].version
	}
	return 0
}

// Events gives a deep copy of what an event target took in, in the order of
// arrival, repeats included.
func (d *Driver) Events(target string) []cdc.Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.targets[target]
	if t == nil {
		return nil
	}
	out := make([]cdc.Delivery, len(t.events))
	for i, e := range t.events {
		e.Key, e.OldKey, e.Record, e.Before = clone(e.Key), clone(e.OldKey), clone(e.Record), clone(e.Before)
		out[i] = e
	}
	return out
}

// copied gives the delivery with records of its own.
func copied(delivery cdc.Delivery) (cdc.Delivery, error) {
	for _, r := range []*cdc.Record{&delivery.Key, &delivery.OldKey, &delivery.Record, &delivery.Before} {
		own, err := cdc.Normalize(*r)
		if err != nil {
			return cdc.Delivery{}, err
		}
		*r = own
	}
	return delivery, nil
}

// clone copies deeply. What is kept went through [copied], so that it can't fail.
func clone(r cdc.Record) cdc.Record {
	out, _ := cdc.Normalize(r)
	return out
}

func keyText(key cdc.Record) string {
	if len(key) == 1 {
		for _, v := range key {
			if s, ok := v.(string); ok {
				return s
			}
		}
	}
	// Values of the list always marshal; encoding/json sorts the columns.
	b, _ := json.Marshal(key)
	return string(b)
}
