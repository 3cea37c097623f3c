package replicator_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/store"
)

// Preview says what the engine would do, and the driver gets nothing.
func TestPreviewSaysWhatWouldHappen(t *testing.T) {
	db, err := store.Open(t.Context(), "memory://preview", store.WithPassphrase("p"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateResource(t.Context(), store.Definition{Name: "orders", Attributes: store.Attributes{"total": "number", "card": "secret"}}); err != nil {
		t.Fatal(err)
	}
	driver := memory.New(memory.Options{})
	r, err := replicator.New(db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Name: "analytics", Driver: driver,
		ShouldReplicate: func(c replicator.Change) bool { return c.RecordID != "hidden" },
		Routes: []replicator.Route{
			{From: "orders"},
			{From: "orders", To: "premium", ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 100 }},
			{From: "orders", To: "new", Actions: replicator.Inserted, Key: []string{"order"}, Transform: func(c replicator.Change) (replicator.Record, error) {
				if c.Data.Float("total") < 0 {
					return nil, errors.New("a refund is no order")
				}
				return replicator.Record{"order": c.RecordID}, nil
			}},
			{From: "users"},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	preview := func(c replicator.Change) (texts []string) {
		t.Helper()
		previews, err := r.Preview("analytics", c)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range previews {
			if p.Route != i {
				t.Errorf("the preview of route %d is said to be of %d", i, p.Route)
			}
			text := p.Target + ": " + p.Reason
			if p.Err != nil {
				text += "error: " + p.Err.Error()
			}
			if p.Delivery != nil {
				text += "delivery"
				if _, leaked := p.Delivery.Record["card"]; leaked {
					t.Error("a secret is in a delivery that no route lets through")
				}
			}
			texts = append(texts, text)
		}
		return texts
	}
	order := func(op replicator.Op, id string, total int) replicator.Change {
		return replicator.Change{Op: op, Resource: "orders", RecordID: id, Data: replicator.Record{"id": id, "total": total, "card": "4111"}}
	}
	for range 2 { // not started, and started
		for _, c := range []struct {
			change replicator.Change
			want   [3]string
		}{
			{order(replicator.Inserted, "o1", 150), [3]string{"orders: delivery", "premium: delivery", "new: delivery"}},
			{order(replicator.Inserted, "o1", 50), [3]string{"orders: delivery", "premium: the route's ShouldReplicate refused it", "new: delivery"}},
			{order(replicator.Updated, "o1", 150), [3]string{"orders: delivery", "premium: delivery", "new: the route's Actions leave out what is updated"}},
			{order(replicator.Inserted, "hidden", 150), [3]string{"orders: the destination's ShouldReplicate refused it",
				"premium: the destination's ShouldReplicate refused it", "new: the destination's ShouldReplicate refused it"}},
			{order(replicator.Inserted, "o1", -1), [3]string{"orders: delivery", "premium: the route's ShouldReplicate refused it", "new: error: … a refund is no order"}},
		} {
			got := preview(c.change)
			for i, want := range c.want {
				begin, end, _ := strings.Cut(want, "…")
				if i >= len(got) || !strings.HasPrefix(got[i], begin) || !strings.HasSuffix(got[i], end) {
					t.Errorf("%s: got %q, want %q", c.change, got, c.want)
					break
				}
			}
		}
		if got := preview(replicator.Change{Op: replicator.Inserted, Resource: "carts", RecordID: "1"}); got != nil {
			t.Errorf("of a resource without a route: %q", got)
		}
		for _, c := range []struct {
			destination string
			change      replicator.Change
			want        string
		}{
			{"nowhere", order(replicator.Inserted, "o1", 1), `no destination "nowhere"`},
			{"analytics", order(0, "o1", 1), "one operation"},
			{"analytics", replicator.Change{Op: replicator.Inserted, Resource: "orders", RecordID: "1", Data: replicator.Record{"f": func() {}}}, "field f"},
		} {
			if _, err := r.Preview(c.destination, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { halt(t, r) })
	if n := r.Stats().Destinations["analytics"].Attempts; n != 0 {
		t.Errorf("the driver was called %d times", n)
	}
}
