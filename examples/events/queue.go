package main

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/sqs"
)

// queue is where the events go, and where a consumer finds them.
type queue interface {
	driver() replicator.Driver
	// receive takes events out of the queue, none if it is empty.
	receive(ctx context.Context) ([]replicator.Delivery, error)
}

// queueOf gives the queue at a URL, one in memory if that is empty.
func queueOf(ctx context.Context, url string) (queue, error) {
	if url == "" {
		return &inMemory{Driver: memory.New(memory.Options{Events: true})}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return &onSQS{url, awssqs.NewFromConfig(cfg)}, nil
}

// onSQS is a queue of SQS.
type onSQS struct {
	url    string
	client *awssqs.Client
}

func (q *onSQS) driver() replicator.Driver {
	return sqs.New(sqs.Options{QueueURL: q.url, Client: q.client})
}

func (q *onSQS) receive(ctx context.Context) (events []replicator.Delivery, err error) {
	got, err := q.client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
	if err != nil {
		return nil, err
	}
	for _, m := range got.Messages {
		d, err := sqs.Decode(*m.Body)
		if err != nil {
			return nil, err
		}
		events = append(events, d)
		if _, err := q.client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// inMemory keeps the events in this process.
type inMemory struct {
	*memory.Driver
	taken int
}

func (q *inMemory) driver() replicator.Driver { return q.Driver }

func (q *inMemory) receive(context.Context) ([]replicator.Delivery, error) {
	events := q.Events("orders")[q.taken:]
	q.taken += len(events)
	return events, nil
}

// consume reads the queue until it is empty, and checks what it says of the order. A
// consumer of yours would go on, and drop, as here, what has no higher version than what
// it has of the record: SQS may deliver twice.
func consume(ctx context.Context, out io.Writer, events queue, id string) error {
	newest, story := uint64(0), ""
	for {
		got, err := events.receive(ctx)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			break
		}
		for _, d := range got {
			if d.RecordID == id && d.Version > newest {
				newest = d.Version
				story += fmt.Sprintf("%s: status %v, before %v\n", d.Op, d.Record["status"], d.Before["status"])
			}
		}
	}
	fmt.Fprint(out, story)
	const want = "inserted: status open, before <nil>\n" +
		"updated: status paid, before open\n" +
		"deleted: status <nil>, before paid\n"
	if story != want {
		return fmt.Errorf("the queue must say\n%s", want)
	}
	return nil
}
