package webhook

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

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
	// User-Agent, but not what Auth and SigningSecrets set. Their values are treated
	// as credentials.
	Headers map[string]string
	// Auth is [Bearer], [Basic] or [APIKey]; the zero value sends none.
	Auth Auth
	// SigningSecrets sign every request after Standard Webhooks, with all of them, so
	// that a receiver can move from one to the next. Each is "whsec_" and base64, as
	// the specification has it. Default none: requests are not signed.
	SigningSecrets []string
	// Sign is called last with the finished request and its body, for schemes of
	// your own. Its error fails the attempt, and may be marked by the functions of
	// package cdc. It is shown as it is, so it must quote neither of the two.
	Sign func(req *http.Request, body []byte) error
	// Body is the shape of the request's body. Default [Envelope].
	Body Body
	// Source is the envelope's source field. Default "replicator".
	Source string
	// Concurrency is the number of requests at a time. Default 8.
	Concurrency int
	// Client is used as it is instead of one of the driver's own, and not closed.
	// Redirects and addresses are its business then.
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
	// last state.
	Bare
)

// Auth is a credential sent with every request. Made by [Bearer], [Basic] and
// [APIKey]. It does not show itself when it is printed.
type Auth struct {
	header, value string
	secret        string // the part of value that must stay hidden
	fault         string
}

// Bearer is the header "Authorization: Bearer token".
func Bearer(token string) Auth {
	return Auth{"Authorization", "Bearer " + token, token, missing("token", token)}
}

// Basic is HTTP basic authentication.
func Basic(username, password string) Auth {
	text := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	return Auth{"Authorization", "Basic " + text, username + ":" + password, missing("username", username)}
}

// APIKey is a key in a header of the given name, such as X-Api-Key.
func APIKey(header, key string) Auth {
	return Auth{header, key, key, cmp.Or(missing("header", header), missing("key", key))}
}

func missing(what, value string) string {
	if value == "" {
		return what + " is empty; is an environment variable not set?"
	}
	return ""
}

// String hides the credential.
func (Auth) String() string { return "webhook.Auth" }

// GoString hides the credential.
func (Auth) GoString() string { return "webhook.Auth{}" }

func (o Options) withDefaults() Options {
	o.Method = strings.ToUpper(cmp.Or(o.Method, http.MethodPost))
	o.Source = cmp.Or(o.Source, "replicator")
	o.Concurrency = cmp.Or(o.Concurrency, cdc.DefaultConcurrency)
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
	if o.Body > Bare {
		fault("Body is %d, must be Envelope or Bare", o.Body)
	}
	if o.Concurrency < 0 {
		fault("Concurrency is %d, must not be negative", o.Concurrency)
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
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && linkLocal(ip) && d.opts.Client == nil {
		return fmt.Errorf("webhook: URL: %w", errLinkLocal)
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
		text, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) == 0 {
			errs = append(errs, fmt.Errorf("webhook: SigningSecrets[%d] is not %q and base64 of random bytes, as openssl rand -base64 24 gives", i, secretPrefix))
			continue
		}
		d.keys = append(d.keys, key)
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
