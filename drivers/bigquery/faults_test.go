package bigquery_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	bq "cloud.google.com/go/bigquery"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
)

// TestWriteFaults: whatever befalls the stream is the destination's fault, and over with
// the fault; what was in doubt is there once, by its key.
func TestWriteFaults(t *testing.T) {
	for _, kind := range []string{"close", "lost", "unavailable", "exhausted", "missing", "denied"} {
		t.Run(kind, func(t *testing.T) {
			s := newStandIn(t)
			d := open(t, s.options())
			mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "Ann"}))
			batch := []cdc.Delivery{put(2, "people", id("a"), cdc.Record{"name": "Anna"}), put(3, "people", id("b"), cdc.Record{"name": "Bob"})}
			s.standIn.Fault(t, testbed.BigQueryFault{Kind: kind, Surface: "write", Times: -1})
			for _, err := range apply(t, d, batch...) {
				if cdc.FaultOf(err) != cdc.DestinationFault || strings.Contains(err.Error(), "Bob") {
					t.Errorf("%s %v", cdc.FaultOf(err), err)
				}
			}
			applied := []cdc.Record{{"id": "a", "name": "Ann"}}
			if kind == "lost" {
				applied = []cdc.Record{{"id": "a", "name": "Anna"}, {"id": "b", "name": "Bob"}}
			}
			s.holds(t, "people", "id", applied...)
			s.standIn.ClearFaults(t)
			mustApply(t, d, batch...)
			s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Anna"}, cdc.Record{"id": "b", "name": "Bob"})
		})
	}
}

// TestClosedMidFlight: the server closes the stream while many batches are on it.
func TestClosedMidFlight(t *testing.T) {
	s := newStandIn(t)
	d := open(t, s.options())
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"n": int64(0)}))
	const writers, rounds = 4, 25
	failed := make(chan int, writers)
	for w := range writers {
		go func() {
			failures := 0
			for round := range rounds {
				delivery := put(uint64(round+2), "people", id(fmt.Sprint(w)), cdc.Record{"n": int64(round)})
				for d.Apply(t.Context(), []cdc.Delivery{delivery}) != nil {
					failures++
				}
				if w == 0 && round%5 == 0 {
					s.standIn.Fault(t, testbed.BigQueryFault{Kind: []string{"close", "lost"}[round%2], Surface: "write", Times: 1})
				}
			}
			failed <- failures
		}()
	}
	total := 0
	for range writers {
		total += <-failed
	}
	if total == 0 {
		t.Error("no batch ever met a closed stream")
	}
	for _, r := range s.records(t, "people") {
		if r["id"] != "a" && r["n"] != int64(rounds-1) {
			t.Errorf("%v is not the last", r)
		}
	}
}

// TestOneOf500DoesNotFit, by the server's word: it fails alone, and the request goes
// again without it.
func TestOneOf500DoesNotFit(t *testing.T) {
	s := newServer(t)
	s.table(t, "people", columns("id STRING", "name STRING!", "age INTEGER"), "id")
	d := open(t, s.options())
	var batch []cdc.Delivery
	for i := range 500 {
		batch = append(batch, put(uint64(i+1), "people", id(fmt.Sprintf("%03d", i)), cdc.Record{"name": "Ann", "age": int64(i)}))
	}
	delete(batch[321].Record, "name")          // which the server finds
	batch[400].Record["age"] = "not of canary" // which the driver does
	for i, err := range apply(t, d, batch...) {
		switch {
		case i == 321 && (cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "FIELDS_ERROR on column name")):
			t.Errorf("the row that lacks a name: %v", err)
		case i == 400 && (cdc.FaultOf(err) != cdc.RecordFault || strings.Contains(err.Error(), "canary")):
			t.Errorf("the row whose age is none: %v", err)
		case i != 321 && i != 400 && err != nil:
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if n := len(s.read(t, "people")); n != 498 {
		t.Errorf("%d rows", n)
	}
}

// TestColumnsComeBetweenBatches: by somebody else, and by a record; the table goes and
// comes back.
func TestColumnsComeBetweenBatches(t *testing.T) {
	s := newServer(t)
	d := open(t, s.options())
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "Ann"}))
	s.grow(t, "people", "age INTEGER")
	mustApply(t, d, put(2, "people", id("b"), cdc.Record{"name": "Bob", "age": int64(7)}))
	mustApply(t, d, put(3, "people", id("c"), cdc.Record{"born": "2026-02-28", "mail": "c@example.com"}), put(4, "people", id("d"), cdc.Record{"name": "Dan"}))
	want := []cdc.Record{
		{"id": "a", "name": "Ann"}, {"id": "b", "name": "Bob", "age": int64(7)}, {"id": "c", "born": "2026-02-28", "mail": "c@example.com"}, {"id": "d", "name": "Dan"},
	}
	s.holds(t, "people", "id", want...)
	if s.standIn == nil {
		return // the service may lose rows that come soon after
	}
	s.drop(t, "people")
	s.table(t, "people", columns("id STRING", "mail STRING"), "id") // of what was known, most is gone
	mustApply(t, d, put(5, "people", id("a"), cdc.Record{"name": "Ann"}))
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Ann"})
	s.drop(t, "people")
	mustApply(t, d, put(6, "people", id("a"), cdc.Record{"name": "Anna"}))
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Anna"})
}

// TestRequestsStayUnderTheirLimit: a batch that is more than a request takes is divided,
// and a row that is more fails alone.
func TestRequestsStayUnderTheirLimit(t *testing.T) {
	s := newServer(t)
	d := open(t, s.options())
	var batch []cdc.Delivery
	for i := range 8 {
		size := 3_000_000 // seven of which are too large for one
		if i == 0 {
			size = 20_000_000
		}
		batch = append(batch, put(uint64(i+1), "people", id(fmt.Sprint(i)), cdc.Record{"text": strings.Repeat("x", size)}))
	}
	for i, err := range apply(t, d, batch...) {
		if i == 0 != (cdc.FaultOf(err) == cdc.RecordFault) || i != 0 && err != nil {
			t.Errorf("row %d: %v", i, err)
		}
	}
	rows, err := s.client.Query("SELECT id FROM `" + s.project + "." + s.dataset + ".people`").Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var first []bq.Value
	if err := rows.Next(&first); err != nil || rows.TotalRows != 7 {
		t.Errorf("%d rows (%v)", rows.TotalRows, err)
	}
}

// TestAnAttemptThatEnds while the service does not answer, does not spoil the next.
func TestAnAttemptThatEnds(t *testing.T) {
	s := newStandIn(t)
	proxy := testbed.NewProxy(t, "tcp", s.standIn.WriteEndpoint)
	o := s.options()
	o.WriteEndpoint = proxy.Addr().String()
	d := open(t, o)
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "Ann"}))
	_, release := proxy.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := d.Apply(ctx, []cdc.Delivery{put(2, "people", id("a"), cdc.Record{"name": "Anna"})}); err == nil || cdc.FaultOf(err) == cdc.RecordFault {
		t.Errorf("%v", err)
	}
	release()
	mustApply(t, d, put(3, "people", id("a"), cdc.Record{"name": "Anne"}))
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Anne"})
}

// TestNobodyThere: while no stream can be opened, each attempt ends at once, and the
// first one afterwards arrives.
func TestNobodyThere(t *testing.T) {
	s := newStandIn(t)
	proxy := testbed.NewProxy(t, "tcp", s.standIn.WriteEndpoint)
	o := s.options()
	o.WriteEndpoint = proxy.Addr().String()
	d := open(t, o)
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "Ann"}))
	again := proxy.Refuse()
	proxy.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 5 {
		if err := d.Apply(ctx, []cdc.Delivery{put(2, "people", id("a"), cdc.Record{"name": "Anna"})}); cdc.FaultOf(err.(*cdc.BatchError).Errs[0]) != cdc.DestinationFault {
			t.Errorf("%s %v", cdc.FaultOf(err), err)
		}
	}
	again()
	for d.Apply(ctx, []cdc.Delivery{put(3, "people", id("a"), cdc.Record{"name": "Anne"})}) != nil { // the client waits a second before it dials anew
		if ctx.Err() != nil {
			t.Fatal("it does not come back")
		}
	}
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Anne"})
}

// TestIdleStreams: one that was closed while nobody used it costs no attempt.
func TestIdleStreams(t *testing.T) {
	s := newStandIn(t)
	proxy := testbed.NewProxy(t, "tcp", s.standIn.WriteEndpoint)
	o := s.options()
	o.WriteEndpoint = proxy.Addr().String()
	d := open(t, o)
	const closings = 8
	unnoticed := 0
	for n := range closings {
		delivery := put(uint64(n+1), "people", id("a"), cdc.Record{"n": int64(n)})
		if d.Apply(t.Context(), []cdc.Delivery{delivery}) == nil {
			unnoticed++
		} else {
			// It was closed just when the request went.
			mustApply(t, d, delivery)
		}
		s.holds(t, "people", "id", cdc.Record{"id": "a", "n": int64(n)})
		proxy.Reset()
		if err := d.Check(t.Context()); err != nil { // takes the moment in which the end is seen
			t.Fatal(err)
		}
	}
	if unnoticed < 2 { // the first is on a stream that is open
		t.Error("each closed stream cost an attempt")
	}
	t.Logf("%d of %d went at once", unnoticed, closings)
}

// TestValues writes into tables that somebody else made, of all types that there are.
func TestValues(t *testing.T) {
	s := newServer(t)
	item := bq.Schema{{Name: "sku", Type: bq.StringFieldType}, {Name: "n", Type: bq.IntegerFieldType}, {Name: "of", Type: bq.RecordFieldType, Schema: columns("deep []STRING")}}
	schema := append(columns("id STRING", "num NUMERIC", "big BIGNUMERIC", "dt DATETIME", "tm TIME", "d DATE", "ts TIMESTAMP", "js JSON", "by BYTES", "fl FLOAT", "b BOOLEAN", "i INTEGER", "tags []STRING", "ns []NUMERIC"),
		&bq.FieldSchema{Name: "items", Type: bq.RecordFieldType, Repeated: true, Schema: item}, &bq.FieldSchema{Name: "first", Type: bq.RecordFieldType, Schema: item})
	s.table(t, "things", schema, "id")
	d := open(t, s.options())
	instant := time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	version := uint64(0)
	for _, test := range []struct {
		column    string
		good, bad []any
	}{
		{"num", []any{decimal("12345678901234567890123456789.123456789"), decimal("-0.000000001"), int64(-5), 0.1}, []any{decimal("0.0000000001"), decimal("123456789012345678901234567890"), "x", true}},
		{"big", []any{decimal("578960446186580977117854925043439539266.3"), decimal("0.00000000000000000000000000000000000001")}, []any{decimal("578960446186580977117854925043439539266.35"), decimal("1e40"), decimal("0.000000000000000000000000000000000000001")}},
		{"dt", []any{instant, "2026-02-28T12:30:00.5", "2026-02-28 12:30:00"}, []any{"noon", int64(1), "2026-02-28T12:30:00.1234567"}},
		{"tm", []any{"23:59:59.999999"}, []any{"24:00:00", "noon", instant}},
		{"d", []any{"2024-02-29", "0001-01-01", "9999-12-31", instant.Truncate(24 * time.Hour)}, []any{"2023-02-29", instant, int64(1)}},
		{"ts", []any{instant, "2026-02-28T23:59:59+02:00", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, []any{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "soon", "2026-02-28T12:30:00.1234567Z", 1.5}},
		{"js", []any{"text", int64(1<<53 + 1), map[string]any{"a": []any{nil, true, decimal("0.1"), decimal("18446744073709551615")}}}, []any{[]any{decimal("0.12345678901234567890123")}, decimal("18446744073709551616123")}},
		{"by", []any{[]byte{0, 255}}, []any{"AA==", int64(1)}},
		{"fl", []any{0.1, int64(1 << 53), decimal("2.50")}, []any{int64(1<<53 + 1), decimal("0.12345678901234567890123"), "x"}},
		{"b", []any{true, false}, []any{int64(1), "true"}},
		{"i", []any{int64(-1 << 63), 3.0, "17", decimal("9223372036854775807")}, []any{0.5, decimal("9223372036854775808"), "x"}},
		{"tags", []any{[]any{"a", "", "b|c"}, []any{}}, []any{[]any{"a", nil}, "a"}},
		{"ns", []any{[]any{decimal("1.5"), int64(2)}}, []any{[]any{decimal("0.0000000001")}}},
		{"items", []any{[]any{map[string]any{"sku": "x", "n": int64(1)}, map[string]any{}, map[string]any{"SKU": "y", "n": nil, "of": map[string]any{"deep": []any{"z"}}}}}, []any{
			[]any{map[string]any{"color": "red"}}, []any{"x"}, []any{map[string]any{"sku": "x", "SKU": "y"}}, []any{map[string]any{"n": "x"}},
		}},
		{"first", []any{map[string]any{"sku": "x", "of": map[string]any{"deep": []any{"y", "z"}}}}, []any{[]any{}, map[string]any{"of": map[string]any{"deep": []any{nil}}}}},
	} {
		for _, v := range test.good {
			version++
			mustApply(t, d, put(version, "things", id("a"), cdc.Record{test.column: v}))
			rows := s.records(t, "things")
			if len(rows) != 1 || !same(rows[0][test.column], v) {
				t.Errorf("%s: wrote %v, read %v", test.column, v, rows)
			}
		}
		for _, v := range test.bad {
			version++
			if err := apply(t, d, put(version, "things", id("b"), cdc.Record{test.column: v}))[0]; cdc.FaultOf(err) != cdc.RecordFault {
				t.Errorf("%s: %v: %s %v", test.column, v, cdc.FaultOf(err), err)
			}
		}
	}
}

// same compares what was read with what was written, as one of the types that the
// column makes of it.
func same(got, wrote any) bool {
	if list, ok := wrote.([]any); ok && len(list) == 0 {
		return got == nil
	}
	text := func(v any) string {
		switch v := v.(type) {
		case time.Time:
			return strings.TrimSuffix(v.UTC().Format("2006-01-02 15:04:05.999999"), " 00:00:00")
		case string:
			for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime} {
				if at, err := time.Parse(layout, v); err == nil {
					return at.UTC().Format("2006-01-02 15:04:05.999999")
				}
			}
		case cdc.Decimal:
			return v.Rat().RatString()
		case int64, float64:
			return decimal(fmt.Sprint(v)).Rat().RatString()
		}
		return fmt.Sprint(v)
	}
	switch w := wrote.(type) {
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !same(g[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, v := range w {
			e, there := g[k]
			if !there {
				e = g[strings.ToLower(k)]
			}
			if v != nil && !same(e, v) {
				return false
			}
		}
		return ok
	}
	return text(got) == text(wrote)
}

// TestNoViewOverATable: the name of the view is taken.
func TestNoViewOverATable(t *testing.T) {
	s := newServer(t)
	s.table(t, "log_changes", columns("id STRING"))
	o := s.options()
	o.Mutability = bigquery.AppendOnly
	d := open(t, o)
	if err := d.SyncSchema(t.Context(), "log", people()); cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "View") {
		t.Errorf("%s %v", cdc.FaultOf(err), err)
	}
	if err := d.SyncSchema(t.Context(), s.dataset+".versions", people()); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncSchema(t.Context(), "versions_changes", people()); cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "VIEW") {
		t.Errorf("a view as a target: %s %v", cdc.FaultOf(err), err)
	}
}
