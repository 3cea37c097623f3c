package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	bq "cloud.google.com/go/bigquery"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/internal/awsbody"
	"github.com/s3db-go/replicator/internal/testbed"
)

// queue is one of SQS, whose service can go away.
type queue struct {
	t      *testing.T
	client *awssqs.Client
	url    string
	way    *testbed.Proxy
	driver *sqs.Driver
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	emulator, keys := testbed.SQS(t), credentials.NewStaticCredentialsProvider("key", "secret", "")
	q := &queue{t: t, way: testbed.NewProxy(t, "tcp", strings.TrimPrefix(emulator, "http://"))}
	q.client = awssqs.New(awssqs.Options{Region: "us-east-1", BaseEndpoint: &emulator, Credentials: keys, HTTPClient: awsbody.Client{Doer: http.DefaultClient}})
	made, err := q.client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: new("orders.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	q.url = *made.QueueUrl
	t.Cleanup(func() {
		q.client.DeleteQueue(context.WithoutCancel(t.Context()), &awssqs.DeleteQueueInput{QueueUrl: &q.url})
	})
	q.driver = sqs.New(sqs.Options{QueueURL: q.url, Region: "us-east-1", Endpoint: "http://" + q.way.Addr().String(), Credentials: keys})
	return q
}

// cut breaks the connections to the service and refuses new ones, until it is back.
func (q *queue) cut() (back func()) {
	back = q.way.Refuse()
	q.way.Reset()
	return back
}

// changes takes all that is in the queue, by their ids.
func (q *queue) changes() map[replicator.ID]bool {
	changes := map[replicator.ID]bool{}
	for {
		out, err := q.client.ReceiveMessage(q.t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10})
		if err != nil {
			q.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return changes
		}
		var done []types.DeleteMessageBatchRequestEntry
		for _, m := range out.Messages {
			d, err := sqs.Decode(*m.Body)
			if err != nil {
				q.t.Fatal(err)
			}
			changes[d.ChangeID] = true
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := q.client.DeleteMessageBatch(q.t.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: done}); err != nil {
			q.t.Fatal(err)
		}
	}
}

// dashboards read tables of BigQuery.
type dashboards struct {
	t      *testing.T
	client *bq.Client
	driver *bigquery.Driver
}

func newDashboards(t *testing.T) *dashboards {
	t.Helper()
	server := testbed.BigQuery(t)
	client, err := bq.NewClient(t.Context(), "shop", option.WithEndpoint(server.Endpoint), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &dashboards{t, client, bigquery.New(bigquery.Options{
		ProjectID: "shop", Dataset: "dashboards", Endpoint: server.Endpoint, WriteEndpoint: server.WriteEndpoint,
	})}
}

// orders gives the sums of the orders, by their ids.
func (d *dashboards) orders() map[string]float64 {
	d.t.Helper()
	rows, err := d.client.Query("SELECT order_id, total_usd FROM `analytics.orders`").Read(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	sums := map[string]float64{}
	for {
		var row struct {
			ID    string  `bigquery:"order_id"`
			Total float64 `bigquery:"total_usd"`
		}
		switch err := rows.Next(&row); {
		case errors.Is(err, iterator.Done):
			return sums
		case err != nil:
			d.t.Fatal(err)
		}
		sums[row.ID] = row.Total
	}
}
