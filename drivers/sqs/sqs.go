// Package sqs delivers changes to Amazon SQS: every change as it happened, as one
// message.
//
// # The message
//
// With [Envelope] the body is that of s3db.js, so that its queue consumer goes on working,
// and what a consumer needs to apply it safely:
//
//	{
//	  "resource": "orders",         the target's name
//	  "action": "insert",           insert, update, delete
//	  "timestamp": "2026-01-31T12:00:00.000Z",
//	  "source": "replicator",
//	  "id": "0192f0c1-…",           the change's id, the same at every repeat
//	  "recordId": "o-17",
//	  "operation": "inserted",      inserted, updated, deleted
//	  "version": "115012345678901", grows with every change; text, since JavaScript would round it
//	  "before": {…},                of an update only: the state before, null if not known
//	  "data": {…}                   the record as routed; of a delete its last state
//	}
//
// With [Bare] it is data alone, with [CloudEvents] an event of CloudEvents 1.0, with
// [Options.Marshal] what you make of it. [Decode] reads the first and the third. For
// filtering, every message has the attributes id, resource, operation and version.
//
// # Order and repeats
//
// A queue whose name ends in ".fifo" keeps the order: the message group is what the
// change is ordered with, its record or what the route's OrderBy says, and the
// deduplication id is the id of the change, so that a repeat within five minutes is
// dropped by SQS. No two messages of a group are in one request, since SQS may accept
// the second and not the first. A standard queue keeps no order and may itself deliver
// twice: consumers drop what has no higher version than what they have.
//
// # Errors
//
// The answer is read message by message: those that SQS took are not sent again. What is
// the sender's fault, and a message over SQS's limit of 1 MiB, is that record's failure.
// A queue that is missing, refused credentials, throttling and failures of SQS are the
// destination's: its deliveries wait.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator/cdc"
)

// What one SendMessageBatch takes.
const (
	maxItems = 10
	maxBytes = 1 << 20
)

// Driver sends deliveries to one queue or several. Safe for concurrent use.
type Driver struct {
	opts   Options
	faults error
	open   atomic.Pointer[session] // nil while it is not open
}

// session is what lives from Open to Close.
type session struct {
	opts   *Options
	client *sqs.Client
	queues map[string]*queue // by target; "" is all others
}

var (
	_ cdc.Driver    = (*Driver)(nil)
	_ cdc.Validator = (*Driver)(nil)
	_ cdc.Limited   = (*Driver)(nil)
	_ cdc.Opener    = (*Driver)(nil)
	_ io.Closer     = (*Driver)(nil)
)

// New gives a driver for the queues. It does no I/O; faulty options are reported by
// [Driver.Validate].
func New(opts Options) *Driver {
	opts = opts.withDefaults()
	return &Driver{opts: opts, faults: opts.validate()}
}

// Name is "sqs".
func (d *Driver) Name() string { return "sqs" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error { return d.faults }

// Limits are those of SendMessageBatch; every change is wanted.
func (d *Driver) Limits(string) cdc.Limits {
	return cdc.Limits{Items: maxItems, Bytes: maxBytes, Concurrency: d.opts.Concurrency, Events: true}
}

// Open finds the queues, and creates those that are missing if it is asked to. A queue
// that is not there, refused credentials and a missing region are certainly wrong.
func (d *Driver) Open(ctx context.Context) error {
	if d.faults != nil {
		return cdc.Permanent(d.faults)
	}
	client, err := d.client(ctx)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	s := &session{opts: &d.opts, client: client, queues: map[string]*queue{}}
	var errs []error
	for target, wanted := range d.opts.queues() {
		q, err := s.find(ctx, wanted)
		if err != nil {
			errs = append(errs, fmt.Errorf("sqs: %w", err))
		}
		s.queues[target] = q
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.open.Store(s)
	return nil
}

// Apply sends the deliveries in as few requests as their sizes allow.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	s := d.open.Load()
	if s == nil {
		return cdc.Unavailable(errors.New("sqs: not open"))
	}
	errs := make([]error, len(batch))
	for _, r := range s.requests(batch, errs) {
		if err := s.send(ctx, r, errs); err != nil {
			if len(r.entries) == len(batch) {
				return err // for all of them: the engine may look for the one at fault
			}
			for _, i := range r.places {
				errs[i] = err
			}
		}
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return &cdc.BatchError{Errs: errs}
}

// send makes one request and puts the answer for each entry into its place of errs. An
// error is for the whole request.
func (s *session) send(ctx context.Context, r request, errs []error) error {
	out, err := s.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &r.queue.url, Entries: r.entries}, r.queue.options...)
	if err != nil {
		err = fmt.Errorf("sqs: %s: %w", r.queue.name, judge(err))
		if cdc.FaultOf(err) != cdc.RecordFault || len(r.entries) == 1 {
			return err
		}
		// One of its messages, or all together: the engine halves batches, and this may be a
		// part of one only, whose others would be given up with the bad one.
		for _, half := range r.halves() {
			if err := s.send(ctx, half, errs); err != nil {
				for _, i := range half.places {
					errs[i] = err
				}
			}
		}
		return nil
	}
	silent := fmt.Errorf("sqs: %s: the answer says nothing about this message", r.queue.name)
	for _, i := range r.places {
		errs[i] = silent
	}
	for _, done := range out.Successful {
		if i, ok := r.placeOf(done.Id); ok {
			errs[i] = nil
		}
	}
	for _, failed := range out.Failed {
		if i, ok := r.placeOf(failed.Id); ok {
			errs[i] = fmt.Errorf("sqs: %s: %w", r.queue.name, judgeEntry(failed))
		}
	}
	return nil
}

// Close lets go of the client; the caller's stays as it is. Open opens again.
func (d *Driver) Close() error {
	d.open.Store(nil)
	return nil
}
