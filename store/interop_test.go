package store_test

import (
	"bufio"
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

// interop is a resource and its records.
type interop struct {
	definition store.Definition
	records    []store.Record
	update     store.Record // what either side changes in a record
	large      bool         // some records are too large for an update by the original
}

func interops() map[string]interop {
	long := strings.Repeat("long text, with an é ", 150)
	all := map[string]interop{
		"texts": {
			definition: store.Definition{Attributes: store.Attributes{
				"name": "string|required", "email": "email", "site": "url", "free": "any", "cron": "cron", "locale": "locale", "currency": "currency", "country": "country",
			}},
			records: []store.Record{
				{"name": "Alice", "email": "a@example.com", "site": "https://example.com/e?x=1", "free": "anything", "cron": "0 0 * * *", "locale": "pt-BR", "currency": "EUR", "country": "BR"},
				{"name": "ünïcode 日本 🚀"}, {"name": "d:looks like a mark"}, {"name": "completed"}, {"name": "two  blanks"}, {"name": "a\ttab, a\nline"},
			},
			update: store.Record{"free": "changed ✓"},
		},
		"numbers": {
			definition: store.Definition{Attributes: store.Attributes{
				"n": "number", "i": "number|integer", "b": "boolean", "price": "money", "exact": "decimal:3", "coin": "crypto", "lat": "geo:lat", "lon": "geo:lon",
			}},
			records: []store.Record{
				{"n": 12.5, "i": 42, "b": true, "price": 19.99, "exact": mustDecimal("-1.125"), "coin": mustDecimal("0.00000001"), "lat": 48.137154, "lon": 11.576124},
				{"n": -1234567.891, "i": -9007199254740991, "b": false, "price": 0, "exact": 0, "coin": 21000000},
				{"n": 0, "i": 0}, {"n": 1.5e25, "i": 9007199254740991}, {},
			},
			update: store.Record{"n": 0.1, "i": 7, "price": 5.5},
		},
		"times": {
			definition: store.Definition{Attributes: store.Attributes{"at": "datetime", "day": "dateonly", "took": "duration"}, Timestamps: true},
			records: []store.Record{
				{"at": time.Date(2026, 2, 28, 23, 59, 59, 123e6, time.UTC), "day": "2026-02-28", "took": "PT1H30M"},
				{"at": time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC), "day": "1969-07-20"}, {},
			},
			update: store.Record{"day": "2000-01-01"},
		},
		"structures": {
			definition: store.Definition{Attributes: store.Attributes{
				"tags": "array|items:string", "scores": "array|items:number", "counts": "array|items:number|integer", "vector": "embedding:3",
				"data": "json", "thing": "object", "address": store.Attributes{"city": "string", "geo": store.Attributes{"zone": "number|integer"}},
			}},
			records: []store.Record{
				{"tags": []any{"a", "b|c", "é"}, "scores": []any{1.5, -2}, "counts": []any{1, 62, 3844}, "vector": []any{0.1, -0.25, 1},
					"data": map[string]any{"deep": []any{1, nil, "x"}}, "thing": map[string]any{"k": "v"}, "address": map[string]any{"city": "Köln", "geo": map[string]any{"zone": 3}}},
				{"tags": []any{}, "address": map[string]any{"city": "Rome"}}, {},
			},
			update: store.Record{"tags": []any{"changed"}, "address": map[string]any{"city": "Bonn"}},
		},
		"formats": {
			definition: store.Definition{Attributes: store.Attributes{
				"uuid": "uuid", "ip4": "ip4", "mac": "mac", "cidr": "cidr", "semver": "semver", "phone": "phone", "color": "color", "ean": "ean",
			}},
			records: []store.Record{
				{"uuid": "123e4567-e89b-42d3-a456-426614174000", "ip4": "192.168.100.200", "mac": "00:1a:2b:3c:4d:5e", "cidr": "10.0.0.0/8",
					"semver": "1.12.3", "phone": "+4989123456", "color": "#ff8800", "ean": "4006381333931"},
				{},
			},
			update: store.Record{"color": "#000000"},
		},
		"secrets": {
			definition: store.Definition{Attributes: store.Attributes{"name": "string", "token": "secret"}},
			records:    []store.Record{{"name": "a", "token": "s3cr3t é"}, {"name": "b"}},
			update:     store.Record{"token": "changed"},
		},
		"parts": {
			definition: store.Definition{
				Attributes: store.Attributes{"region": "string", "at": "datetime", "n": "number|integer"},
				Partitions: map[string]store.Partition{"byRegion": {"region": "string"}, "byDay": {"at": "date|maxlength:10"}},
			},
			records: []store.Record{
				{"region": "eu", "at": time.Date(2026, 2, 28, 1, 0, 0, 0, time.UTC), "n": 1}, {"region": "us", "n": 2}, {"region": "eu", "n": 3}, {"n": 4},
			},
			update: store.Record{"region": "us"},
		},
	}
	sized := func(behavior string, sizes ...int) interop {
		c := interop{definition: store.Definition{Attributes: store.Attributes{"a": "string", "b": "string", "n": "number"}, Behavior: behavior},
			update: store.Record{"n": 2.5}}
		for i, size := range sizes {
			c.records = append(c.records, store.Record{"a": "short", "b": string([]rune(long)[:size]), "n": float64(i)})
			c.large = c.large || size > 1500 && behavior == "user-managed"
		}
		return c
	}
	all["user-managed"] = sized("user-managed", 10, 3000)
	all["enforce-limits"] = sized("enforce-limits", 10, 800)
	all["truncate-data"] = sized("truncate-data", 10, 800)
	all["body-overflow"] = sized("body-overflow", 10, 3000)
	all["body-only"] = sized("body-only", 10, 3000)
	for name, c := range all {
		c.definition.Name = name
		for i := range c.records {
			c.records[i]["id"] = fmt.Sprintf("%s-%d", name, i)
		}
		all[name] = c
	}
	return all
}

// theirs gives a definition as the original is given it.
func (c interop) theirs() map[string]any {
	def := map[string]any{"name": c.definition.Name, "attributes": optional(c.definition.Attributes), "timestamps": c.definition.Timestamps, "asyncPartitions": false}
	if c.definition.Behavior != "" {
		def["behavior"] = c.definition.Behavior
	}
	partitions := map[string]any{}
	for name, fields := range c.definition.Partitions {
		partitions[name] = map[string]any{"fields": fields}
	}
	if len(partitions) > 0 {
		def["partitions"] = partitions
	}
	return def
}

// optional says of each attribute that it is, unless it is required: in the original's
// language nothing else means that.
func optional(attrs store.Attributes) map[string]any {
	out := map[string]any{}
	for name, def := range attrs {
		switch def := def.(type) {
		case store.Attributes:
			out[name] = optional(def)
		case string:
			if !strings.Contains(def, "required") {
				def += "|optional"
			}
			out[name] = def
		}
	}
	return out
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
			same(t, o, open(t, connection, store.WithPassphrase(interopPassphrase)), c)
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
		})
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
	got := map[string]any{}
	for id := range ours {
		var rec map[string]any
		o.must(t, &rec, "get", name, id)
		got[id] = canonical(rec)
	}
	compare(t, "get", ours, got)
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
		compare(t, way.command, ours, got)
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

func compare(t *testing.T, how string, ours, theirs map[string]any) {
	t.Helper()
	if diff := cmp.Diff(ours, theirs, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("%s: -ours +theirs\n%s", how, diff)
	}
}

// canonical gives a value as both sides have it in JSON: numbers as such, times as
// text, and nothing of what the original adds under names of its own.
func canonical(v any) any {
	leaked := []string{"", "metadata", "metadata_updatedat"} // fields that no one set

	switch v := v.(type) {
	case map[string]any:
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
