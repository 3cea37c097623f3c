package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator/examples/internal/sink"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestAnalytics(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{
		"memory":     func(testing.TB) string { return "" },
		"PostgreSQL": testbed.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			url := database(t)
			tables := sink.NewTables(url)
			if err := run(t.Context(), &out, tables); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			for _, want := range []string{"replicated inserted carol → shop.users", "0 failed in the last hour; healthy\n", "the four tables hold"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
			if err := tables.Check(t.Context(), "analytics_orders", []string{"order_id"}, "order-1"); err == nil {
				t.Error("the check does not see a row that must not be there")
			}
			if url == "" {
				return
			}
			// A second run finds the tables as they are.
			if err := run(t.Context(), &out, tables); err != nil {
				t.Error(err)
			}
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var recent int
			err = conn.QueryRow(t.Context(), `SELECT count(*) FROM analytics_orders, analytics_users WHERE created_at > now() - '1 h'::interval AND signup_date <= now()`).Scan(&recent)
			if err != nil || recent != 2 {
				t.Errorf("%d rows of today, want 2 (%v)", recent, err)
			}
		})
	}
}
