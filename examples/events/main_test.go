package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator/internal/awsbody"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestEvents(t *testing.T) {
	emulator := testbed.SQS(t)
	client := awssqs.New(awssqs.Options{Region: "us-east-1", BaseEndpoint: &emulator, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient: awsbody.Client{Doer: http.DefaultClient}})
	created, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: new("orders.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.DeleteQueue(t.Context(), &awssqs.DeleteQueueInput{QueueUrl: created.QueueUrl})
	inside, err := queueOf(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, events := range map[string]queue{"SQS": &onSQS{*created.QueueUrl, client}, "memory": inside} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			dir := t.TempDir()
			if err := run(t.Context(), &out, dir, "file:///"+filepath.ToSlash(filepath.Join(dir, "backup")), events); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(out.String(), "\n"); got != 3 {
				t.Errorf("it prints\n%s", out.String())
			}
			// Of an order that nobody wrote, it does not tell the same.
			if err := consume(t.Context(), &out, events, "nobody"); err == nil {
				t.Error("an order without events passes")
			}
		})
	}
}
