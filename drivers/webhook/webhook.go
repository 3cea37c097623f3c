// Package webhook delivers changes to an HTTP endpoint: every change as it
// happened, one request each, in the order of its record.
//
// # The request
//
// With [Envelope] the body is
//
//	{
//	  "id": "0192f0c1-…",           the change's id, the same at every repeat
//	  "resource": "orders",         the target's name
//	  "recordId": "o-17",
//	  "action": "insert",           insert, update, delete
//	  "operation": "inserted",      inserted, updated, deleted
//	  "version": "115012345678901", grows with every change; text, since JavaScript would round it
//	  "timestamp": "2026-01-31T12:00:00.000Z",
//	  "source": "replicator",
//	  "data": {…},                  the record as routed; of a delete its last state
//	  "before": {…}                 of an update only: the state before, null if not known
//	}
//
// With [Bare] it is data alone. The header replicator-operation says inserted,
// updated or deleted in either case: without it a bare delete would look like an
// update.
//
// A request that timed out may have arrived, so the receiver sees some changes twice,
// after a crash at most those of the last second. They carry the same webhook-id
// header, the id of the change, by which it can tell. With [Options.SigningSecrets]
// requests are signed after the Standard Webhooks specification: webhook-signature
// holds "v1," and the base64 of HMAC-SHA256 over webhook-id + "." + webhook-timestamp +
// "." + body, once for each secret; the key is what follows "whsec_", decoded from
// base64.
//
// # The answer
//
//	2xx                                   delivered
//	400, 413, 415, 422                    this record is refused: given up at once
//	401, 403, 404, 405, 410, 429, 3xx,    the endpoint is unavailable: its deliveries wait,
//	  502, 503, 504, no connection          without spending an attempt, and it is asked again
//	408, 425, 500, others, a timeout      tried again; counts against the record if others
//	                                        get through
//
// Retry-After is honoured, up to five minutes.
//
// The driver follows no redirects and refuses to connect to link-local addresses,
// where the metadata services of clouds hand out credentials. Private addresses
// are allowed: the URL is the operator's own.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
)

// maxAnswer bounds how much of an answer is read, in bytes. Reading to the end
// lets the connection be used again; past this size a new one costs less.
const maxAnswer = 64 << 10

// maxAnswerTime bounds how long an answer's body is waited for. The status has
// decided by then; the body only adds a reason and a connection to use again.
const maxAnswerTime = 2 * time.Second

// Driver posts deliveries to one URL. Safe for concurrent use.
type Driver struct {
	opts     Options
	endpoint *url.URL // without credentials
	auth     Auth     // of the options or the URL
	keys     [][]byte // decoded signing secrets
	client   *http.Client
	faults   error
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
	d := &Driver{opts: opts, auth: opts.Auth, client: opts.Client}
	if d.client == nil {
		d.client = newClient(opts.Concurrency)
	}
	d.faults = errors.Join(d.parseURL(), d.parseSecrets(), opts.validate())
	return d
}

// Name is "webhook".
func (d *Driver) Name() string { return "webhook" }

// String gives the name; options hold credentials and stay out of logs.
func (d *Driver) String() string { return d.Name() }

// Validate reports all faults of the options, without I/O.
func (d *Driver) Validate() error { return d.faults }

// Limits say one delivery per request, and that every change is wanted.
func (d *Driver) Limits(string) cdc.Limits {
	return cdc.Limits{Items: 1, Concurrency: d.opts.Concurrency, Events: true}
}

// Apply sends each delivery in a request of its own.
func (d *Driver) Apply(ctx context.Context, batch []cdc.Delivery) error {
	if d.faults != nil {
		return cdc.Unavailable(d.faults)
	}
	errs := make([]error, len(batch))
	failed := false
	for i, delivery := range batch {
		errs[i] = d.send(ctx, delivery)
		failed = failed || errs[i] != nil
	}
	if failed {
		return &cdc.BatchError{Errs: errs}
	}
	return nil
}

func (d *Driver) send(ctx context.Context, delivery cdc.Delivery) error {
	body, err := d.body(delivery)
	if err != nil {
		return cdc.Permanent(fmt.Errorf("webhook: %w", err))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := d.request(ctx, delivery, body)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		late := ctx.Err() != nil || isTimeout(err)
		err = fmt.Errorf("webhook: %s %s: %w", d.opts.Method, d.endpoint.Host, cause(err))
		if late {
			return err
		}
		return cdc.Unavailable(err)
	}
	defer res.Body.Close()
	late := time.AfterFunc(maxAnswerTime, cancel)
	defer late.Stop()
	// A body that breaks off takes nothing back of what the status said.
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode/100 == 2 {
		return nil
	}
	reason := quote(res.Header.Get("Content-Type"), answer, d.hidden(delivery))
	err = fmt.Errorf("webhook: %s %s: %d %s%s", d.opts.Method, d.endpoint.Host,
		res.StatusCode, http.StatusText(res.StatusCode), reason)
	return judge(err, res.StatusCode, retryAfter(res.Header.Get("Retry-After"), time.Now()))
}

func (d *Driver) body(delivery cdc.Delivery) ([]byte, error) {
	if d.opts.Body == Bare {
		return envelope.Bare(delivery)
	}
	return envelope.Marshal(delivery, d.opts.Source)
}

// request builds the request. Headers of the options come first, so that they may
// replace the driver's own description of itself but neither the credentials nor
// the signature.
func (d *Driver) request(ctx context.Context, delivery cdc.Delivery, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, d.opts.Method, d.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request can't be built") // the reason quotes the URL
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "replicator-webhook")
	req.Header.Set("Replicator-Operation", delivery.Op.String())
	for name, value := range d.opts.Headers {
		req.Header.Set(name, value)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host // net/http takes it only from here
	}
	if d.auth.header != "" {
		req.Header.Set(d.auth.header, d.auth.value)
	}
	d.sign(req.Header, delivery.ChangeID.String(), time.Now(), body)
	if d.opts.Sign != nil {
		if err := d.opts.Sign(req, body); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	return req, nil
}

// Close drops the idle connections of the driver's own client; the caller's client
// is left alone. The driver can be used again afterwards.
func (d *Driver) Close() error {
	if d.opts.Client == nil {
		d.client.CloseIdleConnections()
	}
	return nil
}

// judge says whose fault a status is, and keeps the pause that the endpoint asked
// for.
func judge(err error, status int, after time.Duration) error {
	if after > 0 {
		err = cdc.RetryAfter(err, after)
	}
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return cdc.Permanent(err)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		// The endpoint is gone for good, which only its operator can judge: changes
		// wait, none is given up.
		http.StatusGone:
		return cdc.Unavailable(err)
	}
	if status/100 == 3 {
		// Not followed. As with 404 the address is wrong, not the record.
		return cdc.Unavailable(err)
	}
	return err
}

// retryAfter reads a pause in seconds or until a date; 0 if there is none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		// Cut, because a duration holds 292 years only.
		return time.Duration(min(max(seconds, 0), math.MaxInt32)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
