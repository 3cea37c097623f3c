package postgres_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// TestNeverDestroysData: whatever a table looks like, whatever schema comes and
// whatever is chosen, short of DropRows, rows that no change is about stay as they are.
func TestNeverDestroysData(t *testing.T) {
	url := testbed.Postgres(t)
	conn := connect(t, url)
	types := map[string]string{ // and a value of each
		"text": `'x'`, "bigint": "7", "boolean": "true", "jsonb": `'{"a": 1}'`, "timestamptz": `'2026-01-01'`, "numeric(8,3)": "1.125",
		"varchar(5)": `'abc'`, "double precision": "0.1", "bytea": `'\x00'`, "text[]": `'{a}'`, "uuid": `'0198a2b3-c4d5-7e6f-8a9b-0c1d2e3f4a5b'`,
	}
	names := []string{"a", "b", "c", "d", "_version", "from"}
	tables := 0
	rapid.Check(t, func(rt *rapid.T) {
		tables++
		name := fmt.Sprintf("t%d", tables)
		quoted := pgx.Identifier{name}.Sanitize()
		define, insert := "id text", "'old'"
		if rapid.Bool().Draw(rt, "keyed") {
			define += " PRIMARY KEY"
		}
		for _, column := range names {
			if typ := rapid.SampledFrom(append(slices.Sorted(maps.Keys(types)), "")).Draw(rt, column); typ != "" {
				define += fmt.Sprintf(", %q %s", column, typ)
				insert += ", " + types[typ]
			}
		}
		for _, s := range []string{"CREATE TABLE " + quoted + " (" + define + ")", "INSERT INTO " + quoted + " VALUES (" + insert + ")"} {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatal(s, err)
			}
		}
		before := oldRow(t, conn, quoted)

		d := open(t, postgres.Options{ConnectionString: url, SnakeCase: rapid.Bool().Draw(rt, "snake"), SchemaSync: postgres.SchemaSync{
			Strategy:   rapid.SampledFrom([]postgres.Strategy{postgres.Alter, postgres.DropCreate, postgres.ValidateOnly}).Draw(rt, "strategy"),
			OnMismatch: rapid.SampledFrom([]postgres.OnMismatch{postgres.Error, postgres.Warn, postgres.Ignore}).Draw(rt, "on mismatch"),
		}, Tables: map[string]postgres.Table{name: {Mode: rapid.SampledFrom([]postgres.Mode{postgres.Upsert, postgres.Upsert, postgres.Append}).Draw(rt, "mode")}}})
		defer d.Close()
		for version := range rapid.IntRange(1, 3).Draw(rt, "schemas") {
			schema := cdc.Schema{Resource: name, Version: version + 1, Key: []string{"id"}, Open: rapid.Bool().Draw(rt, "open")}
			for _, field := range append(names, "Other") {
				if rapid.Bool().Draw(rt, "has "+field) && field != "_version" {
					schema.Fields = append(schema.Fields, cdc.Field{Name: field, Type: cdc.Type(rapid.IntRange(0, int(cdc.TypeObject)).Draw(rt, "type")), Required: rapid.Bool().Draw(rt, "required")})
				}
			}
			_ = d.SyncSchema(t.Context(), name, schema) // may say no
			record := cdc.Record{}
			for _, field := range append(names, "Other", "more") {
				if rapid.Bool().Draw(rt, "sends "+field) {
					record[field] = rapid.SampledFrom([]any{nil, "text", int64(5), true, 0.5, []any{"x"}, map[string]any{}, time.Unix(0, 0).UTC(), []byte{1}}).Draw(rt, "value")
				}
			}
			_ = d.Apply(t.Context(), []cdc.Delivery{put(uint64(10+version), name, id("new"), record), drop(uint64(20+version), name, id("gone"), record)})
			after := oldRow(t, conn, quoted)
			for column, was := range before {
				if is, ok := after[column]; !ok || string(is) != string(was) {
					rt.Fatalf("column %q was %s and is %s", column, was, is)
				}
			}
		}
	})
}

// oldRow reads the row that was there from the beginning.
func oldRow(t *testing.T, conn *pgx.Conn, table string) map[string]json.RawMessage {
	t.Helper()
	var text []byte
	if err := conn.QueryRow(t.Context(), "SELECT row_to_json(t) FROM "+table+" t WHERE id = 'old'", pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	var row map[string]json.RawMessage
	if err := json.Unmarshal(text, &row); err != nil {
		t.Fatal(err)
	}
	return row
}

// TestNamesAndValues sends whatever names and values there may be, and reads them back.
func TestNamesAndValues(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"select", "order", "from", "user", "NULL", "Größe", "世界", "a b", "a\"b", `"`, `\`, "'", "a;--", "$1", "%s", "u.c1", "t", "u", "c1",
			"excluded", "ctid_", "\n", strings.Repeat("x", 63), strings.Repeat("é", 31), `x"); DROP TABLE people; --`, `1`, "🚀"}),
		rapid.StringN(1, 15, 63).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }),
	).Filter(func(s string) bool {
		return s != "id" && !strings.HasPrefix(s, "_") && !strings.Contains("tableoid cmax xmax cmin xmin ctid", s)
	})
	value := rapid.OneOf(
		rapid.StringN(0, 40, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }).AsAny(),
		rapid.SampledFrom([]any{`'`, `'; DROP TABLE x; --`, `\`, `{`, `{}`, `NULL`, "\u2028", "\\x00"}),
		rapid.Int64().AsAny(), rapid.Bool().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) && f != 0 }).AsAny(),
		rapid.Map(rapid.Int64Range(-62135596800, 253402300799), func(s int64) any { return time.Unix(s, 123456000).UTC() }),
		rapid.SliceOfN(rapid.Byte(), 0, 20).AsAny(),
	)
	version := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		table := name.Draw(rt, "table")
		target := pgx.Identifier{fmt.Sprint("s", version), table}.Sanitize()
		// A field keeps its type.
		record := rapid.MapOfN(name, value, 1, 6).Draw(rt, "record")
		key := rapid.StringN(0, 40, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }).Draw(rt, "id")
		version++
		mustApply(t, d, put(version, target, id(key), record))
		rows := readName(t, url, target)
		want := cdc.Record(record).Clone()
		want["id"] = key
		if len(rows) != 1 || !rows[0].Equal(want) {
			rt.Fatalf("%s: wrote %q, read %q", target, want, rows)
		}
		version++
		mustApply(t, d, drop(version, target, id(key), nil))
		if rows := readName(t, url, target); len(rows) != 0 {
			rt.Fatalf("%s: deleted, and there is %q", target, rows)
		}
		exec(t, url, "DROP TABLE "+target)
	})
}
