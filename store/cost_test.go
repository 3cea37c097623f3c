package store_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/store"
)

// still is a recorder that wants everything and costs nothing.
type still struct{ handles [1]cdc.Pending }

func (*still) Wants(string, cdc.Op) bool                   { return true }
func (*still) Append(context.Context, ...cdc.Change) error { return nil }
func (*still) Commit()                                     {}
func (*still) Abort()                                      {}
func (*still) Doubt(error)                                 {}
func (s *still) Begin(context.Context, ...cdc.Change) ([]cdc.Pending, error) {
	return s.handles[:], nil
}

// TestWhatAnInsertAllocates holds the hot path. What capturing adds is the list that is
// announced, and the caller's own copy of a record that is shared now: a map of ten
// fields is four pieces of memory. The race detector takes one more.
func TestWhatAnInsertAllocates(t *testing.T) {
	db := open(t, "memory://cost")
	r := create(t, db, "orders", store.Attributes{
		"name": "string|required", "email": "email", "city": "string", "street": "string", "total": "number",
		"items": "number|integer", "paid": "boolean", "note": "string", "phone": "string",
	})
	n := 0
	insert := func() {
		n++
		_, err := r.Insert(context.Background(), store.Record{
			"id": fmt.Sprint(n), "name": "Alice Example", "email": "alice@example.com", "city": "Lisbon", "street": "Rua Augusta 12",
			"total": 129.5, "items": 7, "paid": true, "note": "leave it at the door", "phone": "+351 21 000 0000",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	plain := testing.AllocsPerRun(200, insert)
	if plain > 30 {
		t.Errorf("%v allocations, want at most 30, of which the record takes 10", plain)
	}
	s := new(still)
	s.handles[0] = s
	release, err := db.Capture(s)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if more := testing.AllocsPerRun(200, insert) - plain; more > 6 {
		t.Errorf("capturing adds %v allocations, want at most 6", more)
	}
}

// TestAddressesAreJudgedAsByTheOriginal compares with the expressions that it uses.
func TestAddressesAreJudgedAsByTheOriginal(t *testing.T) {
	email, url := regexp.MustCompile(`^\S+@\S+\.\S+$`), regexp.MustCompile(`^https?://\S+`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("@@..aé \t\n\v")), 0, 8, -1).Draw(t, "text")
		if got, want := store.IsEmail(text), email.MatchString(text); got != want {
			t.Errorf("%q as an e-mail address: %v, want %v", text, got, want)
		}
		text = rapid.SampledFrom([]string{"http://", "https://", "http:/", "ftp://", ""}).Draw(t, "scheme") + text
		if got, want := store.IsURL(text), url.MatchString(text); got != want {
			t.Errorf("%q as a URL: %v, want %v", text, got, want)
		}
	})
}
