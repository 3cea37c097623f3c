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
	queue, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: new("orders.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.DeleteQueue(t.Context(), &awssqs.DeleteQueueInput{QueueUrl: queue.QueueUrl})
	var out strings.Builder
	dir := t.TempDir()
	if err := run(t.Context(), &out, dir, "file:///"+filepath.ToSlash(filepath.Join(dir, "backup")), *queue.QueueUrl, client); err != nil {
		t.Fatal(err)
	}
	const want = "inserted o-1: status open, before <nil>\n" +
		"updated o-1: status paid, before open\n" +
		"deleted o-1: status <nil>, before paid\n"
	if out.String() != want {
		t.Errorf("it prints\n%s, want\n%s", out.String(), want)
	}
}

func TestEventsNeedAQueue(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), &strings.Builder{}, dir, "file:///"+filepath.ToSlash(dir), "", nil); err == nil || !strings.Contains(err.Error(), "QueueURL") {
		t.Errorf("without a URL: %v", err)
	}
}
