package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/internal/awsbody"
	"github.com/s3db-go/replicator/internal/envelope"
	"github.com/s3db-go/replicator/internal/testbed"
)

const (
	// sends is how many requests are made at a time: the driver's default.
	sends = 8
	// sendBatch is what SQS takes in one request.
	sendBatch = 10
	region    = "us-east-1"
	// sqsPace is how many changes a second of measuring stands for: about what the emulator
	// takes. Much less of them, and a measurement would be of the pauses in which it collects
	// its garbage.
	sqsPace = 40_000
)

// sqsCase measures how many changes a second get to a queue, ten in a request. The
// emulator of SQS is a process of its own, and counts.
func sqsCase(c config, emit func(line)) error {
	b := new(bed)
	defer b.Close()
	emulator, ok, err := get(b, testbed.SQS)
	if !ok {
		return err
	}
	keys := credentials.NewStaticCredentialsProvider("key", "secret", "")
	q := &queues{client: awssqs.New(awssqs.Options{
		Region: region, BaseEndpoint: &emulator, Credentials: keys, Retryer: aws.NopRetryer{},
		HTTPClient: awsbody.Client{Doer: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = sends })},
	})}
	records := c.records(sqsPace)
	ours := func(measure way) func() (pace, error) {
		return func() (pace, error) {
			return q.use(records, func(url string) (pace, error) {
				return inDirectory(c, func(dir string) (pace, error) {
					return measure(dir, "r-", records, sqs.New(sqs.Options{
						QueueURL: url, Endpoint: emulator, Region: region, Credentials: keys, Concurrency: sends,
					}), settled)
				})
			})
		}
	}
	limit := func() (pace, error) {
		return q.use(records, func(url string) (pace, error) { return q.sendAll(url, deliveries("b-", records)) })
	}
	// The emulator is compiled as it runs: the first that it is asked for takes twice as long.
	if _, err := limit(); err != nil {
		return err
	}
	samples, err := inTurns(c, sends, []turn{
		{"drain", ours(drainJournal)},
		{"limit", limit},
		{"end to end", ours(endToEnd)},
		{"many", ours(endToEndMany)},
		{"limit again", limit},
	})
	if err != nil {
		return err
	}
	judgeCarried("sqs-drain", "drain", records, samples, emit)
	judgeCarried("sqs-end-to-end", "end to end", records, samples, emit)
	judgeCarried("sqs-many", "many", records, samples, emit)
	again("sqs", records, samples, emit)
	return nil
}

// queues makes queues, each for one measurement.
type queues struct {
	client *awssqs.Client
	made   int
}

// use measures with a new queue, which in the end must hold so many messages.
func (q *queues) use(messages int, measure func(url string) (pace, error)) (p pace, err error) {
	ctx := context.Background()
	q.made++
	made, err := q.client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: new(fmt.Sprint("benchmark-", q.made))})
	if err != nil {
		return pace{}, err
	}
	defer func() {
		_, gone := q.client.DeleteQueue(ctx, &awssqs.DeleteQueueInput{QueueUrl: made.QueueUrl})
		err = errors.Join(err, gone)
	}()
	if p, err = measure(*made.QueueUrl); err != nil {
		return p, err
	}
	const count = types.QueueAttributeNameApproximateNumberOfMessages
	held, err := q.client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []types.QueueAttributeName{count}})
	if err != nil {
		return p, err
	}
	if n := held.Attributes[string(count)]; n != strconv.Itoa(messages) {
		return p, fmt.Errorf("the queue holds %s messages of %d", n, messages)
	}
	return p, nil
}

// sendAll marshals and sends the same messages, as many requests at a time, and does
// nothing else.
func (q *queues) sendAll(url string, all []cdc.Delivery) (pace, error) {
	text := func(s string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: new("String"), StringValue: &s}
	}
	s := beginStretch()
	err := share(sends, (len(all)+sendBatch-1)/sendBatch, func(i int) error {
		batch := all[i*sendBatch : min(i*sendBatch+sendBatch, len(all))]
		entries := make([]types.SendMessageBatchRequestEntry, len(batch))
		for i, d := range batch {
			body, err := envelope.Message.Append(nil, d, "replicator")
			if err != nil {
				return err
			}
			entries[i] = types.SendMessageBatchRequestEntry{
				Id: new(strconv.Itoa(i)), MessageBody: new(string(body)), MessageAttributes: map[string]types.MessageAttributeValue{
					"id": text(d.ChangeID.String()), "resource": text(d.Target), "operation": text(d.Op.String()), "version": text(strconv.FormatUint(d.Version, 10)),
				},
			}
		}
		out, err := q.client.SendMessageBatch(context.Background(), &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
		if err == nil && len(out.Successful) < len(batch) {
			err = fmt.Errorf("%d messages of a batch were refused", len(out.Failed))
		}
		return err
	})
	return s.pace(len(all)), err
}
