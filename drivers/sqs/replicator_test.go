package sqs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/store"
)

// replicate opens a store with a resource of orders, and carries it by the driver and
// the route until the test ends.
func replicate(t *testing.T, driver *sqs.Driver, route replicator.Route) (*replicator.Replicator, *store.Resource) {
	t.Helper()
	db, err := store.Open(t.Context(), "memory://shop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	orders, err := db.CreateResource(t.Context(), store.Definition{Name: "orders", Attributes: store.Attributes{
		"customer": "string|optional", "total": "number|optional", "note": "string|optional",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: t.TempDir(), Destinations: []replicator.Destination{{Driver: driver, Routes: []replicator.Route{route}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop(t.Context()) })
	return r, orders
}

// failOnce answers an entry of a SendMessageBatch with a fault of the service when it is
// seen for the first time, if wanted says so of its body; the others it lets pass, and
// gives what the service said of them.
func (s *service) failOnce(wanted func(body string) bool) {
	var mu sync.Mutex
	failed := map[string]bool{}
	s.failing(func(w http.ResponseWriter, c call) bool {
		if c.action != "SendMessageBatch" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		var faults []string
		for _, e := range c.entries() {
			if wanted(e.MessageBody) && !failed[e.MessageBody] {
				failed[e.MessageBody] = true
				faults = append(faults, e.ID)
			}
		}
		if len(faults) == 0 {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Write(s.without(c, faults))
		return true
	})
}

// without sends a call on without some entries, and gives the answer with those failed.
func (s *service) without(c call, failed []string) []byte {
	var in map[string]any
	json.Unmarshal(c.body, &in)
	in["Entries"] = slices.DeleteFunc(in["Entries"].([]any), func(e any) bool {
		return slices.Contains(failed, e.(map[string]any)["Id"].(string))
	})
	var out map[string]any
	if len(in["Entries"].([]any)) > 0 {
		out = s.post(in)
	} else {
		out = map[string]any{}
	}
	var entries []any
	for _, id := range failed {
		entries = append(entries, map[string]any{"Id": id, "Code": "InternalError", "SenderFault": false})
	}
	out["Failed"] = entries
	b, _ := json.Marshal(out)
	return b
}

// TestTenUpdatesWithinASecond: each is a message of its own, in their order. With an id
// made of resource, operation and record, SQS would drop nine of them as repeats.
func TestTenUpdatesWithinASecond(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders.fifo", nil)
	r, orders := replicate(t, sqs.New(sqs.Options{QueueURL: queueURL, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys()}), replicator.Route{From: "orders"})
	if _, err := orders.Insert(t.Context(), store.Record{"id": "o1", "total": 0}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range 10 {
		if _, err := orders.Update(t.Context(), "o1", store.Record{"total": i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Logf("the updates took %v", took)
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var totals []int64
	var versions []uint64
	for _, m := range s.drain(queueURL) {
		d, err := sqs.Decode(*m.Body)
		if err != nil {
			t.Fatal(err)
		}
		totals, versions = append(totals, d.Record.Int("total")), append(versions, d.Version)
		if len(totals) > 1 && (d.Op != replicator.Updated || d.Before.Int("total") != d.Record.Int("total")-1) {
			t.Errorf("message %d is %s from %v to %v", len(totals), d.Op, d.Before["total"], d.Record["total"])
		}
	}
	if want := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(totals, want) {
		t.Errorf("the queue holds the totals %v, want %v", totals, want)
	}
	if !slices.IsSorted(versions) {
		t.Errorf("versions are %v", versions)
	}
}

// TestGroupWaitsForItsFirst: every message of a FIFO queue fails at its first attempt;
// what comes after it in its group is held back until it is there. Groups are records
// here, and customers in the second run.
func TestGroupWaitsForItsFirst(t *testing.T) {
	const records, updates, customers = 6, 6, 2
	for name, orderBy := range map[string]func(replicator.Change) string{
		"records":   nil,
		"customers": func(c replicator.Change) string { return c.Data.String("customer") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			queueURL := s.queue("orders.fifo", nil)
			r, orders := replicate(t, sqs.New(sqs.Options{QueueURL: queueURL, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys()}),
				replicator.Route{From: "orders", OrderBy: orderBy})
			s.failOnce(func(body string) bool {
				d, err := sqs.Decode(body)
				return err == nil && d.Version%3 == 0
			})
			var want []string
			for i := range updates {
				for j := range records {
					id := fmt.Sprintf("o%d", j)
					if _, err := orders.Upsert(t.Context(), store.Record{"id": id, "total": i, "customer": fmt.Sprint(j % customers)}); err != nil {
						t.Fatal(err)
					}
					want = append(want, fmt.Sprintf("%s.%d", id, i))
				}
			}
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			groupOf := func(message string) string {
				if orderBy == nil {
					return message[:2]
				}
				return fmt.Sprint((message[1] - '0') % customers)
			}
			got, grouped := map[string][]string{}, map[string][]string{}
			for _, m := range s.drain(queueURL) {
				d, err := sqs.Decode(*m.Body)
				if err != nil {
					t.Fatal(err)
				}
				message := fmt.Sprintf("%s.%d", d.RecordID, d.Record.Int("total"))
				if group := m.Attributes["MessageGroupId"]; group != groupOf(message) {
					t.Errorf("%s is in the group %s, want %s", message, group, groupOf(message))
				}
				got[groupOf(message)] = append(got[groupOf(message)], message)
			}
			for _, message := range want {
				grouped[groupOf(message)] = append(grouped[groupOf(message)], message)
			}
			for group, want := range grouped {
				if !slices.Equal(got[group], want) {
					t.Errorf("group %s got %v, want %v", group, got[group], want)
				}
			}
		})
	}
}

// TestOnlyWhatFailedIsSentAgain: of a batch of ten, entries 3 and 7 fail; the other eight
// are sent once.
func TestOnlyWhatFailedIsSentAgain(t *testing.T) {
	s := newService(t)
	queueURL := s.queue("orders", nil)
	r, orders := replicate(t, sqs.New(sqs.Options{QueueURL: queueURL, Endpoint: s.endpoint, Region: "us-east-1", Credentials: keys(), Concurrency: 1}),
		replicator.Route{From: "orders"})
	s.failOnce(func(body string) bool {
		d, err := sqs.Decode(body)
		return err == nil && (d.RecordID == "o3" || d.RecordID == "o7")
	})
	records := make([]store.Record, 10)
	for i := range records {
		records[i] = store.Record{"id": fmt.Sprintf("o%d", i+1)}
	}
	if _, err := orders.InsertMany(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := map[string]int{}
	for _, c := range s.sent() {
		for _, e := range c.entries() {
			d, err := sqs.Decode(e.MessageBody)
			if err != nil {
				t.Fatal(err)
			}
			sent[d.RecordID]++
		}
	}
	for i := range records {
		id, want := fmt.Sprintf("o%d", i+1), 1
		if id == "o3" || id == "o7" {
			want = 2
		}
		if sent[id] != want {
			t.Errorf("%s was sent %d times, want %d", id, sent[id], want)
		}
	}
	if got := recordIDs(t, s.drain(queueURL)); len(got) != 10 {
		t.Errorf("%d messages, want 10: %v", len(got), got)
	}
}
