package envelope_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
)

var update = flag.Bool("update", false, "write the golden files anew")

func decimal(s string) cdc.Decimal {
	d, err := cdc.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}

func delivery(op cdc.Op) cdc.Delivery {
	return cdc.Delivery{
		Change: cdc.Change{
			ChangeID: cdc.ID{0x01, 0x98, 0x6d, 0x2c, 0x5e, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 1, 2, 3, 4, 5, 6},
			Seq:      9, Version: 1<<57 + 1, Op: op, Resource: "users", RecordID: "u1",
			Time: time.Date(2026, 8, 1, 14, 0, 0, 123999000, time.FixedZone("", 2*3600)),
		},
		Target: "people",
		Key:    cdc.Record{"id": "u1"},
	}
}

func everyValue() cdc.Record {
	return cdc.Record{
		"id": "u1", "nil": nil, "yes": true, "no": false, "text": "<b>&\"\\/\n\t\r\x01\u2028é𝄞", "empty": "",
		"int": int64(1<<53 + 1), "least": int64(math.MinInt64), "float": 0.1, "whole": 2.0, "small": 1e-7, "large": 1e21,
		"decimal": decimal("123456789012345678901234567890.1200"), "bytes": []byte{0, 0xfb, 0xff}, "none": []byte{},
		"time": time.Date(2026, 8, 1, 12, 0, 0, 120000000, time.UTC), "second": time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),
		"list": []any{int64(1), nil, []any{}, map[string]any{"z": "last", "a": "first"}}, "object": map[string]any{},
	}
}

// TestGolden holds the form on the wire, byte for byte: consumers depend on it.
func TestGolden(t *testing.T) {
	insert, change, unknownBefore, remove, unknownLast := delivery(cdc.Inserted), delivery(cdc.Updated), delivery(cdc.Updated), delivery(cdc.Deleted), delivery(cdc.Deleted)
	insert.Record = everyValue()
	change.Record, change.Before = cdc.Record{"id": "u1", "name": "Anna"}, cdc.Record{"id": "u1", "name": "Ann"}
	unknownBefore.Record = cdc.Record{"id": "u1"}
	remove.Before = cdc.Record{"id": "u1", "name": "Anna"}
	for name, d := range map[string]cdc.Delivery{
		"insert": insert, "update": change, "update-before-unknown": unknownBefore, "delete": remove, "delete-last-unknown": unknownLast,
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			for _, form := range []envelope.Form{envelope.Message, envelope.Bare, envelope.CloudEvent} {
				var err error
				if got, err = form.Append(got, d, "shop"); err != nil {
					t.Fatal(err)
				}
				got = append(got, '\n')
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEveryValueReadsBack decodes what was written with a reader that keeps the
// digits of numbers, and finds every value.
func TestEveryValueReadsBack(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[<>&"\\/\x00-\x1f]*`))
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), text.AsAny(),
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Map(rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,9})?`), decimal).AsAny(),
		rapid.Map(rapid.Int64Range(-1<<55, 1<<55), func(n int64) time.Time { return time.UnixMicro(n).UTC() }).AsAny(),
	)
	value := rapid.OneOf(scalar, rapid.SliceOfN(scalar, 0, 3).AsAny(), rapid.MapOfN(text, scalar, 0, 3).AsAny())
	record := rapid.MapOfN(text, value, 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		d := delivery(cdc.Updated)
		d.Record, d.Before = record.Draw(t, "record"), record.Draw(t, "before")
		b, err := envelope.Message.Append(nil, d, text.Draw(t, "source"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := envelope.Message.Append(nil, d, "")
		if err != nil {
			t.Fatal(err)
		}
		bare, err := envelope.Bare.Append(nil, d, "")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(again, append(append([]byte(`"data":`), bare...), '}')) || !bytes.HasSuffix(b, append(bare, '}')) {
			t.Fatalf("not written alike:\n%s\n%s\n%s", b, again, bare)
		}
		var got struct{ Data, Before map[string]any }
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.UseNumber()
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if !same(map[string]any(d.Record), got.Data) || !same(map[string]any(d.Before), got.Before) {
			t.Fatalf("%#v after %#v was read as\n%#v after %#v", d.Record, d.Before, got.Data, got.Before)
		}
	})
}

// same compares a value with what JSON made of it.
func same(want, got any) bool {
	switch want := want.(type) {
	case nil, bool, string:
		return want == got
	case []byte:
		b, err := base64.StdEncoding.DecodeString(got.(string))
		return err == nil && bytes.Equal(want, b)
	case time.Time:
		at, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", got.(string))
		return err == nil && at.Equal(want)
	case int64:
		n, err := got.(json.Number).Int64()
		return err == nil && n == want
	case float64:
		f, err := got.(json.Number).Float64()
		return err == nil && math.Float64bits(f) == math.Float64bits(want)
	case cdc.Decimal:
		return got.(json.Number).String() == want.String()
	case []any:
		list := got.([]any)
		for i := range want {
			if !same(want[i], list[i]) {
				return false
			}
		}
		return len(list) == len(want)
	case map[string]any:
		object := got.(map[string]any)
		for k := range want {
			if v, ok := object[k]; !ok || !same(want[k], v) {
				return false
			}
		}
		return len(object) == len(want)
	}
	return false
}

func TestWhatHasNoFormIsAnErrorThatNamesTheField(t *testing.T) {
	for want, v := range map[string]any{
		"data: a: b: [1]: a chan int has no form": map[string]any{"b": []any{nil, make(chan int)}},
		"data: a: NaN":  math.NaN(),
		"data: a: -Inf": math.Inf(-1),
	} {
		d := delivery(cdc.Inserted)
		d.Record = cdc.Record{"a": v}
		for _, form := range []envelope.Form{envelope.Message, envelope.Bare, envelope.CloudEvent} {
			if _, err := form.Append(nil, d, ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("form %d gives error %v, want %q", form, err, want)
			}
		}
	}
	for _, form := range []envelope.Form{envelope.Message, envelope.CloudEvent} {
		if _, err := form.Append(nil, delivery(cdc.Inserted|cdc.Updated), ""); err == nil {
			t.Errorf("form %d gives no error for two operations", form)
		}
	}
}

func TestInvalidTextIsStillJSON(t *testing.T) {
	d := delivery(cdc.Inserted)
	d.RecordID, d.Record = "u\xff", cdc.Record{}
	b, err := envelope.Message.Append(nil, d, "\x00")
	if err != nil || !json.Valid(b) || !strings.Contains(string(b), "u\uFFFD") {
		t.Errorf("%s, %v", b, err)
	}
}

func BenchmarkMarshal(b *testing.B) {
	d := delivery(cdc.Inserted)
	d.Record = everyValue()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Message.Append(nil, d, "shop"); err != nil {
			b.Fatal(err)
		}
	}
}
