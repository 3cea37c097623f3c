package store_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

const interopPassphrase = "interop-passphrase"

// original is a running s3db.js.
type original struct {
	program *testbed.Program
	out     *bufio.Reader
}

func startOriginal(t *testing.T, connection string) *original {
	t.Helper()
	script, err := os.ReadFile("testdata/interop/original.mjs")
	if err != nil {
		t.Fatal(err)
	}
	p := testbed.Node(t, string(script))
	o := &original{p, bufio.NewReaderSize(p.Out, 1<<20)}
	if strings.HasPrefix(connection, "http") {
		connection += "?httpClientOptions.useReckerHandler=false" // which takes an empty answer for an error
	} else {
		connection, _, _ = strings.Cut(connection, "?")
	}
	o.must(t, nil, "connect", connection, interopPassphrase)
	return o
}

// call runs a command of testdata/interop/original.mjs.
func (o *original) call(result any, command string, args ...any) error {
	line, err := json.Marshal(append([]any{command}, args...))
	if err != nil {
		return err
	}
	if _, err := o.program.In.Write(append(line, '\n')); err != nil {
		return err
	}
	for {
		line, err := o.out.ReadBytes('\n')
		if err != nil {
			return err
		}
		var answer struct {
			Result json.RawMessage
			Error  string
		}
		if line[0] != '{' || json.Unmarshal(line, &answer) != nil {
			continue // it prints a word of its own now and then
		}
		if answer.Error != "" {
			return errors.New("the original: " + answer.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

func (o *original) must(t *testing.T, result any, command string, args ...any) {
	t.Helper()
	if err := o.call(result, command, args...); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// TestInterop lets the original and this store work on the same data in turns, in one
// direction and in the other.
func TestInterop(t *testing.T) {
	for backend, connection := range map[string]func(*testing.T) string{
		"file": func(t *testing.T) string { return "file://" + t.TempDir() + "?sync=off" },
		"s3":   func(t *testing.T) string { return testbed.S3(t) + "/some/prefix" },
	} {
		t.Run(backend+" ours first", func(t *testing.T) {
			t.Parallel()
			oursFirst(t, connection(t))
		})
		t.Run(backend+" theirs first", func(t *testing.T) {
			t.Parallel()
			theirsFirst(t, connection(t))
		})
	}
}

// oursFirst: what we wrote the original lists, gets, queries, pages and counts; what it
// then updates, deletes and inserts is read here.
func oursFirst(t *testing.T, connection string) {
	db := open(t, connection, store.WithPassphrase(interopPassphrase))
	for _, c := range interops() {
		r, err := db.CreateResource(t.Context(), c.definition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.InsertMany(t.Context(), c.records); err != nil {
			t.Fatal(err)
		}
	}
	o := startOriginal(t, connection)
	for name, c := range interops() {
		t.Run(name, func(t *testing.T) {
			asTold(t, db, c)
			same(t, o, db, c)
			last := c.records[len(c.records)-1].String("id")
			if !c.large {
				for _, rec := range c.records[:len(c.records)-1] {
					if err := o.call(nil, "update", name, rec["id"], wireRecord(c.update)); err != nil {
						t.Errorf("update of %s by %v", rec["id"], err)
					}
				}
			}
			o.must(t, nil, "delete", name, last)
			added := maps.Clone(c.records[0])
			added["id"] = name + "-added"
			o.must(t, nil, "insert", name, wireRecord(added))
			again := open(t, connection, store.WithPassphrase(interopPassphrase))
			same(t, o, again, c)
			asTold(t, again, c.afterwards(added, c.large))
		})
	}
}

// theirsFirst: the same, the other way round.
func theirsFirst(t *testing.T, connection string) {
	o := startOriginal(t, connection)
	for name, c := range interops() {
		o.must(t, nil, "create", c.theirs())
		for _, rec := range c.records {
			if err := o.call(nil, "insert", name, wireRecord(rec)); err != nil {
				t.Fatalf("%s: %v", rec["id"], err)
			}
		}
	}
	o.must(t, nil, "disconnect")
	db := open(t, connection, store.WithPassphrase(interopPassphrase))
	o = startOriginal(t, connection)
	for name, c := range interops() {
		t.Run(name, func(t *testing.T) {
			asTold(t, db, c)
			same(t, o, db, c)
			r := db.Resource(name)
			last := c.records[len(c.records)-1].String("id")
			for _, rec := range c.records[:len(c.records)-1] {
				if _, err := r.Update(t.Context(), rec.String("id"), c.update); err != nil {
					t.Errorf("update of %s: %v", rec["id"], err)
				}
			}
			added := maps.Clone(c.records[0])
			added["id"] = name + "-added"
			if err := errors.Join(r.Delete(t.Context(), last), second(r.Insert(t.Context(), added))); err != nil {
				t.Error(err)
			}
			same(t, o, db, c)
			asTold(t, db, c.afterwards(added, false))
		})
	}
}

// afterwards gives the case as it is when all records but the last were updated, the last
// was deleted, and one was added.
func (c interop) afterwards(added store.Record, unchanged bool) interop {
	c.records = slices.Clone(c.records)
	last := len(c.records) - 1
	for i, rec := range c.records[:last] {
		if !unchanged {
			c.records[i] = merged(rec, c.update)
		}
	}
	c.records[last] = added
	return c
}

// merged gives a record with the fields of an update, those of nested attributes by
// themselves.
func merged(rec, update map[string]any) map[string]any {
	out := maps.Clone(rec)
	for name, v := range update {
		was, isMap := out[name].(map[string]any)
		now, areMaps := v.(map[string]any)
		if isMap && areMaps {
			v = merged(was, now)
		}
		out[name] = v
	}
	return out
}

// asTold compares what we read of a resource with what either side was told to write.
func asTold(t *testing.T, db *store.DB, c interop) {
	t.Helper()
	for _, told := range c.records {
		got, err := db.Resource(c.definition.Name).Get(t.Context(), told.String("id"))
		if err != nil {
			t.Error(err)
			continue
		}
		want := maps.Clone(told)
		for _, field := range append([]string{"createdAt", "updatedAt"}, c.rewords...) {
			delete(want, field)
			delete(got, field)
		}
		compare(t, "as told: -told +read", canonical(map[string]any(want)), canonical(map[string]any(got)))
	}
}

// same compares what both sides read of a resource, in every way that there is.
func same(t *testing.T, o *original, db *store.DB, c interop) {
	t.Helper()
	r := db.Resource(c.definition.Name)
	name := c.definition.Name
	ours := map[string]any{}
	for rec, err := range r.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ours[rec.String("id")] = canonical(map[string]any(rec))
	}
	if len(ours) != len(c.records) {
		t.Errorf("there are %d records, want %d", len(ours), len(c.records))
	}
	for _, rec := range ours {
		for field, instead := range c.misread {
			if rec := rec.(map[string]any); rec[field] != nil {
				rec[field] = instead
			}
		}
	}
	got := map[string]any{}
	for id := range ours {
		var rec map[string]any
		o.must(t, &rec, "get", name, id)
		got[id] = canonical(rec)
	}
	compare(t, "get: -ours +theirs", ours, got)
	for _, way := range []struct {
		command string
		args    []any
	}{{"list", []any{map[string]any{"limit": 1000}}}, {"query", []any{map[string]any{}}}, {"page", []any{2}}} {
		var recs []map[string]any
		o.must(t, &recs, way.command, append([]any{name}, way.args...)...)
		got := map[string]any{}
		for _, rec := range recs {
			got[fmt.Sprint(rec["id"])] = canonical(rec)
		}
		compare(t, way.command+": -ours +theirs", ours, got)
	}
	var n int
	if o.must(t, &n, "count", name); n != len(ours) {
		t.Errorf("the original counts %d records, we %d", n, len(ours))
	}
	if c.definition.Partitions == nil {
		return
	}
	for _, region := range []string{"eu", "us"} {
		var theirs []map[string]any
		o.must(t, &theirs, "list", name, map[string]any{"partition": "byRegion", "partitionValues": map[string]any{"region": region}, "limit": 1000})
		ids := func(yield func(string) bool) {
			for _, rec := range theirs {
				if !yield(fmt.Sprint(rec["id"])) {
					return
				}
			}
		}
		var want []string
		for rec, err := range r.Query(t.Context(), store.Filter{"region": region}, store.QueryOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, rec.String("id"))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(ids)); diff != "" {
			t.Errorf("region %s: -ours +theirs\n%s", region, diff)
		}
	}
}

func compare(t *testing.T, how string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("%s\n%s", how, diff)
	}
}

// canonical gives a value as both sides have it in JSON: numbers as such, times as
// text, and nothing of what the original adds under names of its own.
func canonical(v any) any {
	leaked := []string{"", "metadata", "metadata_updatedat"} // fields that no one set

	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "Buffer" { // bytes, as JavaScript writes them
			data := v["data"].([]any)
			out := make([]byte, len(data))
			for i, b := range data {
				out[i] = byte(b.(float64))
			}
			return base64.StdEncoding.EncodeToString(out)
		}
		out := make(map[string]any, len(v))
		for name, field := range v {
			// It does not tell null from nothing.
			if field = canonical(field); !strings.HasPrefix(name, "_") && !slices.Contains(leaked, name) && field != nil {
				out[name] = field
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = canonical(item)
		}
		return out
	case time.Time:
		return v.Format("2006-01-02T15:04:05.000Z")
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case cdc.Decimal:
		return v.Float64()
	case float64:
		return math.Round(v*1e9) / 1e9 // their degrees come with an error beyond that
	}
	return v
}

// wireRecord gives a record as JSON has it.
func wireRecord(rec store.Record) map[string]any {
	out := map[string]any{}
	for name, v := range rec {
		if at, ok := v.(time.Time); ok {
			v = at.Format("2006-01-02T15:04:05.000Z")
		}
		if d, ok := v.(cdc.Decimal); ok {
			v = json.Number(d.String())
		}
		out[name] = v
	}
	return out
}

// TestInteropAtTheSameTime: both sides define and write on the same bucket. No
// definition is lost, and no record.
func TestInteropAtTheSameTime(t *testing.T) {
	t.Parallel()
	connection := testbed.S3(t)
	o := startOriginal(t, connection)
	db := open(t, connection)
	const n = 15
	var both sync.WaitGroup
	both.Go(func() {
		for i := range n {
			name := fmt.Sprint("theirs", i)
			err := errors.Join(
				o.call(nil, "create", map[string]any{"name": name, "attributes": map[string]any{"s": "string|optional"}}),
				o.call(nil, "insert", name, map[string]any{"id": "x", "s": "theirs"}))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := o.call(nil, "disconnect"); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		for i := range n {
			r, err := db.CreateResource(t.Context(), store.Definition{Name: fmt.Sprint("ours", i), Attributes: store.Attributes{"s": "string"}})
			if err == nil {
				_, err = r.Insert(t.Context(), store.Record{"id": "x", "s": "ours"})
			}
			if err != nil {
				t.Errorf("ours %d: %v", i, err)
			}
		}
	})
	both.Wait()
	db, o = open(t, connection), startOriginal(t, connection)
	for i := range n {
		for _, who := range []string{"ours", "theirs"} {
			name := fmt.Sprint(who, i)
			got, err := db.Resource(name).Get(t.Context(), "x")
			if err != nil || got.String("s") != who {
				t.Errorf("%s, read by us: %v, %v", name, got, err)
			}
			var rec map[string]any
			if err := o.call(&rec, "get", name, "x"); err != nil || rec["s"] != who {
				t.Errorf("%s, read by the original: %v, %v", name, rec, err)
			}
		}
	}
}
