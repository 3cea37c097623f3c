package store_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/store"
)

// collect gives the ids of a sequence of records, joined.
func collect(seq iter.Seq2[store.Record, error]) (string, error) {
	var ids []string
	for rec, err := range seq {
		if err != nil {
			return strings.Join(ids, " "), err
		}
		ids = append(ids, rec.String("id"))
	}
	return strings.Join(ids, " "), nil
}

func orders(t *testing.T, connection string) *store.Resource {
	t.Helper()
	r := create(t, open(t, connection), "orders", store.Attributes{
		"total": "number", "status": "string", "n": "number|integer", "paid": "boolean", "at": "datetime",
		"ship": store.Attributes{"city": "string"}, "tags": "array|items:string", "j": "json",
	})
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := r.InsertMany(t.Context(), []store.Record{
		{"id": "a-b", "total": 150, "status": "paid", "n": 1, "paid": true, "at": at, "ship": map[string]any{"city": "Rome"}, "tags": []string{"x"}},
		{"id": "a", "total": 50.5, "status": "open", "n": 2, "paid": false, "at": at.Add(time.Hour), "ship": map[string]any{"city": "Oslo"}},
		{"id": "c", "total": 99, "status": "open", "n": 1 << 60, "at": at.Add(2 * time.Hour), "j": map[string]any{"deep": map[string]any{"k": 2}}},
		{"id": "B", "status": nil, "n": 3, "j": 2.0},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestQuery(t *testing.T) {
	type m = map[string]any
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	eachBackend(t, func(t *testing.T, connection string) {
		r := orders(t, connection)
		for _, q := range []struct {
			filter store.Filter
			want   string
		}{
			{nil, "B a a-b c"},
			{m{}, "B a a-b c"},
			{m{"status": "open"}, "a c"},
			{m{"status": "open", "total": 99}, "c"},
			{m{"total": 99.0}, "c"},
			{store.Record{"n": 1 << 60}, "c"},
			{m{"n": float64(1 << 60)}, "c"},
			{m{"n": 1<<60 + 1}, ""},
			{m{"status": nil}, "B"},
			{m{"total": nil}, "B"},
			{m{"id": "a-b"}, "a-b"},
			{m{"ship.city": "Rome"}, "a-b"},
			{m{"ship": m{"city": "Rome"}}, "a-b"},
			{m{"j.deep.k": 2}, "c"},
			{m{"tags": []string{"x"}}, "a-b"},
			{m{"paid": false}, "a"},
			{m{"total": m{"$gte": 99}}, "a-b c"},
			{m{"total": m{"$gt": 99}}, "a-b"},
			{m{"total": m{"$lt": 99}}, "a"},
			{m{"total": m{"$lte": 99, "$gt": 50.5}}, "c"},
			{m{"status": m{"$ne": "open"}}, "B a-b"},
			{m{"status": m{"$in": []string{"paid", "x"}}}, "a-b"},
			{m{"status": m{"$nin": []any{"paid", nil}}}, "a c"},
			{m{"total": m{"$exists": false}}, "B"},
			{m{"status": m{"$exists": true}}, "B a a-b c"},
			{m{"total": m{"$gt": "x"}}, ""},
			{m{"status": m{"$gt": "open"}}, "a-b"},
			{m{"at": m{"$gte": at}}, "a c"},
			{m{"at": m{"$lt": "2026-01-01T02:00:00+01:00"}}, "a-b"},
			{m{"at": "2026-01-01T01:00:00Z"}, "a"},
			{m{"$or": []m{{"total": 99}, {"id": "a"}}}, "a c"},
			{m{"$and": []any{m{"status": "open"}, m{"total": 99}}}, "c"},
			{m{"$not": m{"status": "open"}}, "B a-b"},
			{m{"$or": []any{}}, ""},
		} {
			if got, err := collect(r.Query(t.Context(), q.filter, store.QueryOptions{})); got != q.want || err != nil {
				t.Errorf("%v selects %q (%v), want %q", q.filter, got, err, q.want)
			}
		}
		for _, bad := range []store.Filter{
			{"$nor": []m{}}, {"total": m{"$like": 1}}, {"total": m{"$gt": 1, "x": 2}}, {"total": m{"$in": 1}}, {"total": m{"$exists": 1}},
			{"$or": m{}}, {"$and": []any{1}}, {"$not": 1}, {"total": func() {}},
		} {
			if got, err := collect(r.Query(t.Context(), bad, store.QueryOptions{})); got != "" || err == nil || !strings.HasPrefix(err.Error(), "store: orders: query: ") {
				t.Errorf("%v selects %q (%v)", bad, got, err)
			}
		}
	})
}

func TestSortAndLimit(t *testing.T) {
	r := orders(t, "memory://x")
	for _, q := range []struct {
		opts store.QueryOptions
		want string
	}{
		{store.QueryOptions{Limit: 2}, "B a"},
		{store.QueryOptions{Sort: []store.Order{{Field: "total"}}}, "B a c a-b"},
		{store.QueryOptions{Sort: []store.Order{{Field: "total", Descending: true}}, Limit: 1}, "a-b"},
		{store.QueryOptions{Sort: []store.Order{{Field: "status"}, {Field: "total", Descending: true}}}, "B c a a-b"},
		{store.QueryOptions{Sort: []store.Order{{Field: "ship.city"}}}, "B c a a-b"},
		{store.QueryOptions{Sort: []store.Order{{Field: "j"}}}, "a a-b B c"},
	} {
		if got, err := collect(r.Query(t.Context(), nil, q.opts)); got != q.want || err != nil {
			t.Errorf("%+v gives %q (%v), want %q", q.opts, got, err, q.want)
		}
	}
	if _, err := collect(r.Query(t.Context(), nil, store.QueryOptions{Limit: -1})); err == nil {
		t.Error("a negative limit passed")
	}
}

func TestListAndPage(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		r := orders(t, connection)
		if got, err := collect(r.List(t.Context())); got != "B a a-b c" || err != nil {
			t.Errorf("List gives %q (%v)", got, err)
		}
		var pages [][]string
		var opts store.PageOptions
		for opts.Size = 2; ; {
			page, err := r.Page(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, rec := range page.Records {
				ids = append(ids, rec.String("id"))
			}
			pages = append(pages, ids)
			if opts.Cursor = page.Next; opts.Cursor == "" {
				break
			}
			// What goes behind the cursor is not missed, what comes before it not met.
			if err := r.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([][]string{{"B", "a"}, {"a-b", "c"}}, pages); diff != "" {
			t.Errorf("pages: -want +got\n%s", diff)
		}
		for _, bad := range []store.PageOptions{{Cursor: "?"}, {Size: -1}} {
			if _, err := r.Page(t.Context(), bad); err == nil {
				t.Errorf("%+v passed", bad)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for _, err := range r.List(ctx) {
			if n++; n == 2 && !errors.Is(err, context.Canceled) || n > 2 {
				t.Errorf("List went on after its context ended: %v", err)
			}
			cancel()
		}
		if got, err := collect(r.List(t.Context())); got != "B a-b c" || err != nil {
			t.Errorf("List gives %q (%v)", got, err)
		}
		if n, err := r.Count(t.Context()); n != 3 || err != nil {
			t.Errorf("Count is %d (%v)", n, err)
		}
	})
}
