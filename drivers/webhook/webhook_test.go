package webhook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/webhook"
)

const token = "canary-of-a-credential"

// endpoint is a real server that takes in envelopes, alone or in batches. It refuses
// records with a field "bad", and echoes all it knows while doing so.
type endpoint struct {
	t    *testing.T
	kind string // "http", "https", "http2" or "batch"
	addr string
	srv  *httptest.Server

	mu     sync.Mutex
	events []cdc.Delivery
	protos []string
	arrive func() // set while stalled
	resume chan struct{}
}

func newEndpoint(t *testing.T, kind string) *endpoint {
	e := &endpoint{t: t, kind: kind, addr: "127.0.0.1:0"}
	e.start()
	t.Cleanup(func() { e.srv.Close() })
	return e
}

// start listens again where it listened before.
func (e *endpoint) start() {
	e.t.Helper()
	listener, err := net.Listen("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.addr = listener.Addr().String()
	e.srv = &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}, EnableHTTP2: e.kind == "http2"}
	if e.tls() {
		e.srv.StartTLS()
	} else {
		e.srv.Start()
	}
}

func (e *endpoint) tls() bool { return e.kind == "https" || e.kind == "http2" }

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.mu.Lock()
	arrive, resume := e.arrive, e.resume
	e.protos = append(e.protos, r.Proto)
	e.mu.Unlock()
	if arrive != nil {
		arrive()
		select {
		case <-resume:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler) // to return would be to answer 200
	}
	deliveries, err := parse(body)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil || (len(deliveries) == 1 && r.Header.Get("webhook-id") != deliveries[0].ChangeID.String()):
		w.WriteHeader(http.StatusBadRequest)
	case slices.ContainsFunc(deliveries, func(d cdc.Delivery) bool { return d.Record.Has("bad") }):
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		json.NewEncoder(w).Encode(map[string]any{
			"title": "field bad is not known", "detail": string(body), "error": r.Header.Get("Authorization"),
		})
	default:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.events = append(e.events, deliveries...)
	}
}

// parse reads a body as a receiver would, which need not be in Go.
func parse(body []byte) (deliveries []cdc.Delivery, err error) {
	var many struct{ Batch []json.RawMessage }
	if err := json.Unmarshal(body, &many); err != nil {
		return nil, err
	}
	if many.Batch == nil {
		many.Batch = []json.RawMessage{body}
	}
	for _, one := range many.Batch {
		d, err := parseOne(one)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, nil
}

func parseOne(body []byte) (cdc.Delivery, error) {
	var in struct {
		ID       cdc.ID
		Resource string
		Action   string
		RecordID string
		Data     map[string]any
		Before   map[string]any
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&in); err != nil {
		return cdc.Delivery{}, err
	}
	data, err1 := cdc.Normalize(in.Data)
	before, err2 := cdc.Normalize(in.Before)
	d := cdc.Delivery{Change: cdc.Change{ChangeID: in.ID, RecordID: in.RecordID}, Target: in.Resource, Record: data, Before: before}
	switch in.Action {
	case "insert":
		d.Op = cdc.Inserted
	case "update":
		d.Op = cdc.Updated
	case "delete":
		d.Op, d.Record, d.Before = cdc.Deleted, nil, data
	}
	return d, errors.Join(err1, err2)
}

func (e *endpoint) driver(t *testing.T) *webhook.Driver {
	opts := webhook.Options{URL: e.srv.URL + "/hook?key=" + token, Auth: webhook.Bearer(token)}
	if e.tls() {
		opts.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		opts.TLS.RootCAs.AddCert(e.srv.Certificate())
	}
	if e.kind == "batch" {
		opts.BatchSize = 50
	}
	d := webhook.New(opts)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestContract(t *testing.T) {
	for kind, proto := range map[string]string{"http": "HTTP/1.1", "https": "HTTP/1.1", "http2": "HTTP/2.0", "batch": "HTTP/1.1"} {
		t.Run(kind, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Harness {
				e := newEndpoint(t, kind)
				t.Cleanup(func() {
					if slices.ContainsFunc(e.protos, func(p string) bool { return p != proto }) {
						t.Errorf("requests came by %v, want %s", e.protos, proto)
					}
				})
				return drivertest.Harness{
					Driver: e.driver(t),
					Events: func(_ *testing.T, target string) []cdc.Delivery {
						e.mu.Lock()
						defer e.mu.Unlock()
						return slices.DeleteFunc(slices.Clone(e.events), func(d cdc.Delivery) bool { return d.Target != target })
					},
					Want: asJSON,
					Bad:  func(r cdc.Record) { r["bad"] = true },
					Break: func() func() {
						e.srv.Close()
						return e.start
					},
					Stall: func() (<-chan struct{}, func()) {
						arrived, resume := make(chan struct{}), make(chan struct{})
						e.mu.Lock()
						defer e.mu.Unlock()
						e.arrive, e.resume = sync.OnceFunc(func() { close(arrived) }), resume
						return arrived, func() {
							e.mu.Lock()
							defer e.mu.Unlock()
							e.arrive = nil
							close(resume)
						}
					},
					Secret:  token,
					Invalid: invalid(),
				}
			})
		})
	}
}

// asJSON is what JSON makes of a value, in the words of the list of values.
func asJSON(v any) any {
	switch v := v.(type) {
	case float64:
		n, _ := cdc.NormalizeValue(json.Number(strconv.FormatFloat(v, 'f', -1, 64)))
		return n
	case cdc.Decimal:
		if n, ok := v.Int64(); ok {
			return n
		}
	case time.Time:
		return v.Format("2006-01-02T15:04:05.000000Z")
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = asJSON(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any)
		for k, e := range v {
			out[k] = asJSON(e)
		}
		return out
	}
	return v
}

func invalid() []drivertest.Invalid {
	return []drivertest.Invalid{
		{Driver: webhook.New(webhook.Options{}), Fields: []string{"URL"}},
		{Driver: webhook.New(webhook.Options{URL: "ftp://user:" + token + "@host/"}), Fields: []string{"URL"}},
		{Driver: webhook.New(webhook.Options{URL: "https:///" + token}), Fields: []string{"URL"}},
		{Driver: webhook.New(webhook.Options{URL: "https://host/%zz" + token}), Fields: []string{"URL"}},
		{Driver: webhook.New(webhook.Options{URL: "https://u:p@host", Auth: webhook.Bearer(token)}), Fields: []string{"URL", "Auth"}},
		{Driver: webhook.New(webhook.Options{
			Method: "GET", Auth: webhook.Bearer(token + "\n"), SigningSecrets: []string{"whsec_!" + token, ""},
			Headers: map[string]string{"bad name": token, "X-Good": token + "\r\nX-Evil: 1"}, Body: 9, Concurrency: -1,
		}), Fields: []string{"URL", "Method", "Auth", "SigningSecrets", "Headers", "Body", "Concurrency"}},
		{Driver: webhook.New(webhook.Options{URL: "https://host", Auth: webhook.Bearer("")}), Fields: []string{"Auth"}},
		{Driver: webhook.New(webhook.Options{URL: "https://host", SigningSecrets: []string{"whsec_YWJj"}}), Fields: []string{"SigningSecrets", "24"}},
		{Driver: webhook.New(webhook.Options{
			URL: "https://10.0.0.1", PublicOnly: true, Body: webhook.Bare, BatchSize: 5, BatchBytes: -1, Timeout: -1,
			Marshal: func(cdc.Delivery) ([]byte, error) { return nil, nil }, Statuses: map[int]webhook.Meaning{100: webhook.Delivered},
		}), Fields: []string{"URL", "PublicOnly", "Body", "BatchSize", "BatchBytes", "Timeout", "Marshal", "Statuses"}},
		{Driver: webhook.New(webhook.Options{
			URL: "https://host", Client: http.DefaultClient, PublicOnly: true, TLS: &tls.Config{}, Body: webhook.CloudEvents, Source: "%zz" + token,
		}), Fields: []string{"Client", "PublicOnly", "TLS", "Source"}},
		{Driver: webhook.New(webhook.Options{URL: "https://host", Auth: webhook.APIKey("", "")}), Fields: []string{"Auth"}},
	}
}

var insert = cdc.Delivery{
	Change: cdc.Change{
		ChangeID: cdc.ID{1, 2, 3}, Version: 7, Op: cdc.Inserted, Resource: "users", RecordID: "u1",
		Time: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC),
	},
	Target: "users",
	Key:    cdc.Record{"id": "u1"},
	Record: cdc.Record{"id": "u1", "email": "ann@example.com", "note": "Größe"},
}

// apply sends one delivery and gives its error.
func apply(ctx context.Context, d *webhook.Driver) error {
	err := d.Apply(ctx, []cdc.Delivery{insert})
	if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
		return answer.Errs[0]
	}
	return err
}

func TestStatusClasses(t *testing.T) {
	classes := map[cdc.Fault][]int{
		cdc.RecordFault:      {400, 413, 415, 422},
		cdc.DestinationFault: {301, 302, 307, 308, 401, 403, 404, 405, 410, 429, 502, 503, 504},
		cdc.Transient:        {402, 406, 408, 409, 418, 425, 451, 500, 501, 505, 599},
	}
	var status int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Errorf("the redirect to %s was followed", r.URL.Path)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL})
	defer d.Close()
	for want, statuses := range classes {
		for _, status = range statuses {
			err := apply(t.Context(), d)
			if err == nil || cdc.FaultOf(err) != want || !strings.Contains(err.Error(), strconv.Itoa(status)) {
				t.Errorf("%d gives a %s error, want %s: %v", status, cdc.FaultOf(err), want, err)
			}
			if cdc.IsGone(err) != (status == http.StatusGone) {
				t.Errorf("%d: that the endpoint wants no more is %v", status, cdc.IsGone(err))
			}
		}
	}
	for _, status = range []int{200, 201, 202, 204, 299} {
		if err := apply(t.Context(), d); err != nil {
			t.Errorf("%d gives %v", status, err)
		}
	}
}

func TestStatusesMeanWhatTheOptionsSay(t *testing.T) {
	var status int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL, Statuses: map[int]webhook.Meaning{
		409: webhook.Delivered, 202: webhook.Retry, 418: webhook.Refused, 500: webhook.Unavailable, 404: webhook.Gone, 410: webhook.Refused,
	}})
	defer d.Close()
	for _, test := range []struct {
		status    int
		delivered bool
		fault     cdc.Fault
		gone      bool
	}{
		{409, true, 0, false},
		{202, false, cdc.Transient, false},
		{418, false, cdc.RecordFault, false},
		{500, false, cdc.DestinationFault, false},
		{404, false, cdc.DestinationFault, true},
		{410, false, cdc.RecordFault, false},
		{422, false, cdc.RecordFault, false}, // the others stay as they are
		{200, true, 0, false},
	} {
		status = test.status
		err := apply(t.Context(), d)
		if (err == nil) != test.delivered || cdc.FaultOf(err) != test.fault || cdc.IsGone(err) != test.gone {
			t.Errorf("%d gives a %s error, gone %v: %v", status, cdc.FaultOf(err), cdc.IsGone(err), err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	var status int
	var header string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", header)
		w.WriteHeader(status)
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL})
	defer d.Close()
	for _, test := range []struct {
		header   string
		min, max time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{"0", 0, 0},
		{"-5", 0, 0},
		{"", 0, 0},
		{"soon", 0, 0},
		{"10m", 0, 0},
		{"99999999999999", 5 * time.Minute, 5 * time.Minute}, // the contract's cap
		{"9999999999999999999999", 0, 0},
		{time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat), time.Minute, 2 * time.Minute},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
	} {
		for want, s := range map[cdc.Fault]int{cdc.DestinationFault: 503, cdc.Transient: 500} {
			status, header = s, test.header
			err := apply(t.Context(), d)
			if after := cdc.AfterOf(err); cdc.FaultOf(err) != want || after < test.min || after > test.max {
				t.Errorf("%d with Retry-After %q gives a %s error with a pause of %v, want %s, %v to %v",
					status, header, cdc.FaultOf(err), after, want, test.min, test.max)
			}
		}
	}
}
