package main

import (
	"context"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
)

// analyticsURL names the database for the reports, "" if there is none.
func analyticsURL() string { return os.Getenv("POSTGRES_URL") }

// premium is the table of the large orders, in a schema of its own.
const premium = "quickstart.premium_orders"

// analytics is the destination for the reports, none without a database.
func analytics() []replicator.Destination {
	url := analyticsURL()
	if url == "" {
		return nil
	}
	return []replicator.Destination{{
		Name:   "analytics",
		Driver: postgres.New(postgres.Options{ConnectionString: url}),
		Routes: []replicator.Route{premiumRoute()},
	}}
}

// introduction says which of the destinations are real ones.
func introduction() string {
	const own = "destinations: backup, a store in a directory; crm, an endpoint in this process; "
	if analyticsURL() == "" {
		return own + "no table, since POSTGRES_URL is empty"
	}
	return own + "analytics, the table " + premium + " in the database of POSTGRES_URL, in a schema that is dropped first and left there"
}

// premiumRoute says which orders the reports get, and in what shape.
func premiumRoute() replicator.Route {
	return replicator.Route{
		From:            "orders",
		To:              premium,
		Key:             []string{"order_id"},
		ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 250 },
		Transform: func(c replicator.Change) (replicator.Record, error) {
			order := c.Data.Pick("customer", "total", "currency", "status")
			order["order_id"], order["placed_at"] = c.RecordID, c.Data["placedAt"]
			return order, nil
		},
	}
}

// clearAnalytics removes what an earlier run left in the database.
func clearAnalytics(ctx context.Context) error {
	if analyticsURL() == "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, analyticsURL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `DROP SCHEMA IF EXISTS quickstart CASCADE`)
	return err
}

// readAnalytics gives all rows of the reports' table.
func readAnalytics(ctx context.Context) (contents, error) {
	conn, err := pgx.Connect(ctx, analyticsURL())
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT order_id, customer, total, currency, status, placed_at FROM `+premium)
	if err != nil {
		return nil, err
	}
	found := contents{}
	var id, customer, currency, status string
	var total float64
	var placed time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &customer, &total, &currency, &status, &placed}, func() error {
		found[key{premium, id}] = replicator.Record{
			"order_id": id, "customer": customer, "total": total, "currency": currency, "status": status, "placed_at": placed.UTC(),
		}
		return nil
	})
	return found, err
}

// premiumOf gives what the table must hold of the shop's records.
func premiumOf(shop contents) (contents, error) {
	out, route := contents{}, premiumRoute()
	for k, record := range shop {
		change := replicator.Change{Op: replicator.Updated, Resource: k.resource, RecordID: k.id, Data: record}
		if k.resource != route.From || !route.ShouldReplicate(change) {
			continue
		}
		row, err := route.Transform(change)
		if err != nil {
			return nil, err
		}
		out[key{premium, k.id}] = row
	}
	return out, nil
}
