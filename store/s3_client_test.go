package store_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// TestClockOfTheServer: where the clock here is wrong, requests are signed for the time
// that it is there, from the first refusal on.
func TestClockOfTheServer(t *testing.T) {
	db, proxy := behind(t)
	refused := 0
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		there := time.Now().Add(time.Hour)
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || there.Sub(signed) > time.Minute {
			refused++
			fault := testbed.S3Error(403, "RequestTimeTooSkewed")
			fault.Header = http.Header{"Date": {there.UTC().Format(http.TimeFormat)}}
			return fault
		}
		return testbed.WebFault{Status: 200, Header: http.Header{"X-Amz-Meta-_v": {"v1"}, "X-Amz-Meta-0": {"7"}}}
	})
	for range 2 {
		if got, err := db.Resource("r").Get(t.Context(), "x"); err != nil || got.Int("a") != 7 {
			t.Errorf("Get gave %v, %v", got, err)
		}
	}
	if refused != 1 {
		t.Errorf("%d requests were refused for their time, want the first alone", refused)
	}
}

// TestChecksums: a server that knows them is told those of objects, and what is read is
// held against them.
func TestChecksums(t *testing.T) {
	direct, err := url.Parse(testbed.S3(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := testbed.NewWebProxy(t, direct.Host)
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+proxy.Addr()) // which is taken for Amazon's own
	db := open(t, fmt.Sprintf("s3://%s@%s?region=us-east-1", direct.User, path.Base(direct.Path)))
	r := create(t, db, "r", store.Attributes{"s": "string"})
	told := 0
	proxy.Judge(func(r *http.Request) testbed.WebFault {
		if r.Method == http.MethodPut && r.Header.Get("X-Amz-Checksum-Crc32") != "" {
			told++
		}
		return testbed.WebFault{}
	})
	big := strings.Repeat("x", 10_000) // in the body
	if _, err := r.Insert(t.Context(), store.Record{"id": "x", "s": big}); err != nil || told != 1 {
		t.Fatalf("Insert gave %v, and told the server of %d checksums", err, told)
	}
	wrong := testbed.WebFault{Header: http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}}}
	proxy.Judge(once(1, method("GET"), wrong))
	if got, err := r.Get(t.Context(), "x"); err != nil || got.String("s") != big {
		t.Errorf("Get after a damaged answer gave %.100v, %v", got, err)
	}
	proxy.Judge(once(-1, method("GET"), wrong))
	if got, err := r.Get(t.Context(), "x"); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("Get of damaged answers gave %.100v, %v", got, err)
	}
	// What others put has none, or one of another kind.
	for _, other := range []string{"", "AAAAAA==-2"} {
		proxy.Judge(once(-1, method("GET"), testbed.WebFault{Header: http.Header{"X-Amz-Checksum-Crc32": {other}}}))
		if got, err := r.Get(t.Context(), "x"); err != nil || got.String("s") != big {
			t.Errorf("Get of what has the checksum %q gave %.100v, %v", other, got, err)
		}
	}
}
