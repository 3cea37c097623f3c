//go:build unix

package sqs_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/internal/envelope"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

const (
	benchChanges     = 10_000
	benchConcurrency = 8
	benchWriters     = 64
)

// gate is an HTTP client that holds requests back while it is closed.
type gate struct {
	aws.HTTPClient
	open atomic.Pointer[chan struct{}] // closed when requests may go
}

func newGate() *gate {
	g := &gate{HTTPClient: sqs.Transport()}
	g.open.Store(new(make(chan struct{})))
	g.release()
	return g
}

func (g *gate) hold()    { g.open.Store(new(make(chan struct{}))) }
func (g *gate) release() { close(*g.open.Load()) }

func (g *gate) Do(req *http.Request) (*http.Response, error) {
	<-*g.open.Load()
	return g.HTTPClient.Do(req)
}

func benchRecord(i int) store.Record {
	return store.Record{
		"id": fmt.Sprintf("order-%06d", i), "customer": "customer-0042", "status": "open", "currency": "EUR", "total": 249.99,
		"lines": int64(3), "paid": true, "city": "Zürich", "note": "leave it with the neighbours", "placed": "2026-01-31T12:00:00Z",
	}
}

type bench struct {
	*testing.B
	client *awssqs.Client
	gate   *gate
	queues int
}

func (b *bench) queue() string {
	b.queues++
	out, err := b.client.CreateQueue(b.Context(), &awssqs.CreateQueueInput{QueueName: new(fmt.Sprint("bench-", b.queues))})
	if err != nil {
		b.Fatal(err)
	}
	return *out.QueueUrl
}

// drop counts what a queue holds, and deletes it.
func (b *bench) drop(queueURL string) {
	out, err := b.client.GetQueueAttributes(b.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: &queueURL, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		b.Fatal(err)
	}
	if n := out.Attributes["ApproximateNumberOfMessages"]; n != strconv.Itoa(benchChanges) {
		b.Errorf("the queue holds %s messages, want %d", n, benchChanges)
	}
	if _, err := b.client.DeleteQueue(b.Context(), &awssqs.DeleteQueueInput{QueueUrl: &queueURL}); err != nil {
		b.Fatal(err)
	}
}

// bare sends the same bodies with as many requests at a time and nothing else.
func (b *bench) bare() cost {
	queueURL := b.queue()
	defer b.drop(queueURL)
	var next atomic.Int64
	start := now()
	var sending sync.WaitGroup
	for range benchConcurrency {
		sending.Go(func() {
			for first := int(next.Add(10)) - 10; first < benchChanges; first = int(next.Add(10)) - 10 {
				entries := make([]types.SendMessageBatchRequestEntry, 10)
				for i := range entries {
					body, err := envelope.Message.Append(nil, cdc.Delivery{
						Change: cdc.Change{ChangeID: cdc.ID{15: byte(i)}, Version: 1 << 57, Op: cdc.Inserted, RecordID: "order", Time: start.at},
						Target: "orders", Record: benchRecord(first + i),
					}, "replicator")
					if err != nil {
						b.Error(err)
						return
					}
					text := func(s string) types.MessageAttributeValue {
						return types.MessageAttributeValue{DataType: new("String"), StringValue: new(s)}
					}
					entries[i] = types.SendMessageBatchRequestEntry{
						Id: new(strconv.Itoa(i)), MessageBody: new(string(body)),
						MessageAttributes: map[string]types.MessageAttributeValue{
							"id": text("00000000-0000-0000-0000-000000000000"), "resource": text("orders"), "operation": text("inserted"), "version": text("144115188075855872"),
						},
					}
				}
				if _, err := b.client.SendMessageBatch(b.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &queueURL, Entries: entries}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	return start.since()
}

// replicated writes the records to a store, from which they are carried. With drain all
// are written before the first request goes, and the cost is that of the rest.
func (b *bench) replicated(drain bool) cost {
	queueURL := b.queue()
	defer b.drop(queueURL)
	ctx := b.Context()
	db, err := store.Open(ctx, "memory://bench")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{
		"customer": "string", "status": "string", "currency": "string", "total": "number", "lines": "number|integer",
		"paid": "boolean", "city": "string", "note": "string", "placed": "string",
	}})
	if err != nil {
		b.Fatal(err)
	}
	r, err := replicator.New(db, replicator.Options{Dir: b.TempDir(), Destinations: []replicator.Destination{{
		Driver: sqs.New(sqs.Options{QueueURL: queueURL, Client: b.client, Concurrency: benchConcurrency}), Routes: replicator.Routes("orders"),
	}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		b.Fatal(err)
	}
	defer r.Stop(ctx)
	var next atomic.Int64
	write := func() {
		var writing sync.WaitGroup
		for range benchWriters {
			writing.Go(func() {
				for i := next.Add(1); i <= benchChanges; i = next.Add(1) {
					if _, err := orders.Insert(ctx, benchRecord(int(i))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		writing.Wait()
	}
	start := now()
	if drain {
		// One at first, so that the driver is open when the gate closes.
		if _, err := orders.Insert(ctx, benchRecord(int(next.Add(1)))); err != nil {
			b.Fatal(err)
		}
		if err := r.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		b.gate.hold()
		write()
		start = now()
		b.gate.release()
	} else {
		write()
	}
	if err := r.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	return start.since()
}

// cost is what a run took: time, and the time of processors in this process, which says
// more where others use the machine too.
type cost struct{ wall, cpu time.Duration }

func (c cost) plus(d cost) cost { return cost{c.wall + d.wall, c.cpu + d.cpu} }

type moment struct {
	at  time.Time
	cpu time.Duration
}

func now() moment {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return moment{time.Now(), time.Duration(used.Utime.Nano() + used.Stime.Nano())}
}

func (m moment) since() cost {
	n := now()
	return cost{n.at.Sub(m.at), n.cpu - m.cpu}
}

// BenchmarkBesideABareLoop gives the driver's rate through the whole replicator as a part
// of what the loop does, in turns: of a backlog, and from the write to the queue. The
// emulator is another process, and counts. of-bare compares time, cpu-of-bare processor
// time; bare/bare is how far two runs of the same loop are apart.
func BenchmarkBesideABareLoop(b *testing.B) {
	for _, mode := range []string{"drain", "end-to-end"} {
		b.Run(mode, func(b *testing.B) {
			emulator, g := testbed.SQS(b), newGate()
			s := &bench{B: b, gate: g, client: awssqs.New(awssqs.Options{
				Region: "us-east-1", BaseEndpoint: &emulator, Credentials: keys(), HTTPClient: g, Retryer: aws.NopRetryer{},
			})}
			var bare, again, ours cost
			for b.Loop() {
				bare = bare.plus(s.bare())
				ours = ours.plus(s.replicated(mode == "drain"))
				again = again.plus(s.bare())
			}
			changes, both := float64(benchChanges*b.N), bare.plus(again)
			b.ReportMetric(changes/ours.wall.Seconds(), "changes/s")
			b.ReportMetric(2*changes/both.wall.Seconds(), "bare/s")
			b.ReportMetric(both.wall.Seconds()/2/ours.wall.Seconds(), "of-bare")
			b.ReportMetric(both.cpu.Seconds()/2/ours.cpu.Seconds(), "cpu-of-bare")
			b.ReportMetric(bare.wall.Seconds()/again.wall.Seconds(), "bare/bare")
			b.ReportMetric(0, "ns/op")
		})
	}
}
