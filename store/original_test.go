package store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/store"
)

// line is a line of testdata/original: what the original was told, what it stored,
// and what it then read.
type line struct {
	Type       string            `json:"type"`
	Pass       string            `json:"pass"`
	Resource   string            `json:"resource"`
	ID         string            `json:"id"`
	Op         string            `json:"op"`
	Args       []json.RawMessage `json:"args"`
	Returned   map[string]any    `json:"returned"`
	Get        map[string]any    `json:"get"`
	Key        string            `json:"key"`
	Metadata   map[string]string `json:"metadata"`
	BodyBase64 []byte            `json:"bodyBase64"`
	Body       string            `json:"body"`
	JSON       json.RawMessage   `json:"json"`
}

func readLines(t *testing.T, name string) []line {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// knownMisreadings are records that the original itself reads wrongly, and what
// became of them there.
var knownMisreadings = map[string]string{
	"01-strings/strs/json_obj": "text that looks like JSON was parsed",
	"02-numbers/nums/em7":      "1e-7 was stored as nothing, and read as empty text",
}

// TestReadsTheOriginal reads every object of a supported type that the original
// wrote, and compares with what the original read.
func TestReadsTheOriginal(t *testing.T) {
	files, err := filepath.Glob("testdata/original/*-*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	compared := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines := readLines(t, file)
		for _, catalogue := range lines {
			if !strings.HasPrefix(catalogue.Type, "s3dbjson") {
				continue
			}
			db, pruned := openWith(t, catalogue.JSON)
			for _, l := range lines {
				switch {
				case l.Type == "object" && l.Pass != "" && l.Pass == catalogue.Pass:
					i := strings.Index(l.Key, "resource=")
					if i < 0 {
						continue
					}
					headers := make(map[string]string)
					for k, v := range l.Metadata {
						headers[strings.TrimPrefix(k, "x-amz-meta-")] = v
					}
					putRaw(t, db, l.Key[i:], headers, string(l.BodyBase64))
				case l.Type == "foreign-put":
					putRaw(t, db, "resource=users/data/id="+l.ID, l.Metadata, l.Body)
				}
			}
			for _, l := range lines {
				if l.Type != "record" || l.Pass != catalogue.Pass && l.Pass != "" {
					continue
				}
				if l.Resource == "" {
					l.Resource = "users"
				}
				got, err := db.Resource(l.Resource).Get(t.Context(), l.ID)
				if err != nil {
					t.Errorf("%s (%s): %v", name, l.Pass, err)
					continue
				}
				if why, known := knownMisreadings[name+"/"+l.Resource+"/"+l.ID]; known {
					t.Logf("%s/%s/%s differs: %s", name, l.Resource, l.ID, why)
					continue
				}
				maps.DeleteFunc(l.Get, func(field string, _ any) bool {
					return strings.HasPrefix(field, "_") || field == "metadata" || slices.Contains(pruned[l.Resource], field)
				})
				if diff := cmp.Diff(l.Get, asJSON(t, got)); diff != "" {
					t.Errorf("%s %s/%s (%s): -original +ours\n%s", name, l.Resource, l.ID, l.Pass, diff)
				}
				compared++
			}
		}
	}
	t.Logf("%d records compared", compared)
	if compared < 80 {
		t.Errorf("only %d records were compared", compared)
	}
}

// knownMiswritings are records that are stored differently here on purpose.
var knownMiswritings = map[string]string{
	"01-strings/strs/strnull":   "the word null was stored as null",
	"01-strings/strs/strundef":  "the word undefined was stored as nothing",
	"01-strings/strs/spaces":    "text is not trimmed here",
	"01-strings/strs/bom":       "text is not trimmed here",
	"02-numbers/ints/i1e21":     "beyond 64 bits",
	"02-numbers/nums/em7":       "1e-7 was stored as nothing",
	"02-numbers/nums/negzero":   "the test data's mark for -0 is an object",
	"03-bool-null/r/full":       "holds a secret",
	"04-arrays/a/emptystr":      "an array of one empty text was stored as an empty array",
	"05-objects-json/o/full":    "the fields of an object are in another order",
	"05-objects-json/o/jsonstr": "text in a json attribute was stored as what it holds",
	"06-dates/datetime/num":     "a number is no time here",
	"07-secret/s/none":          "an absent secret was stored as an encrypted word",
}

// TestWritesLikeTheOriginal inserts what the original was told to, under the
// original's short keys, and compares the objects. The wire encoding of a header
// is free, so that headers are compared decoded.
func TestWritesLikeTheOriginal(t *testing.T) {
	files, err := filepath.Glob("testdata/original/*-*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	compared := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines := readLines(t, file)
		objects := make(map[string]line)
		var db *store.DB
		var pruned map[string][]string
		for _, l := range lines {
			if i := strings.Index(l.Key, "resource="); l.Type == "object" && l.Pass == "insert" && i >= 0 {
				objects[l.Key[i:]] = l
			}
			if l.Type == "s3dbjson" && l.Pass == "insert" {
				db, pruned = openWith(t, l.JSON)
			}
		}
		for _, l := range lines {
			if l.Type != "op" || l.Pass != "insert" || l.Op != "insert" || l.Returned == nil {
				continue
			}
			var rec store.Record
			d := json.NewDecoder(bytes.NewReader(l.Args[0]))
			d.UseNumber()
			if err := d.Decode(&rec); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(rec, func(field string, _ any) bool { return slices.Contains(pruned[l.Resource], field) })
			id := rec.String("id")
			key := "resource=" + l.Resource + "/data/id=" + id
			theirs, ok := objects[key]
			if !ok {
				continue
			}
			if why, known := knownMiswritings[name+"/"+l.Resource+"/"+id]; known {
				t.Logf("%s/%s/%s differs: %s", name, l.Resource, id, why)
				continue
			}
			_, err := db.Resource(l.Resource).Insert(t.Context(), rec)
			if err != nil && strings.Contains(err.Error(), "can't be written yet") {
				continue
			}
			if err != nil {
				t.Errorf("%s/%s/%s: %v", name, l.Resource, id, err)
				continue
			}
			headers, body, err := store.GetRaw(t.Context(), db, key)
			if err != nil {
				t.Fatal(err)
			}
			want := make(map[string]any)
			for k, v := range theirs.Metadata {
				if value, present := store.DecodeHeader(v); present {
					want[strings.TrimPrefix(k, "x-amz-meta-")] = value
				}
			}
			got := make(map[string]any)
			for k, v := range headers {
				got[k], _ = store.DecodeHeader(v)
			}
			for _, header := range store.ShortKeys(db, l.Resource, pruned[l.Resource]) {
				delete(want, header)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s/%s: headers -original +ours\n%s", name, l.Resource, id, diff)
			}
			if diff := cmp.Diff(string(theirs.BodyBase64), string(body)); diff != "" {
				t.Errorf("%s %s/%s: body -original +ours\n%s", name, l.Resource, id, diff)
			}
			compared++
		}
	}
	t.Logf("%d objects compared", compared)
	if compared < 50 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// TestDefinitionHashes takes every definition that the original hashed.
func TestDefinitionHashes(t *testing.T) {
	data, err := os.ReadFile("testdata/original/hashes.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for text := range bytes.Lines(data) {
		var known struct {
			Hash       string
			Attributes map[string]any
			Behavior   string
			Timestamps bool
			Partitions json.RawMessage
		}
		if err := json.Unmarshal(text, &known); err != nil {
			t.Fatal(err)
		}
		got, err := store.DefinitionHash(known.Attributes, known.Behavior, known.Timestamps, known.Partitions)
		if err != nil || got != known.Hash {
			t.Errorf("%v: hash %s (%v), want %s", known.Attributes, got, err, known.Hash)
		}
		n++
	}
	if n < 60 {
		t.Errorf("only %d hashes were compared", n)
	}
}

// openWith opens a store that has the catalogue, less the attributes that are not
// supported yet. These it gives by resource.
func openWith(t *testing.T, text json.RawMessage) (*store.DB, map[string][]string) {
	t.Helper()
	var catalogue map[string]any
	if err := json.Unmarshal(text, &catalogue); err != nil {
		t.Fatal(err)
	}
	pruned := make(map[string][]string)
	for name, resource := range catalogue["resources"].(map[string]any) {
		for _, version := range resource.(map[string]any)["versions"].(map[string]any) {
			attributes := version.(map[string]any)["attributes"].(map[string]any)
			for attribute, definition := range attributes {
				inner, nested := definition.(map[string]any)
				if nested && (inner["type"] != nil || inner["$$type"] != nil) || definition == "any|optional" || definition == "timeonly|optional" {
					pruned[name] = append(pruned[name], attribute)
					delete(attributes, attribute)
				}
			}
		}
	}
	text, err := json.Marshal(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	dir := "file://" + t.TempDir() + "?sync=off"
	putRaw(t, open(t, dir), "s3db.json", nil, string(text))
	return open(t, dir, store.WithPassphrase("golden-pass")), pruned
}

func putRaw(t *testing.T, db *store.DB, key string, headers map[string]string, body string) {
	t.Helper()
	if err := store.PutRaw(t.Context(), db, key, headers, body, ""); err != nil {
		t.Fatal(err)
	}
}

// asJSON gives a record as JSON has it, with times as the original prints them.
func asJSON(t *testing.T, rec store.Record) map[string]any {
	t.Helper()
	rec = rec.Clone()
	for name, v := range rec {
		if at, ok := v.(time.Time); ok {
			rec[name] = at.Format("2006-01-02T15:04:05.000Z")
		}
	}
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
