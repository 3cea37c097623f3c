package postgres

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/statements.golden anew")

// TestStatements compares every statement with what it is meant to be.
func TestStatements(t *testing.T) {
	of := func(name, base string, c column) column {
		c.name, c.kind, c.scale = name, kindOf(base), -1
		return c
	}
	guarded := &table{
		name: tableName{"public", "orders"}.String(), guarded: true,
		columns: []column{
			of("id", "text", column{}), of("total", "numeric", column{cast: "numeric"}), of(`sel"ect`, "jsonb", column{}), of("_version", "int8", column{}),
		},
		unique: [][]string{{"id"}}, index: map[string]int{"_version": 3},
	}
	lines := &table{
		name: tableName{table: "lines"}.String(),
		columns: []column{
			of("order", "uuid", column{}), of("line", "int4", column{}), of("at", "timestamptz", column{}), of("tags", "_text", column{cast: "text[]"}), of("state", "mood", column{cast: "mood", required: true}),
		},
		unique: [][]string{{"line", "order"}},
	}
	audit := &table{
		name: tableName{table: "audit"}.String(),
		columns: []column{
			of("_change_id", "uuid", column{}), of("_version", "int8", column{}), of("id", "text", column{}),
		},
		unique: [][]string{{"_change_id"}}, guarded: true,
	}
	open := *audit
	open.unique = nil
	var out strings.Builder
	show := func(title, sql string) { fmt.Fprintf(&out, "-- %s\n%s\n\n", title, sql) }
	whole := shape{guarded, []int{0}, []int{1, 2}}
	show("upsert", whole.upsert())
	show("upsert of nothing but the key", shape{guarded, []int{0}, nil}.upsert())
	show("delete", shape{guarded, []int{0}, nil}.remove())
	all := shape{lines, []int{0, 1}, []int{2, 3, 4}}
	show("upsert by two columns, without versions", all.upsert())
	show("delete by two columns, without versions", shape{lines, []int{0, 1}, nil}.remove())
	show("upsert of nothing but the key, without versions", shape{lines, []int{0, 1}, nil}.upsert())
	part := shape{lines, []int{0, 1}, []int{2, 3}}
	if !part.blind() || all.blind() {
		t.Error("rows that lack a required column are not told from those that don't")
	}
	show("first half of an upsert without a required column", part.update())
	show("second half", part.insertMissing())
	show("guarded, by columns without a constraint", shape{guarded, []int{1}, []int{0}}.update())
	show("append", shape{audit, nil, []int{0, 1, 2}}.appended())
	show("append, where nothing tells what is there already", shape{&open, nil, []int{0, 1, 2}}.appended())
	show("the end of every transaction", fence)

	const golden = "testdata/statements.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != out.String() {
		t.Errorf("%v; the statements are now:\n%s", err, out.String())
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"orders": `"orders"`, "analytics.orders": `"analytics"."orders"`, `"a.b".c`: `"a.b"."c"`, `"a""b"`: `"a""b"`, "Select": `"Select"`,
		strings.Repeat("ä", 31): `"` + strings.Repeat("ä", 31) + `"`, `x"; DROP TABLE y; --`: `"x""; DROP TABLE y; --"`,
		"": "", ".": "", "a.": "", ".a": "", "a.b.c": "", `"a`: "", `"a"b`: "", `""`: "", "a\x00": "", strings.Repeat("ä", 32): "",
	} {
		got, err := parseName(in)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q is %s, %v; want %s", in, got, err, want)
		}
	}
}
