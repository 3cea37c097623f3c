package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// behind opens a store on a bucket behind a proxy, with the resource "r" and the
// attributes a and b in it.
func behind(t *testing.T) (*store.DB, *testbed.WebProxy) {
	t.Helper()
	direct, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := testbed.NewWebProxy(t, direct.Host)
	direct.Host = proxy.Addr()
	db := open(t, direct.String())
	create(t, db, "r", store.Attributes{"a": "number|integer", "b": "number|integer", "s": "string"})
	return db, proxy
}

// once lets a fault befall the first n requests that match.
func once(n int, matches func(*http.Request) bool, fault testbed.WebFault) func(*http.Request) testbed.WebFault {
	return func(r *http.Request) testbed.WebFault {
		if !matches(r) || n == 0 {
			return testbed.WebFault{}
		}
		n--
		return fault
	}
}

func method(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

// TestServerHiccups: what passes on its own costs time and nothing else. A write that
// was applied although its answer got lost is not taken for another's.
func TestServerHiccups(t *testing.T) {
	slow := testbed.S3Error(503, "SlowDown")
	for name, fault := range map[string]testbed.WebFault{
		"slow down":              slow,
		"internal error":         testbed.S3Error(500, "InternalError"),
		"bad gateway":            {Status: 502, Body: "<html>"},
		"reset":                  {Reset: true},
		"reset after it is done": {ResetAfter: true},
		"latency":                {Delay: 50 * time.Millisecond},
		"half an answer":         {Half: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, proxy := behind(t)
			recorder := capture(t, db)
			r, ctx := db.Resource("r"), t.Context()
			every := func(verb string) { proxy.Judge(once(1, method(verb), fault)) }

			every("PUT")
			big := strings.Repeat("x", 10_000) // in the body
			if _, err := r.Insert(ctx, store.Record{"id": "x", "s": big}); err != nil {
				t.Errorf("Insert: %v", err)
			}
			every("GET")
			if got, err := r.Get(ctx, "x"); err != nil || got.String("s") != big {
				t.Errorf("Get: %.100v, %v", got, err)
			}
			every("PUT")
			if _, err := r.Update(ctx, "x", store.Record{"a": 1, "s": ""}); err != nil {
				t.Errorf("Update: %v", err)
			}
			every("PUT")
			if err := r.Put(ctx, store.Record{"id": "x", "b": int64(2)}); err != nil {
				t.Errorf("Put: %v", err)
			}
			every("GET")
			if n, err := r.Count(ctx); err != nil || n != 1 {
				t.Errorf("Count: %d, %v", n, err)
			}
			every("DELETE")
			if err := r.Delete(ctx, "x"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if err := r.Delete(ctx, "x"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Delete of what is gone: %v", err)
			}
			if diff := cmp.Diff([]string{"commit", "commit", "commit", "commit"}, recorder.ends); diff != "" {
				t.Errorf("announcements ended -want +got\n%s", diff)
			}
		})
	}
}

// TestListAsksAhead: the next page of names is asked for while the present one is read, and
// not for somebody who wants only a few.
func TestListAsksAhead(t *testing.T) {
	const page, records = 1000, 1100
	db, proxy := behind(t)
	r := db.Resource("r")
	recs := make([]store.Record, records)
	for i := range recs {
		recs[i] = store.Record{"id": fmt.Sprintf("%04d", i)}
	}
	if _, err := r.InsertMany(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	var pages atomic.Int64
	proxy.Judge(func(req *http.Request) testbed.WebFault {
		if req.URL.Query().Has("list-type") {
			pages.Add(1)
		}
		return testbed.WebFault{}
	})
	for taken, want := range map[int]int64{1: 1, page / 4: 1, page*3/4 + 1: 2, records: 2} {
		pages.Store(0)
		n := 0
		for rec, err := range r.List(t.Context()) {
			if want := fmt.Sprintf("%04d", n); err != nil || rec.String("id") != want {
				t.Fatalf("record %s comes as %v, %v", want, rec, err)
			}
			if n++; n == taken {
				break
			}
		}
		if got := pages.Load(); n != taken || got != want {
			t.Errorf("%d records were read of the first %d, with %d pages of names; want %d", n, taken, got, want)
		}
	}
}

// TestServerFailures: a write whose attempts all fail is in doubt unless it is certain
// that none was carried out.
func TestServerFailures(t *testing.T) {
	for name, test := range map[string]struct {
		faults  []testbed.WebFault
		applied bool
		end     string
		kind    error
	}{
		"slow down":                {[]testbed.WebFault{testbed.S3Error(503, "SlowDown")}, false, "abort", store.ErrUnavailable},
		"denied":                   {[]testbed.WebFault{testbed.S3Error(403, "AccessDenied")}, false, "abort", store.ErrDenied},
		"no bucket any more":       {[]testbed.WebFault{testbed.S3Error(404, "NoSuchBucket")}, false, "abort", store.ErrNoBucket},
		"too large for the server": {[]testbed.WebFault{testbed.S3Error(400, "MetadataTooLarge")}, false, "abort", store.ErrRefused},
		"header too large":         {[]testbed.WebFault{{Status: 431}}, false, "abort", store.ErrRefused},
		"internal error":           {[]testbed.WebFault{testbed.S3Error(500, "InternalError")}, false, "doubt", store.ErrUnavailable},
		"resets":                   {[]testbed.WebFault{{Reset: true}}, false, "doubt", store.ErrUnavailable},
		"resets after it is done":  {[]testbed.WebFault{{ResetAfter: true}, {Reset: true}}, true, "doubt", store.ErrUnavailable},
		"then denied":              {[]testbed.WebFault{{ResetAfter: true}, testbed.S3Error(403, "AccessDenied")}, true, "doubt", store.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, proxy := behind(t)
			recorder := capture(t, db)
			n := 0
			proxy.Judge(func(r *http.Request) testbed.WebFault {
				if r.Method != http.MethodPut {
					return testbed.WebFault{}
				}
				n++
				return test.faults[min(n, len(test.faults))-1]
			})
			_, err := db.Resource("r").Insert(t.Context(), store.Record{"id": "x", "a": 1})
			if !errors.Is(err, test.kind) || !strings.HasPrefix(err.Error(), "store: r x: PutObject: ") || strings.Contains(err.Error(), testbed.S3SecretKey) {
				t.Errorf("Insert gave %v", err)
			}
			if diff := cmp.Diff([]string{test.end}, recorder.ends); diff != "" {
				t.Errorf("announcements ended -want +got\n%s", diff)
			}
			if _, there, err := db.Read(t.Context(), "r", "x"); there != test.applied || err != nil {
				t.Errorf("the record is there: %v, %v", there, err)
			}
		})
	}
}

// TestCallerGivesUp: a write that nobody has been told of ends with its context, also
// while the server does not answer. One that is announced does not.
func TestCallerGivesUp(t *testing.T) {
	db, proxy := behind(t)
	r := db.Resource("r")
	hold := make(chan struct{})
	arrived := make(chan struct{}, 2)
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if r.Method != http.MethodPut {
			return testbed.WebFault{}
		}
		arrived <- struct{}{}
		return testbed.WebFault{Hold: hold}
	})
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 2)
	put := func(id string) func() {
		return func() { answer <- r.Put(ctx, store.Record{"id": id, "a": 1}) }
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(put("x"))
	<-arrived
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("Put gave %v", err)
	}

	recorder := capture(t, db)
	ctx, cancel = context.WithCancel(t.Context())
	calls.Go(put("y"))
	<-arrived
	cancel()
	close(hold)
	if err := <-answer; err != nil {
		t.Errorf("Put gave %v", err)
	}
	if diff := cmp.Diff([]string{"commit"}, recorder.ends); diff != "" {
		t.Errorf("announcements ended -want +got\n%s", diff)
	}
}

// TestServerWithoutConditions: writes go through, as they did before there were any.
func TestServerWithoutConditions(t *testing.T) {
	db, proxy := behind(t)
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if r.Header.Get("If-Match")+r.Header.Get("If-None-Match") != "" {
			return testbed.S3Error(501, "NotImplemented")
		}
		return testbed.WebFault{}
	})
	r, ctx := db.Resource("r"), t.Context()
	if _, err := r.Insert(ctx, store.Record{"id": "x", "a": 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Insert(ctx, store.Record{"id": "x"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("Insert over a record: %v", err)
	}
	got, err := r.Update(ctx, "x", store.Record{"b": 2})
	if err != nil {
		t.Fatal(err)
	}
	wantStored(t, r, "x", got, store.Record{"id": "x", "a": int64(1), "b": int64(2)})
	if err := errors.Join(r.Delete(ctx, "x"), second(db.CreateResource(ctx, store.Definition{Name: "later"}))); err != nil {
		t.Error(err)
	}
}

// TestOpenOnServers tells what is wrong, without a word of the credentials.
func TestOpenOnServers(t *testing.T) {
	server := testbed.NewS3Server(t, "eu-central-1")
	good := server.Bucket(t) + "?region=eu-central-1&forcePathStyle=true&httpClientOptions.timeout=5"
	for name, test := range map[string]struct {
		from, to string
		kind     error
	}{
		"no such bucket": {"/test-1", "/no-such", store.ErrNoBucket},
		"wrong secret":   {testbed.S3SecretKey, testbed.S3SecretKey + "x", store.ErrDenied},
		"unknown key":    {testbed.S3AccessKey, "nobody", store.ErrDenied},
		"no server":      {server.Addr, "127.0.0.1:1", store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.Open(t.Context(), strings.Replace(good, test.from, test.to, 1))
			if !errors.Is(err, test.kind) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), testbed.S3AccessKey) {
				t.Errorf("Open gave %v", err)
			}
		})
	}
	create(t, open(t, good), "r", nil)
}

// TestRegion: the server takes only requests that are signed for its own region. What
// it is, Amazon's servers say in the answer to a request that is signed for another.
func TestRegion(t *testing.T) {
	server := testbed.NewS3Server(t, "eu-central-1")
	direct := server.Bucket(t)
	proxy := testbed.NewWebProxy(t, server.Addr)
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/") {
			return testbed.WebFault{}
		}
		return testbed.WebFault{Status: 301, Header: http.Header{"X-Amz-Bucket-Region": {"eu-central-1"}}}
	})
	db := open(t, server.ConnectionString(proxy.Addr(), "test-1"))
	if _, err := create(t, db, "r", nil).Insert(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, connection := range []string{direct, direct + "?region=us-west-2"} {
		_, err := store.Open(t.Context(), connection)
		if !errors.Is(err, store.ErrNoBucket) || !strings.Contains(err.Error(), "?region=") {
			t.Errorf("Open for a wrong region gave %v", err)
		}
	}
}

// TestSecondLook: what a server is asked for may outlive who asked.
func TestSecondLook(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		want := time.Duration(0)
		if strings.HasPrefix(connection, "http") {
			want = 5 * time.Second
		}
		if got := open(t, connection).SecondLook(); got != want {
			t.Errorf("the second look is after %v, want %v", got, want)
		}
	})
}

// TestCredentialsOfTheEnvironment are used where the connection string has none.
func TestCredentialsOfTheEnvironment(t *testing.T) {
	bucket, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	bucket.User = nil
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
	if _, err := store.Open(t.Context(), bucket.String()); !errors.Is(err, store.ErrDenied) {
		t.Errorf("Open without credentials gave %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", testbed.S3AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testbed.S3SecretKey)
	create(t, open(t, bucket.String()), "r", nil)
}

// TestManyOnAServer lists across the pages of the protocol.
func TestManyOnAServer(t *testing.T) {
	r := create(t, open(t, testbed.S3(t)), "r", store.Attributes{"n": "number|integer"})
	const n = 1_050 // a page has a thousand
	recs := make([]store.Record, n)
	for i := range recs {
		recs[i] = store.Record{"id": fmt.Sprintf("%04d", i), "n": i}
	}
	if _, err := r.InsertMany(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	i := 0
	for rec, err := range r.List(t.Context()) {
		if err != nil || rec.Int("n") != int64(i) {
			t.Fatalf("record %d is %v, %v", i, rec, err)
		}
		i++
	}
	if count, err := r.Count(t.Context()); i != n || count != n || err != nil {
		t.Errorf("listed %d, counted %d (%v), of %d", i, count, err, n)
	}
}
