package s3db_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// putsAtATime is the parallelism of both sides: one batch of the driver.
const putsAtATime = 16

// order is a record as an application has them.
func order(i int) cdc.Record {
	return cdc.Record{"id": fmt.Sprintf("o%07d", i), "customer": fmt.Sprint("c", i%1000), "total": float64(i) + 0.99, "paid": i%2 == 0,
		"note": strings.Repeat("words ", 20), "lines": int64(i % 9)}
}

// bare gives a client for the bucket of a connection string, made for throughput.
func bare(b *testing.B, connection string) (*s3.Client, string) {
	b.Helper()
	u, err := url.Parse(connection)
	if err != nil {
		b.Fatal(err)
	}
	secret, _ := u.User.Password()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 128
	b.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: new("http://" + u.Host), UsePathStyle: true, Region: "us-east-1",
		Credentials:                credentials.NewStaticCredentialsProvider(u.User.Username(), secret, ""),
		HTTPClient:                 &http.Client{Transport: transport},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	}), strings.Trim(u.Path, "/")
}

// atATime calls do for every number below n, so many at a time.
func atATime(b *testing.B, n int, do func(i int) error) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range putsAtATime {
		workers.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// BenchmarkPuts sets the driver beside PutObject of the same objects with the same
// parallelism on the same server. They take turns, so that both see the same machine.
func BenchmarkPuts(b *testing.B) {
	const batch = 100
	connection := testbed.S3(b)
	db, err := store.Open(b.Context(), connection)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	d := s3db.New(s3db.Options{Store: db})
	if err := d.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	client, bucket := bare(b, connection)
	headers := map[string]string{"_v": "v1", "0": "c1", "1": "3", "2": strings.Repeat("words ", 20), "3": "1", "4": "7.99"}
	body := []byte("{" + strings.Repeat(" ", 64) + "}")
	sides := map[string]func(first int) error{
		"driver": func(first int) error {
			var deliveries []cdc.Delivery
			for i := first; i < first+batch; i++ {
				rec := order(i)
				deliveries = append(deliveries, cdc.Delivery{
					Change: cdc.Change{Op: cdc.Inserted, Resource: "orders", RecordID: rec.String("id")}, Target: "orders", Key: rec.Pick("id"), Record: rec,
				})
			}
			return d.Apply(b.Context(), deliveries)
		},
		"bare": func(first int) error {
			atATime(b, batch, func(i int) error {
				_, err := client.PutObject(context.Background(), &s3.PutObjectInput{
					Bucket: &bucket, Key: new(fmt.Sprintf("resource=barely/data/id=o%07d", first+i)), Metadata: headers, Body: bytes.NewReader(body), ContentType: new("application/json"),
				})
				return err
			})
			return nil
		},
	}
	turns(b, batch, sides)
}

// turns runs both sides in turns and reports how many items a second each did, and the
// first as a share of the second.
func turns(b *testing.B, items int, sides map[string]func(first int) error) {
	took := map[string]time.Duration{}
	n := 0
	for b.Loop() {
		for name, run := range sides { // in an order that is never the same
			start := time.Now()
			if err := run(n * items); err != nil {
				b.Fatal(err)
			}
			took[name] += time.Since(start)
		}
		n++
	}
	for name, t := range took {
		b.ReportMetric(float64(n*items)/t.Seconds(), name+"/s")
	}
	b.ReportMetric(took["bare"].Seconds()/took["driver"].Seconds(), "of-bare")
}
