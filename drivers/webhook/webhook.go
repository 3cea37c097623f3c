// Package webhook delivers changes to an HTTP endpoint: every change as it happened, in
// the order of its record, one in a request or several.
//
// # The request
//
// With [Envelope] the body is
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
// [Options.Marshal] what you make of it. Where a request has one change, the header
// replicator-operation says inserted, updated or deleted: without it a bare delete would
// look like an update. In batches (see [Options.BatchSize]) the body is {"batch":[…]},
// of CloudEvents the plain array that their batch format is.
//
// A request that timed out may have arrived, so the receiver sees some changes twice,
// after a crash at most those of the last second. They carry the same id, by which it
// can tell; a request with one change has it as the header webhook-id, too. With
// [Options.SigningSecrets] requests are signed after the Standard Webhooks
// specification: webhook-signature holds "v1," and the base64 of HMAC-SHA256 over
// webhook-id + "." + webhook-timestamp + "." + body, once for each secret; the key is
// what follows "whsec_", decoded from base64. [Verify] is the receiver's side of it.
//
// # The answer
//
//	2xx                                   delivered
//	400, 413, 415, 422                    this record is refused: given up at once; of a batch
//	                                        the one at fault is searched for
//	401, 403, 404, 405, 429, 3xx,         the endpoint is unavailable: its deliveries wait,
//	  502, 503, 504, no connection          without spending an attempt, and it is asked again
//	410                                   the endpoint wants no more: the destination is
//	                                        paused until someone resumes it; nothing is lost
//	408, 425, 500, others, a timeout      tried again; counts against the record if others
//	                                        get through
//
// [Options.Statuses] changes that for single statuses. Retry-After is honoured, in
// seconds or as a date, up to five minutes. The driver follows no redirects.
//
// # Where it connects to
//
// The address is judged after the name is resolved, at every connection, so that a name
// that changes its address gains nothing. Always refused are link-local addresses and
// those of the metadata services of clouds, which hand out credentials; in IPv6 forms
// that carry an IPv4 address, that one is judged too. Private addresses are allowed,
// since the URL is the operator's own, and refused with [Options.PublicOnly].
//
// Behind a proxy (HTTP_PROXY, HTTPS_PROXY) the connection goes to the proxy, and it is
// the proxy that resolves the name. The driver then judges the proxy's address, by the
// first rule only, and the URL's host if that is an address; to what a name leads, and
// whether that is public, only the proxy can judge.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

const (
	// maxAnswer bounds how much of an answer is read, in bytes. Reading to the end
	// lets the connection be used again; past this size a new one costs less.
	maxAnswer = 64 << 10
	// maxAnswerTime bounds how long an answer's body is waited for. The status has
	// decided by then; the body only adds a reason and a connection to use again.
	maxAnswerTime = 2 * time.Second
)

// Driver posts deliveries to one URL. Safe for concurrent use.
type Driver struct {
	opts     Options
	endpoint *url.URL // without credentials
	auth     Auth     // of the options or the URL
	keys     []*key
	header   http.Header     // of every request
	own      *http.Transport // nil if the client is the caller's
	do       func(*http.Request) (*http.Response, error)
	faults   error
	gzips    sync.Pool // of *gzip.Writer: a new one allocates 800 KB
}

var (
	_ cdc.Driver    = (*Driver)(nil)
	_ cdc.Validator = (*Driver)(nil)
	_ cdc.Limited   = (*Driver)(nil)
	_ io.Closer     = (*Driver)(nil)
)

// New gives a driver for the endpoint. It does no I/O; faulty options are reported
// by [Driver.Validate].
func New(opts Options) *Driver {
	opts = opts.withDefaults()
	d := &Driver{opts: opts, auth: opts.Auth}
	d.faults = errors.Join(d.parseURL(), d.parseSecrets(), opts.validate())
	d.header = d.fixed()
	if opts.Client != nil {
		d.do = opts.Client.Do
		return d
	}
	d.own = newTransport(opts, d.endpoint)
	// A client around it would follow redirects, which take credentials and data to a
	// place that nobody configured, and copy all headers for the case.
	d.do = d.own.RoundTrip
	return d
}

// Name is "webhook".
func (d *Driver) Name() string { return "webhook" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error { return d.faults }

// Limits say that every change is wanted, one at a time or in ordered batches.
func (d *Driver) Limits(string) cdc.Limits {
	limits := cdc.Limits{Items: 1, Concurrency: d.opts.Concurrency, Timeout: d.opts.Timeout, Events: true}
	if d.opts.BatchSize > 0 {
		// The engine counts bytes before they are encoded: half, so that few batches
		// turn out to be too large.
		limits.Items, limits.Bytes, limits.Ordered = d.opts.BatchSize, max(d.opts.BatchBytes/2, 1), true
	}
	return limits
}

// Apply sends each delivery in a request of its own, or the batch in one.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	switch {
	case d.faults != nil:
		return cdc.Unavailable(d.faults)
	case d.opts.BatchSize > 0:
		return d.send(ctx, batch)
	}
	errs := make([]error, len(batch))
	for i := range batch {
		errs[i] = d.send(ctx, batch[i:i+1])
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return &cdc.BatchError{Errs: errs}
}

// send posts deliveries in one request. Its error is for all of them: the engine finds
// the one at fault by halving what is permanent.
func (d *Driver) send(ctx context.Context, deliveries []cdc.Delivery) error {
	body, err := d.body(deliveries)
	if err != nil {
		return cdc.Permanent(fmt.Errorf("webhook: %w", err))
	}
	// The engine's context ends in time already, see Limits: a second timer would be for
	// nothing.
	start := time.Now()
	if deadline, ok := ctx.Deadline(); !ok || deadline.Sub(start) > d.opts.Timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.opts.Timeout)
		defer cancel()
	}
	req, err := d.request(ctx, deliveries, body)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	res, err := d.do(req)
	if err != nil {
		late := ctx.Err() != nil || isTimeout(err)
		err = fmt.Errorf("webhook: %s %s: %w", d.opts.Method, d.endpoint.Host, cause(err, time.Since(start)))
		if late {
			return err
		}
		return cdc.Unavailable(err)
	}
	defer res.Body.Close()
	var answer []byte
	if res.ContentLength != 0 {
		late := time.AfterFunc(maxAnswerTime, func() { res.Body.Close() }) // which ends the reading
		defer late.Stop()
		// A body that breaks off takes nothing back of what the status said.
		answer, _ = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	}
	meaning := d.meaningOf(res.StatusCode)
	if meaning == Delivered {
		return nil
	}
	reason := quote(res.Header.Get("Content-Type"), answer, d.hidden(deliveries))
	err = fmt.Errorf("webhook: %s %s: %d %s%s%s", d.opts.Method, d.endpoint.Host,
		res.StatusCode, http.StatusText(res.StatusCode), reason, advice(res.StatusCode))
	return meaning.mark(err, retryAfter(res.Header.Get("Retry-After"), time.Now()))
}

// Close drops the idle connections of the driver's own client; the caller's client
// is left alone. The driver can be used again afterwards.
func (d *Driver) Close() error {
	if d.own != nil {
		d.own.CloseIdleConnections()
	}
	return nil
}
