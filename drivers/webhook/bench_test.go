package webhook_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// taken is an endpoint that takes everything, without a network.
type taken struct{}

func (taken) RoundTrip(req *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, req.Body)
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, err
}

// BenchmarkApply gives what the driver itself does for a request: the body, the
// signature, the headers. How it does beside a bare loop is a case of the benchmarks.
func BenchmarkApply(b *testing.B) {
	d := webhook.New(webhook.Options{
		URL: "http://127.0.0.1/in", SigningSecrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, Client: &http.Client{Transport: taken{}},
	})
	batch := []cdc.Delivery{{
		Change: cdc.Change{ChangeID: cdc.ID{1}, Version: 1 << 57, Op: cdc.Inserted, Resource: "orders", RecordID: "o-1", Time: time.UnixMicro(1_700_000_000_000_000).UTC()},
		Target: "orders", Record: cdc.Record{
			"id": "o-1", "name": "Alice Example", "email": "alice@example.com", "city": "Lisbon", "street": "Rua Augusta 12",
			"total": 129.5, "items": int64(7), "paid": true, "note": "leave it at the door", "phone": "+351 21 000 0000",
		},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
