package sqs_test

import (
	"fmt"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/sqs"
)

// Changes of orders go to a FIFO queue, in which those of a record keep their order.
func ExampleNew() {
	events := replicator.Destination{
		Name:   "events",
		Driver: sqs.New(sqs.Options{QueueURL: "https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo"}),
		Routes: replicator.Routes("orders"),
	}
	fmt.Println(events.Driver) // options hold credentials, and are not shown
	// Output: sqs
}

// A consumer reads what a message says, and drops what it has seen: SQS may deliver twice.
func ExampleDecode() {
	seen := map[string]uint64{} // the newest version of each record; in a database, really
	for _, body := range []string{
		`{"resource":"orders","action":"insert","timestamp":"2026-01-31T12:00:00.000Z","source":"replicator",
			"id":"0192f0c1-9d3a-7000-8000-000000000001","recordId":"o1","operation":"inserted","version":"7","data":{"id":"o1","total":99.5}}`,
		`{"resource":"orders","action":"insert","timestamp":"2026-01-31T12:00:00.000Z","source":"replicator",
			"id":"0192f0c1-9d3a-7000-8000-000000000001","recordId":"o1","operation":"inserted","version":"7","data":{"id":"o1","total":99.5}}`,
	} {
		d, err := sqs.Decode(body)
		if err != nil {
			fmt.Println(err)
			return
		}
		if d.Version <= seen[d.RecordID] {
			fmt.Println("again", d.RecordID)
			continue
		}
		seen[d.RecordID] = d.Version
		fmt.Println(d.Op, d.Resource, d.RecordID, d.Record.Float("total"))
	}
	// Output:
	// inserted orders o1 99.5
	// again o1
}
