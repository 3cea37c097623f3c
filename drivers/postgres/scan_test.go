package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestScan(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url, SnakeCase: true})
	if rows, err := d.Scan(t.Context(), "lines", []string{"order"}, nil, 10); err != nil || rows != nil {
		t.Errorf("no table: %v, %v", rows, err)
	}
	price, err := cdc.ParseDecimal("19.90")
	if err != nil {
		t.Fatal(err)
	}
	var want []cdc.Record
	for i := range 25 {
		r := cdc.Record{
			"lineNo": int64(i % 5), "order": fmt.Sprintf("o%d", i/5), "price": price, "at": time.UnixMicro(int64(i) * 1e12).UTC(), "tags": []any{"a", int64(1<<53 + 1)},
			"on": i%2 == 0, "ratio": float64(i) / 3, "raw": []byte{byte(i)}, "note": nil,
		}
		mustApply(t, d, put(uint64(i+1), "lines", r.Pick("order", "lineNo"), r))
		delete(r, "note")
		want = append(want, r)
	}
	var got []cdc.Record
	for after := cdc.Record(nil); ; after = got[len(got)-1].Pick("order", "lineNo") {
		rows, err := d.Scan(t.Context(), "lines", []string{"order", "lineNo"}, after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		got = append(got, rows...)
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows of %d", len(got), len(want))
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Errorf("row %d is %v, want %v", i, got[i], want[i])
		}
	}
	if _, err := d.Scan(t.Context(), "lines", []string{"nothing"}, nil, 7); err == nil {
		t.Error("a key that the table does not have is no error")
	}
}
