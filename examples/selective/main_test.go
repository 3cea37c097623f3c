package main

import (
	"io"
	"testing"

	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestSelective(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{
		"memory":     func(testing.TB) string { return "" },
		"PostgreSQL": testbed.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			tables := sink.NewTables(database(t))
			stats, err := run(t.Context(), tables)
			if err != nil {
				t.Fatal(err)
			}
			if stats.Failed != 0 || stats.Skipped == 0 {
				t.Errorf("%+v", stats)
			}
			if err := check(t.Context(), io.Discard, tables); err != nil {
				t.Error(err)
			}
		})
	}
}
