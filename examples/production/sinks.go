package main

import (
	"cmp"
	"os"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/sqs"
	"github.com/s3db-go/replicator/examples/internal/local"
)

// sinks are the four that get the shop's changes.
type sinks struct {
	backup, recovery   string // connection strings of stores
	dashboards, events replicator.Driver
}

// named gives those that the environment names, and for each other one of this process.
func named(dir string) sinks {
	s := sinks{
		backup:     cmp.Or(os.Getenv("BACKUP_URL"), local.URL(dir, "backup")),
		recovery:   cmp.Or(os.Getenv("RECOVERY_URL"), local.URL(dir, "recovery")),
		dashboards: memory.New(memory.Options{}),
		events:     memory.New(memory.Options{Events: true}),
	}
	if project := os.Getenv("GCP_PROJECT"); project != "" {
		s.dashboards = bigquery.New(bigquery.Options{ProjectID: project, Dataset: "dashboards"})
	}
	if url := os.Getenv("SQS_QUEUE_URL"); url != "" {
		s.events = sqs.New(sqs.Options{QueueURL: url})
	}
	return s
}

// destinations say who gets what.
func (s sinks) destinations() []replicator.Destination {
	everything := replicator.Routes("users", "orders", "products")
	return []replicator.Destination{
		{Name: "backup", Driver: s3db.New(s3db.Options{ConnectionString: s.backup}), Routes: everything},
		{Name: "recovery", Driver: s3db.New(s3db.Options{ConnectionString: s.recovery}), Routes: everything},
		{Name: "dashboards", Driver: s.dashboards, Routes: []replicator.Route{
			{From: "orders", To: "analytics.orders", Key: []string{"order_id"}, Transform: dashboardOrder},
			{From: "users", To: "analytics.users"},
		}},
		{Name: "events", Driver: s.events, Routes: replicator.Routes("orders")},
	}
}

// dashboardOrder gives an order the columns of the dashboards.
func dashboardOrder(c replicator.Change) (replicator.Record, error) {
	created := c.Data.Time("createdAt")
	return replicator.Record{
		"order_id": c.RecordID, "total_usd": c.Data.Float("total"), "status": c.Data["status"], "created_timestamp": created.UnixMilli(),
	}, nil
}
