package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/s3db-go/replicator/store"
)

// TestInteropPasswords: either side checks a password against the hash that the other has
// made, and neither hashes a hash when it writes the record again.
func TestInteropPasswords(t *testing.T) {
	t.Parallel()
	const password = "correct horse é"
	connection := "file://" + t.TempDir() + "?sync=off"
	db := open(t, connection)
	r := create(t, db, "users", store.Attributes{"password": "password", "name": "string"})
	if _, err := r.Insert(t.Context(), store.Record{"id": "ours", "password": password}); err != nil {
		t.Fatal(err)
	}
	o := startOriginal(t, connection)
	o.must(t, nil, "insert", "users", map[string]any{"id": "theirs", "password": password})
	hashes := map[string]string{}
	for _, id := range []string{"ours", "theirs"} {
		got, err := r.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		hashes[id] = got.String("password")
		for _, guess := range []string{password, "incorrect horse"} {
			var right bool
			if o.must(t, &right, "verify", guess, hashes[id]); right != (guess == password) {
				t.Errorf("the original says of the hash of %s: %v", id, right)
			}
		}
		full := "$2b$12$" + strings.TrimPrefix(hashes[id], "$c$")
		if err := bcrypt.CompareHashAndPassword([]byte(full), []byte(password)); err != nil {
			t.Errorf("we say of the hash of %s: %v", id, err)
		}
		o.must(t, nil, "update", "users", id, map[string]any{"name": "by the original"})
		if _, err := r.Update(t.Context(), id, store.Record{"name": "by us"}); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Get(t.Context(), id); err != nil || got.String("password") != hashes[id] {
			t.Errorf("after an update on either side %s has %v, %v", id, got, err)
		}
	}
}

// TestInteropFaults asks the original for what it does wrong. What [TestInterop] leaves out,
// or expects otherwise of the original than of us, stands on that; where it behaves one
// day, this fails.
func TestInteropFaults(t *testing.T) {
	t.Parallel()
	connection := "file://" + t.TempDir() + "?sync=off"
	db := open(t, connection)
	create(t, db, "things", store.Attributes{"data": "buffer", "flags": "bits:16", "clock": "timeonly", "addr": "ip6", "name": "string"})
	o := startOriginal(t, connection)
	insert := func(id string, fields store.Record) error {
		fields["id"] = id
		for name, v := range map[string]any{"data": []byte{0, 255}, "flags": []byte{1, 2}} {
			if _, ok := fields[name]; !ok {
				fields[name] = v
			}
		}
		return o.call(nil, "insert", "things", wireRecord(fields))
	}
	refused := func(what string, err error, because string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("%s: the original says %v, not %q", what, err, because)
		}
	}
	ours := func(id string, want store.Record) {
		t.Helper()
		got, err := db.Resource("things").Get(t.Context(), id)
		want["id"] = id
		for name := range got {
			if _, asked := want[name]; !asked {
				delete(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s, read by us: %v, -want +got\n%s", id, err, diff)
		}
	}

	t.Run("text", func(t *testing.T) {
		// Its parser of definitions knows the type, its validator does not.
		for _, attributes := range []any{
			map[string]any{"v": "text"}, map[string]any{"v": "text|optional"}, map[string]any{"v": map[string]any{"type": "text"}},
			map[string]any{"o": map[string]any{"v": "text|optional"}},
		} {
			refused("text", o.call(nil, "create", map[string]any{"name": "texts", "attributes": attributes}), "Invalid 'text' type")
		}
		_, err := db.CreateResource(t.Context(), store.Definition{Name: "texts", Attributes: store.Attributes{"v": "text"}})
		if err == nil || !strings.Contains(err.Error(), `type "text" is not known`) {
			t.Errorf("we say %v", err)
		}
	})
	t.Run("timeonly", func(t *testing.T) {
		// What it stored is right, and read by us. What it reads it would not write again.
		if err := insert("clock", store.Record{"clock": "10:20:30.456"}); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if o.must(t, &got, "get", "things", "clock"); got["clock"] != "NaN:NaN:NaN.NaN" {
			t.Errorf("the original reads %v", got)
		}
		refused("an update", o.call(nil, "update", "things", "clock", map[string]any{"name": "n", "data": "AP8=", "flags": "AQI="}), "must be a valid time")
		ours("clock", store.Record{"clock": "10:20:30.456"})
	})
	t.Run("ip6", func(t *testing.T) {
		// It counts the dots of an address in an address out.
		const mapped = "::ffff:192.0.2.1"
		if err := insert("theirs", store.Record{"addr": mapped}); err != nil {
			t.Fatal(err)
		}
		ours("theirs", store.Record{"addr": "::ffff:192"})
		_, err := db.Resource("things").Insert(t.Context(), store.Record{"id": "ours", "addr": mapped, "data": []byte{1}, "flags": []byte{1, 2}})
		var got map[string]any
		if o.must(t, &got, "get", "things", "ours"); err != nil || got["addr"] != "::ffff:c000:201" {
			t.Errorf("the original reads of ours %v (%v)", got, err)
		}
	})
	t.Run("geo:point", func(t *testing.T) {
		o.must(t, nil, "create", map[string]any{"name": "places", "attributes": map[string]any{"spot": "geo:point|optional"}})
		refused("no place", o.call(nil, "insert", "places", map[string]any{"id": "none"}), "field is required")
	})
	t.Run("bytes", func(t *testing.T) {
		// Absent bytes are refused, whatever is declared.
		refused("no bytes", o.call(nil, "insert", "things", map[string]any{"id": "none"}), "field is required")
		// As text in base64 they are stored; as a Buffer they become fields for each byte,
		// and so they do in an update that does not name them.
		if err := insert("update", store.Record{}); err != nil {
			t.Fatal(err)
		}
		ours("update", store.Record{"data": []byte{0, 255}, "flags": []byte{1, 2}})
		err := errors.Join(
			o.call(nil, "insertBuffer", "things", map[string]any{"id": "buffer", "data": "AP8=", "flags": "AQI="}, "data"),
			o.call(nil, "update", "things", "update", map[string]any{"name": "n", "flags": "AQI="}))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"buffer", "update"} {
			ours(id, store.Record{"data_0": "0", "data_1": "255", "flags": []byte{1, 2}})
			if got, err := db.Resource("things").Get(t.Context(), id); err != nil || got["data"] != nil {
				t.Errorf("%s has bytes all the same: %v, %v", id, got, err)
			}
		}
	})
}
