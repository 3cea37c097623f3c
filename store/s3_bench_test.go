package store_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// BenchmarkReadServer sets List beside GetObject of the same 10,000 objects, whose keys
// are known, with the same parallelism on the same server. They take turns, so that both
// see the same machine.
func BenchmarkReadServer(b *testing.B) {
	const records, parallel = 10_000, 64
	connection := testbed.S3(b)
	db, err := store.Open(b.Context(), connection)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	r, err := db.CreateResource(b.Context(), store.Definition{Name: "orders", Attributes: store.Attributes{
		"customer": "string", "total": "number", "paid": "boolean", "note": "string", "lines": "number|integer",
	}})
	if err != nil {
		b.Fatal(err)
	}
	recs := make([]store.Record, records)
	for i := range recs {
		recs[i] = store.Record{"id": fmt.Sprintf("o%07d", i), "customer": fmt.Sprint("c", i%1000), "total": float64(i) + 0.99,
			"paid": i%2 == 0, "note": strings.Repeat("words ", 20), "lines": i % 9}
	}
	if _, err := r.InsertMany(b.Context(), recs); err != nil {
		b.Fatal(err)
	}

	u, err := url.Parse(connection)
	if err != nil {
		b.Fatal(err)
	}
	secret, _ := u.User.Password()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, parallel
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		BaseEndpoint: new("http://" + u.Host), UsePathStyle: true, Region: "us-east-1", DisableLogOutputChecksumValidationSkipped: true,
		Credentials: credentials.NewStaticCredentialsProvider(u.User.Username(), secret, ""), HTTPClient: &http.Client{Transport: transport},
	})
	bucket := strings.Trim(u.Path, "/")
	bare := func() {
		var readers sync.WaitGroup
		next := make(chan int)
		for range parallel {
			readers.Go(func() {
				for i := range next {
					out, err := client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: new(fmt.Sprintf("resource=orders/data/id=o%07d", i))})
					if err == nil {
						_, err = io.Copy(io.Discard, out.Body)
						_ = out.Body.Close()
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range records {
			next <- i
		}
		close(next)
		readers.Wait()
	}
	list := func() {
		n := 0
		for _, err := range r.List(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != records {
			b.Errorf("listed %d records", n)
		}
	}
	var took [2]time.Duration
	for b.Loop() {
		for side, run := range []func(){list, bare} {
			start := time.Now()
			run()
			took[side] += time.Since(start)
		}
	}
	total := float64(b.N * records)
	b.ReportMetric(total/took[0].Seconds(), "list/s")
	b.ReportMetric(total/took[1].Seconds(), "bare/s")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "of-bare")
}
