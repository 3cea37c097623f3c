package bigquery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

// TestDashboards is the BigQuery of a production set-up: orders in a shape of their own,
// users as they are, in a dataset that the targets name, an outage in between, and a
// field that comes later.
func TestDashboards(t *testing.T) {
	s := newServer(t)
	db, err := store.Open(t.Context(), "memory://dashboards")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, def := range []store.Definition{
		{Name: "users", Attributes: store.Attributes{"name": "string", "password": "string"}},
		{Name: "orders", Attributes: store.Attributes{"total": "string", "status": "string"}, Timestamps: true},
	} {
		if _, err := db.CreateResource(t.Context(), def); err != nil {
			t.Fatal(err)
		}
	}
	analytics := s.dataset
	if s.standIn != nil {
		analytics = "analytics"
	}
	r, err := replicator.New(db, replicator.Options{Dir: t.TempDir(), Destinations: []replicator.Destination{{
		Name: "analytics", Driver: bigquery.New(s.options()),
		Routes: []replicator.Route{
			{From: "users", To: analytics + ".users"},
			{From: "orders", To: analytics + ".orders", Key: []string{"order_id"}, Transform: func(c replicator.Change) (replicator.Record, error) {
				record := replicator.Record{"order_id": c.RecordID, "total_usd": c.Data.Float("total"), "status": c.Data["status"], "created_timestamp": c.Data.Time("createdAt").UnixMilli()}
				if c.Data["status"] == "shipped" {
					record["shipped"] = true
				}
				return record, nil
			}},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	flush := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // for the service
		if s.standIn != nil {
			ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		}
		defer cancel()
		if err := r.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	users, orders := db.Resource("users"), db.Resource("orders")
	for i := range 30 {
		if _, err := users.Insert(t.Context(), store.Record{"id": fmt.Sprintf("u%02d", i), "name": "Ann"}); err != nil {
			t.Fatal(err)
		}
		if _, err := orders.Insert(t.Context(), store.Record{"id": fmt.Sprintf("o%02d", i), "total": "19.5", "status": "placed"}); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	if s.standIn != nil {
		s.standIn.Fault(t, testbed.BigQueryFault{Kind: "lost", Surface: "write", Times: 2})
		s.standIn.Fault(t, testbed.BigQueryFault{Kind: "unavailable", Surface: "write", Times: 1})
	}
	for i := range 30 {
		switch id := fmt.Sprintf("o%02d", i); i % 3 {
		case 0:
			_, err = orders.Update(t.Context(), id, store.Record{"status": "shipped"})
		case 1:
			err = orders.Delete(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flush()
	for row, err := range r.Log(t.Context(), replicator.Query{}) {
		t.Errorf("the log has %s: %s (%v)", row.RecordID, row.Error, err)
	}
	if n := len(s.read(t, analytics+".users")); n != 30 {
		t.Errorf("%d users", n)
	}
	rows := s.read(t, analytics+".orders")
	if len(rows) != 20 {
		t.Errorf("%d orders", len(rows))
	}
	for _, row := range rows {
		var n int
		if _, err := fmt.Sscanf(row.String("order_id"), "o%d", &n); err != nil {
			t.Fatal(err)
		}
		shipped := n%3 == 0
		if n%3 == 1 || row.Float("total_usd") != 19.5 || row.Bool("shipped") != shipped || (row["status"] == "shipped") != shipped || row.Int("created_timestamp") == 0 {
			t.Errorf("%v", row)
		}
	}
}
