package sqs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/sqs"
)

// attributesOf gives a message's attributes as texts.
func attributesOf(m types.Message) map[string]string {
	out := map[string]string{}
	for name, v := range m.MessageAttributes {
		out[name] = *v.StringValue
	}
	return out
}

func TestMessage(t *testing.T) {
	s := newService(t)
	own := map[string]string{"id": "01000000-0000-0000-0000-000000000000", "resource": "orders", "operation": "inserted", "version": "1"}
	many := map[string]string{}
	for i := range 7 {
		many[fmt.Sprint("a", i)] = "x"
	}
	const data = `{"id":"o1","note":"canary-of-a-row"}`
	for name, test := range map[string]struct {
		opts       sqs.Options
		body       string // "" if the record fails, and then
		fault      string // says why
		attributes map[string]string
	}{
		"defaults": {sqs.Options{}, `{"resource":"orders","action":"insert","timestamp":"2026-02-28T12:00:00.000Z","source":"replicator",` +
			`"id":"01000000-0000-0000-0000-000000000000","recordId":"o1","operation":"inserted","version":"1","data":` + data + `}`, "", own},
		"bare": {sqs.Options{Body: sqs.Bare}, data, "", own},
		"cloudevents": {sqs.Options{Body: sqs.CloudEvents, Source: "/shop"}, `{"specversion":"1.0","id":"01000000-0000-0000-0000-000000000000","source":"/shop",` +
			`"type":"orders.inserted","subject":"o1","time":"2026-02-28T12:00:00.000000Z","sequence":"00000000000000000001",` +
			`"datacontenttype":"application/json","data":{"before":null,"after":` + data + `}}`, "", own},
		"own": {sqs.Options{
			Marshal: func(d cdc.Delivery) ([]byte, error) { return []byte("<" + d.RecordID + ">"), nil },
			Attributes: func(cdc.Delivery) map[string]string {
				return map[string]string{"team": "shöp", "resource": "", "version": "v1"}
			},
		}, "<o1>", "", map[string]string{"id": own["id"], "operation": "inserted", "version": "v1", "team": "shöp"}},
		"error of Marshal":    {sqs.Options{Marshal: func(cdc.Delivery) ([]byte, error) { return nil, errors.New("no") }}, "", "option Marshal: no", nil},
		"panic of Marshal":    {sqs.Options{Marshal: func(cdc.Delivery) ([]byte, error) { panic("canary") }}, "", "a function of the options panicked in ", nil},
		"panic of Group":      {sqs.Options{Group: func(cdc.Delivery) string { panic("canary") }}, "", "a function of the options panicked in ", nil},
		"panic of Attributes": {sqs.Options{Attributes: func(cdc.Delivery) map[string]string { panic("canary") }}, "", "a function of the options panicked in ", nil},
		"empty body":          {sqs.Options{Marshal: func(cdc.Delivery) ([]byte, error) { return nil, nil }}, "", "empty body", nil},
		"illegal body":        {sqs.Options{Marshal: func(cdc.Delivery) ([]byte, error) { return []byte("canary\x01"), nil }}, "", "InvalidMessageContents", nil},
		"too many attributes": {sqs.Options{Attributes: func(cdc.Delivery) map[string]string { return many }}, "", "11 in all, SQS takes 10", nil},
		"illegal attribute":   {sqs.Options{Attributes: func(cdc.Delivery) map[string]string { return map[string]string{"a": "canary\x01"} }}, "", `the value of "a"`, nil},
		"illegal name":        {sqs.Options{Attributes: func(cdc.Delivery) map[string]string { return map[string]string{"AWS.a": "x"} }}, "", `"AWS.a" is not the name`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			queueURL := s.queue(strings.ReplaceAll(name, " ", "-"), nil)
			test.opts.QueueURL = queueURL
			err := s.opened(test.opts).Apply(t.Context(), inserts(1))
			messages := s.drain(queueURL)
			if test.fault != "" {
				answer, ok := err.(*cdc.BatchError)
				if !ok || cdc.FaultOf(answer.Errs[0]) != cdc.RecordFault || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "canary") || len(messages) > 0 {
					t.Errorf("%d messages, and a %s error: %v, want %s", len(messages), cdc.FaultOf(err), err, test.fault)
				}
				return
			}
			if err != nil || len(messages) != 1 {
				t.Fatalf("%d messages, %v", len(messages), err)
			}
			if got := *messages[0].Body; got != test.body {
				t.Errorf("body is\n%s, want\n%s", got, test.body)
			}
			if got := attributesOf(messages[0]); !maps.Equal(got, test.attributes) {
				t.Errorf("attributes are %v, want %v", got, test.attributes)
			}
		})
	}
}

// TestGroups: what the group and the deduplication id of a message are, as the emulator
// got them.
func TestGroups(t *testing.T) {
	s := newService(t)
	fifo, standard := s.queue("orders.fifo", nil), s.queue("orders", nil)
	type ids struct {
		Group string `json:"MessageGroupId"`
		Dedup string `json:"MessageDeduplicationId"`
	}
	send := func(opts sqs.Options, d cdc.Delivery) ids {
		t.Helper()
		driver := s.opened(opts)
		s.failing(nil)
		if err := driver.Apply(t.Context(), []cdc.Delivery{d}); err != nil {
			t.Fatal(err)
		}
		var in struct{ Entries []ids }
		if err := json.Unmarshal(s.sent()[0].body, &in); err != nil {
			t.Fatal(err)
		}
		return in.Entries[0]
	}
	d := inserts(1)[0]
	d.OrderKey = "customer-7"
	id := d.ChangeID.String()
	tenant := func(cdc.Delivery) string { return "tenant" }
	none := func(cdc.Delivery) string { return "" }
	unordered := d
	unordered.OrderKey = ""
	for name, test := range map[string]struct {
		opts sqs.Options
		d    cdc.Delivery
		want ids
	}{
		"fifo":                           {sqs.Options{QueueURL: fifo}, d, ids{"customer-7", id}},
		"fifo, no order":                 {sqs.Options{QueueURL: fifo}, unordered, ids{"o1", id}},
		"fifo, own group":                {sqs.Options{QueueURL: fifo, Group: tenant}, d, ids{"tenant", id}},
		"fifo, own group that says none": {sqs.Options{QueueURL: fifo, Group: none}, d, ids{"o1", id}},
		"standard":                       {sqs.Options{QueueURL: standard}, d, ids{}},
		"standard, own group":            {sqs.Options{QueueURL: standard, Group: tenant}, d, ids{"tenant", ""}},
		"standard, none":                 {sqs.Options{QueueURL: standard, Group: none}, d, ids{}},
	} {
		if got := send(test.opts, test.d); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}

	// What a group's id can't hold: equal stays equal, different stays different.
	var seen []string
	for _, key := range []string{"\x00\"a\"=\"b\"", strings.Repeat("x", 129), "Größe", "a b", " ", strings.Repeat("x", 130)} {
		d.OrderKey = key
		group := send(sqs.Options{QueueURL: fifo}, d).Group
		if again := send(sqs.Options{QueueURL: fifo}, d).Group; again != group || len(group) != 64 || slices.Contains(seen, group) {
			t.Errorf("%q is in the groups %s and %s", key, group, again)
		}
		seen = append(seen, group)
	}
	longest := strings.Repeat("~", 128)
	d.OrderKey = longest
	if group := send(sqs.Options{QueueURL: fifo}, d).Group; group != longest {
		t.Errorf("a key that is a group's id is sent as %s", group)
	}
}

// TestRepeatsAreDroppedByFIFO: the same change twice is one message, two updates of one
// record are two.
func TestRepeatsAreDroppedByFIFO(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders.fifo", nil)
	d := s.opened(sqs.Options{QueueURL: queueURL})
	batch := inserts(2)
	for i := range batch {
		batch[i].RecordID, batch[i].OrderKey, batch[i].Op = "o1", "o1", cdc.Updated
		for range 3 {
			if err := d.Apply(t.Context(), batch[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := s.drain(queueURL); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
}

func TestDecodeErrorsAreOfThePackage(t *testing.T) {
	if _, err := sqs.Decode("canary"); err == nil || err.Error() != "sqs: envelope: not JSON at byte 1" {
		t.Errorf("error is %v", err)
	}
}
