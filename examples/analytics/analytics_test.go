package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator/internal/testbed"
)

func TestAnalytics(t *testing.T) {
	url := testbed.Postgres(t)
	var out strings.Builder
	if err := run(t.Context(), &out, url); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.HasSuffix(out.String(), "0 failed in the last hour; healthy\n") || !strings.Contains(out.String(), "replicated inserted carol → shop.users") {
		t.Errorf("it says:\n%s", out.String())
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for query, want := range map[string][]string{
		`SELECT id || ' ' || name || ' ' || email FROM shop.users`:                                             {"carol carol carol@example.com"},
		`SELECT id || ' ' || "userId" || ' ' || total FROM shop.orders`:                                        {"order-1 carol 249.99", "order-2 carol 29.9"},
		`SELECT order_id || ' ' || total_usd FROM analytics_orders WHERE created_at > now() - '1 h'::interval`: {"order-1 249.99", "order-2 29.9"},
		`SELECT user_id || ' ' || email FROM analytics_users WHERE signup_date <= now()`:                       {"carol carol@example.com"},
	} {
		rows, _ := conn.Query(t.Context(), query)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		slices.Sort(got)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", query, err, diff)
		}
	}
	// A second run finds the tables as they are.
	if err := run(t.Context(), &out, url); err != nil {
		t.Error(err)
	}
}

func TestAnalyticsNeedsAURL(t *testing.T) {
	if err := run(t.Context(), &strings.Builder{}, ""); err == nil || !strings.Contains(err.Error(), "ConnectionString is empty") {
		t.Errorf("without a URL: %v", err)
	}
}
