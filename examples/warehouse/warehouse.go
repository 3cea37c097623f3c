package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	cloud "cloud.google.com/go/bigquery"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/drivers/memory"
)

// warehouse is BigQuery, or, without a project, tables in memory.
type warehouse struct {
	driver replicator.Driver
	// ids gives those of a table's rows, sorted.
	ids func(ctx context.Context, table string) ([]string, error)
}

// named gives the warehouse that the environment names.
func named() *warehouse {
	if project := os.Getenv("GCP_PROJECT"); project != "" {
		return inBigQuery(bigquery.Options{ProjectID: project, Dataset: cmp.Or(os.Getenv("BIGQUERY_DATASET"), "analytics")})
	}
	d := memory.New(memory.Options{})
	return &warehouse{d, func(_ context.Context, table string) (ids []string, err error) {
		for _, record := range d.Records(table) {
			ids = append(ids, record.String("id"))
		}
		slices.Sort(ids)
		return ids, nil
	}}
}

// inBigQuery gives the dataset of the options, which may name a server in Google's
// place.
func inBigQuery(o bigquery.Options) *warehouse {
	return &warehouse{bigquery.New(o), func(ctx context.Context, table string) (ids []string, err error) {
		var opts []option.ClientOption
		if o.Endpoint != "" {
			opts = append(opts, option.WithEndpoint(o.Endpoint), option.WithoutAuthentication())
		}
		client, err := cloud.NewClient(ctx, o.ProjectID, opts...)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		rows, err := client.Query(fmt.Sprintf("SELECT id FROM `%s.%s.%s` ORDER BY id", o.ProjectID, o.Dataset, table)).Read(ctx)
		for err == nil {
			var row struct{ ID string }
			if err = rows.Next(&row); err == nil {
				ids = append(ids, row.ID)
			}
		}
		if errors.Is(err, iterator.Done) {
			return ids, nil
		}
		return nil, err
	}}
}

// check looks for the day's work. A dataset that others use has more.
func (w *warehouse) check(ctx context.Context, out io.Writer) error {
	for table, want := range map[string][]string{"users": {"carol"}, "orders": {"order-1", "order-2"}} {
		got, err := w.ids(ctx, table)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the warehouse has in %s %q, must have %q", table, got, want)
		}
	}
	fmt.Fprintln(out, "the warehouse has the same users and orders")
	return nil
}
