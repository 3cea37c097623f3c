package sqs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
)

// taken is an SQS that takes every message, without a network.
type taken struct{}

func (taken) Do(req *http.Request) (*http.Response, error) {
	var in struct {
		Entries []struct {
			ID string `json:"Id"`
		}
	}
	if req.Header.Get("X-Amz-Target") == "AmazonSQS.SendMessageBatch" {
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
			return nil, err
		}
	}
	answer, err := json.Marshal(map[string]any{"Successful": in.Entries, "Attributes": map[string]string{}})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer)), Request: req}, err
}

// BenchmarkApply gives what a request of ten messages takes, and of that what is the
// client's: the bodies, the attributes, the signature. How the driver does beside a bare
// loop is a case of the benchmarks.
func BenchmarkApply(b *testing.B) {
	d := sqs.New(sqs.Options{QueueURL: "http://127.0.0.1/queue", Client: awssqs.New(awssqs.Options{
		Region: "us-east-1", Credentials: keys(), HTTPClient: taken{}, Retryer: aws.NopRetryer{},
	})})
	if err := d.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	batch := make([]cdc.Delivery, 10)
	for i := range batch {
		id := fmt.Sprint("o-", i)
		batch[i] = cdc.Delivery{
			Change: cdc.Change{ChangeID: cdc.ID{15: byte(i)}, Version: 1 << 57, Op: cdc.Inserted, Resource: "orders", RecordID: id, Time: time.UnixMicro(1_700_000_000_000_000).UTC()},
			Target: "orders", Record: cdc.Record{
				"id": id, "name": "Alice Example", "email": "alice@example.com", "city": "Lisbon", "street": "Rua Augusta 12",
				"total": 129.5, "items": int64(7), "paid": true, "note": "leave it at the door", "phone": "+351 21 000 0000",
			},
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
