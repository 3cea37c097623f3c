package main

import (
	"strings"
	"testing"

	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestWarehouse(t *testing.T) {
	t.Setenv("GCP_PROJECT", "")
	server := testbed.BigQuery(t)
	for name, w := range map[string]*warehouse{
		"memory": named(),
		"stand-in": inBigQuery(bigquery.Options{
			ProjectID: "project", Dataset: "analytics", Endpoint: server.Endpoint, WriteEndpoint: server.WriteEndpoint,
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), &out, sink.NewTables(""), w); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			for _, want := range []string{"PostgreSQL has the users and orders", "the warehouse has the same"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
			// A second run finds the tables as they are.
			if err := run(t.Context(), &out, sink.NewTables(""), w); err != nil {
				t.Error(err)
			}
		})
	}
	if err := named().check(t.Context(), &strings.Builder{}); err == nil {
		t.Error("the check takes an empty warehouse")
	}
}
