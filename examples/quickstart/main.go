// Quickstart keeps the customers and orders of a small shop in a resource store.
// Several writers insert, update and delete at the same time, and every change is
// carried to two destinations: backup, a second store, gets everything as it is; crm,
// an HTTP endpoint, gets business customers and large orders, in a shape of its own.
// Where POSTGRES_URL names a database, analytics, a table in it (in the schema
// quickstart, which is dropped first), gets the large orders.
// At the end all are read back and compared with the shop. With -crash the writer is
// killed half way through, and the rest is done from what it left on disk.
//
//	go run ./examples/quickstart [-crash]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/store"
)

func main() {
	var o options
	flag.IntVar(&o.records, "n", defaultRecords, "how many customers and orders together")
	flag.BoolVar(&o.crash, "crash", false, "kill the writing process half way through, then do the rest")
	flag.StringVar(&o.dir, "dir", "", "an empty directory to work in, which is kept (default a temporary one)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// shop is a store with a replicator hooked to it.
type shop struct {
	db         *store.DB
	replicator *replicator.Replicator
}

// openShop opens the shop in a directory and starts to replicate: what will be
// written to it, and what an earlier process wrote and could not deliver any more.
func openShop(ctx context.Context, dir string, crm endpoint) (_ *shop, err error) {
	db, err := store.Open(ctx, fileURL(dir, "shop"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	for _, definition := range definitions() {
		if _, err := db.CreateResource(ctx, definition); err != nil {
			return nil, err
		}
	}
	r, err := replicator.New(db, replicator.Options{
		Dir: filepath.Join(dir, "replicator"),
		Destinations: append([]replicator.Destination{
			{
				Name:   "backup",
				Driver: s3db.New(s3db.Options{ConnectionString: fileURL(dir, "backup")}),
				Routes: replicator.Routes("customers", "orders"),
			},
			{
				Name:   "crm",
				Driver: webhook.New(webhook.Options{URL: crm.url, SigningSecrets: []string{crm.secret}}),
				Routes: crmRoutes(),
			},
		}, analytics()...),
	})
	if err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	return &shop{db, r}, nil
}

// crmRoutes say which records the CRM gets, under which name and in what shape.
func crmRoutes() []replicator.Route {
	return []replicator.Route{
		{
			From:            "customers",
			To:              "contacts",
			ShouldReplicate: func(c replicator.Change) bool { return c.Data.String("segment") == "business" },
			Transform: func(c replicator.Change) (replicator.Record, error) {
				contact := c.Data.Pick("id", "revision", "name", "email", "company")
				contact["location"] = c.Data.String("city") + ", " + c.Data.String("country")
				return contact, nil
			},
		},
		{
			From:            "orders",
			To:              "deals",
			ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 250 },
			Transform: func(c replicator.Change) (replicator.Record, error) {
				deal := c.Data.Pick("id", "revision", "customer", "total", "currency")
				deal["stage"], deal["day"] = c.Data["status"], c.Data.Time("placedAt").Format(time.DateOnly)
				return deal, nil
			},
		},
	}
}
