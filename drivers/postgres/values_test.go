package postgres_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestValuesThatColumnsCantHold(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE DOMAIN positive AS int CHECK (VALUE > 0)`, `CREATE TYPE mood AS ENUM ('happy', 'sad')`, `CREATE TABLE kinds (
		id text PRIMARY KEY, i2 smallint, i4 int, f4 real, f8 double precision, n numeric(6,2), v varchar(3), c char(2), u uuid, a inet, net cidr,
		d date, tod time, ts timestamp, tz timestamptz, tz3 timestamptz(3), tod0 time(0),
		b bytea, j json, jb jsonb, texts text[], ints int[], prices numeric(5,2)[], days timestamp(0)[], m mood, p positive, ok boolean)`)
	d := open(t, postgres.Options{ConnectionString: url})
	dec := func(s string) cdc.Decimal {
		v, err := cdc.ParseDecimal(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	at := time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)
	for n, test := range []struct {
		column string
		value  any
		want   any // nil if the record is refused
	}{
		{"i2", int64(-32768), int64(-32768)}, {"i2", int64(32768), nil}, {"i4", 2.0, int64(2)}, {"i4", 2.5, nil},
		{"i4", "17", int64(17)}, {"i4", "x", nil}, {"i4", true, nil}, {"i4", dec("3.0"), int64(3)},
		{"f4", 0.5, 0.5}, {"f4", 1e300, nil}, {"f4", 0.1, 0.1}, {"f4", int64(1 << 24), 0x1p24}, {"f4", 0.123456789, nil}, {"f4", 1e-60, nil},
		{"f8", int64(1<<53 + 1), nil}, {"f8", int64(math.MaxInt64), nil},
		{"f8", dec("19.90"), 19.9}, {"f8", dec("0.12345678901234567890123"), nil},
		{"n", 19.9, dec("19.9")}, {"n", dec("1234.50"), dec("1234.5")}, {"n", dec("1.005"), nil}, {"n", dec("123456"), nil}, {"n", "7.5", dec("7.5")},
		{"v", "äöü", "äöü"}, {"v", "four", nil}, {"v", int64(123), "123"}, {"c", "x", "x "}, {"c", "xyz", nil},
		{"u", "0198A2B3-c4d5-7e6f-8a9b-0c1d2e3f4a5b", "0198a2b3-c4d5-7e6f-8a9b-0c1d2e3f4a5b"}, {"u", "0198a2b3", nil}, {"u", int64(1), nil},
		{"a", "10.0.0.1", "10.0.0.1/32"}, {"a", "10.0.0.0/8", "10.0.0.0/8"}, {"a", "300.0.0.1", nil}, {"net", "10.0.0.1/8", nil},
		{"d", "2024-02-29", "2024-02-29"}, {"d", "2023-02-29", nil}, {"d", at, nil}, {"d", at.Truncate(24 * time.Hour), "2026-02-28"}, {"d", "0001-01-01", "0001-01-01"},
		{"tod", "23:59:59.5", "23:59:59.500000"}, {"tod", "25:00", nil}, {"tod", "23:59:59.1234567", nil}, {"tod0", "23:59:59.0", "23:59:59.000000"}, {"tod0", "23:59:59.5", nil},
		{"ts", at, at}, {"tz", at, at}, {"tz", "2026-02-28T23:59:59.123456+02:00", at.Add(-2 * time.Hour)}, {"tz", "yesterday", nil}, {"tz", int64(5), nil},
		{"tz", "2026-02-28T23:59:59.123456789Z", nil}, {"tz3", at, nil}, {"tz3", at.Truncate(time.Millisecond), at.Truncate(time.Millisecond)},
		{"b", []byte{0, 255}, []byte{0, 255}}, {"b", "text", nil},
		{"j", map[string]any{"a": dec("1.10")}, map[string]any{"a": dec("1.10")}}, {"jb", "text", "text"}, {"jb", []any{"a\x00b"}, nil}, {"jb", `\u0000`, `\u0000`},
		{"texts", []any{`a"b\`, "", nil, "NULL", "{}"}, []any{`a"b\`, "", nil, "NULL", "{}"}}, {"texts", "no list", nil},
		{"ints", []any{int64(1), nil}, []any{int64(1), nil}}, {"ints", []any{"x"}, nil},
		{"prices", []any{[]any{dec("1.005")}}, nil}, {"days", []any{at}, nil}, {"days", []any{at.Truncate(time.Second), nil}, []any{at.Truncate(time.Second), nil}},
		{"m", "happy", "happy"}, {"m", "angry", nil}, {"p", int64(3), int64(3)}, {"p", int64(-3), nil},
		{"ok", true, true}, {"ok", "true", nil}, {"ok", int64(1), nil},
	} {
		key := fmt.Sprint("k", n)
		errs := apply(t, d, put(uint64(2*n+1), "kinds", id(key), cdc.Record{test.column: test.value}), put(uint64(2*n+2), "kinds", id("other"), cdc.Record{test.column: nil}))
		if errs[1] != nil {
			t.Fatalf("%s %v: its neighbour failed: %v", test.column, test.value, errs[1])
		}
		if test.want == nil {
			if cdc.FaultOf(errs[0]) != cdc.RecordFault {
				t.Errorf("%s %v: %s %v, want a permanent failure", test.column, test.value, cdc.FaultOf(errs[0]), errs[0])
			}
			continue
		}
		if errs[0] != nil {
			t.Errorf("%s %v: %v", test.column, test.value, errs[0])
			continue
		}
		for _, r := range read(t, url, "kinds") {
			if r.String("id") == key && !cdc.Equal(r[test.column], test.want) {
				t.Errorf("%s %v is read back as %T %v, want %T %v", test.column, test.value, r[test.column], r[test.column], test.want, test.want)
			}
		}
	}
}
