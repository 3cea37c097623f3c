package postgres_test

import (
	"slices"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

// made is a delivery of a record that was made just now.
func made(n uint64, id string, record cdc.Record) cdc.Delivery {
	d := put(n, "people", cdc.Record{"id": id}, record)
	d.Op = cdc.Inserted
	return d
}

// watched gives a table of people, with a unique mail, that notes how its rows were
// written, and what tells and forgets it: for each row whether its statement was ready
// to meet one.
func watched(t *testing.T, url string) (ready func() []bool) {
	t.Helper()
	exec(t, url,
		`CREATE TABLE people (id text PRIMARY KEY, mail text UNIQUE, age bigint, _version bigint)`,
		`CREATE TABLE notes (ready boolean)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes VALUES (current_query() LIKE '%ON CONFLICT%'); RETURN NEW; END $$`,
		`CREATE TRIGGER note AFTER INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION note()`)
	conn := connect(t, url)
	return func() (out []bool) {
		if err := conn.QueryRow(t.Context(), `WITH n AS (DELETE FROM notes RETURNING ready) SELECT coalesce(array_agg(ready), '{}') FROM n`).Scan(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func expect(t *testing.T, what string, got []bool, want ...bool) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: the statements were ready to meet a row: %v, want %v", what, got, want)
	}
}

// TestNewRecordsAreOnlyInserted: a plain INSERT costs the server less.
// Where such a record is there after all, it is written as any other.
func TestNewRecordsAreOnlyInserted(t *testing.T) {
	url := testbed.Postgres(t)
	ready := watched(t, url)
	d := open(t, postgres.Options{ConnectionString: url})
	first := []cdc.Delivery{made(1, "a", cdc.Record{"age": int64(1)}), made(2, "b", cdc.Record{"age": int64(2)})}
	mustApply(t, d, first...)
	expect(t, "new records", ready(), false, false)
	mustApply(t, d, put(3, "people", id("c"), cdc.Record{"age": int64(3)}))
	expect(t, "an update", ready(), true)
	snapshot := made(4, "d", cdc.Record{"age": int64(4)})
	snapshot.Origin = cdc.Snapshot
	mustApply(t, d, snapshot)
	expect(t, "a backfill", ready(), true)
	mustApply(t, d, put(5, "people", id("a"), cdc.Record{"age": int64(5)}))
	ready()

	// The first come again, with a new one: nothing is lost, nothing older is written over.
	mustApply(t, d, append(first, made(6, "e", cdc.Record{"age": int64(6)}))...)
	expect(t, "the same again", ready(), true, true) // b and e; a is newer
	mustApply(t, d, made(7, "f", cdc.Record{"age": int64(7)}))
	expect(t, "while a time repeats itself", ready(), true)
	holds(t, url, "people", "id",
		cdc.Record{"id": "a", "age": int64(5)}, cdc.Record{"id": "b", "age": int64(2)}, cdc.Record{"id": "c", "age": int64(3)},
		cdc.Record{"id": "d", "age": int64(4)}, cdc.Record{"id": "e", "age": int64(6)}, cdc.Record{"id": "f", "age": int64(7)})
}

// TestANewRecordWithATakenValue fails alone, and as the value's owner may give it up.
func TestANewRecordWithATakenValue(t *testing.T) {
	url := testbed.Postgres(t)
	watched(t, url)
	d := open(t, postgres.Options{ConnectionString: url})
	mustApply(t, d, made(1, "a", cdc.Record{"mail": "m"}))
	errs := apply(t, d, made(2, "b", cdc.Record{"mail": "n"}), made(3, "c", cdc.Record{"mail": "m"}), made(4, "d", cdc.Record{"mail": "o"}))
	if errs[0] != nil || errs[2] != nil || errs[1] == nil || cdc.FaultOf(errs[1]) != cdc.Transient {
		t.Errorf("the errors are %v", errs)
	}
	holds(t, url, "people", "id", cdc.Record{"id": "a", "mail": "m"}, cdc.Record{"id": "b", "mail": "n"}, cdc.Record{"id": "d", "mail": "o"})
}
