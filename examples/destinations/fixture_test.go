package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/internal/awsbody"
	"github.com/s3db-go/replicator/internal/testbed"
)

const token = "crm-token"

// world is the four destinations for real, each with a way to kill it and to bring it
// back.
type world struct {
	places
	t        *testing.T
	client   *awssqs.Client
	queueURL string
	crm      *crm
	kills    map[string]func() (restart func())
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, kills: map[string]func() func(){}}

	// What the servers of S3 and SQS hold in memory would be lost with them, so these are
	// killed as their clients see it: connections break, and new ones are refused.
	s3 := testbed.NewS3Server(t, "us-east-1")
	bucket := s3.Bucket(t)
	s3Way := testbed.NewProxy(t, "tcp", s3.Addr)
	w.backup = s3.ConnectionString(s3Way.Addr().String(), bucket[strings.LastIndexByte(bucket, '/')+1:])
	w.kills["backup"] = cut(s3Way)

	emulator := testbed.SQS(t)
	w.client = awssqs.New(awssqs.Options{Region: "us-east-1", BaseEndpoint: &emulator, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient: awsbody.Client{Doer: http.DefaultClient}})
	queue, err := w.client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: new("orders.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	w.queueURL = *queue.QueueUrl
	t.Cleanup(func() {
		w.client.DeleteQueue(context.WithoutCancel(t.Context()), &awssqs.DeleteQueueInput{QueueUrl: &w.queueURL})
	})
	sqsWay := testbed.NewProxy(t, "tcp", strings.TrimPrefix(emulator, "http://"))
	w.queue = sqs.Options{
		QueueURL: w.queueURL, Region: "us-east-1", Endpoint: "http://" + sqsWay.Addr().String(),
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	}
	w.kills["events"] = cut(sqsWay)

	server := testbed.NewPostgresServer(t)
	w.database = server.URL("postgres", "", "postgres")
	w.kills["analytics"] = func() func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
		return func() {
			if err := server.Start(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	}

	w.crm = &crm{t: t, addr: "127.0.0.1:0", users: map[string]int{}}
	w.crm.start()
	t.Cleanup(func() { w.crm.server.Close() })
	w.places.crm = webhook.Options{URL: "http://" + w.crm.addr + "/api/users", Auth: webhook.Bearer(token)}
	w.kills["crm"] = func() func() {
		w.crm.server.CloseClientConnections()
		w.crm.server.Close()
		return w.crm.start
	}
	return w
}

func cut(way *testbed.Proxy) func() func() {
	return func() func() {
		restore := way.Refuse()
		way.Reset()
		return restore
	}
}

// messages takes all changes out of the queue.
func (w *world) messages() (changes []replicator.Delivery) {
	for {
		out, err := w.client.ReceiveMessage(w.t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &w.queueURL, MaxNumberOfMessages: 10})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return changes
		}
		var done []types.DeleteMessageBatchRequestEntry
		for _, m := range out.Messages {
			d, err := sqs.Decode(*m.Body)
			if err != nil {
				w.t.Fatal(err)
			}
			changes = append(changes, d)
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := w.client.DeleteMessageBatch(w.t.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &w.queueURL, Entries: done}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// totals gives the table of the reports.
func (w *world) totals() map[string]float64 {
	conn, err := pgx.Connect(w.t.Context(), w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(w.t.Context())
	out := map[string]float64{}
	rows, _ := conn.Query(w.t.Context(), `SELECT order_id, total_usd FROM analytics_orders`)
	var id string
	var total float64
	if _, err := pgx.ForEachRow(rows, []any{&id, &total}, func() error {
		out[id] = total
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// crm takes in users, as a REST interface does: it drops repeats by their webhook-id.
type crm struct {
	t      *testing.T
	addr   string
	server *httptest.Server

	mu    sync.Mutex
	users map[string]int // how often each was new
	known map[string]bool
}

func (c *crm) start() {
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.addr = listener.Addr().String()
	c.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: c}}
	c.server.Start()
}

func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var user map[string]any
	if err != nil || r.Header.Get("Authorization") != "Bearer "+token || json.Unmarshal(body, &user) != nil || len(user) != 3 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]bool{}
	}
	if id := r.Header.Get("webhook-id"); !c.known[id] {
		c.known[id] = true
		c.users[user["user_id"].(string)]++
	}
	w.WriteHeader(http.StatusCreated)
}
