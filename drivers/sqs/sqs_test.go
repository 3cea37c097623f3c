package sqs_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/sqs"
)

func TestContract(t *testing.T) {
	for name, test := range map[string]struct {
		suffix string
		body   sqs.Body
	}{
		"standard":    {"", sqs.Envelope},
		"fifo":        {".fifo", sqs.Envelope},
		"cloudevents": {".fifo", sqs.CloudEvents},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Harness {
				s := newService(t)
				queueURL := s.queue("contract"+test.suffix, nil)
				var taken []cdc.Delivery
				return drivertest.Harness{
					Driver: sqs.New(sqs.Options{
						QueueURL: queueURL, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys(), Body: test.body, Attributes: badAttribute,
					}),
					Events: func(t *testing.T, target string) []cdc.Delivery {
						for _, m := range s.drain(queueURL) {
							d, err := sqs.Decode(*m.Body)
							if err != nil {
								t.Error(err)
							}
							taken = append(taken, d)
						}
						return slices.DeleteFunc(slices.Clone(taken), func(d cdc.Delivery) bool { return d.Target != target })
					},
					Want:  asJSON,
					Large: 900 << 10,
					Bad:   func(r cdc.Record) { r["bad"] = true },
					Break: s.down,
					Stall: func() (<-chan struct{}, func()) {
						arrived, resume := make(chan struct{}), make(chan struct{})
						arrive := sync.OnceFunc(func() { close(arrived) })
						s.failing(func(w http.ResponseWriter, _ call) bool {
							arrive()
							<-resume
							panic(http.ErrAbortHandler)
						})
						return arrived, func() {
							s.failing(nil)
							close(resume)
						}
					},
					Secret:  secret,
					Invalid: invalid(),
				}
			})
		})
	}
}

// badAttribute makes a message that SQS does not take of a record with a field bad.
func badAttribute(d cdc.Delivery) map[string]string {
	if d.Record.Has("bad") {
		return map[string]string{"bad": "\x01"}
	}
	return nil
}

// asJSON is what JSON makes of a value, in the words of the list of values.
func asJSON(v any) any {
	switch v := v.(type) {
	case float64:
		n, _ := cdc.NormalizeValue(json.Number(strconv.FormatFloat(v, 'f', -1, 64)))
		return n
	case cdc.Decimal:
		if n, ok := v.Int64(); ok {
			return n
		}
	case time.Time:
		return v.Format("2006-01-02T15:04:05.000000Z")
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = asJSON(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any)
		for k, e := range v {
			out[k] = asJSON(e)
		}
		return out
	}
	return v
}

func invalid() []drivertest.Invalid {
	ok := "https://sqs.us-east-1.amazonaws.com/123456789012/orders"
	marshal := func(cdc.Delivery) ([]byte, error) { return nil, nil }
	return []drivertest.Invalid{
		{Driver: sqs.New(sqs.Options{}), Fields: []string{"QueueURL", "QueueName", "Queues"}},
		{Driver: sqs.New(sqs.Options{QueueURL: ok, QueueName: "orders"}), Fields: []string{"QueueURL", "QueueName"}},
		{Driver: sqs.New(sqs.Options{QueueURL: "orders" + secret}), Fields: []string{"QueueURL"}},
		{Driver: sqs.New(sqs.Options{QueueURL: "https://u:" + secret + "@host/1/orders"}), Fields: []string{"QueueURL"}},
		{Driver: sqs.New(sqs.Options{QueueURL: "https://host"}), Fields: []string{"QueueURL"}},
		{Driver: sqs.New(sqs.Options{QueueName: "a b"}), Fields: []string{"QueueName"}},
		{Driver: sqs.New(sqs.Options{QueueName: ".fifo.fifo"}), Fields: []string{"QueueName"}},
		{Driver: sqs.New(sqs.Options{Queues: map[string]sqs.Queue{"users": {}, "orders": {URL: ok, Name: "orders"}, "": {Name: "x"}}}), Fields: []string{"Queues", "users", "orders"}},
		{Driver: sqs.New(sqs.Options{QueueURL: ok, QueueTags: map[string]string{"a": "b"}}), Fields: []string{"QueueTags", "CreateQueues"}},
		{Driver: sqs.New(sqs.Options{CreateQueues: true, Queues: map[string]sqs.Queue{"users": {URL: ok, Attributes: map[string]string{"a": "b"}}}}), Fields: []string{"Attributes"}},
		{Driver: sqs.New(sqs.Options{QueueURL: ok, Client: awssqs.New(awssqs.Options{}), Region: "us-east-1"}), Fields: []string{"Client", "Region"}},
		{Driver: sqs.New(sqs.Options{QueueURL: ok, Endpoint: "localhost", Body: 9, Concurrency: -1}), Fields: []string{"Endpoint", "Body", "Concurrency"}},
		{Driver: sqs.New(sqs.Options{QueueURL: ok, Body: sqs.CloudEvents, Marshal: marshal, Source: "%zz"}), Fields: []string{"Body", "Marshal", "Source"}},
	}
}

// TestPartialFailure: entries 3 and 7 of ten fail, the one for good and the other for
// now; the other eight are not sent again.
func TestPartialFailure(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders", nil)
	d := s.opened(sqs.Options{QueueURL: queueURL})
	s.failing(func(w http.ResponseWriter, c call) bool {
		if c.action != "SendMessageBatch" {
			return false
		}
		var answer struct{ Successful, Failed []map[string]any }
		for i, e := range c.entries() {
			switch i {
			case 2:
				answer.Failed = append(answer.Failed, map[string]any{"Id": e.ID, "Code": "InvalidMessageContents", "SenderFault": true, "Message": e.MessageBody})
			case 6:
				answer.Failed = append(answer.Failed, map[string]any{"Id": e.ID, "Code": "InternalError", "SenderFault": false, "Message": e.MessageBody})
			default:
				answer.Successful = append(answer.Successful, map[string]any{"Id": e.ID, "MessageId": "m" + e.ID})
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		json.NewEncoder(w).Encode(answer)
		return true
	})
	err := d.Apply(t.Context(), inserts(10))
	answer, ok := err.(*cdc.BatchError)
	if !ok || len(answer.Errs) != 10 {
		t.Fatalf("Apply gives %v, want an answer for each of ten", err)
	}
	for i, err := range answer.Errs {
		switch {
		case i == 2 && (err == nil || cdc.FaultOf(err) != cdc.RecordFault), i == 6 && (err == nil || cdc.FaultOf(err) != cdc.Transient), i != 2 && i != 6 && err != nil:
			t.Errorf("entry %d gives a %s error: %v", i+1, cdc.FaultOf(err), err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("entry %d: the error quotes the row: %v", i+1, err)
		}
	}
	if n := len(s.sent()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestAnswersThatLeaveOut: delivered is only what the answer names.
func TestAnswersThatLeaveOut(t *testing.T) {
	s := newService(t)
	d := s.opened(sqs.Options{QueueURL: s.queue("orders", nil)})
	for answer, delivered := range map[string]int{
		`{}`: 0,
		`{"Successful":[{"Id":"1","MessageId":"m"}]}`:                              1,
		`{"Successful":[{"Id":"9","MessageId":"m"},{"Id":"-1"},{"Id":"x"}]}`:       0,
		`{"Successful":[{"Id":"0"}],"Failed":[{"Id":"0","Code":"InternalError"}]}`: 0,
		`{"Failed":[{"Id":"0"},{"Id":"7","Code":"x"}]}`:                            0,
		`[]`:                          0,
		`{"Successful":[{"Id":"`:      0,
		`<html>not SQS at all</html>`: 0,
	} {
		s.failing(func(w http.ResponseWriter, _ call) bool {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			fmt.Fprint(w, answer)
			return true
		})
		err := d.Apply(t.Context(), inserts(3))
		got := 0
		if byItem, ok := err.(*cdc.BatchError); ok {
			for _, err := range byItem.Errs {
				if err == nil {
					got++
				}
			}
		}
		if err == nil || got != delivered || cdc.FaultOf(err) == cdc.RecordFault {
			t.Errorf("%s: %d delivered, want %d: %v", answer, got, delivered, err)
		}
	}
}

// TestWholeAnswers: what the service says of a request, and whose fault that is.
func TestWholeAnswers(t *testing.T) {
	s := newService(t)
	d := s.opened(sqs.Options{QueueURL: s.queue("orders", nil)})
	for _, test := range []struct {
		status int
		code   string
		want   cdc.Fault
	}{
		{400, "RequestThrottled", cdc.DestinationFault},
		{400, "ThrottlingException", cdc.DestinationFault},
		{400, "QueueDoesNotExist", cdc.DestinationFault},
		{400, "AWS.SimpleQueueService.NonExistentQueue", cdc.DestinationFault},
		{400, "AccessDeniedException", cdc.DestinationFault},
		{403, "InvalidClientTokenId", cdc.DestinationFault},
		{400, "ExpiredTokenException", cdc.DestinationFault},
		{400, "KmsDisabled", cdc.DestinationFault},
		{403, "anything", cdc.DestinationFault},
		{429, "anything", cdc.DestinationFault},
		{500, "InternalFailure", cdc.DestinationFault},
		{503, "ServiceUnavailable", cdc.DestinationFault},
		{400, "InvalidParameterValue", cdc.Transient},
		{400, "SomethingNew", cdc.Transient},
	} {
		s.failing(func(w http.ResponseWriter, _ call) bool {
			refuse(w, test.status, test.code)
			return true
		})
		err := d.Apply(t.Context(), inserts(3))
		if err == nil || cdc.FaultOf(err) != test.want {
			t.Errorf("%d %s gives a %s error, want %s: %v", test.status, test.code, cdc.FaultOf(err), test.want, err)
		}
		if _, byItem := err.(*cdc.BatchError); byItem {
			t.Errorf("%d %s is answered item by item", test.status, test.code)
		}
		if n := len(s.sent()); n != 1 {
			t.Errorf("%d %s: %d requests, want 1: the engine retries", test.status, test.code, n)
		}
		if strings.Contains(err.Error(), "canary") && !strings.HasPrefix(test.code, "AccessDenied") {
			t.Errorf("the answer's text shows: %v", err)
		}
	}
}

// TestBatchOverALowerLimitGoesInParts: the limit is a matter of the region and the day.
func TestBatchOverALowerLimitGoesInParts(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders", nil)
	d := s.opened(sqs.Options{QueueURL: queueURL})
	s.failing(func(w http.ResponseWriter, c call) bool {
		if len(c.entries()) <= 2 {
			return false
		}
		refuse(w, 400, "BatchRequestTooLong")
		return true
	})
	if err := d.Apply(t.Context(), inserts(10)); err != nil {
		t.Fatal(err)
	}
	if got := recordIDs(t, s.drain(queueURL)); len(got) != 10 || got[0] != "o1" || got[9] != "o10" {
		t.Errorf("arrived: %v", got)
	}
	// One alone that is over it is that record's failure.
	s.failing(func(w http.ResponseWriter, _ call) bool {
		refuse(w, 400, "BatchRequestTooLong")
		return true
	})
	if err := d.Apply(t.Context(), inserts(1)); cdc.FaultOf(err) != cdc.RecordFault {
		t.Errorf("one alone gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

// TestBadMessageOfARequest: where SQS refuses a request for one of its messages, only this
// one fails, in a batch that is one request as in one that is two.
func TestBadMessageOfARequest(t *testing.T) {
	s := newService(t)
	urls := []string{s.queue("orders", nil), s.queue("items", nil)}
	d := s.opened(sqs.Options{QueueURL: urls[0], Queues: map[string]sqs.Queue{"items": {URL: urls[1]}}})
	s.failing(func(w http.ResponseWriter, c call) bool {
		if !strings.Contains(string(c.body), "o3") {
			return false
		}
		refuse(w, 400, "InvalidMessageContents")
		return true
	})
	for _, second := range []string{"orders", "items"} {
		batch := inserts(8)
		for i := 5; i < len(batch); i++ {
			batch[i].Target = second
		}
		answer, ok := d.Apply(t.Context(), batch).(*cdc.BatchError)
		if !ok {
			t.Fatal("no error item by item")
		}
		for i, err := range answer.Errs {
			if want := i == 2; want != (err != nil) || want && cdc.FaultOf(err) != cdc.RecordFault {
				t.Errorf("%s: message %d: %v", second, i+1, err)
			}
		}
		if got := len(s.drain(urls[0])) + len(s.drain(urls[1])); got != 7 {
			t.Errorf("%s: %d messages arrived, want 7", second, got)
		}
	}
}

// TestSizes: a batch is cut by the bytes that SQS counts, and a message over the limit
// fails by itself.
func TestSizes(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders", nil)
	d := s.opened(sqs.Options{QueueURL: queueURL, Attributes: func(d cdc.Delivery) map[string]string {
		return map[string]string{"pad": strings.Repeat("x", 1000)}
	}})
	batch := inserts(8)
	for i := range batch {
		batch[i].Record["pad"] = strings.Repeat("y", 300<<10)
	}
	batch[3].Record["pad"] = strings.Repeat("y", 1<<20-500) // over it with its attributes only
	err := d.Apply(t.Context(), batch)
	answer, ok := err.(*cdc.BatchError)
	if !ok {
		t.Fatalf("Apply gives %v", err)
	}
	for i, err := range answer.Errs {
		if (i == 3) != (err != nil) || (i == 3 && cdc.FaultOf(err) != cdc.RecordFault) {
			t.Errorf("message %d: %v", i+1, err)
		}
	}
	if got := s.drain(queueURL); len(got) != 7 {
		t.Errorf("%d messages arrived, want 7", len(got))
	}
	if n := len(s.sent()); n != 3 {
		t.Errorf("%d requests for 7 messages of 300 KiB, want 3", n)
	}
}
