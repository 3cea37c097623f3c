package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// people is a closed schema, of which a record's fields are known.
func people(fields ...cdc.Field) cdc.Schema {
	return cdc.Schema{Resource: "people", Version: 1, Key: []string{"id"}, Fields: append([]cdc.Field{
		{Name: "name", Type: cdc.TypeString, Required: true}, {Name: "age", Type: cdc.TypeInt},
	}, fields...)}
}

// TestSync goes through every strategy and way to take a mismatch, on tables that are
// not there, empty, and filled.
func TestSync(t *testing.T) {
	const (
		fits    = `CREATE TABLE people (id text PRIMARY KEY, name text, age bigint, more text)`
		lacks   = `CREATE TABLE people (id text PRIMARY KEY, name text)`
		differs = `CREATE TABLE people (id text PRIMARY KEY, name boolean, age bigint)`
		keyless = `CREATE TABLE people (id text, name text, age bigint)`
		numbers = `CREATE TABLE people (id text PRIMARY KEY, name integer, age bigint)`
		demands = `CREATE TABLE people (id text PRIMARY KEY, name text, age bigint, shoe int NOT NULL)`
	)
	url := testbed.Postgres(t)
	type outcome string
	const (
		stays   outcome = "stays"   // the table is as it was
		grows   outcome = "grows"   // it got columns
		remade  outcome = "remade"  // and lost what was in it
		refused outcome = "refused" // and is as it was
	)
	alter, dropCreate, dropRows, validate := postgres.SchemaSync{}, postgres.SchemaSync{Strategy: postgres.DropCreate},
		postgres.SchemaSync{Strategy: postgres.DropCreate, DropRows: true}, postgres.SchemaSync{Strategy: postgres.ValidateOnly}
	for _, test := range []struct {
		name   string
		table  string
		filled bool
		sync   postgres.SchemaSync
		want   outcome // under Error; under Warn and Ignore, what is refused stays
	}{
		{"alter, none", "", false, alter, grows},
		{"alter, fits", fits, true, alter, stays},
		{"alter, lacks", lacks, true, alter, grows},
		{"alter, differs", differs, false, alter, refused},
		{"alter, numbers for text", numbers, false, alter, refused},
		{"alter, keyless", keyless, true, alter, refused},
		{"alter, demands", demands, false, alter, refused},
		{"drop-create, none", "", false, dropCreate, grows},
		{"drop-create, fits", fits, true, dropCreate, stays},
		{"drop-create, lacks", lacks, true, dropCreate, grows},
		{"drop-create, differs, empty", differs, false, dropCreate, remade},
		{"drop-create, differs, filled", differs, true, dropCreate, refused},
		{"drop-create, differs, filled, asked twice", differs, true, dropRows, remade},
		{"drop-create, keyless, filled, asked twice", keyless, true, dropRows, remade},
		{"drop-create, fits, filled, asked twice", fits, true, dropRows, stays},
		{"validate, none", "", false, validate, refused},
		{"validate, fits", fits, true, validate, stays},
		{"validate, lacks", lacks, true, validate, refused},
		{"validate, differs", differs, false, validate, refused},
		{"validate, demands", demands, false, validate, refused},
	} {
		for _, on := range []postgres.OnMismatch{postgres.Error, postgres.Warn, postgres.Ignore} {
			t.Run(fmt.Sprintf("%s/%d", test.name, on), func(t *testing.T) {
				exec(t, url, `DROP TABLE IF EXISTS people`)
				if test.table != "" {
					exec(t, url, test.table)
				}
				if test.filled {
					exec(t, url, `INSERT INTO people (id) VALUES ('old')`)
				}
				var log bytes.Buffer
				test.sync.OnMismatch = on
				d := open(t, postgres.Options{ConnectionString: url, SchemaSync: test.sync, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				before := shapeOf(t, url)
				plan, planErr := d.Plan(t.Context(), "people", people())
				err := d.SyncSchema(t.Context(), "people", people())
				refuses := test.want == refused && on == postgres.Error
				if (err != nil) != refuses || refuses && cdc.FaultOf(err) != cdc.RecordFault {
					t.Fatalf("SyncSchema: %s %v", cdc.FaultOf(err), err)
				}
				if (planErr != nil) != (test.want == refused) {
					t.Errorf("the plan says %v", planErr)
				}
				changed := test.want == grows || test.want == remade
				if (len(plan) > 0) != changed || (shapeOf(t, url) != before) != changed {
					t.Errorf("the plan is %q; the table was\n%s\nand is\n%s", plan, before, shapeOf(t, url))
				}
				if kept := len(read(t, url, "people")) == 1; test.filled && kept != (test.want != remade) {
					t.Errorf("the row is kept: %v", kept)
				}
				if warned := strings.Contains(log.String(), "does not fit"); warned != (test.want == refused && on == postgres.Warn) {
					t.Errorf("the log says %s", log.String())
				}
				if again := d.SyncSchema(t.Context(), "people", people()); (again != nil) != refuses {
					t.Errorf("once more: %v", again)
				}
			})
		}
	}
}

// shapeOf describes the table people.
func shapeOf(t *testing.T, url string) string {
	t.Helper()
	conn := connect(t, url)
	var text string
	err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' required' ELSE '' END, E'\n' ORDER BY attnum), '')
		FROM pg_attribute WHERE attrelid = to_regclass('people') AND attnum > 0 AND NOT attisdropped`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPlanIsReadable(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url, SnakeCase: true})
	schema := people(cdc.Field{Name: "lastSeen", Type: cdc.TypeTime}, cdc.Field{Name: "tags", Type: cdc.TypeArray})
	plan, err := d.Plan(t.Context(), `crm.people`, schema)
	want := []string{
		`CREATE SCHEMA IF NOT EXISTS "crm"`,
		"CREATE TABLE \"crm\".\"people\" (\n\t\"id\" text,\n\t\"name\" text,\n\t\"age\" bigint,\n\t\"last_seen\" timestamp with time zone,\n\t\"tags\" jsonb,\n\t\"_version\" bigint,\n\tPRIMARY KEY (\"id\")\n)",
	}
	if diff := cmp.Diff(want, plan); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := d.SyncSchema(t.Context(), "crm.people", schema); err != nil {
		t.Fatal(err)
	}
	schema.Fields = append(schema.Fields, cdc.Field{Name: `a"b`, Type: cdc.TypeDecimal})
	if plan, err = d.Plan(t.Context(), "crm.people", schema); err != nil || len(plan) != 1 || plan[0] != `ALTER TABLE "crm"."people" ADD COLUMN "a""b" numeric` {
		t.Errorf("%q, %v", plan, err)
	}
	mustApply(t, d, put(1, "crm.people", id("a"), cdc.Record{"lastSeen": nil, "newField": "x"}))
	holds(t, url, "crm.people", "id", cdc.Record{"id": "a", "new_field": "x"})
	errs := apply(t, d, put(2, "crm.people", id("b"), cdc.Record{"newField": "x", "new_field": "y"}))
	if cdc.FaultOf(errs[0]) != cdc.RecordFault {
		t.Errorf("two fields that become one column: %v", errs[0])
	}
}

// TestARoleThatMayNot gets the statements to run, and waits for them where everything
// was right before.
func TestARoleThatMayNot(t *testing.T) {
	s := testbed.NewPostgresServer(t)
	root := s.URL("postgres", "", "postgres")
	exec(t, root, `CREATE ROLE app LOGIN PASSWORD 'p'`, `CREATE TABLE people (id text PRIMARY KEY, name text, age bigint)`, `GRANT ALL ON people TO app`)
	d := open(t, postgres.Options{ConnectionString: s.URL("app", "p", "postgres")})
	err := d.SyncSchema(t.Context(), "orders", people())
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), `CREATE TABLE "orders"`) {
		t.Errorf("a table that it may not create: %s %v", cdc.FaultOf(err), err)
	}
	if err := d.SyncSchema(t.Context(), "people", people()); err != nil {
		t.Fatal(err)
	}
	grown := people(cdc.Field{Name: "mail", Type: cdc.TypeString})
	err = d.SyncSchema(t.Context(), "people", grown)
	if cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), `ADD COLUMN "mail" text`) {
		t.Errorf("a column that it may not add: %s %v", cdc.FaultOf(err), err)
	}
	errs := apply(t, d, put(1, "people", id("a"), cdc.Record{"mail": "x"}), put(2, "people", id("b"), cdc.Record{"name": "Bob"}))
	if errs[1] != nil || cdc.FaultOf(errs[0]) != cdc.DestinationFault {
		t.Errorf("a record that needs it, and one that does not: %v", errs)
	}
	exec(t, root, `ALTER TABLE people ADD COLUMN mail text`)
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"mail": "x"}))
	holds(t, root, "people", "id", cdc.Record{"id": "a", "mail": "x"}, cdc.Record{"id": "b", "name": "Bob"})
}

// TestUnknownColumns: a field that the table lacks under ValidateOnly fails its record
// until the column is there, or is left out where the user said so.
func TestUnknownColumns(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text PRIMARY KEY, name text)`)
	strict := open(t, postgres.Options{ConnectionString: url, SchemaSync: postgres.SchemaSync{Strategy: postgres.ValidateOnly}})
	loose := open(t, postgres.Options{ConnectionString: url, SchemaSync: postgres.SchemaSync{Strategy: postgres.ValidateOnly, OnMismatch: postgres.Ignore}})
	batch := []cdc.Delivery{put(1, "people", id("a"), cdc.Record{"name": "Ann", "age": int64(1)}), put(2, "people", id("b"), cdc.Record{"name": "Bob"})}
	errs := apply(t, strict, batch...)
	if errs[1] != nil || cdc.FaultOf(errs[0]) != cdc.DestinationFault || !strings.Contains(errs[0].Error(), `"age"`) {
		t.Errorf("strict: %v", errs)
	}
	mustApply(t, loose, batch...)
	holds(t, url, "people", "id", cdc.Record{"id": "a", "name": "Ann"}, cdc.Record{"id": "b", "name": "Bob"})
	exec(t, url, `ALTER TABLE people ADD COLUMN age bigint`)
	mustApply(t, strict, batch...)
	holds(t, url, "people", "id", cdc.Record{"id": "a", "name": "Ann", "age": int64(1)}, cdc.Record{"id": "b", "name": "Bob"})
}

// TestTheTablesOwnKey: records are found by the primary key of a table that was there,
// by id where they lack its columns.
func TestTheTablesOwnKey(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE orders (order_id text PRIMARY KEY, total numeric)`)
	d := open(t, postgres.Options{ConnectionString: url})
	if err := d.SyncSchema(t.Context(), "orders", cdc.Schema{Resource: "orders", Key: []string{"id"}, Open: true}); err != nil {
		t.Fatal(err)
	}
	if key := d.Limits("orders").Key; len(key) != 1 || key[0] != "order_id" {
		t.Errorf("the key is %v", key)
	}
	errs := apply(t, d, put(1, "orders", cdc.Record{"order_id": "o1"}, cdc.Record{"total": int64(5)}), put(2, "orders", id("o2"), cdc.Record{"total": int64(6)}))
	if errs[0] != nil || cdc.FaultOf(errs[1]) != cdc.RecordFault || !strings.Contains(fmt.Sprint(errs[1]), `key column "id"`) {
		t.Errorf("%v", errs)
	}

	// What was routed before the key was known has another.
	early := put(3, "orders", id("x"), cdc.Record{"total": int64(7)})
	early.Record, early.Before = cdc.Record{"order_id": "o3", "total": int64(7)}, cdc.Record{"order_id": "o1", "total": int64(5)}
	gone := drop(4, "orders", id("y"), cdc.Record{"order_id": "o4"})
	mustApply(t, d, put(2, "orders", cdc.Record{"order_id": "o4"}, cdc.Record{}), early)
	mustApply(t, d, gone)
	seven, err := cdc.ParseDecimal("7")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, url, "orders", "order_id", cdc.Record{"order_id": "o3", "total": seven})
}

// TestColumnsAsTheSchemaSays: columns that come with a record have the types that an open
// schema tells, where the values fit them, and else those of the values.
func TestColumnsAsTheSchemaSays(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	at := time.Date(2026, 2, 28, 12, 0, 0, 123456000, time.UTC)
	schema := cdc.Schema{Resource: "kinds", Key: []string{"id"}, Open: true}
	record := cdc.Record{}
	var want []string
	for _, test := range []struct {
		name  string
		typ   cdc.Type
		value any
		want  string
	}{
		{"a_time", cdc.TypeTime, at, "timestamp with time zone"}, {"b_time", cdc.TypeTime, "2026-02-28T12:00:00.123456789Z", "text"},
		{"c_date", cdc.TypeDate, "2026-02-28", "date"}, {"d_date", cdc.TypeDate, at, "timestamp with time zone"},
		{"e_decimal", cdc.TypeDecimal, 1.5, "numeric"}, {"f_float", cdc.TypeFloat, int64(1), "double precision"},
		{"g_int", cdc.TypeInt, 1.5, "double precision"}, {"h_bool", cdc.TypeBool, true, "boolean"}, {"i_bytes", cdc.TypeBytes, []byte{1}, "bytea"},
		{"j_text", cdc.TypeString, int64(1), "text"}, {"k_any", cdc.TypeAny, []any{int64(1)}, "jsonb"},
	} {
		schema.Fields = append(schema.Fields, cdc.Field{Name: test.name, Type: test.typ})
		record[test.name] = test.value
		want = append(want, test.name+" "+test.want)
	}
	if err := d.SyncSchema(t.Context(), "kinds", schema); err != nil {
		t.Fatal(err)
	}
	if errs := apply(t, d, put(1, "kinds", id("x"), record)); errs[0] != nil {
		t.Fatal(errs[0])
	}
	rows, err := connect(t, url).Query(t.Context(), `SELECT column_name || ' ' || data_type FROM information_schema.columns
		WHERE table_name = 'kinds' AND column_name LIKE '__%' AND column_name NOT IN ('id', '_version') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
}

// TestTableChangesUnderTheDriver: dropped, created anew, columns that went or changed.
func TestTableChangesUnderTheDriver(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	one := put(1, "people", id("a"), cdc.Record{"name": "Ann", "age": int64(1)})
	for n, change := range []string{
		`SELECT 1`, `DROP TABLE people`, `ALTER TABLE people DROP COLUMN age`, `ALTER TABLE people ALTER COLUMN age TYPE text`,
		`ALTER TABLE people DROP CONSTRAINT people_pkey, ADD UNIQUE (id)`, `ALTER TABLE people ADD PRIMARY KEY (id)`, `ALTER TABLE people ALTER COLUMN id TYPE varchar(30)`,
	} {
		if n == 0 {
			mustApply(t, d, one)
		}
		exec(t, url, change)
		mustApply(t, d, one)
		if rows := read(t, url, "people"); len(rows) != 1 || rows[0]["name"] != "Ann" || fmt.Sprint(rows[0]["age"]) != "1" {
			t.Errorf("after %s: %v", change, rows)
		}
	}
}

// TestATableWithoutAKey takes nothing, whether a schema or the first record finds it, and
// everything as soon as it has one. Where the user said so, it is written all the same.
func TestATableWithoutAKey(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text, name text)`)
	before := shapeOf(t, url)
	batch := []cdc.Delivery{put(1, "people", id("a"), cdc.Record{"name": "Ann"}), put(2, "people", id("b"), cdc.Record{"name": "Bob", "age": int64(1)})}
	described := open(t, postgres.Options{ConnectionString: url})
	if err := described.SyncSchema(t.Context(), "people", people()); cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), `no unique constraint on "id"`) {
		t.Errorf("with a schema: %s %v", cdc.FaultOf(err), err)
	}
	d := open(t, postgres.Options{ConnectionString: url})
	for _, some := range [][]cdc.Delivery{batch, batch[:1], batch[:1]} { // the last when the table is known
		for i, err := range apply(t, d, some...) {
			if cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(fmt.Sprint(err), `no unique constraint on "id"`) {
				t.Errorf("record %d: %s %v", i, cdc.FaultOf(err), err)
			}
		}
	}
	if shapeOf(t, url) != before || len(read(t, url, "people")) != 0 {
		t.Errorf("the table is\n%s\nwith %v", shapeOf(t, url), read(t, url, "people"))
	}
	var log bytes.Buffer
	warned := open(t, postgres.Options{ConnectionString: url, SchemaSync: postgres.SchemaSync{OnMismatch: postgres.Warn}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustApply(t, warned, batch[0])
	if !strings.Contains(log.String(), "no unique constraint") {
		t.Errorf("the log says %s", log.String())
	}
	exec(t, url, `ALTER TABLE people ADD PRIMARY KEY (id)`)
	mustApply(t, d, batch...)
	holds(t, url, "people", "id", cdc.Record{"id": "a", "name": "Ann"}, cdc.Record{"id": "b", "name": "Bob", "age": int64(1)})

	// A key that is lost is missed at the next write.
	exec(t, url, `ALTER TABLE people DROP CONSTRAINT people_pkey`)
	if err := apply(t, d, put(3, "people", id("c"), cdc.Record{"name": "Cid"}), put(4, "people", id("a"), cdc.Record{"name": "Anna"}))[1]; cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("when the key is gone: %v", err)
	}
	exec(t, url, `ALTER TABLE people ADD PRIMARY KEY (id)`)
	mustApply(t, d, put(4, "people", id("a"), cdc.Record{"name": "Anna"}))
}

// TestAKeyOfNumbers takes ids that are numbers, and is refused where the schema says that
// they are text.
func TestAKeyOfNumbers(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id bigint PRIMARY KEY, name text)`)
	d := open(t, postgres.Options{ConnectionString: url})
	if err := d.SyncSchema(t.Context(), "people", people()); err != nil {
		t.Fatal(err)
	}
	mustApply(t, d, put(1, "people", id("12"), cdc.Record{"name": "Ann", "shoe": int64(40)}))
	told := open(t, postgres.Options{ConnectionString: url}) // of nothing
	mustApply(t, told, put(2, "people", id("13"), cdc.Record{"name": "Bob", "hat": int64(60)}))
	if rows := read(t, url, "people"); len(rows) != 2 || fmt.Sprint(rows[0]["id"], rows[0]["shoe"], rows[1]["id"], rows[1]["hat"]) != "12 40 13 60" {
		t.Errorf("it holds %v", rows)
	}
	err := d.SyncSchema(t.Context(), "people", people(cdc.Field{Name: "id", Type: cdc.TypeString}))
	if err == nil || !strings.Contains(err.Error(), `"id" is bigint, which takes no text`) {
		t.Errorf("ids that are text: %v", err)
	}
}

// TestATableThatIsClosed to the role is told with the grant that is missing.
func TestATableThatIsClosed(t *testing.T) {
	s := testbed.NewPostgresServer(t)
	root := s.URL("postgres", "", "postgres")
	exec(t, root, `CREATE ROLE app LOGIN PASSWORD 'p'`, `CREATE TABLE people (id text PRIMARY KEY, name text, age bigint)`, `GRANT SELECT ON people TO app`)
	d := open(t, postgres.Options{ConnectionString: s.URL("app", "p", "postgres"), SchemaSync: postgres.SchemaSync{OnMismatch: postgres.Ignore}})
	const grant = `GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."people" TO "app"`
	if err := d.SyncSchema(t.Context(), "people", people()); cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), grant) {
		t.Errorf("with a schema: %s %v", cdc.FaultOf(err), err)
	}
	if err := apply(t, d, put(1, "people", id("a"), cdc.Record{}))[0]; cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "GRANT SELECT, INSERT") {
		t.Errorf("with a record: %s %v", cdc.FaultOf(err), err)
	}
	exec(t, root, grant)
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{}))
	err := d.SyncSchema(t.Context(), "orders", cdc.Schema{Resource: "orders", Key: []string{"id"}, Open: true})
	if err == nil || !strings.Contains(err.Error(), "CREATE TABLE") || !strings.Contains(err.Error(), "Route.Schema") {
		t.Errorf("a table of which only the key is known: %v", err)
	}
}

// TestManyMakeTheSameTable at the same time, as several processes do.
func TestManyMakeTheSameTable(t *testing.T) {
	url := testbed.Postgres(t)
	var wg sync.WaitGroup
	for i := range 6 {
		d := open(t, postgres.Options{ConnectionString: url})
		wg.Go(func() {
			for j := range 5 {
				key := fmt.Sprintf("%d-%d", i, j)
				if err := d.Apply(t.Context(), []cdc.Delivery{put(1, "shared.people", id(key), cdc.Record{fmt.Sprint("field", j): key})}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(read(t, url, "shared.people")); n != 30 {
		t.Errorf("%d rows", n)
	}
}

// TestNarrowerColumnsStay: a column that takes fewer values than one that would be made is
// no reason to refuse a new field, with a schema or without. A value that it does not take
// is that record's failure.
func TestNarrowerColumnsStay(t *testing.T) {
	url := testbed.Postgres(t)
	closed := cdc.Schema{Resource: "tickets", Version: 1, Key: []string{"id"}, Fields: []cdc.Field{
		{Name: "n", Type: cdc.TypeInt}, {Name: "seq", Type: cdc.TypeInt}, {Name: "code", Type: cdc.TypeString}, {Name: "price", Type: cdc.TypeDecimal},
		{Name: "ratio", Type: cdc.TypeFloat}, {Name: "day", Type: cdc.TypeTime}, {Name: "open", Type: cdc.TypeBool},
	}}
	for name, shape := range map[string]cdc.Schema{"described": closed, "open": {Resource: "tickets", Open: true, Key: []string{"id"}}, "not told": {}} {
		t.Run(name, func(t *testing.T) {
			exec(t, url, `DROP TABLE IF EXISTS tickets`, `CREATE TABLE tickets (id varchar(8) PRIMARY KEY, n int2, seq int4, code varchar(3), price numeric(5,2), ratio real, day date)`)
			d := open(t, postgres.Options{ConnectionString: url})
			if shape.Resource != "" {
				if err := d.SyncSchema(t.Context(), "tickets", shape); err != nil {
					t.Fatal(err)
				}
			}
			full := func(id string) cdc.Record {
				return cdc.Record{"id": id, "n": int64(1), "seq": int64(2), "code": "abc", "price": int64(1), "ratio": 0.5, "open": true}
			}
			mustApply(t, d, put(1, "tickets", id("a"), full("a")))
			for i, bad := range []cdc.Record{{"n": int64(1 << 15)}, {"seq": int64(1 << 31)}, {"code": "abcd"}, {"price": int64(12345)}} {
				record := full("b")
				for field, v := range bad {
					record[field] = v
					record["more"+field] = true // a column more, and what is there is looked at again
					err := apply(t, d, put(uint64(i+2), "tickets", id("b"), record))[0]
					if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), field) {
						t.Errorf("%v gives a %v error: %v", bad, cdc.FaultOf(err), err)
					}
				}
			}
			if rows := read(t, url, "tickets"); len(rows) != 1 || rows[0]["open"] != true {
				t.Errorf("the table holds %v", rows)
			}
		})
	}
}

// TestAKeyThatTheTableDoesNotKnow names the column that is the matter, and nothing that
// would not cure it.
func TestAKeyThatTheTableDoesNotKnow(t *testing.T) {
	url := testbed.Postgres(t)
	for _, test := range []struct{ name, table, says string }{
		{"another key", `CREATE TABLE tickets (tid text PRIMARY KEY, n int4)`, `key column "id" does not exist in the table; its key is ("tid")`},
		{"another key and a column", `CREATE TABLE tickets (tid text PRIMARY KEY, n int4, id text)`, `no unique constraint on "id", by which a row would be found; its key is ("tid")`},
		{"a key of numbers", `CREATE TABLE tickets (id int4 PRIMARY KEY, n int4)`, `column "id"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			exec(t, url, `DROP TABLE IF EXISTS tickets`, test.table)
			d := open(t, postgres.Options{ConnectionString: url})
			err := d.SyncSchema(t.Context(), "tickets", cdc.Schema{Resource: "tickets", Open: true, Key: []string{"id"}})
			if err == nil {
				err = apply(t, d, put(1, "tickets", id("a"), cdc.Record{"id": "a", "n": int64(1), "open": true}))[0]
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "ADD COLUMN") {
				t.Errorf("says %v", err)
			}
		})
	}
}
