package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// open gives an open driver.
func open(t *testing.T, o postgres.Options) *postgres.Driver {
	t.Helper()
	d := postgres.New(o)
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// put and drop make deliveries; their versions grow with n.

func put(n uint64, target string, key, record cdc.Record) cdc.Delivery {
	whole := record.Clone()
	maps.Copy(whole, key)
	return cdc.Delivery{
		Change: cdc.Change{
			ChangeID: cdc.ID{14: byte(n >> 8), 15: byte(n)}, Seq: n, Version: n, Op: cdc.Updated, Resource: target, RecordID: fmt.Sprint(key),
			Time: time.UnixMicro(int64(n)).UTC(),
		},
		Target: target, Key: key, Record: whole,
	}
}

func drop(n uint64, target string, key, last cdc.Record) cdc.Delivery {
	d := put(n, target, key, cdc.Record{})
	d.Op, d.Record, d.Before = cdc.Deleted, nil, last
	return d
}

func id(v any) cdc.Record { return cdc.Record{"id": v} }

// apply gives the error of each delivery.
func apply(t *testing.T, d *postgres.Driver, batch ...cdc.Delivery) []error {
	t.Helper()
	err := d.Apply(t.Context(), batch)
	if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
		return answer.Errs
	}
	return slices.Repeat([]error{err}, len(batch))
}

func mustApply(t *testing.T, d *postgres.Driver, batch ...cdc.Delivery) {
	t.Helper()
	for i, err := range apply(t, d, batch...) {
		if err != nil {
			t.Fatalf("delivery %d: %v", i, err)
		}
	}
}

// holds compares a table's rows, in the order of a column, with what is wanted.
func holds(t *testing.T, url, target, by string, want ...cdc.Record) {
	t.Helper()
	got := read(t, url, target)
	slices.SortFunc(got, func(a, b cdc.Record) int { return strings.Compare(fmt.Sprint(a[by]), fmt.Sprint(b[by])) })
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b cdc.Decimal) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", target, diff)
	}
}

func TestMixedColumnsInOneBatch(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "Ann", "age": int64(1)}), put(2, "people", id("b"), cdc.Record{"name": "Bob", "age": int64(2)}))
	mustApply(t, d,
		put(3, "people", id("a"), cdc.Record{"age": nil}),              // nil is NULL, absent is untouched
		put(4, "people", id("b"), cdc.Record{"name": "Robert"}),        //
		put(5, "people", id("c"), cdc.Record{"mail": "c@example.com"}), // a new column
		put(6, "people", id("d"), cdc.Record{}),                        // nothing but the key
		drop(7, "people", id("e"), nil),                                // not there
	)
	holds(t, url, "people", "id",
		cdc.Record{"id": "a", "name": "Ann"}, cdc.Record{"id": "b", "name": "Robert", "age": int64(2)},
		cdc.Record{"id": "c", "mail": "c@example.com"}, cdc.Record{"id": "d"})
}

func TestCompositeKeysAndKeyChanges(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	key := func(order string, line int64) cdc.Record { return cdc.Record{"order": order, "line": line} }
	mustApply(t, d,
		put(1, "shop.lines", key("o1", 1), cdc.Record{"qty": int64(1)}),
		put(2, "shop.lines", key("o1", 2), cdc.Record{"qty": int64(2)}),
		put(3, "shop.lines", key("o2", 1), cdc.Record{"qty": int64(3)}))
	moved := put(4, "shop.lines", key("o3", 1), cdc.Record{"qty": int64(4)})
	moved.OldKey = key("o1", 1)
	for range 2 { // and once more, as after a lost answer
		mustApply(t, d, moved, drop(5, "shop.lines", key("o2", 1), nil))
	}
	holds(t, url, "shop.lines", "order",
		cdc.Record{"order": "o1", "line": int64(2), "qty": int64(2)}, cdc.Record{"order": "o3", "line": int64(1), "qty": int64(4)})
}

// TestOneKeyTwiceInABatch: what orders deliveries need not be the key, and different
// values can be one in a column.
func TestOneKeyTwiceInABatch(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, put(1, "numbers", id(int64(7)), cdc.Record{"v": "first"}))
	seven, err := cdc.ParseDecimal("7.0")
	if err != nil {
		t.Fatal(err)
	}
	mustApply(t, d,
		put(4, "numbers", id(seven), cdc.Record{"v": "newest"}),
		put(2, "numbers", id(int64(7)), cdc.Record{"v": "second"}),
		drop(3, "numbers", id(int64(7)), nil),
		put(6, "numbers", id(int64(8)), cdc.Record{"v": "other"}),
		drop(7, "numbers", id(int64(8)), nil))
	holds(t, url, "numbers", "id", cdc.Record{"id": int64(7), "v": "newest"})
}

func TestNothingOlderIsWrittenOver(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"name": "first"}), put(9, "people", id("b"), cdc.Record{"name": "nine"}))
	mustApply(t, d, put(5, "people", id("a"), cdc.Record{"name": "five"}))
	mustApply(t, d, put(3, "people", id("a"), cdc.Record{"name": "three"}), drop(4, "people", id("b"), nil))
	mustApply(t, d, put(5, "people", id("a"), cdc.Record{"name": "five again"})) // the same change once more
	holds(t, url, "people", "id", cdc.Record{"id": "a", "name": "five again"}, cdc.Record{"id": "b", "name": "nine"})

	// Without the column nothing is known of versions, and the last one to come wins.
	plain := open(t, postgres.Options{ConnectionString: url, Unguarded: true})
	mustApply(t, plain, put(5, "plain", id("a"), cdc.Record{"name": "five"}))
	mustApply(t, plain, put(3, "plain", id("a"), cdc.Record{"name": "three"}))
	holds(t, url, "plain", "id", cdc.Record{"id": "a", "name": "three"})
}

// TestRequiredColumns: an insert that lacks a column which must be given would be
// refused before PostgreSQL looks whether the row is there.
func TestRequiredColumns(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text PRIMARY KEY, name text NOT NULL, age int, code char(3), stamp timestamptz NOT NULL DEFAULT now())`,
		`INSERT INTO people VALUES ('a', 'Ann', 1, 'x', '2020-01-01')`)
	d := open(t, postgres.Options{ConnectionString: url})
	errs := apply(t, d, put(1, "people", id("a"), cdc.Record{"age": int64(2)}), put(2, "people", id("b"), cdc.Record{"age": int64(3)}),
		put(3, "people", id("c"), cdc.Record{"name": "Cyd"}))
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("rows that are there, or complete: %v, %v", errs[0], errs[2])
	}
	if cdc.FaultOf(errs[1]) != cdc.RecordFault || !strings.Contains(errs[1].Error(), `23502 not_null_violation on column "name": the record has no value for it`) {
		t.Errorf("a new row without its name: %s %v", cdc.FaultOf(errs[1]), errs[1])
	}
	exec(t, url, `ALTER TABLE people DROP COLUMN stamp`)
	holds(t, url, "people", "id", cdc.Record{"id": "a", "name": "Ann", "age": int64(2), "code": "x  "}, cdc.Record{"id": "c", "name": "Cyd"})
}

func TestOneBadRowInAThousand(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text PRIMARY KEY, age bigint CHECK (age < 5000), note text)`)
	d := open(t, postgres.Options{ConnectionString: url})
	for name, bad := range map[string]cdc.Record{
		"refused by the database": {"age": int64(9999)},
		"not fit for its column":  {"age": "canary"},
	} {
		var batch []cdc.Delivery
		for i := range 1000 {
			batch = append(batch, put(uint64(i+1), "people", id(fmt.Sprint(i)), cdc.Record{"age": int64(i)}))
		}
		maps.Copy(batch[617].Record, bad)
		for i, err := range apply(t, d, batch...) {
			if i != 617 && err != nil {
				t.Fatalf("%s: row %d failed too: %v", name, i, err)
			}
			if i == 617 && (cdc.FaultOf(err) != cdc.RecordFault || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "9999")) {
				t.Errorf("%s: %s %v", name, cdc.FaultOf(err), err)
			}
		}
		if n := len(read(t, url, "people")); n != 999 {
			t.Errorf("%s: %d rows arrived", name, n)
		}
	}
}

// TestATriggersOwnError has a code that nobody knows: it may be the record's, and neither
// stops the destination nor fails its neighbours.
func TestATriggersOwnError(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text PRIMARY KEY, age bigint)`,
		`CREATE FUNCTION grown() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.age < 18 THEN RAISE EXCEPTION 'of %', NEW.age USING ERRCODE = 'ZZ042'; END IF; RETURN NEW; END $$`,
		`CREATE TRIGGER grown BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION grown()`)
	d := open(t, postgres.Options{ConnectionString: url})
	errs := apply(t, d, put(1, "people", id("a"), cdc.Record{"age": int64(40)}), put(2, "people", id("b"), cdc.Record{"age": int64(17)}),
		put(3, "people", id("c"), cdc.Record{"age": int64(50)}))
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("its neighbours failed too: %v", errs)
	}
	if err := errs[1]; err == nil || cdc.FaultOf(err) != cdc.Transient || strings.Contains(err.Error(), "17") {
		t.Errorf("the row: %v %v", cdc.FaultOf(err), err)
	}
	if n := len(read(t, url, "people")); n != 2 {
		t.Errorf("%d rows arrived", n)
	}
}

// TestSecondaryConstraints: what a neighbour's change may heal is no fault of the
// record, and nobody else fails with it.
func TestSecondaryConstraints(t *testing.T) {
	url := testbed.Postgres(t)
	exec(t, url, `CREATE TABLE people (id text PRIMARY KEY, mail text UNIQUE)`,
		`CREATE TABLE orders (id text PRIMARY KEY, person text REFERENCES people DEFERRABLE INITIALLY DEFERRED)`)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{"mail": "x"}), put(2, "people", id("b"), cdc.Record{"mail": "y"}))
	// a gives its address up, and c takes it, in one batch.
	mustApply(t, d, put(3, "people", id("a"), cdc.Record{"mail": "z"}), put(4, "people", id("c"), cdc.Record{"mail": "x"}))
	// b is deleted, and its address goes to d in the same batch.
	mustApply(t, d, put(6, "people", id("d"), cdc.Record{"mail": "y"}), drop(5, "people", id("b"), nil))

	errs := apply(t, d, put(7, "people", id("e"), cdc.Record{"mail": "e"}), put(8, "people", id("f"), cdc.Record{"mail": "x"}))
	if errs[0] != nil || errs[1] == nil || cdc.FaultOf(errs[1]) != cdc.Transient {
		t.Errorf("an address that is taken: %v, and its neighbour: %v", errs[1], errs[0])
	}
	// The parent comes later; the constraint is checked when the transaction ends.
	errs = apply(t, d, put(9, "orders", id("1"), cdc.Record{"person": "e"}), put(10, "orders", id("2"), cdc.Record{"person": "g"}), put(11, "orders", id("3"), cdc.Record{"person": "a"}))
	if errs[0] != nil || errs[2] != nil || cdc.FaultOf(errs[1]) != cdc.Transient || !strings.Contains(fmt.Sprint(errs[1]), "foreign_key_violation") {
		t.Errorf("a child before its parent: %v", errs)
	}
	mustApply(t, d, put(12, "people", id("g"), cdc.Record{}))
	mustApply(t, d, put(10, "orders", id("2"), cdc.Record{"person": "g"}))
	if n := len(read(t, url, "orders")); n != 3 {
		t.Errorf("%d orders", n)
	}
}

func TestAppend(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url, Tables: map[string]postgres.Table{"audit": {Mode: postgres.Append}}})
	if l := d.Limits("audit"); !l.Events || !l.Ordered {
		t.Errorf("limits are %+v", l)
	}
	insert := put(1, "audit", id("a"), cdc.Record{"name": "Ann"})
	insert.Op = cdc.Inserted
	batch := []cdc.Delivery{insert, put(2, "audit", id("a"), cdc.Record{"name": "Anna", "age": int64(3)}), drop(3, "audit", id("a"), cdc.Record{"id": "a", "name": "Anna"}), drop(4, "audit", id("b"), nil)}
	for range 2 { // what comes twice is there once
		mustApply(t, d, batch...)
	}
	conn := connect(t, url)
	rows, err := conn.Query(t.Context(), `SELECT concat_ws(' ', _change_id, _operation, _version, extract(epoch FROM _time), id, name, age) FROM audit ORDER BY _version`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	want := []string{
		"00000000-0000-0000-0000-000000000001 inserted 1 0.000001 a Ann",
		"00000000-0000-0000-0000-000000000002 updated 2 0.000002 a Anna 3",
		"00000000-0000-0000-0000-000000000003 deleted 3 0.000003 a Anna",
		"00000000-0000-0000-0000-000000000004 deleted 4 0.000004 b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOwnColumnsAreRefused: a field with the name of a column that the driver writes.
func TestOwnColumnsAreRefused(t *testing.T) {
	d := open(t, postgres.Options{ConnectionString: testbed.Postgres(t)})
	errs := apply(t, d, put(1, "people", id("a"), cdc.Record{"_version": int64(7)}), put(2, "people", id("b"), cdc.Record{}))
	if errs[1] != nil || cdc.FaultOf(errs[0]) != cdc.RecordFault {
		t.Error(errs)
	}
}

// TestALateRequestDoesNothing: a request is held up on the way until its sender has
// given up, sent it again, and deleted the row. When it arrives at last, the row must
// not come back.
func TestALateRequestDoesNothing(t *testing.T) {
	direct := testbed.Postgres(t)
	through, proxy := proxied(t, direct, "")
	d := open(t, postgres.Options{ConnectionString: through})
	mustApply(t, d, put(1, "people", id("warm"), cdc.Record{"name": "Ann"})) // prepares what is needed
	_, release := proxy.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	late := []cdc.Delivery{put(2, "people", id("a"), cdc.Record{"name": "Zombie"})}
	if err := d.Apply(ctx, late); err == nil || cdc.FaultOf(err) == cdc.RecordFault {
		t.Fatalf("a request that nobody answered: %v", err)
	}
	other := open(t, postgres.Options{ConnectionString: direct})
	mustApply(t, other, late...)
	mustApply(t, other, drop(3, "people", id("a"), nil))

	release()
	conn := connect(t, direct)
	for { // until the held connection has done whatever it does
		var busy int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND client_addr IS NOT DISTINCT FROM NULL AND state <> 'idle'`).Scan(&busy)
		if err != nil {
			t.Fatal(err)
		}
		if busy == 0 {
			break
		}
	}
	mustApply(t, d, put(4, "people", id("after"), cdc.Record{"name": "Bob"}))
	holds(t, direct, "people", "id", cdc.Record{"id": "after", "name": "Bob"}, cdc.Record{"id": "warm", "name": "Ann"})
}

func TestCallersPool(t *testing.T) {
	url := testbed.Postgres(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	d := open(t, postgres.Options{Pool: pool})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{}))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("the caller's pool was closed: %v", err)
	}
	if err := d.Apply(t.Context(), []cdc.Delivery{put(2, "people", id("b"), cdc.Record{})}); cdc.FaultOf(err) != cdc.DestinationFault {
		t.Errorf("a closed driver: %v", err)
	}
}

// TestOpenTellsWhatIsCertainlyWrong from what does not answer.
func TestOpenTellsWhatIsCertainlyWrong(t *testing.T) {
	s := testbed.NewPostgresServer(t)
	exec(t, s.URL("postgres", "", "postgres"), `CREATE ROLE app LOGIN PASSWORD 'right'`)
	for name, test := range map[string]struct {
		url  string
		want cdc.Fault
		text string
	}{
		"wrong password": {s.URL("app", "canary-wrong", "postgres"), cdc.RecordFault, `the server refused the password of user "app" (28P01); see the connection string`},
		"no database":    {s.URL("app", "right", "nowhere"), cdc.RecordFault, `the server has no database "nowhere" (3D000); see the connection string`},
		"no server":      {"postgres://app:canary-right@127.0.0.1:1/postgres", cdc.DestinationFault, "dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		d := postgres.New(postgres.Options{ConnectionString: test.url})
		err := d.Open(t.Context())
		if err == nil || cdc.FaultOf(err) != test.want || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %s %v", name, cdc.FaultOf(err), err)
		}
		if err != nil && err.Error() != "postgres: open: "+test.text {
			t.Errorf("%s: %q, want %q", name, err, test.text)
		}
	}
	open(t, postgres.Options{ConnectionString: s.URL("app", "right", "postgres")})
}

// TestSeveralHosts: the first that answers is used, as pgx does it.
func TestSeveralHosts(t *testing.T) {
	config, err := pgxpool.ParseConfig(testbed.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	c := config.ConnConfig
	d := open(t, postgres.Options{ConnectionString: fmt.Sprintf("host=127.0.0.1,%s port=1,%d user=%s dbname=%s target_session_attrs=read-write", c.Host, c.Port, c.User, c.Database)})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{}))
}

// TestAServerThatOnlyReads is a standby, or a primary that became one: no record is to
// blame.
func TestAServerThatOnlyReads(t *testing.T) {
	url := testbed.Postgres(t)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, put(1, "people", id("a"), cdc.Record{}))
	exec(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	for range 5 { // some connections are found to be dead first
		if err := d.Apply(t.Context(), []cdc.Delivery{put(2, "people", id("b"), cdc.Record{})}); cdc.FaultOf(apply1(err)) != cdc.DestinationFault {
			t.Errorf("%s %v", cdc.FaultOf(err), err)
		}
	}
}

// apply1 gives the error of a batch of one.
func apply1(err error) error {
	if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
		return answer.Errs[0]
	}
	return err
}
