package sqs_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
)

// isolate hides whatever this machine knows of AWS.
func isolate(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestQueuesAreCreatedIfAsked(t *testing.T) {
	s := newService(t)
	missing := sqs.New(sqs.Options{QueueName: "orders", Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys()})
	err := missing.Open(t.Context())
	if cdc.FaultOf(err) != cdc.RecordFault || err.Error() != "sqs: orders: the queue does not exist; create it, or set CreateQueues" {
		t.Errorf("a missing queue gives a %s error: %v", cdc.FaultOf(err), err)
	}
	if err := missing.Apply(t.Context(), inserts(1)); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("a driver that is not open gives a %s error: %v", cdc.FaultOf(err), err)
	}

	opts := sqs.Options{
		QueueName: "orders", CreateQueues: true,
		QueueAttributes: map[string]string{"VisibilityTimeout": "77", "MessageRetentionPeriod": "3600"}, QueueTags: map[string]string{"team": "shop", "env": "test"},
		Queues: map[string]sqs.Queue{"users": {Name: "users.fifo", Attributes: map[string]string{"VisibilityTimeout": "88"}, Tags: map[string]string{"team": "crm"}}},
	}
	for range 2 { // what is there already is left as it is
		s.opened(opts)
	}
	for name, want := range map[string]struct{ attributes, tags map[string]string }{
		"orders":     {map[string]string{"VisibilityTimeout": "77", "MessageRetentionPeriod": "3600"}, map[string]string{"team": "shop", "env": "test"}},
		"users.fifo": {map[string]string{"VisibilityTimeout": "88", "MessageRetentionPeriod": "3600", "FifoQueue": "true"}, map[string]string{"team": "crm", "env": "test"}},
	} {
		url, err := s.client.GetQueueUrl(t.Context(), &awssqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		attributes, err := s.client.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		for attribute, value := range want.attributes {
			if got := attributes.Attributes[attribute]; got != value {
				t.Errorf("%s of %s is %q, want %q", attribute, name, got, value)
			}
		}
		tags, err := s.client.ListQueueTags(t.Context(), &awssqs.ListQueueTagsInput{QueueUrl: url.QueueUrl})
		if err != nil || !maps.Equal(tags.Tags, want.tags) {
			t.Errorf("tags of %s are %v (%v), want %v", name, tags.Tags, err, want.tags)
		}
	}
	for _, c := range s.calls { // the emulator would take the name for it
		if c.action == "CreateQueue" && bytes.Contains(c.body, []byte(`.fifo`)) != bytes.Contains(c.body, []byte(`"FifoQueue":"true"`)) {
			t.Errorf("created by %s", c.body)
		}
	}
	if opts.QueueAttributes["FifoQueue"] != "" || len(opts.Queues["users"].Attributes) != 1 {
		t.Error("the caller's options were changed")
	}
}

// TestTargetsHaveTheirQueues: by name of the target, else the one for all others.
func TestTargetsHaveTheirQueues(t *testing.T) {
	s := newService(t)
	all, users := s.queue("all", nil), s.queue("users", nil)
	d := s.opened(sqs.Options{QueueURL: all, Queues: map[string]sqs.Queue{"users": {URL: users}}})
	batch := inserts(4)
	batch[1].Target, batch[3].Target = "users", "users"
	if err := d.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := recordIDs(t, s.drain(all)); !slices.Equal(got, []string{"o1", "o3"}) {
		t.Errorf("the queue for all others got %v", got)
	}
	if got := recordIDs(t, s.drain(users)); !slices.Equal(got, []string{"o2", "o4"}) {
		t.Errorf("the queue of users got %v", got)
	}

	// Without a queue for all others nothing is lost, and nobody is taken for it.
	some := s.opened(sqs.Options{Queues: map[string]sqs.Queue{"users": {URL: users}}})
	answer, ok := some.Apply(t.Context(), batch).(*cdc.BatchError)
	if !ok || cdc.FaultOf(answer.Errs[0]) != cdc.DestinationFault || answer.Errs[1] != nil {
		t.Errorf("a target without a queue: %v", answer)
	}
	if err := answer.Errs[0]; err == nil || !strings.Contains(err.Error(), `no queue for "orders"`) {
		t.Errorf("error is %v", err)
	}
}

// takesAll answers every call as if the queue was there and took the message.
func takesAll(w http.ResponseWriter, c call) bool {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	answer := `{"Attributes":{"QueueArn":"arn"}}`
	if c.action == "SendMessageBatch" {
		answer = `{"Successful":[{"Id":"0","MessageId":"m"}]}`
	}
	io.WriteString(w, answer)
	return true
}

// TestURLsAreNeverRewritten: a URL of another account and region is sent as it is, even
// though the caller's own has a queue of that name, and none is created for it.
func TestURLsAreNeverRewritten(t *testing.T) {
	s := newService(t)
	s.queue("orders", nil)
	const foreign = "https://sqs.eu-central-1.amazonaws.com/999999999999/orders"
	s.failing(takesAll)
	d := s.opened(sqs.Options{QueueURL: foreign})
	if err := d.Apply(t.Context(), inserts(1)); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, c := range s.calls {
		actions = append(actions, c.action)
		if c.url != foreign {
			t.Errorf("%s is for %s", c.action, c.url)
		}
		if !strings.Contains(c.auth, "/eu-central-1/sqs/") {
			t.Errorf("%s is signed for another region than the queue's: %s", c.action, c.auth)
		}
	}
	if !slices.Equal(actions, []string{"GetQueueAttributes", "SendMessageBatch"}) {
		t.Errorf("calls are %v", actions)
	}
}

// TestQueueURLSaysWhereItIs: of an emulator nothing but the URL is needed.
func TestQueueURLSaysWhereItIs(t *testing.T) {
	isolate(t)
	s := newService(t)
	s.failing(takesAll)
	d := sqs.New(sqs.Options{QueueURL: s.endpoint + "/000000000000/orders", Region: "us-east-1", Credentials: keys()})
	defer d.Close()
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Apply(t.Context(), inserts(1)); err != nil || len(s.sent()) != 1 {
		t.Errorf("%d requests, %v", len(s.sent()), err)
	}
}

func TestOpenTellsWhatIsCertainlyWrong(t *testing.T) {
	isolate(t)
	s := newService(t)
	orders := s.queue("orders", nil)
	with := func(change func(*sqs.Options)) sqs.Options {
		o := sqs.Options{QueueURL: orders, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys()}
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		opts   sqs.Options
		status int
		code   string
		want   string // "" if it opens
		fault  cdc.Fault
	}{
		"missing queue by URL":        {with(func(o *sqs.Options) { o.QueueURL += "s" }), 0, "", "orderss: the queue does not exist", cdc.RecordFault},
		"no region":                   {with(func(o *sqs.Options) { o.Region = "" }), 0, "", "AWS_REGION", cdc.RecordFault},
		"no credentials":              {with(func(o *sqs.Options) { o.Credentials = nil }), 0, "", "there are no credentials", cdc.DestinationFault},
		"faulty options":              {sqs.Options{}, 0, "", "QueueURL", cdc.RecordFault},
		"wrong key":                   {with(func(*sqs.Options) {}), 403, "InvalidClientTokenId", "InvalidClientTokenId (403)", cdc.RecordFault},
		"wrong secret":                {with(func(*sqs.Options) {}), 403, "SignatureDoesNotMatch", "SignatureDoesNotMatch (403)", cdc.RecordFault},
		"may send and no more":        {with(func(*sqs.Options) {}), 400, "AccessDeniedException", "", 0},
		"may not look up names":       {with(func(o *sqs.Options) { o.QueueURL, o.QueueName = "", "orders" }), 400, "AccessDeniedException", "AccessDeniedException", cdc.RecordFault},
		"throttled":                   {with(func(*sqs.Options) {}), 400, "RequestThrottled", "RequestThrottled", cdc.DestinationFault},
		"down":                        {with(func(*sqs.Options) {}), 503, "ServiceUnavailable", "ServiceUnavailable", cdc.DestinationFault},
		"deleted a moment ago":        {with(func(o *sqs.Options) { o.QueueURL, o.QueueName, o.CreateQueues = "", "new", true }), 400, "QueueDeletedRecently", "QueueDeletedRecently", cdc.DestinationFault},
		"several, of which one is so": {with(func(o *sqs.Options) { o.Queues = map[string]sqs.Queue{"users": {Name: "nobody"}} }), 0, "", "nobody: the queue does not exist", cdc.RecordFault},
	} {
		t.Run(name, func(t *testing.T) {
			s.failing(nil)
			if test.code != "" {
				s.failing(func(w http.ResponseWriter, _ call) bool {
					refuse(w, test.status, test.code)
					return true
				})
			}
			d := sqs.New(test.opts)
			defer d.Close()
			err := d.Open(t.Context())
			switch {
			case test.want == "" && err != nil, test.want != "" && err == nil:
				t.Fatalf("Open gives %v", err)
			case err == nil:
			case cdc.FaultOf(err) != test.fault || !strings.Contains(err.Error(), test.want):
				t.Errorf("Open gives a %s error: %v, want %s: %s", cdc.FaultOf(err), err, test.fault, test.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) && test.code != "AccessDeniedException" {
				t.Errorf("the answer's text shows: %v", err)
			}
		})
	}

	s.failing(nil)
	up := s.down()
	err := sqs.New(with(func(*sqs.Options) {})).Open(t.Context())
	up()
	if cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("an unreachable service gives a %s error: %v", cdc.FaultOf(err), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqs.New(with(func(*sqs.Options) {})).Open(ctx); err == nil || cdc.FaultOf(err) == cdc.RecordFault {
		t.Errorf("a cancelled Open gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

// TestCallersClientIsLeftAlone: it is used as it is, and works after Close.
func TestCallersClientIsLeftAlone(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders", nil)
	d := s.opened(sqs.Options{QueueURL: queueURL, Client: s.client})
	if err := d.Apply(t.Context(), inserts(2)); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := recordIDs(t, s.drain(queueURL)); len(got) != 2 {
		t.Errorf("arrived: %v", got)
	}
	if len(s.calls) != 0 {
		t.Error("another client than the caller's was used")
	}
}
