package sqs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/internal/testbed"
)

const secret = "canary-of-a-credential"

func keys() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("AKIDCANARY", secret, "")
}

// service is an emulator of SQS with a server before it that can fail, stall and go
// away, and sees every call.
type service struct {
	t        testing.TB
	endpoint string // of the server before it
	emulator string // its own
	client   *awssqs.Client

	server *httptest.Server
	addr   string
	proxy  *httputil.ReverseProxy

	mu sync.Mutex
	// fault may answer a call itself. It returns false to let it pass.
	fault func(w http.ResponseWriter, call call) bool
	calls []call
}

// call is one request as the emulator gets it.
type call struct {
	action string
	url    string
	body   []byte
	auth   string
}

// entry is a message of a SendMessageBatch.
type entry struct {
	ID          string `json:"Id"`
	MessageBody string
}

// entries gives the ids and bodies of a SendMessageBatch.
func (c call) entries() []entry {
	var in struct{ Entries []entry }
	json.Unmarshal(c.body, &in)
	return in.Entries
}

func newService(t testing.TB) *service {
	emulator := testbed.SQS(t)
	target, err := url.Parse(emulator)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, emulator: emulator, addr: "127.0.0.1:0", proxy: httputil.NewSingleHostReverseProxy(target)}
	s.proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	s.start()
	s.endpoint = s.server.URL
	s.client = awssqs.New(awssqs.Options{Region: "us-east-1", BaseEndpoint: &emulator, Credentials: keys(), HTTPClient: sqs.Transport()})
	t.Cleanup(func() {
		s.server.Close()
		s.clear()
	})
	return s
}

// clear deletes all queues.
func (s *service) clear() {
	ctx := context.WithoutCancel(s.t.Context())
	all, err := s.client.ListQueues(ctx, &awssqs.ListQueuesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, queueURL := range all.QueueUrls {
		if _, err := s.client.DeleteQueue(ctx, &awssqs.DeleteQueueInput{QueueUrl: &queueURL}); err != nil {
			s.t.Error(err)
		}
	}
}

// start listens again where it listened before.
func (s *service) start() {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	s.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	s.server.Start()
}

// down makes the service unreachable until up is called: nobody listens, and open
// connections break.
func (s *service) down() (up func()) {
	s.server.CloseClientConnections()
	s.server.Close()
	return s.start
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var named struct {
		QueueURL string `json:"QueueUrl"`
	}
	json.Unmarshal(body, &named)
	c := call{strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."), named.QueueURL, body, r.Header.Get("Authorization")}
	s.mu.Lock()
	fault := s.fault
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	if fault != nil && fault(w, c) {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.proxy.ServeHTTP(w, r)
}

func (s *service) failing(fault func(w http.ResponseWriter, c call) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.calls = fault, nil
}

// sent gives the calls that sent messages since failing was last called.
func (s *service) sent() (calls []call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.action == "SendMessageBatch" {
			calls = append(calls, c)
		}
	}
	return calls
}

// post makes a call of its own to the emulator, of the form of a SendMessageBatch.
func (s *service) post(in map[string]any) (out map[string]any) {
	b, _ := json.Marshal(in)
	req, _ := http.NewRequestWithContext(s.t.Context(), "POST", s.emulator, bytes.NewReader(b))
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AmazonSQS.SendMessageBatch")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Error(err)
		return map[string]any{}
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		s.t.Error(err)
	}
	return out
}

// refuse answers with an error as AWS does.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s","message":"an answer that names %s"}`, code, secret)
}

// queue makes a queue and gives its URL.
func (s *service) queue(name string, attributes map[string]string) string {
	s.t.Helper()
	if strings.HasSuffix(name, ".fifo") {
		attributes = map[string]string{"FifoQueue": "true"}
	}
	out, err := s.client.CreateQueue(s.t.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.QueueUrl
}

// drain takes all messages out of a queue, in the order in which they come.
func (s *service) drain(queueURL string) (messages []types.Message) {
	s.t.Helper()
	for {
		out, err := s.client.ReceiveMessage(s.t.Context(), &awssqs.ReceiveMessageInput{
			QueueUrl: &queueURL, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return messages
		}
		for _, m := range out.Messages {
			if _, err := s.client.DeleteMessage(s.t.Context(), &awssqs.DeleteMessageInput{QueueUrl: &queueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
				s.t.Fatal(err)
			}
		}
		messages = append(messages, out.Messages...)
	}
}

// opened gives a driver that is open.
func (s *service) opened(opts sqs.Options) *sqs.Driver {
	s.t.Helper()
	if opts.Client == nil && opts.Endpoint == "" {
		opts.Endpoint = s.endpoint
	}
	if opts.Client == nil {
		opts.Credentials, opts.Region = keys(), "us-east-1"
	}
	d := sqs.New(opts)
	if err := d.Validate(); err != nil {
		s.t.Fatal(err)
	}
	if err := d.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { d.Close() })
	return d
}

// inserts gives n deliveries of different records.
func inserts(n int) []cdc.Delivery {
	out := make([]cdc.Delivery, n)
	for i := range out {
		id := fmt.Sprintf("o%d", i+1)
		out[i] = cdc.Delivery{
			Change: cdc.Change{
				ChangeID: cdc.ID{1, 14: byte(i >> 8), 15: byte(i)}, Version: uint64(i + 1), Op: cdc.Inserted, Resource: "orders", RecordID: id,
				Time: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC),
			},
			Target: "orders", Key: cdc.Record{"id": id}, OrderKey: id,
			Record: cdc.Record{"id": id, "note": "canary-of-a-row"},
		}
	}
	return out
}

// recordIDs gives the records that messages are of.
func recordIDs(t testing.TB, messages []types.Message) (ids []string) {
	for _, m := range messages {
		d, err := sqs.Decode(*m.Body)
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, d.RecordID)
	}
	return ids
}
