package s3db_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// behind gives the connection strings of a new bucket, direct and through a proxy.
func behind(t testing.TB) (direct, proxied string, proxy *testbed.WebProxy) {
	t.Helper()
	direct = testbed.S3(t)
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	proxy = testbed.NewWebProxy(t, u.Host)
	u.Host = proxy.Addr()
	return direct, u.String(), proxy
}

func pass(*http.Request) testbed.WebFault { return testbed.WebFault{} }

func always(fault testbed.WebFault) func(*http.Request) testbed.WebFault {
	return func(*http.Request) testbed.WebFault { return fault }
}

func TestContractOnAServer(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		direct, proxied, proxy := behind(t)
		h := harness()
		h.Secret = testbed.S3SecretKey
		h.Driver = s3db.New(s3db.Options{ConnectionString: proxied, Passphrase: passphrase})
		h.Records = func(t *testing.T, target string) []cdc.Record { return records(t, openStore(t, direct), target) }
		h.Break = func() func() {
			proxy.Judge(always(testbed.WebFault{Reset: true}))
			return func() { proxy.Judge(pass) }
		}
		h.Stall = func() (<-chan struct{}, func()) {
			arrived, release := make(chan struct{}), make(chan struct{})
			first := sync.OnceFunc(func() { close(arrived) })
			proxy.Judge(func(*http.Request) testbed.WebFault {
				first()
				return testbed.WebFault{Hold: release}
			})
			return arrived, func() {
				proxy.Judge(pass)
				close(release)
			}
		}
		return h
	})
}

// TestWhoseFault: only what the server says of the record itself is the record's fault.
func TestWhoseFault(t *testing.T) {
	_, proxied, proxy := behind(t)
	d := openDriver(t, s3db.Options{ConnectionString: proxied, Passphrase: passphrase})
	record := cdc.Record{"id": "a", "n": int64(1)}
	if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		status int
		code   string
		want   cdc.Fault
	}{
		{403, "AccessDenied", cdc.DestinationFault},
		{403, "InvalidAccessKeyId", cdc.DestinationFault},
		{404, "NoSuchBucket", cdc.DestinationFault},
		{503, "SlowDown", cdc.DestinationFault},
		{500, "InternalError", cdc.DestinationFault},
		{400, "RequestTimeout", cdc.DestinationFault},
		{507, "InsufficientStorage", cdc.DestinationFault},
		{400, "MetadataTooLarge", cdc.RecordFault},
		{400, "KeyTooLongError", cdc.RecordFault},
		{400, "EntityTooLarge", cdc.RecordFault},
	} {
		t.Run(test.code, func(t *testing.T) {
			proxy.Judge(always(testbed.S3Error(test.status, test.code)))
			err := deliver(t.Context(), d, insert(record.Pick("id"), record))
			if cdc.FaultOf(err) != test.want || !strings.Contains(fmt.Sprint(err), test.code) || strings.Contains(err.Error(), "no row") {
				t.Errorf("Apply gives a %s error: %v", cdc.FaultOf(err), err)
			}
			if err := d.Check(t.Context()); err == nil && test.want == cdc.DestinationFault {
				t.Error("Check calls it alive")
			}
			proxy.Judge(pass)
			if err := errors.Join(d.Check(t.Context()), deliver(t.Context(), d, insert(record.Pick("id"), record))); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestOpenOnAServer: what is certainly wrong fails Start, what may pass does not.
func TestOpenOnAServer(t *testing.T) {
	direct := testbed.S3(t)
	for name, test := range map[string]struct {
		connection string
		want       cdc.Fault
	}{
		"no bucket":    {direct + "-not", cdc.RecordFault},
		"wrong secret": {strings.Replace(direct, testbed.S3SecretKey, "wrong-"+testbed.S3SecretKey, 1), cdc.RecordFault},
		"no server":    {"http://key:" + testbed.S3SecretKey + "@127.0.0.1:1/bucket", cdc.DestinationFault},
	} {
		t.Run(name, func(t *testing.T) {
			err := s3db.New(s3db.Options{ConnectionString: test.connection}).Open(t.Context())
			if err == nil || cdc.FaultOf(err) != test.want || strings.Contains(err.Error(), testbed.S3SecretKey) {
				t.Errorf("Open gives a %s error: %v", cdc.FaultOf(err), err)
			}
		})
	}
}

// TestTwoRegions carries every record from a bucket in one region to one in another,
// which wants to be asked where it is.
func TestTwoRegions(t *testing.T) {
	near, far := testbed.NewS3Server(t, "us-east-1"), testbed.NewS3Server(t, "ap-southeast-2")
	source, backup := near.Bucket(t), far.Bucket(t)
	proxy := testbed.NewWebProxy(t, far.Addr)
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if strings.Contains(r.Header.Get("Authorization"), "/ap-southeast-2/") {
			return testbed.WebFault{}
		}
		return testbed.WebFault{Status: 301, Header: http.Header{"X-Amz-Bucket-Region": {"ap-southeast-2"}}}
	})
	from := openStore(t, source)
	users, err := from.CreateResource(t.Context(), store.Definition{
		Name: "users", Attributes: store.Attributes{"name": "string|required", "pin": "secret"}, Timestamps: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := openDriver(t, s3db.Options{ConnectionString: far.ConnectionString(proxy.Addr(), "test-1"), Passphrase: "of the backup"})
	schema, _, err := from.Describe(t.Context(), "users")
	if err := errors.Join(err, d.SyncSchema(t.Context(), "users", schema)); err != nil {
		t.Fatal(err)
	}
	var batch []cdc.Delivery
	var want []cdc.Record
	for i := range 50 {
		rec, err := users.Insert(t.Context(), store.Record{"id": fmt.Sprintf("u%02d", i), "name": strings.Repeat("é", i), "pin": fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, rec)
		batch = append(batch, insert(rec.Pick("id"), rec))
	}
	if err := d.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), backup+"?region=ap-southeast-2", store.WithPassphrase("of the backup"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := records(t, db, "users")
	for i := range want {
		if len(got) != len(want) || !got[i].Equal(want[i]) {
			t.Fatalf("record %d of %d differs from its source: %v", i, len(got), want[i])
		}
	}
}

// TestAppliedWithoutAnAnswer: a record whose put got no answer is there once, also when
// it is sent again.
func TestAppliedWithoutAnAnswer(t *testing.T) {
	direct, proxied, proxy := behind(t)
	d := openDriver(t, s3db.Options{ConnectionString: proxied})
	for _, record := range []cdc.Record{{"id": "a", "n": int64(1)}, {"id": "a", "n": int64(2)}} {
		proxy.Judge(func(r *http.Request) testbed.WebFault {
			return testbed.WebFault{ResetAfter: r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "id=a")}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := deliver(ctx, d, insert(record.Pick("id"), record))
		cancel()
		if cdc.FaultOf(err) != cdc.DestinationFault {
			t.Errorf("a put without an answer gives a %s error: %v", cdc.FaultOf(err), err)
		}
		proxy.Judge(pass)
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Errorf("sent again: %v", err)
		}
		if got := records(t, openStore(t, direct), "users"); len(got) != 1 || !got[0].Equal(record) {
			t.Errorf("there is %v, want %v", got, record)
		}
	}
}
