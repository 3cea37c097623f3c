package bigquery_test

import (
	"fmt"
	"os"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/bigquery"
)

// Orders go to a table of the dataset, in which each has one row, as it is now; the table
// audit has a row for each of their changes.
func ExampleNew() {
	warehouse := replicator.Destination{
		Name: "warehouse",
		Driver: bigquery.New(bigquery.Options{
			ProjectID: os.Getenv("GCP_PROJECT"),
			Dataset:   "analytics",
			Tables:    map[string]bigquery.Table{"audit": {Mutability: bigquery.AppendOnly}},
		}),
		Routes: []replicator.Route{
			{From: "orders"},
			{From: "orders", To: "audit"},
		},
	}
	fmt.Println(warehouse.Driver) // options hold credentials, and are not shown
	// Output: bigquery
}
