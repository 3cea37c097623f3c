package store_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/store"
)

// line is a line of the golden data: what the original was told, what it stored, and
// what it then read.
type line struct {
	Type       string             `json:"type"`
	Pass       string             `json:"pass"`
	Resource   string             `json:"resource"`
	ID         string             `json:"id"`
	Op         string             `json:"op"`
	Args       []json.RawMessage  `json:"args"`
	Returned   any                `json:"returned"`
	Get        map[string]any     `json:"get"`
	Key        string             `json:"key"`
	Metadata   map[string]string  `json:"metadata"`
	BodyBase64 []byte             `json:"bodyBase64"`
	Body       string             `json:"body"`
	JSON       json.RawMessage    `json:"json"`
	Security   *map[string]string `json:"security"`
}

// undefined is how the golden data writes what JavaScript does not have.
func undefined(v any) bool {
	mark, isMap := v.(map[string]any)
	return isMap && mark["$undefined"] == true
}

func readLines(t *testing.T, name string) []line {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return lines
}

// goldenDir holds the golden data: JSON lines of what the original s3db.js did.
// GOLDEN_DIR names another folder of the same form.
func goldenDir() string { return cmp.Or(os.Getenv("GOLDEN_DIR"), "testdata/golden") }

// golden is one state of one case: the objects in the bucket, and what is known of
// the records in them.
type golden struct {
	name       string // of the file
	pass       string
	catalogue  json.RawMessage
	passphrase string
	objects    map[string]line              // by key
	got        map[[2]string]map[string]any // what the original read, by resource and id
	told       map[[2]string]map[string]any // what it was told last
	inserted   map[[2]string]map[string]any // what it was told to insert, in this pass
}

// readGolden gives every state of every case.
func readGolden(t *testing.T) []golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir(), "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatal("no golden data in", goldenDir(), err)
	}
	var out []golden
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines := readLines(t, file)
		passphrase := "secret" // what the original takes when it is given none
		told := map[[2]string]map[string]any{}
		for _, catalogue := range lines {
			if catalogue.Security != nil {
				passphrase = (*catalogue.Security)["passphrase"]
			}
			if !strings.HasPrefix(catalogue.Type, "s3dbjson") {
				continue
			}
			g := golden{name: name, pass: catalogue.Pass, catalogue: catalogue.JSON, passphrase: passphrase,
				objects: map[string]line{}, got: map[[2]string]map[string]any{}, told: told, inserted: map[[2]string]map[string]any{}}
			for _, l := range lines {
				g.take(l)
			}
			out = append(out, g)
		}
	}
	return out
}

func (g *golden) take(l line) {
	resource := cmp.Or(l.Resource, "users") // of a foreign writer
	switch {
	case l.Type == "foreign-put":
		headers := make(map[string]string)
		for name, v := range l.Metadata {
			headers["x-amz-meta-"+name] = v
		}
		l.Metadata, l.BodyBase64 = headers, []byte(l.Body)
		g.objects["resource=users/data/id="+l.ID] = l
	case l.Pass != g.pass:
	case l.Type == "object":
		i := strings.Index(l.Key, "resource=")
		if i >= 0 && g.objects[l.Key[max(i, 0):]].Type != "foreign-put" {
			g.objects[l.Key[i:]] = l
		}
	case l.Type == "record":
		maps.DeleteFunc(l.Get, func(_ string, v any) bool { return undefined(v) })
		g.got[[2]string{resource, l.ID}] = l.Get
	case l.Type == "op":
		returned, _ := l.Returned.(map[string]any)
		id, _ := returned["id"].(string)
		key := [2]string{resource, id}
		delete(g.inserted, key) // something was done to it since
		if id == "" || l.Op != "insert" && l.Op != "update" {
			return
		}
		logical := map[string]any{}
		for name, v := range returned {
			if name != "" && name[0] != '_' && name[0] != '$' && name != "metadata" && !undefined(v) {
				logical[name] = v
			}
		}
		g.told[key] = logical
		if l.Op == "insert" {
			var args map[string]any
			if len(l.Args) > 0 && json.Unmarshal(l.Args[0], &args) == nil {
				for name, v := range args {
					if misunderstood(v, logical[name]) {
						logical[name] = v
					}
				}
			}
			g.inserted[key] = maps.Clone(logical)
		}
	}
}

// misunderstood reports whether the original already gave back something else than it
// was told to insert: text that looks like JSON, numbers that it can't write, and what
// it has cut.
func misunderstood(told, returned any) bool {
	text, isText := told.(string)
	_, stayed := returned.(string)
	_, number := told.(float64)
	return isText && !stayed && strings.ContainsAny(text[:min(1, len(text))], "{[") || number && returned == "" || len(text) > 1000
}

// open gives a store with the objects in it.
func (g golden) open(t *testing.T) *store.DB {
	t.Helper()
	db := g.openEmpty(t)
	for key, o := range g.objects {
		putRaw(t, db, key, o.headers(), string(o.BodyBase64))
	}
	return db
}

// openEmpty gives a store with the definitions alone.
func (g golden) openEmpty(t *testing.T) *store.DB {
	t.Helper()
	dir := "file://" + t.TempDir() + "?sync=off"
	putRaw(t, open(t, dir), "s3db.json", nil, string(g.catalogue))
	return open(t, dir, store.WithPassphrase(g.passphrase))
}

func (l line) headers() map[string]string {
	out := make(map[string]string)
	for name, v := range l.Metadata {
		if name = strings.TrimPrefix(name, "x-amz-meta-"); name != "" {
			out[name] = v
		}
	}
	return out
}

func putRaw(t *testing.T, db *store.DB, key string, headers map[string]string, body string) {
	t.Helper()
	if err := store.PutRaw(t.Context(), db, key, headers, body, ""); err != nil {
		t.Fatal(err)
	}
}

// recordOf gives the resource and the id of a record's key.
func recordOf(key string) (resource, id string, ok bool) {
	resource, id, ok = strings.Cut(strings.TrimPrefix(key, "resource="), "/data/id=")
	return resource, id, ok
}

// asRecord gives golden JSON as a record.
func asRecord(t *testing.T, fields map[string]any) store.Record {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var rec store.Record
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

// asJSON gives a record as JSON has it, with times as the original prints them.
func asJSON(t *testing.T, rec store.Record) map[string]any {
	t.Helper()
	rec = rec.Clone()
	for name, v := range rec {
		switch v := v.(type) {
		case time.Time:
			rec[name] = v.Format("2006-01-02T15:04:05.000Z")
		case []byte:
			rec[name] = map[string]any{"$buffer": base64.StdEncoding.EncodeToString(v)}
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
