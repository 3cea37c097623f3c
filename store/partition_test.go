package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/store"
)

// sales defines a resource with partitions of every rule.
func sales(t testing.TB, db *store.DB) *store.Resource {
	t.Helper()
	r, err := db.CreateResource(t.Context(), store.Definition{
		Name: "orders",
		Attributes: store.Attributes{
			"status": "string", "region": "string", "n": "number", "paid": "boolean", "at": "datetime",
			"address": store.Attributes{"country": "country"},
		},
		Partitions: map[string]store.Partition{
			"byStatus":       {"status": "string"},
			"byRegionStatus": {"status": "string", "region": "string|maxlength:3"},
			"byN":            {"n": "number"},
			"byPaid":         {"paid": "boolean"},
			"byDay":          {"at": "date|maxlength:10"},
			"byCountry":      {"address.country": "string"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// references gives the keys of a resource's references, without what they have in
// common.
func references(t testing.TB, db *store.DB) []string {
	t.Helper()
	keys, err := store.Keys(context.Background(), db, "resource=orders/partition=")
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		keys[i] = strings.TrimPrefix(keys[i], "resource=orders/partition=")
	}
	return keys
}

// TestReferences follows a record's references through its life.
func TestReferences(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		db := open(t, connection)
		r := sales(t, db)
		want := func(when string, keys ...string) {
			t.Helper()
			if diff := cmp.Diff(keys, references(t, db)); diff != "" {
				t.Errorf("%s: -want +got\n%s", when, diff)
			}
		}
		rec := store.Record{"id": "a", "status": "active", "region": "europe", "n": 12.5, "paid": true, "at": "2024-03-15T23:00:00-02:00",
			"address": map[string]any{"country": "br"}}
		if _, err := r.Insert(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		want("inserted", "byCountry/address.country=BR/id=a", "byDay/at=2024-03-16/id=a", "byN/n=12.5/id=a", "byPaid/paid=true/id=a",
			"byRegionStatus/region=eur/status=active/id=a", "byStatus/status=active/id=a")
		headers, body, err := store.GetRaw(t.Context(), db, "resource=orders/partition=byN/n=12.5/id=a")
		if diff := cmp.Diff(map[string]string{"_v": "v1"}, headers); diff != "" || len(body) > 0 || err != nil {
			t.Errorf("a reference holds %q, %v, and headers -want +got\n%s", body, err, diff)
		}
		if _, err := r.Update(t.Context(), "a", store.Record{"status": "has/slash", "n": nil, "address": map[string]any{"country": "US"}}); err != nil {
			t.Fatal(err)
		}
		want("updated", "byCountry/address.country=US/id=a", "byDay/at=2024-03-16/id=a", "byPaid/paid=true/id=a",
			"byRegionStatus/region=eur/status=has/slash/id=a", "byStatus/status=has/slash/id=a")
		if err := r.Put(t.Context(), store.Record{"id": "a", "status": ""}); err != nil {
			t.Fatal(err)
		}
		want("put", "byStatus/status=/id=a")
		if err := r.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		want("deleted")
	})
}

func TestPartitionFaults(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	_, err := db.CreateResource(t.Context(), store.Definition{
		Name: "r", Attributes: store.Attributes{"s": "string", "c": "secret", "j": "json"},
		Partitions: map[string]store.Partition{"byS": {"s": "string"}, "byC": {"c": "string"}, "byJ": {"j": "string"}, "byX": {"x": "string"}, "a/b": {"s": "string"}},
	})
	v, ok := errors.AsType[*store.ValidationError](err)
	if !ok || len(v.Faults) != 4 || len(db.Resources()) != 0 {
		t.Errorf("CreateResource gave %v", err)
	}
	r := sales(t, db)
	for value, reason := range map[string]string{"a/../b": "..", "a\nb": "control character", strings.Repeat("x", 300): "300"} {
		_, err := r.Insert(t.Context(), store.Record{"id": "x", "status": value})
		if v, ok := errors.AsType[*store.ValidationError](err); !ok || v.Faults[0].Attribute != "status" || strings.Contains(err.Error(), value) {
			t.Errorf("%.10q (%s): Insert gave %.200v", value, reason, err)
		}
	}
	if keys := references(t, db); len(keys) > 0 {
		t.Errorf("left %v", keys)
	}
}

// found gives the ids that a query finds.
func found(t testing.TB, r *store.Resource, filter store.Filter) []string {
	t.Helper()
	ids := []string{}
	for rec, err := range r.Query(context.Background(), filter, store.QueryOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rec.String("id"))
	}
	return ids
}

// TestQueryByPartition: a query that goes by a partition finds what one that looks at
// every record does, whatever else lies in the partition.
func TestQueryByPartition(t *testing.T) {
	eachBackend(t, func(t *testing.T, connection string) {
		db := open(t, connection)
		r := sales(t, db)
		for i, status := range []string{"a", "active", "a/b", "", "A", "a"} {
			rec := store.Record{"id": fmt.Sprint("r", i), "status": status, "n": i, "paid": i%2 == 0, "at": time.UnixMilli(int64(i) * 86_400_000)}
			if _, err := r.Insert(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
		// What a crash, or another writer, may leave.
		for _, key := range []string{"byStatus/status=a/id=gone", "byStatus/status=a/id=r1", "byPaid/paid=true/id=r1"} {
			putRaw(t, db, "resource=orders/partition="+key, map[string]string{"_v": "v1"}, "")
		}
		for _, c := range []struct {
			filter store.Filter
			want   []string
		}{
			{store.Filter{"status": "a"}, []string{"r0", "r5"}},
			{store.Filter{"status": "a/b"}, []string{"r2"}},
			{store.Filter{"status": ""}, []string{"r3"}},
			{store.Filter{"status": map[string]any{"$eq": "active"}}, []string{"r1"}},
			{store.Filter{"status": "none"}, []string{}},
			{store.Filter{"status": "a/../a"}, []string{}},
			{store.Filter{"status": 7}, []string{}},
			{store.Filter{"n": 3}, []string{"r3"}},
			{store.Filter{"paid": true, "n": map[string]any{"$gt": 1}}, []string{"r2", "r4"}},
			{store.Filter{"at": "1970-01-03T00:00:00Z"}, []string{"r2"}},
		} {
			if diff := cmp.Diff(c.want, found(t, r, c.filter)); diff != "" {
				t.Errorf("%v: -want +got\n%s", c.filter, diff)
			}
			if n, err := r.Count(t.Context(), c.filter); n != len(c.want) || err != nil {
				t.Errorf("%v: Count gave %d, %v", c.filter, n, err)
			}
		}
		page, err := r.Page(t.Context(), store.PageOptions{Size: 1, Filter: store.Filter{"status": "a"}})
		if err != nil || len(page.Records) != 1 || page.Next == "" {
			t.Fatalf("first page %v, %v", page, err)
		}
		page, err = r.Page(t.Context(), store.PageOptions{Size: 1, Filter: store.Filter{"status": "a"}, Cursor: page.Next})
		if err != nil || len(page.Records) != 1 || page.Records[0].String("id") != "r5" || page.Next != "" {
			t.Errorf("second page %v, %v", page, err)
		}
	})
}

// TestQueryReadsOnlyItsPart: a query by a partition does not touch other records. One
// of them can't be read.
func TestQueryReadsOnlyItsPart(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	def := store.Definition{Name: "r", Attributes: store.Attributes{"s": "string", "c": "secret"}, Partitions: map[string]store.Partition{"byS": {"s": "string"}}}
	r, err := db.CreateResource(t.Context(), def)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Insert(t.Context(), store.Record{"id": "a", "s": "x"}); err != nil {
		t.Fatal(err)
	}
	putRaw(t, db, "resource=r/data/id=b", map[string]string{"0": "not encrypted", "_v": "v1"}, "")
	if diff := cmp.Diff([]string{"a"}, found(t, r, store.Filter{"s": "x"})); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Count(t.Context(), store.Filter{"c": "x"}); err == nil {
		t.Error("a query over all records did not meet the one that can't be read")
	}
}

// TestYoungPartition: a partition that came later is not trusted, and filled by Reindex.
func TestYoungPartition(t *testing.T) {
	db := open(t, "memory://x")
	r := create(t, db, "orders", store.Attributes{"s": "string"})
	for _, id := range []string{"a", "b"} {
		if _, err := r.Insert(t.Context(), store.Record{"id": id, "s": "x"}); err != nil {
			t.Fatal(err)
		}
	}
	def, err := r.Definition()
	if err != nil {
		t.Fatal(err)
	}
	def.Partitions = map[string]store.Partition{"byS": {"s": "string"}}
	if _, err := db.CreateResource(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, found(t, r, store.Filter{"s": "x"})); diff != "" {
		t.Error(diff)
	}
	putRaw(t, db, "resource=orders/partition=byS/s=x/id=gone", nil, "")
	putRaw(t, db, "resource=orders/partition=byS/s=old/id=a", nil, "")
	n, err := r.Reindex(t.Context())
	if n != 4 || err != nil {
		t.Errorf("Reindex gave %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"byS/s=x/id=a", "byS/s=x/id=b"}, references(t, db)); diff != "" {
		t.Error(diff)
	}
	if n, err := r.Reindex(t.Context()); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
}

// TestReindexQuotesNoValue: where a reference is holds values of the record, and what is
// wrong there is told without them.
func TestReindexQuotesNoValue(t *testing.T) {
	const reference = "/resource=orders/partition=byS/s=hidden/id=a.meta.json"
	for name, spoil := range map[string]func(path string) error{
		"damaged":     func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		dir := t.TempDir()
		db := open(t, "file://"+dir)
		r, err := db.CreateResource(t.Context(), store.Definition{
			Name: "orders", Attributes: store.Attributes{"s": "string"}, Partitions: map[string]store.Partition{"byS": {"s": "string"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Insert(t.Context(), store.Record{"id": "a", "s": "hidden"}); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir + reference); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Reindex(t.Context()); err == nil || !strings.Contains(err.Error(), "partition=byS") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCrashLeavesNoReferenceOut cuts the power at every operation of writes to a
// partitioned resource: whatever record is there then is found by its partitions, and
// nothing else is.
func TestCrashLeavesNoReferenceOut(t *testing.T) {
	old, changed := store.Record{"id": "x", "status": "old", "n": 1}, store.Record{"id": "x", "status": "new", "n": 2}
	for name, c := range map[string]struct {
		old   store.Record
		write func(*store.Resource) error
	}{
		"insert": {nil, func(r *store.Resource) error { _, err := r.Insert(t.Context(), old); return err }},
		"update": {old, func(r *store.Resource) error { _, err := r.Update(t.Context(), "x", changed); return err }},
		"delete": {old, func(r *store.Resource) error { return r.Delete(t.Context(), "x") }},
	} {
		for n := 1; ; n++ {
			fsys := faultfs.New()
			db, err := store.OpenFS(t.Context(), fsys, false, "")
			if err != nil {
				t.Fatal(err)
			}
			r := sales(t, db)
			if c.old != nil {
				if err := r.Put(t.Context(), c.old); err != nil {
					t.Fatal(err)
				}
			}
			fsys.CrashAt(n)
			_ = c.write(r) // judged by what is left
			if !fsys.Crashed() {
				if n < 10 {
					t.Errorf("%s: only %d operations", name, n)
				}
				break
			}
			for seed := range uint64(4) {
				next, err := store.OpenFS(t.Context(), fsys.Crash(seed), false, "")
				if err != nil {
					t.Fatal(err)
				}
				wantFoundByPartitions(t, fmt.Sprintf("%s, operation %d, seed %d", name, n, seed), next)
			}
		}
	}
}

func wantFoundByPartitions(t *testing.T, when string, db *store.DB) {
	t.Helper()
	r := db.Resource("orders")
	rec, err := r.Get(t.Context(), "x")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%s: %v", when, err)
	}
	for _, status := range []string{"old", "new"} {
		want := []string{}
		if rec.String("status") == status {
			want = append(want, "x")
		}
		if got := found(t, r, store.Filter{"status": status}); !slices.Equal(got, want) {
			t.Errorf("%s: the record is %v, and by status %s there is %v", when, rec, status, got)
		}
	}
	if _, err := r.Reindex(t.Context()); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	left := len(references(t, db))
	if want := 2; rec == nil && left != 0 || rec != nil && left != want {
		t.Errorf("%s: %d references after Reindex", when, left)
	}
}

// TestFailedReference: a record whose reference can't be written is not written, and
// what fails after it was is no failure.
func TestFailedReference(t *testing.T) {
	for _, fault := range []string{"fail", "lost"} {
		db := open(t, "memory://x")
		r := sales(t, db)
		recorder := &keeper{}
		if _, err := db.Capture(recorder); err != nil {
			t.Fatal(err)
		}
		faults := store.Break(db)
		faults.Next(fault)
		_, err := r.Insert(t.Context(), store.Record{"id": "x", "status": "hidden"})
		if !errors.Is(err, store.ErrFault) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: Insert gave %v", fault, err)
		}
		if diff := cmp.Diff([]string{"abort"}, recorder.ends); diff != "" {
			t.Errorf("%s: %s", fault, diff)
		}
		if _, err := r.Get(t.Context(), "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: Get gave %v", fault, err)
		}
	}
}

// TestPartitionsAgainstAModel runs random writes, and compares every query by a
// partition with what a look at every record finds.
func TestPartitionsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := store.Open(context.Background(), "memory://x")
		if err != nil {
			t.Fatal(err)
		}
		r, err := db.CreateResource(context.Background(), store.Definition{Name: "orders", Timestamps: true, Attributes: store.Attributes{"s": "string", "n": "number"},
			Partitions: map[string]store.Partition{"byS": {"s": "string|maxlength:2"}, "bySN": {"s": "string", "n": "number"}}})
		if err != nil {
			t.Fatal(err)
		}
		values := rapid.SampledFrom([]any{"a", "ab", "abc", "abd", "a/b", "é", "", nil, "id=x", "a//b", "a/"})
		numbers := rapid.SampledFrom([]any{nil, 0, 1.5, -2, 1e21})
		ids := rapid.SampledFrom([]string{"x", "y", "z"})
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			rec := store.Record{"id": ids.Draw(t, "id"), "s": values.Draw(t, "s"), "n": numbers.Draw(t, "n")}
			switch rapid.IntRange(0, 3).Draw(t, "write") {
			case 0:
				err = r.Put(context.Background(), rec)
			case 1:
				_, err = r.Upsert(context.Background(), rec)
			case 2:
				err = r.Delete(context.Background(), rec.String("id"))
			case 3:
				_, err = r.Insert(context.Background(), rec)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) {
				t.Fatal(err)
			}
		}
		s, n := values.Draw(t, "asked s"), numbers.Draw(t, "asked n")
		for _, filter := range []store.Filter{{"s": s}, {"s": s, "n": n}} {
			want := []string{}
			for rec, err := range r.Query(context.Background(), store.Filter{"$and": []any{filter}}, store.QueryOptions{}) { // reads every record
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, rec.String("id"))
			}
			got := []string{}
			for rec, err := range r.Query(context.Background(), filter, store.QueryOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rec.String("id"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%v: -all records +by partition\n%s", filter, diff)
			}
		}
		if n, err := r.Reindex(context.Background()); n != 0 || err != nil {
			t.Fatalf("Reindex changed %d (%v)", n, err)
		}
	})
}
