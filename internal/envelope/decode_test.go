package envelope_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
)

var forms = map[envelope.Form]time.Duration{envelope.Message: time.Millisecond, envelope.CloudEvent: time.Microsecond}

// TestDecodeGivesWhatWasSent for every operation, with and without a known state
// before, in both forms that can be read back.
func TestDecodeGivesWhatWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := delivery(rapid.SampledFrom([]cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted}).Draw(t, "op"))
		text := rapid.String()
		record := rapid.MapOfN(text, rapid.OneOf(rapid.Int64().AsAny(), text.AsAny(), rapid.Bool().AsAny()), 0, 4)
		d.Version = rapid.Uint64Range(1, 1<<63-1).Draw(t, "version")
		d.RecordID = rapid.StringN(1, 20, -1).Filter(utf8.ValidString).Draw(t, "record id")
		d.Target = rapid.StringN(1, 20, -1).Filter(utf8.ValidString).Draw(t, "target")
		if d.Op != cdc.Deleted {
			d.Record = record.Draw(t, "record")
		}
		if d.Op != cdc.Inserted && rapid.Bool().Draw(t, "before is known") {
			d.Before = record.Draw(t, "before")
		}
		for form, resolution := range forms {
			b, err := form.Append(nil, d, "shop")
			if err != nil {
				t.Fatal(err)
			}
			got, err := envelope.Decode(b)
			if err != nil {
				t.Fatalf("%v of %s", err, b)
			}
			want := d
			want.Seq, want.Resource = 0, d.Target
			want.Time = d.Time.UTC().Truncate(resolution)
			want.Key = cdc.Record{"id": d.RecordID}
			if want.Op == cdc.Deleted && want.Before == nil {
				want.Before = d.Key // which stands in for it
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// TestDecodeKeepsDigits: a number that no float64 holds comes back whole.
func TestDecodeKeepsDigits(t *testing.T) {
	d := delivery(cdc.Inserted)
	d.Record = cdc.Record{"n": int64(1<<53 + 1), "d": decimal("12345678901234567890.10"), "f": 0.1}
	for form := range forms {
		b, _ := form.Append(nil, d, "")
		got, err := envelope.Decode(b)
		want := cdc.Record{"n": int64(1<<53 + 1), "d": decimal("12345678901234567890.10"), "f": decimal("0.1")}
		if err != nil || !got.Record.Equal(want) {
			t.Errorf("read %v (%v), want %v", got.Record, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	sent := map[envelope.Form]string{}
	for form := range forms {
		d := delivery(cdc.Updated)
		d.Record = cdc.Record{"canary": "canary"}
		b, _ := form.Append(nil, d, "shop")
		sent[form] = string(b)
	}
	for _, test := range []struct{ body, want string }{
		{"", "not JSON"},
		{`{"canary`, "not JSON"},
		{`["canary"]`, "another type"},
		{`{}`, "id is missing"},
		{`{"id":"canary"}`, "can't be read"},
		{strings.Replace(sent[envelope.Message], `"updated"`, `"inserted|updated"`, 1), "operation"},
		{strings.Replace(sent[envelope.Message], `"operation"`, `"o"`, 1), "operation"},
		{strings.Replace(sent[envelope.Message], `"recordId"`, `"r"`, 1), "record id"},
		{strings.Replace(sent[envelope.Message], `"people"`, `""`, 1), "resource"},
		{strings.Replace(sent[envelope.Message], strconv.Itoa(1<<57+1), "canary", 1), "version"},
		{strings.Replace(sent[envelope.Message], `{"canary":"canary"}`, `"canary"`, 1), "data"},
		{strings.Replace(sent[envelope.Message], `"before":null`, `"before":[]`, 1), "before"},
		{strings.Replace(sent[envelope.CloudEvent], `people.updated`, `people`, 1), "type"},
		{strings.Replace(sent[envelope.CloudEvent], `people.updated`, `updated`, 1), "resource"},
		{strings.Replace(sent[envelope.CloudEvent], `"sequence"`, `"s"`, 1), "version"},
	} {
		_, err := envelope.Decode([]byte(test.body))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s gives %v, want %q", test.body, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error quotes the body: %v", err)
		}
	}
}

// TestNoncharactersAreEscaped: SQS refuses a body that holds them as they are.
func TestNoncharactersAreEscaped(t *testing.T) {
	d := delivery(cdc.Inserted)
	d.Record = cdc.Record{"a": "\ufffe\uffff\ufffd\U0001ffff"}
	b, err := envelope.Bare.Append(nil, d, "")
	if want := `{"a":"\ufffe\uffff` + "\ufffd\U0001ffff" + `"}`; err != nil || string(b) != want {
		t.Errorf("%s (%v), want %s", b, err, want)
	}
	var back map[string]string
	if json.Unmarshal(b, &back); back["a"] != d.Record["a"] {
		t.Errorf("read back as %q", back["a"])
	}
}
