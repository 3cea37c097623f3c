// Package sink is where the examples' changes go when no service is named: tables, queues
// and receivers of webhooks within the process, and how each example looks at what came.
package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/drivers/memory"
	"github.com/s3db-go/replicator/drivers/postgres"
)

// Tables are in a database of PostgreSQL, or, without one, in memory.
type Tables struct {
	url    string
	memory *memory.Driver
}

// NewTables gives the tables of the database that the URL names, those in memory if it is
// empty.
func NewTables(url string) *Tables { return &Tables{url, memory.New(memory.Options{})} }

// Driver gives what carries to the tables; a new one at each call, but for memory.
func (t *Tables) Driver() replicator.Driver {
	if t.url == "" {
		return t.memory
	}
	return postgres.New(postgres.Options{ConnectionString: t.url})
}

// Rows gives a table's columns, each row as one text, sorted.
func (t *Tables) Rows(ctx context.Context, table string, columns ...string) ([]string, error) {
	var rows []string
	if t.url == "" {
		for _, record := range t.memory.Records(table) {
			var values []string
			for _, column := range columns {
				values = append(values, fmt.Sprint(record[column]))
			}
			rows = append(rows, strings.Join(values, " "))
		}
		slices.Sort(rows)
		return rows, nil
	}
	conn, err := pgx.Connect(ctx, t.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var quoted []string
	for _, column := range columns {
		quoted = append(quoted, pgx.Identifier{column}.Sanitize())
	}
	found, _ := conn.Query(ctx, fmt.Sprintf("SELECT concat_ws(' ', %s) FROM %s", strings.Join(quoted, ", "),
		pgx.Identifier(strings.Split(table, ".")).Sanitize()))
	rows, err = pgx.CollectRows(found, pgx.RowTo[string])
	slices.Sort(rows)
	return rows, err
}

// Check is an error if a table does not hold exactly these rows.
func (t *Tables) Check(ctx context.Context, table string, columns []string, want ...string) error {
	got, err := t.Rows(ctx, table, columns...)
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s holds %q, must hold %q", table, got, want)
	}
	return nil
}
