package bigquery_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	bq "cloud.google.com/go/bigquery"
	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
)

// people is a closed schema, of which a record's fields are known.
func people(fields ...cdc.Field) cdc.Schema {
	return cdc.Schema{Resource: "people", Version: 1, Key: []string{"id"}, Fields: append([]cdc.Field{
		{Name: "name", Type: cdc.TypeString, Required: true}, {Name: "age", Type: cdc.TypeInt},
	}, fields...)}
}

// columns makes a schema of "name TYPE" texts; a type in capitals and "!" is required.
func columns(texts ...string) (out bq.Schema) {
	for _, text := range texts {
		name, typ, _ := strings.Cut(text, " ")
		typ, required := strings.CutSuffix(typ, "!")
		typ, list := strings.CutPrefix(typ, "[]")
		out = append(out, &bq.FieldSchema{Name: name, Type: bq.FieldType(typ), Required: required, Repeated: list})
	}
	return out
}

// TestSync goes through every strategy and way to take a mismatch, on tables that are
// not there, empty, and filled.
func TestSync(t *testing.T) {
	s := newServer(t)
	fits, lacks := columns("id STRING", "name STRING", "age INTEGER", "more STRING"), columns("id STRING", "NAME STRING")
	differs, demands := columns("id STRING", "name BOOLEAN", "age INTEGER"), columns("id STRING", "name STRING", "age INTEGER", "shoe INTEGER!")
	type outcome string
	const (
		stays   outcome = "stays"   // the table is as it was
		grows   outcome = "grows"   // it got columns
		remade  outcome = "remade"  // and lost what was in it
		refused outcome = "refused" // and is as it was
	)
	alter, dropCreate, dropRows, validate := bigquery.SchemaSync{}, bigquery.SchemaSync{Strategy: bigquery.DropCreate},
		bigquery.SchemaSync{Strategy: bigquery.DropCreate, DropRows: true}, bigquery.SchemaSync{Strategy: bigquery.ValidateOnly}
	tables := 0
	for _, test := range []struct {
		name   string
		table  bq.Schema
		key    string
		filled bool
		sync   bigquery.SchemaSync
		want   outcome // under Error; under Warn and Ignore, what is refused stays
	}{
		{"alter, none", nil, "", false, alter, grows},
		{"alter, fits", fits, "id", true, alter, stays},
		{"alter, lacks", lacks, "id", true, alter, grows},
		{"alter, differs", differs, "id", false, alter, refused},
		{"alter, keyless", fits, "", true, alter, refused},
		{"alter, another key", fits, "name", false, alter, refused},
		{"alter, demands", demands, "id", false, alter, refused},
		{"drop-create, none", nil, "", false, dropCreate, grows},
		{"drop-create, fits", fits, "id", true, dropCreate, stays},
		{"drop-create, lacks", lacks, "id", true, dropCreate, grows},
		{"drop-create, differs, empty", differs, "id", false, dropCreate, remade},
		{"drop-create, differs, filled", differs, "id", true, dropCreate, refused},
		{"drop-create, differs, filled, asked twice", differs, "id", true, dropRows, remade},
		{"drop-create, keyless, filled, asked twice", fits, "", true, dropRows, remade},
		{"drop-create, fits, filled, asked twice", fits, "id", true, dropRows, stays},
		{"validate, none", nil, "", false, validate, refused},
		{"validate, fits", fits, "id", true, validate, stays},
		{"validate, lacks", lacks, "id", true, validate, refused},
		{"validate, differs", differs, "id", false, validate, refused},
		{"validate, demands", demands, "id", false, validate, refused},
	} {
		for _, on := range []bigquery.OnMismatch{bigquery.Error, bigquery.Warn, bigquery.Ignore} {
			t.Run(fmt.Sprintf("%s/%d", test.name, on), func(t *testing.T) {
				tables++ // a name is not to be used again at once
				name := fmt.Sprint("people", tables)
				if test.table != nil {
					var key []string
					if test.key != "" {
						key = []string{test.key}
					}
					s.table(t, name, test.table, key...)
				}
				if test.filled {
					s.fill(t, name)
				}
				var log bytes.Buffer
				test.sync.OnMismatch = on
				o := s.options()
				o.SchemaSync, o.Logger = test.sync, slog.New(slog.NewTextHandler(&log, nil))
				d := open(t, o)
				before := s.shape(t, name)
				plan, planErr := d.Plan(t.Context(), name, people())
				err := d.SyncSchema(t.Context(), name, people())
				refuses := test.want == refused && on == bigquery.Error
				if (err != nil) != refuses || refuses && cdc.FaultOf(err) != cdc.RecordFault {
					t.Fatalf("SyncSchema: %s %v", cdc.FaultOf(err), err)
				}
				if (planErr != nil) != (test.want == refused) {
					t.Errorf("the plan says %v", planErr)
				}
				changed := test.want == grows || test.want == remade
				if (len(plan) > 0) != changed || (s.shape(t, name) != before) != changed {
					t.Errorf("the plan is %q; the table was\n%s\nand is\n%s", plan, before, s.shape(t, name))
				}
				if kept := len(s.read(t, name)) == 1; test.filled && kept != (test.want != remade) {
					t.Errorf("the row is kept: %v", kept)
				}
				if warned := strings.Contains(log.String(), "does not fit"); warned != (test.want == refused && on == bigquery.Warn) {
					t.Errorf("the log says %s", log.String())
				}
				if again := d.SyncSchema(t.Context(), name, people()); (again != nil) != refuses {
					t.Errorf("once more: %v", again)
				}
			})
		}
	}
}

// fill puts a row into a table, by a driver that takes it as it is and does not capture.
func (s *server) fill(t testing.TB, name string) {
	t.Helper()
	o := s.options()
	o.Mutability = bigquery.AppendOnly
	o.SchemaSync = bigquery.SchemaSync{Strategy: bigquery.ValidateOnly, OnMismatch: bigquery.Ignore}
	d := open(t, o)
	mustApply(t, d, put(1, name, id("old"), cdc.Record{}))
	if rows := s.read(t, name); len(rows) != 1 {
		t.Fatalf("%s holds %v", name, rows)
	}
}

// shape describes a table.
func (s *server) shape(t testing.TB, name string) string {
	t.Helper()
	md := s.metadata(t, name)
	if md == nil {
		return ""
	}
	var b strings.Builder
	for _, f := range md.Schema {
		fmt.Fprintln(&b, f.Name, f.Type, f.Required, f.Repeated)
	}
	if md.TableConstraints != nil && md.TableConstraints.PrimaryKey != nil {
		fmt.Fprintln(&b, "key", md.TableConstraints.PrimaryKey.Columns)
	}
	if md.TimePartitioning != nil {
		fmt.Fprintln(&b, "by", md.TimePartitioning.Type, md.TimePartitioning.Field)
	}
	if md.Clustering != nil {
		fmt.Fprintln(&b, "sorted", md.Clustering.Fields)
	}
	return b.String()
}

func TestPlanIsReadable(t *testing.T) {
	s := newServer(t)
	o := s.options()
	o.Location = "EU"
	o.Tables = map[string]bigquery.Table{"people": {
		Mutability: bigquery.Immutable, Clustering: []string{"name"}, TimePartitioning: &bigquery.TimePartitioning{Type: "MONTH", Field: "born"},
	}}
	d := open(t, o)
	full := s.project + "." + s.dataset
	for _, test := range []struct {
		target string
		fields []cdc.Field
		want   []string
	}{
		{"mutable", []cdc.Field{{Name: "lastSeen", Type: cdc.TypeTime}, {Name: "tags", Type: cdc.TypeArray}, {Name: "paid", Type: cdc.TypeDecimal}}, []string{
			"CREATE SCHEMA IF NOT EXISTS `" + full + "` OPTIONS (location = \"EU\")",
			"CREATE TABLE `" + full + ".mutable` (\n\t`id` STRING NOT NULL,\n\t`name` STRING,\n\t`age` INT64,\n\t`lastSeen` TIMESTAMP,\n\t`tags` JSON,\n\t`paid` BIGNUMERIC,\n\tPRIMARY KEY (`id`) NOT ENFORCED\n)",
		}},
		{"people", []cdc.Field{{Name: "born", Type: cdc.TypeDate}}, []string{
			"CREATE SCHEMA IF NOT EXISTS `" + full + "` OPTIONS (location = \"EU\")",
			"CREATE TABLE `" + full + ".people` (\n\t`id` STRING,\n\t`name` STRING,\n\t`age` INT64,\n\t`born` DATE,\n\t`_operation_type` STRING,\n\t`_operation_timestamp` TIMESTAMP,\n\t`_is_deleted` BOOL,\n\t`_version` INT64,\n\t`_change_id` STRING\n) PARTITION BY DATE_TRUNC(`born`, MONTH) CLUSTER BY `name`",
			"CREATE VIEW `" + full + ".people_changes` AS SELECT * FROM `" + full + ".people` WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY `_change_id`) = 1",
		}},
	} {
		plan, err := d.Plan(t.Context(), test.target, people(test.fields...))
		if diff := cmp.Diff(test.want, plan); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", test.target, err, diff)
		}
		if err := d.SyncSchema(t.Context(), test.target, people(test.fields...)); err != nil {
			t.Error(err)
		}
	}
	if got, want := s.shape(t, "people"), "by MONTH born\nsorted [name]\n"; !strings.HasSuffix(got, want) {
		t.Errorf("people is\n%swant at its end\n%s", got, want)
	}
	plan, err := d.Plan(t.Context(), "mutable", people(cdc.Field{Name: "nick", Type: cdc.TypeString}))
	if want := "ALTER TABLE `" + full + ".mutable` ADD COLUMN `nick` STRING"; err != nil || len(plan) != 1 || plan[0] != want {
		t.Errorf("%q, %v", plan, err)
	}
}

// TestArrangedByWhatComesLater: a table is divided by a column that no schema names, so
// that it is made when that column comes.
func TestArrangedByWhatComesLater(t *testing.T) {
	s := newServer(t)
	o := s.options()
	o.Tables = map[string]bigquery.Table{"orders": {Clustering: []string{"customer", "never"}, TimePartitioning: &bigquery.TimePartitioning{Field: "day"}}}
	d := open(t, o)
	if err := d.SyncSchema(t.Context(), "orders", cdc.Schema{Resource: "orders", Key: []string{"id"}, Open: true, Fields: []cdc.Field{{Name: "day", Type: cdc.TypeDate}}}); err != nil {
		t.Fatal(err)
	}
	if s.metadata(t, "orders") != nil {
		t.Error("the table was made before its columns were known")
	}
	mustApply(t, d, put(1, "orders", id("a"), cdc.Record{"day": "2026-02-28", "customer": int64(7)}))
	s.holds(t, "orders", "id", cdc.Record{"id": "a", "day": "2026-02-28", "customer": int64(7)})
	if got, want := s.shape(t, "orders"), "by DAY day\nsorted [customer never]\n"; !strings.HasSuffix(got, want) {
		t.Errorf("it is\n%swant at its end\n%s", got, want)
	}
}

// TestAnAccountThatMayNot gets the statements to run, and waits for them where
// everything was right before.
func TestAnAccountThatMayNot(t *testing.T) {
	s := newStandIn(t)
	d := open(t, s.options())
	s.table(t, "people", columns("id STRING", "name STRING", "age INTEGER"), "id")
	s.standIn.Fault(t, testbed.BigQueryFault{Kind: "missing", Surface: "rest", Table: "shop.orders", Times: 1})
	deny := func() { s.standIn.Fault(t, testbed.BigQueryFault{Kind: "denied", Surface: "rest", Times: 1}) }
	deny()
	err := d.SyncSchema(t.Context(), "orders", people())
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "CREATE TABLE `project.shop.orders`") {
		t.Errorf("a table that it may not create: %s %v", cdc.FaultOf(err), err)
	}
	if err := d.SyncSchema(t.Context(), "people", people()); err != nil {
		t.Fatal(err)
	}
	deny()
	if err := d.SyncSchema(t.Context(), "people", people()); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("a table that it may not look at: %s %v", cdc.FaultOf(err), err)
	}
}

// TestUnknownColumns: a field that the table lacks under ValidateOnly fails its record
// until the column is there, or is left out where the user said so.
func TestUnknownColumns(t *testing.T) {
	s := newServer(t)
	s.table(t, "people", columns("id STRING", "name STRING"), "id")
	with := func(on bigquery.OnMismatch) *bigquery.Driver {
		o := s.options()
		o.SchemaSync = bigquery.SchemaSync{Strategy: bigquery.ValidateOnly, OnMismatch: on}
		return open(t, o)
	}
	strict, loose := with(bigquery.Error), with(bigquery.Ignore)
	batch := []cdc.Delivery{put(1, "people", id("a"), cdc.Record{"name": "Ann", "age": int64(1)}), put(2, "people", id("b"), cdc.Record{"name": "Bob"})}
	err := strict.Apply(t.Context(), batch)
	answer, ok := err.(*cdc.BatchError)
	if !ok || answer.Errs[1] != nil || cdc.FaultOf(answer.Errs[0]) != cdc.DestinationFault || !strings.Contains(answer.Errs[0].Error(), `"age"`) {
		t.Errorf("strict: %v", err)
	}
	mustApply(t, loose, batch...)
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Ann"}, cdc.Record{"id": "b", "name": "Bob"})
	s.grow(t, "people", "age INTEGER")
	mustApply(t, strict, batch...)
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Ann", "age": int64(1)}, cdc.Record{"id": "b", "name": "Bob"})
}

// grow adds a column, as somebody else does.
func (s *server) grow(t testing.TB, name, column string) {
	t.Helper()
	_, err := s.client.Dataset(s.dataset).Table(name).Update(t.Context(), bq.TableMetadataToUpdate{Schema: append(s.metadata(t, name).Schema, columns(column)...)}, "")
	if err != nil {
		t.Fatal(err)
	}
}

// TestNamesThatNoColumnHas are told before anything is written, or fail their record.
func TestNamesThatNoColumnHas(t *testing.T) {
	s := newServer(t)
	d := open(t, s.options())
	err := d.SyncSchema(t.Context(), "people", people(cdc.Field{Name: "e-mail", Type: cdc.TypeString}))
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), `"e-mail"`) {
		t.Errorf("in a schema: %s %v", cdc.FaultOf(err), err)
	}
	for _, name := range []string{"e-mail", "_CHANGE_TYPE", "_partitiondate", "1st", ""} {
		errs := apply(t, d, put(1, "people", id("a"), cdc.Record{name: "x"}), put(2, "people", id("b"), cdc.Record{"name": "Bob"}))
		if cdc.FaultOf(errs[0]) != cdc.RecordFault || errs[1] != nil {
			t.Errorf("%q: %v", name, errs)
		}
	}
	errs := apply(t, d, put(3, "people", id("a"), cdc.Record{"name": "x", "Name": "y"}))
	if cdc.FaultOf(errs[0]) != cdc.RecordFault {
		t.Errorf("two fields that become one column: %v", errs[0])
	}
	mustApply(t, d, put(4, "people", id("a"), cdc.Record{"NAME": "Ann", "Shoe": int64(40)})) // names have no case
	mustApply(t, d, put(5, "people", id("b"), cdc.Record{"name": "Bob", "shoe": int64(41)}))
	s.holds(t, "people", "id", cdc.Record{"id": "a", "name": "Ann", "Shoe": int64(40)}, cdc.Record{"id": "b", "name": "Bob", "Shoe": int64(41)})
}

// TestFieldsNamedAsOwnColumns are refused in every case where the driver writes the column,
// and nowhere else.
func TestFieldsNamedAsOwnColumns(t *testing.T) {
	s := newServer(t)
	o := s.options()
	o.Tables = map[string]bigquery.Table{"log": {Mutability: bigquery.AppendOnly}}
	d := open(t, o)
	for _, name := range []string{"_operation_type", "_Change_ID"} {
		for n := range uint64(2) { // at first there is no table
			errs := apply(t, d, put(2*n+1, "log", id("a"), cdc.Record{name: "x"}), put(2*n+2, "log", id("b"), cdc.Record{"name": "Bob"}))
			if cdc.FaultOf(errs[0]) != cdc.RecordFault || errs[1] != nil {
				t.Errorf("%q: %v", name, errs)
			}
		}
	}
	mustApply(t, d, put(9, "people", id("a"), cdc.Record{"_operation_type": "x"}))
	if rows := s.read(t, "people"); len(rows) != 1 || rows[0]["_operation_type"] != "x" {
		t.Errorf("a table of records: %v", rows)
	}
}

// TestTheTablesOwnKey: records are found by the primary key of a table that was there.
func TestTheTablesOwnKey(t *testing.T) {
	s := newServer(t)
	s.table(t, "orders", columns("order_id STRING!", "total NUMERIC", "note STRING!"), "order_id")
	d := open(t, s.options())
	if err := d.SyncSchema(t.Context(), "orders", cdc.Schema{Resource: "orders", Key: []string{"id"}, Open: true}); err != nil {
		t.Fatal(err)
	}
	if key := d.Limits("orders").Key; len(key) != 1 || key[0] != "order_id" {
		t.Errorf("the key is %v", key)
	}
	note := func(r cdc.Record) cdc.Record { r["note"] = "x"; return r }
	errs := apply(t, d, put(1, "orders", cdc.Record{"order_id": "o1"}, note(cdc.Record{"total": int64(5)})), put(2, "orders", id("o2"), note(cdc.Record{"total": int64(6)})))
	if errs[0] != nil || cdc.FaultOf(errs[1]) != cdc.RecordFault || !strings.Contains(fmt.Sprint(errs[1]), `key column "id"`) {
		t.Errorf("%v", errs)
	}
	mustApply(t, d, put(2, "orders", cdc.Record{"order_id": "o4"}, note(cdc.Record{})))

	// What was routed before the key was known has another. A delete has no more of what
	// must not be null than the record had.
	early := put(3, "orders", id("x"), cdc.Record{})
	early.Record, early.Before = note(cdc.Record{"order_id": "o3", "total": int64(7)}), cdc.Record{"order_id": "o1", "total": int64(5)}
	mustApply(t, d, early, drop(4, "orders", id("y"), cdc.Record{"order_id": "o4"}))
	s.holds(t, "orders", "order_id", cdc.Record{"order_id": "o3", "total": decimal("7"), "note": "x"})
}

// TestManyMakeTheSameTable at the same time, as several processes do.
func TestManyMakeTheSameTable(t *testing.T) {
	s := newServer(t)
	var wg sync.WaitGroup
	for i := range 6 {
		d := open(t, s.options())
		wg.Go(func() {
			for j := range 5 {
				key := fmt.Sprintf("%d-%d", i, j)
				if err := (patient{d}).Apply(t.Context(), []cdc.Delivery{put(1, "people", id(key), cdc.Record{fmt.Sprint("field", j): key})}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.read(t, "people")); n != 30 {
		t.Errorf("%d rows", n)
	}
}
