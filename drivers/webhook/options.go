package webhook

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// Options describe the endpoint and how to talk to it. URL is required.
type Options struct {
	// URL is where requests go, http or https. A user and password in it are sent as
	// basic auth. It is never shown in errors beyond its host.
	URL string
	// Method is POST (the default), PUT or PATCH.
	Method string
	// Headers are added to every request. They may replace Content-Type and
	// User-Agent, but not what Auth, SigningSecrets and Gzip set. Their values are
	// treated as credentials.
	Headers map[string]string
	// Auth is [Bearer], [Basic] or [APIKey]; the zero value sends none.
	Auth Auth
	// SigningSecrets sign every request after Standard Webhooks, with all of them, so
	// that a receiver can move from one to the next. Each is "whsec_" and base64 of 24
	// bytes or more, as the specification has it. Default none: requests are not signed.
	SigningSecrets []string
	// Sign is called last with the finished request and its body before compression,
	// for schemes of your own. Its error fails the attempt, and may be marked by the
	// functions of package cdc. It is shown as it is, so it must quote neither of the two.
	// A panic is such an error.
	Sign func(req *http.Request, body []byte) error
	// Body is the shape of the request's body. Default [Envelope].
	Body Body
	// Marshal gives a change the shape of your own, instead of Body; JSON, unless Headers
	// has another Content-Type. An error or a panic is that record's failure. The error
	// is shown as it is, so it must not quote the record. It runs at the same time for
	// several changes.
	Marshal func(d cdc.Delivery) ([]byte, error)
	// Source is what bodies name as their source. Default "replicator".
	Source string
	// BatchSize sends several changes in one request, at most so many, in order; they are
	// accepted or fail together. Default 0: one request for each change.
	BatchSize int
	// BatchBytes bounds the body of a batch, before compression; one change that is larger
	// goes alone. Default 1 MiB.
	BatchBytes int
	// Gzip compresses bodies (Content-Encoding: gzip). Default false.
	Gzip bool
	// Timeout bounds a request, the connection included, until its answer begins. The
	// replicator's own Timeout bounds it too. Default 15 s, the least that Standard
	// Webhooks recommends.
	Timeout time.Duration
	// Statuses says what single statuses mean, where that is not what they mean by
	// default; 409 as [Delivered], for instance, for an endpoint that refuses repeats.
	Statuses map[int]Meaning
	// Concurrency is the number of requests at a time. Default 8.
	Concurrency int
	// PublicOnly refuses to connect to addresses that are not of the open internet:
	// private, loopback, reserved ones. For URLs that somebody else chose. See the
	// package for what it can't judge behind a proxy. Default false.
	PublicOnly bool
	// TLS is used for https: certificate authorities, a client's certificate, the least
	// version. Default nil: that of net/http.
	TLS *tls.Config
	// Client is used as it is instead of one of the driver's own, and not closed.
	// Redirects, addresses and TLS are its business then.
	Client *http.Client
}

// Body is the shape of a request's body.
type Body uint8

// The shapes of a body.
const (
	// Envelope is the record with what happened to it: resource, action, timestamp,
	// source, data, before, id, recordId, operation, version.
	Envelope Body = iota
	// Bare is the record itself, as a REST interface expects it; for a delete its
	// last state. Not for batches, in which a delete would look like an insert.
	Bare
	// CloudEvents is an event of CloudEvents 1.0 in its structured JSON form: type is the
	// target's name, "." and inserted, updated or deleted, subject the record's id, data
	// has the states before and after.
	CloudEvents
)

const (
	defaultBatchBytes = 1 << 20
	defaultTimeout    = 15 * time.Second
)

func (o Options) withDefaults() Options {
	o.Method = strings.ToUpper(cmp.Or(o.Method, http.MethodPost))
	o.Source = cmp.Or(o.Source, "replicator")
	o.BatchBytes = cmp.Or(o.BatchBytes, defaultBatchBytes)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Concurrency = cmp.Or(o.Concurrency, cdc.DefaultConcurrency)
	o.Headers, o.Statuses = maps.Clone(o.Headers), maps.Clone(o.Statuses)
	return o
}

// validate judges what needs no parsing.
func (o Options) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("webhook: "+format, args...)) }
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, o.Method) {
		fault("Method is %q, must be POST, PUT or PATCH", o.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		if !headerName(name) {
			fault("Headers has the name %q, which is not one of a header", name)
		} else if !headerValue(o.Headers[name]) {
			fault("Headers has a line break or control character in the value of %q", name)
		}
	}
	switch {
	case o.Auth == Auth{}:
	case o.Auth.fault != "":
		fault("Auth: %s", o.Auth.fault)
	case !headerName(o.Auth.header):
		fault("Auth: %q is not the name of a header", o.Auth.header)
	case !headerValue(o.Auth.value):
		fault("Auth has a line break or control character")
	}
	if o.Body > CloudEvents {
		fault("Body is %d, must be Envelope, Bare or CloudEvents", o.Body)
	}
	if o.Marshal != nil && o.Body != Envelope {
		fault("Marshal and Body are both set; only one can shape the body")
	}
	if o.Body == Bare && o.BatchSize > 0 {
		fault("Body is Bare, which BatchSize does not go with: a delete would look like an insert")
	}
	if _, err := url.Parse(o.Source); err != nil && o.Body == CloudEvents {
		fault("Source is not a URI reference, which CloudEvents want")
	}
	for _, status := range slices.Sorted(maps.Keys(o.Statuses)) {
		if status < 200 || status > 999 || o.Statuses[status] > Gone {
			fault("Statuses says that %d means %d; there are statuses from 200 on, and the meanings of this package", status, o.Statuses[status])
		}
	}
	if o.BatchSize < 0 || o.BatchBytes < 0 {
		fault("BatchSize is %d and BatchBytes %d, neither can be negative", o.BatchSize, o.BatchBytes)
	}
	if o.Timeout < 0 {
		fault("Timeout is %v, must not be negative", o.Timeout)
	}
	if o.Concurrency < 0 {
		fault("Concurrency is %d, must not be negative", o.Concurrency)
	}
	if o.Client != nil && (o.PublicOnly || o.TLS != nil) {
		fault("Client is used as it is, so PublicOnly and TLS would have no effect; they are for the driver's own")
	}
	return errors.Join(errs...)
}

// parseURL splits the credentials off the URL.
func (d *Driver) parseURL() error {
	if d.opts.URL == "" {
		return errors.New("webhook: URL is empty; is an environment variable not set?")
	}
	u, err := url.Parse(d.opts.URL)
	if err != nil {
		return errors.New("webhook: URL can't be parsed") // the reason quotes it
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return errors.New("webhook: URL must be http://host/… or https://host/…")
	}
	if d.opts.Client == nil {
		if err := (guard{d.opts.PublicOnly}).judgeHost(u.Hostname()); err != nil {
			return fmt.Errorf("webhook: URL: %w", err)
		}
	}
	if u.User != nil {
		if d.auth != (Auth{}) {
			return errors.New("webhook: URL has a user, and Auth is set too; only one can be sent")
		}
		password, _ := u.User.Password()
		d.auth = Basic(u.User.Username(), password)
		u.User = nil
	}
	d.endpoint = u
	return nil
}

func (d *Driver) parseSecrets() error {
	var errs []error
	for i, secret := range d.opts.SigningSecrets {
		if secret == "" {
			errs = append(errs, fmt.Errorf("webhook: SigningSecrets[%d] is empty; is an environment variable not set?", i))
			continue
		}
		k, err := parseSecret(secret)
		if err != nil {
			errs = append(errs, fmt.Errorf("webhook: SigningSecrets[%d] %w", i, err))
			continue
		}
		d.keys = append(d.keys, k)
	}
	return errors.Join(errs...)
}

// headerName and headerValue are what RFC 9110 allows, judged here because net/http
// only fails the request.
func headerName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	}) < 0
}

func headerValue(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) < 0
}
