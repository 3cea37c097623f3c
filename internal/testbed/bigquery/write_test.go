package main

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/bigquery"
	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/grpc/codes"
)

func TestDefaultStream(t *testing.T) {
	w := newWorld(t)
	w.table("people", people)
	to := w.writer("people", people, false)
	for batch := range 10 {
		var rows []cells
		for i := range 100 {
			rows = append(rows, cells{"id": int64(batch*100 + i), "name": "x"})
		}
		_, err := w.send(to, rows...)
		w.must(err)
	}
	w.expect("1000", "SELECT COUNT(*) FROM ds.people")
	w.expect("1000", "SELECT COUNT(*) FROM ds.people QUALIFY ROW_NUMBER() OVER (PARTITION BY id) = 1")

	// The client asks for the stream when it opens one.
	_, err := w.write.NewManagedStream(t.Context(), managedwriter.WithDestinationTable(managedwriter.TableParentFromParts(project, "ds", "absent")),
		managedwriter.WithType(managedwriter.DefaultStream), managedwriter.WithSchemaDescriptor(to.schema))
	w.refusedWrite(err, codes.NotFound, "Requested entity was not found. Entity: projects/proj/datasets/ds/tables/absent")
	w.must(w.rest.Dataset("ds").Table("people").Delete(t.Context()))
	_, err = w.send(to, cells{"id": int64(1)})
	w.refusedWrite(err, codes.NotFound, "tables/people")
}

func TestChanges(t *testing.T) {
	w := newWorld(t)
	w.table("people", people, "id")
	to := w.writer("people", people, true)
	change := func(id int64, name, kind, sequence string) cells {
		return cells{"id": id, "name": name, changeTypeColumn: kind, sequenceColumn: sequence}
	}
	_, err := w.send(to,
		change(1, "a", "UPSERT", "1"), change(2, "b", "UPSERT", "1"), change(3, "c", "UPSERT", "1"),
		change(1, "a2", "UPSERT", "A"), // in hexadecimal, ten
		change(1, "late", "UPSERT", "9"),
		change(2, "", "DELETE", "0/FF"), // lower than 1
		change(3, "", "DELETE", "2"),
		change(3, "revived too late", "UPSERT", "1/FFFFFFFFFFFFFFFF"),
		change(4, "never there", "DELETE", "1"),
	)
	w.must(err)
	w.expect("1 a2; 2 b", "SELECT * FROM ds.people ORDER BY id")
	_, err = w.send(to, cells{"id": int64(2), changeTypeColumn: "UPSERT", sequenceColumn: "1"}) // the same number: the later wins, as a whole row
	w.must(err)
	w.expect("1 a2; 2 <nil>", "SELECT * FROM ds.people ORDER BY id")

	for what, wrong := range map[string]cells{
		"neither UPSERT nor DELETE": change(9, "", "INSERT", "1"),
		"hexadecimal":               change(9, "", "UPSERT", "1/2/3/4/5"),
	} {
		result, err := w.send(to, wrong)
		w.refusedWrite(err, codes.InvalidArgument, "row_errors")
		if full, _ := result.FullResponse(t.Context()); len(full.GetRowErrors()) != 1 || !strings.Contains(full.GetRowErrors()[0].Message, what) {
			t.Errorf("got %v, want one error with %q", full.GetRowErrors(), what)
		}
	}
	w.table("keyless", people)
	_, err = w.send(w.writer("keyless", people, true), change(1, "", "UPSERT", "1"))
	w.refusedWrite(err, codes.InvalidArgument, "primary key")
	_, err = w.send(w.writer("people", people, true, managedwriter.WithType(managedwriter.CommittedStream)), change(1, "", "UPSERT", "1"))
	w.refusedWrite(err, codes.InvalidArgument, "default stream")
}

// TestOneRowOf500 holds that a bad row is named, that none of its batch is in, and that
// the others go in without it.
func TestOneRowOf500(t *testing.T) {
	w := newWorld(t)
	w.table("people", people)
	to := w.writer("people", people, false)
	var rows [][]byte
	for i := range 500 {
		rows = append(rows, to.row(cells{"id": int64(i), "name": "x"}))
	}
	rows[321] = to.row(cells{"id": int64(321), "name": "y"})
	rows[321] = append(rows[321][:len(rows[321])-1], 0xff) // a string that is not UTF-8
	result, err := to.AppendRows(t.Context(), rows)
	w.must(err)
	full, err := result.FullResponse(t.Context())
	w.refusedWrite(err, codes.InvalidArgument, "row_errors")
	bad := full.GetRowErrors()
	if len(bad) != 1 || bad[0].Index != 321 || bad[0].Code != storagepb.RowError_FIELDS_ERROR {
		t.Fatalf("got %v", bad)
	}
	w.expect("0", "SELECT COUNT(*) FROM ds.people")
	result, err = to.AppendRows(t.Context(), slices.Delete(rows, 321, 322))
	w.must(err)
	_, err = result.GetResult(t.Context())
	w.must(err)
	w.expect("499", "SELECT COUNT(*) FROM ds.people")
}

func TestAddedColumn(t *testing.T) {
	w := newWorld(t)
	tab := w.table("people", people)
	to := w.writer("people", people, false)
	result, err := w.send(to, cells{"id": int64(1)})
	w.must(err)
	if told, _ := result.UpdatedSchema(t.Context()); told != nil {
		t.Errorf("told of a schema before it changed: %v", told)
	}
	wider := append(slices.Clone(people), &bigquery.FieldSchema{Name: "email", Type: bigquery.StringFieldType})
	_, err = w.send(w.writer("people", wider, false), cells{"id": int64(2), "email": "e"})
	w.refusedWrite(err, codes.InvalidArgument, "more fields than BigQuery schema, extra fields: 'email'")
	_, err = tab.Update(t.Context(), bigquery.TableMetadataToUpdate{Schema: wider}, "")
	w.must(err)

	result, err = w.send(to, cells{"id": int64(3)}) // the narrow writer goes on
	w.must(err)
	told, err := result.UpdatedSchema(t.Context())
	w.must(err)
	if len(told.GetFields()) != 3 || told.Fields[2].Name != "email" {
		t.Fatalf("told %v", told)
	}
	result, err = w.send(to, cells{"id": int64(5)})
	w.must(err)
	if told, _ := result.UpdatedSchema(t.Context()); told != nil {
		t.Errorf("told twice on one connection: %v", told)
	}
	md, normal := w.messages(wider, false)
	to.message = md
	again, err := to.AppendRows(t.Context(), [][]byte{to.row(cells{"id": int64(4), "email": "e"})}, managedwriter.UpdateSchemaDescriptor(normal))
	w.must(err)
	_, err = again.GetResult(t.Context())
	w.must(err)
	w.expect("1 <nil>; 3 <nil>; 4 e; 5 <nil>", "SELECT id, email FROM ds.people ORDER BY id")
	if told, _ := again.UpdatedSchema(t.Context()); told != nil {
		t.Errorf("told of the schema that it writes by: %v", told)
	}
}

func TestCreatedStreams(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.table("people", people)
	pending := w.writer("people", people, false, managedwriter.WithType(managedwriter.PendingStream))
	at := func(to *writer, offset int64) error {
		result, err := to.AppendRows(ctx, [][]byte{to.row(cells{"id": offset}), to.row(cells{"id": offset + 1})}, managedwriter.WithOffset(offset))
		w.must(err)
		_, err = result.GetResult(ctx)
		return err
	}
	w.must(at(pending, 0))
	w.refusedWrite(at(pending, 0), codes.AlreadyExists, "within stream")
	w.refusedWrite(at(pending, 7), codes.OutOfRange, "beyond stream")
	commit := func() []*storagepb.StorageError {
		r, err := w.write.BatchCommitWriteStreams(ctx, &storagepb.BatchCommitWriteStreamsRequest{
			Parent: managedwriter.TableParentFromParts(project, "ds", "people"), WriteStreams: []string{pending.StreamName()},
		})
		w.must(err)
		return r.StreamErrors
	}
	if wrong := commit(); len(wrong) != 1 || wrong[0].Code != storagepb.StorageError_INVALID_STREAM_STATE {
		t.Errorf("committed what is not finalized: %v", wrong)
	}
	n, err := pending.Finalize(ctx)
	w.must(err)
	w.expect("0", "SELECT COUNT(*) FROM ds.people")
	if wrong := commit(); len(wrong) != 0 || n != 2 {
		t.Errorf("commit of %d rows: %v", n, wrong)
	}
	w.expect("2", "SELECT COUNT(*) FROM ds.people")
	if wrong := commit(); len(wrong) != 1 {
		t.Error("committed twice")
	}

	buffered := w.writer("people", people, false, managedwriter.WithType(managedwriter.BufferedStream))
	w.must(at(buffered, 0))
	w.must(at(buffered, 2))
	_, err = buffered.FlushRows(ctx, 2)
	w.must(err)
	w.expect("5", "SELECT COUNT(*) FROM ds.people")
	committed := w.writer("people", people, false, managedwriter.WithType(managedwriter.CommittedStream))
	w.must(at(committed, 0))
	w.expect("7", "SELECT COUNT(*) FROM ds.people")
}

// matrix has a column of every type that is known. The descriptor that the adapter makes
// of it takes decimals as bytes and civil times packed.
var matrix = bigquery.Schema{
	{Name: "s", Type: bigquery.StringFieldType},
	{Name: "i", Type: bigquery.IntegerFieldType},
	{Name: "f", Type: bigquery.FloatFieldType},
	{Name: "b", Type: bigquery.BooleanFieldType},
	{Name: "raw", Type: bigquery.BytesFieldType},
	{Name: "n", Type: bigquery.NumericFieldType},
	{Name: "bn", Type: bigquery.BigNumericFieldType},
	{Name: "ts", Type: bigquery.TimestampFieldType},
	{Name: "d", Type: bigquery.DateFieldType},
	{Name: "dt", Type: bigquery.DateTimeFieldType},
	{Name: "tm", Type: bigquery.TimeFieldType},
	{Name: "j", Type: bigquery.JSONFieldType},
	{Name: "tags", Type: bigquery.StringFieldType, Repeated: true},
	{Name: "r", Type: bigquery.RecordFieldType, Schema: bigquery.Schema{
		{Name: "x", Type: bigquery.IntegerFieldType, Required: true},
		{Name: "more", Type: bigquery.RecordFieldType, Repeated: true, Schema: bigquery.Schema{{Name: "y", Type: bigquery.StringFieldType}}},
	}},
}

func TestValues(t *testing.T) {
	w := newWorld(t)
	w.table("matrix", matrix)
	to := w.writer("matrix", matrix, false)
	moment := time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)
	packed := int64(4)<<32 | 5<<26 | 6<<20 | 789012
	_, err := w.send(to, cells{}, cells{
		"s": "žluť", "i": int64(1<<53 + 1), "f": 0.1, "b": true, "raw": []byte{0, 255},
		"n":  littleEndian(t, "-12345678901234567890123456789.123456789", 9),
		"bn": littleEndian(t, "1.00000000000000000000000000000000000001", 38),
		"ts": moment.UnixMicro(), "d": int32(20487), "dt": int64(2026)<<46 | 2<<42 | 3<<37 | packed, "tm": packed,
		"j": `{"b": [1, 0.1, null], "a": "<"}`, "tags": []any{"x", ""},
		"r": cells{"x": int64(7), "more": []any{cells{"y": "z"}, cells{}}},
	})
	w.must(err)
	it := w.rest.Dataset("ds").Table("matrix").Read(t.Context())
	var empty, full []bigquery.Value
	w.must(it.Next(&empty))
	w.must(it.Next(&full))
	if got := fmt.Sprint(empty); !strings.Contains(got, "[]") || strings.Count(got, "<nil>") != len(matrix)-1 {
		t.Errorf("a row of nothing: %v", empty)
	}
	decimal := func(i int) string { return decimalText(full[i].(*big.Rat)) }
	if !full[7].(time.Time).Equal(moment) || decimal(5) != "-12345678901234567890123456789.123456789" || decimal(6) != "1.00000000000000000000000000000000000001" {
		t.Errorf("got %v %s %s", full[7], decimal(5), decimal(6))
	}
	rest := slices.Concat(full[:5], full[8:])
	want := `[žluť 9007199254740993 0.1 true [0 255] 2026-02-03 2026-02-03T04:05:06.789012000 04:05:06.789012000 {"a":"<","b":[1,0.1,null]} [x ] [7 [[z] [<nil>]]]]`
	if got := fmt.Sprint(rest); got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}

	for what, wrong := range map[string]cells{
		"Field n: the value is out of the range of NUMERIC":      {"n": littleEndian(t, "100000000000000000000000000000", 9)},
		"Field ts: the value is outside":                         {"ts": int64(maxMicros) + 1},
		"Field d: the value is outside":                          {"d": int32(maxDays + 1)},
		"Field j: the value is not valid JSON":                   {"j": "{"},
		"Field j: the value holds a number that JSON can't keep": {"j": "18446744073709551617"},
		"Field dt: the value is not a time":                      {"dt": int64(2026)<<46 | 13<<42 | 3<<37},
		"Cannot parse the row by the writer's schema":            {"r": cells{}},
		"Field s: the value is not valid UTF-8":                  {"s": "\xff"},
	} {
		result, err := w.send(to, wrong)
		w.refusedWrite(err, codes.InvalidArgument, "row_errors")
		if full, _ := result.FullResponse(t.Context()); len(full.GetRowErrors()) != 1 || !strings.Contains(full.GetRowErrors()[0].Message, what) {
			t.Errorf("got %v, want %q", full.GetRowErrors(), what)
		}
	}
	mismatched := bigquery.Schema{{Name: "i", Type: bigquery.StringFieldType}}
	_, err = w.send(w.writer("matrix", mismatched, false), cells{"i": "1"})
	w.refusedWrite(err, codes.InvalidArgument, "mismatched with BigQuery field at i")
}

// TestDecimalText holds decimals as text, which a writer may also send.
func TestDecimalText(t *testing.T) {
	w := newWorld(t)
	w.table("sums", bigquery.Schema{{Name: "n", Type: bigquery.NumericFieldType}, {Name: "bn", Type: bigquery.BigNumericFieldType}})
	to := w.writer("sums", bigquery.Schema{{Name: "n", Type: bigquery.StringFieldType}, {Name: "bn", Type: bigquery.StringFieldType}}, false)
	nines := strings.Repeat("9", 29) + ".999999999"
	_, err := w.send(to, cells{"n": nines, "bn": "578960446186580977117854925043439539266.34992332820282019728792003956564819967"})
	w.must(err)
	w.expect("1", "SELECT COUNT(*) FROM ds.sums WHERE n = NUMERIC '"+nines+"' AND n < bn")
	for _, wrong := range []cells{{"n": "0.1234567891"}, {"n": "1" + strings.Repeat("0", 29)}, {"n": "1/3"}, {"n": "NaN"},
		{"bn": "578960446186580977117854925043439539266.34992332820282019728792003956564819968"}} {
		_, err := w.send(to, wrong)
		w.refusedWrite(err, codes.InvalidArgument, "row_errors")
	}
}

// littleEndian encodes a decimal as the vendor's clients do.
func littleEndian(t *testing.T, text string, scale int) []byte {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatal(text)
	}
	n := r.Mul(r, new(big.Rat).SetInt(pow10(scale))).Num()
	size := n.BitLen()/8 + 1
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	b := n.FillBytes(make([]byte, size))
	slices.Reverse(b)
	return b
}

func TestRequestSize(t *testing.T) {
	w := newWorld(t)
	w.table("people", people)
	to := w.writer("people", people, false)
	_, err := w.send(to, cells{"id": int64(1), "name": string(bytes.Repeat([]byte("x"), maxAppend))})
	w.refusedWrite(err, codes.InvalidArgument, "MessageSize is too large")
	_, err = w.send(to, cells{"id": int64(1), "name": string(bytes.Repeat([]byte("x"), maxAppend-1000))})
	w.must(err)
}
