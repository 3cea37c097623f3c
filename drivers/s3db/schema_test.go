package s3db_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/s3db"
	"github.com/s3db-go/replicator/store"
)

// TestCopyOfAResource carries a resource as it is: the destination's definition
// becomes the source's, in its own words, and grows with it.
func TestCopyOfAResource(t *testing.T) {
	source, backup := openStore(t, "memory://source"), openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: backup})
	def := store.Definition{Name: "users", Timestamps: true, Behavior: "body-overflow", IDSize: 12, Attributes: store.Attributes{
		"name":     "string|required|min:2",
		"email":    "email",
		"password": "secret",
		"tags":     "array|items:string",
		"address":  store.Attributes{"city": "string", "geo": store.Attributes{"lat": "number"}},
	}}
	carry := func() {
		t.Helper()
		users, err := source.CreateResource(t.Context(), def)
		if err != nil {
			t.Fatal(err)
		}
		record, err := users.Insert(t.Context(), cdc.Record{
			"name": "Ann", "email": "ann@example.com", "password": "hunter2", "tags": []any{"a", "b|c"},
			"address": map[string]any{"city": "Köln", "geo": map[string]any{"lat": 50.9}},
		})
		if err != nil {
			t.Fatal(err)
		}
		schema, _, err := source.Describe(t.Context(), "users")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
			t.Fatal(err)
		}
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
		there, err := backup.Resource("users").Definition()
		if err != nil || fmt.Sprint(there) != fmt.Sprint(def) {
			t.Errorf("the definition at the backup is %v, %v; want %v", there, err, def)
		}
		got, err := backup.Resource("users").Get(t.Context(), record.String("id"))
		if err != nil || !got.Equal(record) {
			t.Errorf("the record at the backup is %v, %v; want %v", got, err, record)
		}
	}
	carry()
	def.Partitions = map[string]store.Partition{"byCity": {"address.city": "string|maxlength:3"}}
	def.Behavior = "body-only"
	def.Attributes["age"] = "number|integer"
	def.Attributes["email"] = "email|required"
	carry()

	// An attribute that the source gave up stays: records may still hold it.
	delete(def.Attributes, "age")
	if _, err := source.CreateResource(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	schema, _, _ := source.Describe(t.Context(), "users")
	if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
		t.Fatal(err)
	}
	if there, err := backup.Resource("users").Definition(); err != nil || there.Attributes["age"] != "number|integer" {
		t.Errorf("the definition at the backup is %v, %v; want age kept", there, err)
	}
}

// TestSyncOfWhatIsThereWritesNothing: engines sync at every start.
func TestSyncOfWhatIsThereWritesNothing(t *testing.T) {
	dir := t.TempDir()
	schemas := []cdc.Schema{
		{Resource: "users", Version: 1, Fields: []cdc.Field{
			{Name: "name", Type: cdc.TypeString, Required: true},
			{Name: "createdAt", Type: cdc.TypeTime, Native: "datetime|optional"},
			{Name: "updatedAt", Type: cdc.TypeTime, Native: "datetime|optional"},
			{Name: "address", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "city", Type: cdc.TypeString}}},
		}},
		{Resource: "guests", Version: 1, Open: true, Fields: []cdc.Field{{Name: "createdAt", Type: cdc.TypeTime}}},
	}
	var first []byte
	for i := range 3 {
		d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir)})
		for _, schema := range schemas {
			if err := d.SyncSchema(t.Context(), "people", schema); err != nil {
				t.Fatal(err)
			}
		}
		catalogue, err := os.ReadFile(filepath.Join(dir, "s3db.json"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = catalogue
		} else if string(catalogue) != string(first) {
			t.Errorf("sync %d changed the catalogue to %s", i, catalogue)
		}
		d.Close()
	}
}

// TestSecretsUnderAnotherPassphrase sends a secret that the source encrypts under
// one passphrase to a destination that encrypts it under its own.
func TestSecretsUnderAnotherPassphrase(t *testing.T) {
	dir := t.TempDir()
	d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir), Passphrase: "of the backup"})
	if !d.Limits("users").Secrets {
		t.Error("Limits don't say that secrets may come")
	}
	for name, schema := range map[string]cdc.Schema{
		"native": {Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true, Native: "secret"}}},
		"typed":  {Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true}}},
		"open":   {Open: true, Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true, Native: "secret|required"}}},
		"nested": {Open: true, Fields: []cdc.Field{{Name: "keys", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "token", Type: cdc.TypeString, Secret: true}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			schema.Resource = name
			record := cdc.Record{"id": "u1", "token": "s3cr3t"}
			if name == "nested" {
				record = cdc.Record{"id": "u1", "keys": map[string]any{"token": "s3cr3t"}}
			}
			delivery := insert(cdc.Record{"id": "u1"}, record)
			delivery.Target = name
			if err := errors.Join(d.SyncSchema(t.Context(), name, schema), deliver(t.Context(), d, delivery)); err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(t.Context(), fileURL(dir), store.WithPassphrase("of the backup"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if got, err := db.Resource(name).Get(t.Context(), "u1"); err != nil || !got.Equal(record) {
				t.Errorf("read back: %v, %v", got, err)
			}
		})
	}
	wantNoFileWith(t, dir, "s3cr3t")
	none := openDriver(t, s3db.Options{ConnectionString: fileURL(t.TempDir())})
	err := none.SyncSchema(t.Context(), "users", cdc.Schema{Fields: []cdc.Field{{Name: "token", Secret: true, Type: cdc.TypeString}}})
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "set Options.Passphrase") {
		t.Errorf("a secret without a passphrase gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

// TestShapesOfATransform sends records whose fields no schema told of.
func TestShapesOfATransform(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	schema := cdc.Schema{Resource: "users", Version: 1, Open: true, Fields: []cdc.Field{
		{Name: "email", Type: cdc.TypeString, Required: true, Native: "email|required|max:5"},
		{Name: "age", Type: cdc.TypeInt},
	}}
	if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
		t.Fatal(err)
	}
	for _, record := range []cdc.Record{
		{"id": "a", "email": "not an address any more", "age": int64(7)}, // rules of the source don't hold here
		{"id": "b", "total": int64(100), "since": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)},
		{"id": "c", "total": 99.5, "note": nil}, // nothing is required, an integer's field takes a fraction
		{"id": "d", "note": "typed by its first value"},
		{"id": "e", "note": nil},
		{"id": "f"},
	} {
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
	}
	def, err := db.Resource("users").Definition()
	want := "map[age:number|integer email:string note:string since:datetime total:number]"
	if got := fmt.Sprint(map[string]any(def.Attributes)); err != nil || got != want {
		t.Errorf("definition is %s, %v; want %s", got, err, want)
	}
	for id, want := range map[string]cdc.Record{
		"b": {"id": "b", "total": 100.0, "since": time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)},
		"c": {"id": "c", "total": 99.5},
		"e": {"id": "e", "note": nil},
		"f": {"id": "f"},
	} {
		if got, err := db.Resource("users").Get(t.Context(), id); err != nil || !got.Equal(want) {
			t.Errorf("record %s is %v, %v; want %v", id, got, err, want)
		}
	}
	// The second type of a field does not fit the first.
	err = deliver(t.Context(), d, insert(cdc.Record{"id": "g"}, cdc.Record{"id": "g", "note": true}))
	if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "note") {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

// TestNoSchemaAtAll: a source that can't describe its resources.
func TestNoSchemaAtAll(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	for _, record := range []cdc.Record{{"id": "a"}, {"id": "b", "name": "Bob"}} {
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
	}
	if got := records(t, db, "users"); len(got) != 2 {
		t.Errorf("records are %v", got)
	}
}

func TestHundredFields(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	schema := cdc.Schema{Resource: "users", Version: 1}
	record := cdc.Record{"id": "u1"}
	for i := range 100 {
		name := fmt.Sprintf("field%03d", i)
		schema.Fields = append(schema.Fields, cdc.Field{Name: name, Type: cdc.TypeString})
		record[name] = strings.Repeat(name, 5)
	}
	if err := errors.Join(d.SyncSchema(t.Context(), "users", schema), deliver(t.Context(), d, insert(cdc.Record{"id": "u1"}, record))); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Resource("users").Get(t.Context(), "u1"); err != nil || !got.Equal(record) {
		t.Errorf("read back: %v, %v", got, err)
	}
}

// TestNewFieldsAtTheSameTime: batches that each bring a field of their own.
func TestNewFieldsAtTheSameTime(t *testing.T) {
	db := openStore(t, "memory://backup")
	d := openDriver(t, s3db.Options{Store: db})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			id := fmt.Sprint("u", i)
			err := deliver(t.Context(), d, insert(cdc.Record{"id": id}, cdc.Record{"id": id, fmt.Sprint("field", i): int64(i)}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 32 {
		got, err := db.Resource("users").Get(t.Context(), fmt.Sprint("u", i))
		if err != nil || got.Int(fmt.Sprint("field", i)) != int64(i) {
			t.Errorf("record %d is %v, %v", i, got, err)
		}
	}
}

// TestWhatOthersAddedStays: the destination's resources are not the driver's alone.
func TestWhatOthersAddedStays(t *testing.T) {
	same := openStore(t, "memory://backup")
	dir := fileURL(t.TempDir())
	for name, test := range map[string]struct {
		opts  s3db.Options
		other *store.DB
	}{
		"in this process":    {s3db.Options{Store: same}, same},
		"in another process": {s3db.Options{ConnectionString: dir, Passphrase: passphrase}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDriver(t, test.opts)
			if err := deliver(t.Context(), d, insert(cdc.Record{"id": "a"}, cdc.Record{"name": "Ann"})); err != nil {
				t.Fatal(err)
			}
			other := test.other
			if other == nil {
				other = openStore(t, dir)
			}
			_, err := other.CreateResource(t.Context(), store.Definition{Name: "users", Attributes: store.Attributes{"name": "string", "note": "secret"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Resource("users").Put(t.Context(), store.Record{"id": "b", "note": "vip"}); err != nil {
				t.Fatal(err)
			}
			if err := deliver(t.Context(), d, insert(cdc.Record{"id": "a"}, cdc.Record{"name": "Ann", "age": int64(7)})); err != nil {
				t.Fatal(err)
			}
			if test.other == nil {
				other = openStore(t, dir)
			}
			def, err := other.Resource("users").Definition()
			want := "map[age:number|integer name:string note:secret]"
			if got := fmt.Sprint(map[string]any(def.Attributes)); err != nil || got != want {
				t.Errorf("the definition is %s, %v; want %s", got, err, want)
			}
			if got, err := other.Resource("users").Get(t.Context(), "b"); err != nil || got.String("note") != "vip" {
				t.Errorf("what another wrote is %v, %v", got, err)
			}
		})
	}
}

// TestBecomesSecret: behind a transform too, what the source knows to be secret is
// encrypted from then on, whatever it was before.
func TestBecomesSecret(t *testing.T) {
	dir := t.TempDir()
	d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir), Passphrase: passphrase})
	send := func(id, secret string) cdc.Record {
		t.Helper()
		record := cdc.Record{"id": id, "pin": secret, "seen": int64(1), "in": map[string]any{"pin": secret, "deep": map[string]any{"pin": secret}, "free": int64(1), "late": secret}}
		if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
			t.Fatal(err)
		}
		return record
	}
	send("a", "none")
	pin := cdc.Field{Name: "pin", Type: cdc.TypeString, Secret: true}
	schema := cdc.Schema{Resource: "users", Version: 2, Open: true, Fields: []cdc.Field{
		pin, {Name: "seen", Type: cdc.TypeString},
		{Name: "in", Type: cdc.TypeObject, Fields: []cdc.Field{pin}},
	}}
	sync := func() {
		t.Helper()
		if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	send("a", "none")
	// Now there are nested attributes, and a part of them in the clear.
	schema.Fields[2].Fields = []cdc.Field{pin,
		{Name: "deep", Type: cdc.TypeObject, Fields: []cdc.Field{pin}},
		{Name: "late", Type: cdc.TypeString, Secret: true},
	}
	sync()
	want := send("b", "s3cr3t")
	db := openStore(t, fileURL(dir))
	if got, err := db.Resource("users").Get(t.Context(), "b"); err != nil || !got.Equal(want) {
		t.Errorf("the record is %v, %v; want %v", got, err, want)
	}
	def, err := db.Resource("users").Definition()
	wantDef := "map[in:map[deep:map[pin:secret] free:number|integer late:secret pin:secret] pin:secret seen:number|integer]"
	if got := fmt.Sprint(map[string]any(def.Attributes)); err != nil || got != wantDef {
		t.Errorf("the definition is %s, %v; want %s", got, err, wantDef)
	}
	wantNoFileWith(t, dir, "s3cr3t")
}

// wantNoFileWith fails if the text stands in a file below dir.
func wantNoFileWith(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), text) {
			t.Errorf("%s stands in %s", text, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNumbersOfAnyKind sends numbers to one field, as encoding/json's UseNumber and
// Go have them, in every order of two.
func TestNumbersOfAnyKind(t *testing.T) {
	numbers := []any{json.Number("3"), json.Number("2.50"), json.Number("-0.125"), json.Number("1e3"), json.Number("1e20"),
		int64(4), 2.5, 5.0, 1e20}
	for _, first := range numbers {
		for _, second := range numbers {
			for _, nested := range []bool{false, true} {
				db := openStore(t, "memory://backup")
				d := openDriver(t, s3db.Options{Store: db})
				name := fmt.Sprintf("%T %v, then %T %v, nested %v", first, first, second, second, nested)
				if nested {
					open := cdc.Schema{Open: true, Fields: []cdc.Field{{Name: "price", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "pin", Secret: true}}}}}
					if err := d.SyncSchema(t.Context(), "users", open); err != nil {
						t.Fatal(err)
					}
				}
				sendNumber(t, d, name, "a", first, nested)
				sendNumber(t, d, name, "b", second, nested)
				for id, number := range map[string]any{"a": first, "b": second} {
					got, err := db.Resource("users").Get(t.Context(), id)
					price := got["price"]
					if nested {
						price = price.(map[string]any)["amount"]
					}
					if err != nil || exact(t, price).Cmp(exact(t, number)) != 0 {
						t.Errorf("%s: %v is read back as %v, %v", name, number, price, err)
					}
				}
			}
		}
	}
}

// TestNumbersOfTooManyDigits: what a field of numbers would round is refused, never
// rounded.
func TestNumbersOfTooManyDigits(t *testing.T) {
	for _, digits := range []string{"9223372036854775809", "0.12345678901234567890"} {
		db := openStore(t, "memory://backup")
		d := openDriver(t, s3db.Options{Store: db})
		sendNumber(t, d, "a whole number", "a", int64(3), false)
		err := deliver(t.Context(), d, insert(cdc.Record{"id": "b"}, cdc.Record{"price": decimal(t, digits)}))
		if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "price: has more digits than a number holds") {
			t.Errorf("%s gives a %s error: %v", digits, cdc.FaultOf(err), err)
		}
		if got, err := db.Resource("users").Get(t.Context(), "a"); err != nil || got.Int("price") != 3 {
			t.Errorf("the number before is %v, %v", got, err)
		}
	}
}

func sendNumber(t *testing.T, d *s3db.Driver, name, id string, number any, nested bool) {
	t.Helper()
	if nested {
		number = map[string]any{"amount": number}
	}
	record, err := cdc.Normalize(cdc.Record{"price": number})
	if err == nil {
		err = deliver(t.Context(), d, insert(cdc.Record{"id": id}, record))
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// exact reads a number, or the text of one.
func exact(t *testing.T, v any) cdc.Decimal {
	t.Helper()
	text := fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return decimal(t, text)
}

// TestNumbersAsSecrets: a secret is text at rest, whatever its type.
func TestNumbersAsSecrets(t *testing.T) {
	dir := t.TempDir()
	d := openDriver(t, s3db.Options{ConnectionString: fileURL(dir), Passphrase: passphrase})
	schema := cdc.Schema{Fields: []cdc.Field{{Name: "pin", Type: cdc.TypeInt, Secret: true}}}
	record := cdc.Record{"id": "a", "pin": int64(987654321)}
	if err := errors.Join(d.SyncSchema(t.Context(), "users", schema), deliver(t.Context(), d, insert(record.Pick("id"), record))); err != nil {
		t.Fatal(err)
	}
	got, err := openStore(t, fileURL(dir)).Resource("users").Get(t.Context(), "a")
	if err != nil || got["pin"] != "987654321" {
		t.Errorf("read back: %v, %v", got, err)
	}
	wantNoFileWith(t, dir, "987654321")
}

// TestDecimalsOfATransform: behind a transform a decimal stays one, with as many decimals as
// the source has, and is not rounded.
func TestDecimalsOfATransform(t *testing.T) {
	source := openStore(t, "memory://source")
	_, err := source.CreateResource(t.Context(), store.Definition{Name: "users", Attributes: store.Attributes{
		"price": "money|required", "rate": "decimal:4|min:1", "coin": "crypto", "fee": "decimal",
	}})
	if err != nil {
		t.Fatal(err)
	}
	schema, _, err := source.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	schema.Open = true
	schema.Fields = append(schema.Fields, cdc.Field{Name: "sum", Type: cdc.TypeDecimal}, cdc.Field{Name: "odd", Type: cdc.TypeDecimal, Native: "decimal(10,2)"},
		cdc.Field{Name: "in", Type: cdc.TypeObject, Fields: []cdc.Field{{Name: "pin", Secret: true}, {Name: "price", Type: cdc.TypeDecimal, Native: "money"}}})
	db := openStore(t, "memory://backup?passphrase="+passphrase)
	d := openDriver(t, s3db.Options{Store: db})
	if err := d.SyncSchema(t.Context(), "users", schema); err != nil {
		t.Fatal(err)
	}
	def, err := db.Resource("users").Definition()
	want := "map[coin:decimal:8 fee:decimal:2 in:map[pin:secret price:decimal:2] odd:string price:decimal:2 rate:decimal:4 sum:string]"
	if got := fmt.Sprint(map[string]any(def.Attributes)); err != nil || got != want {
		t.Errorf("definition is %s, %v; want %s", got, err, want)
	}

	record := cdc.Record{"id": "a", "price": decimal(t, "-19.99"), "rate": int64(0), "coin": decimal(t, "21000000.00000001"), "fee": 0.25,
		"sum": decimal(t, "0.12345678901234567890"), "odd": decimal(t, "1.5"), "in": map[string]any{"price": decimal(t, "1.500")}}
	if err := deliver(t.Context(), d, insert(record.Pick("id"), record)); err != nil {
		t.Fatal(err)
	}
	got, err := db.Resource("users").Get(t.Context(), "a")
	read := cdc.Record{"id": "a", "price": decimal(t, "-19.99"), "rate": decimal(t, "0"), "coin": decimal(t, "21000000.00000001"), "fee": decimal(t, "0.25"),
		"sum": "0.12345678901234567890", "odd": "1.5", "in": map[string]any{"price": decimal(t, "1.5")}}
	for name, want := range read {
		if d, ok := want.(cdc.Decimal); ok {
			if is, ok := got[name].(cdc.Decimal); !ok || is.Cmp(d) != 0 {
				t.Errorf("%s is %T %v, want %v (%v)", name, got[name], got[name], want, err)
			}
		} else if name != "in" && got[name] != want {
			t.Errorf("%s is %v, want %v (%v)", name, got[name], want, err)
		}
	}
	if in, _ := got["in"].(map[string]any); fmt.Sprint(in["price"]) != "1.50" {
		t.Errorf("in.price is %v", in["price"])
	}
	for _, record := range []cdc.Record{
		{"id": "a", "price": decimal(t, "1.005")}, {"id": "a", "price": 0.125}, {"id": "a", "in": map[string]any{"price": decimal(t, "1.005")}},
	} {
		err := deliver(t.Context(), d, insert(record.Pick("id"), record))
		if cdc.FaultOf(err) != cdc.RecordFault || !strings.Contains(err.Error(), "price: has more decimals than the 2") {
			t.Errorf("%v gives a %s error: %v", record, cdc.FaultOf(err), err)
		}
	}
	if after, err := db.Resource("users").Get(t.Context(), "a"); err != nil || !after.Equal(got) {
		t.Errorf("what was refused changed the record to %v, %v", after, err)
	}
}
