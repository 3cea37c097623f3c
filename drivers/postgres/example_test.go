package postgres_test

import (
	"fmt"
	"os"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/postgres"
)

// Large orders are kept in a table of their own, which is made if it is missing; a second
// table has a row for each change of an order.
func ExampleNew() {
	reports := replicator.Destination{
		Name: "reports",
		Driver: postgres.New(postgres.Options{
			ConnectionString: os.Getenv("POSTGRES_URL"),
			Tables:           map[string]postgres.Table{"audit.orders": {Mode: postgres.Append}},
		}),
		Routes: []replicator.Route{
			{
				From:            "orders",
				To:              "premium_orders",
				ShouldReplicate: func(c replicator.Change) bool { return c.Data.Float("total") >= 100 },
			},
			{From: "orders", To: "audit.orders"},
		},
	}
	fmt.Println(reports.Driver) // options hold credentials, and are not shown
	// Output: postgres
}
