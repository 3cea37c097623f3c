package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/s3db-go/replicator/store"
)

// exceptions counts where the original is known to be wrong, and prints it.
type exceptions map[string][]string

func (e exceptions) print(t *testing.T) {
	for _, reason := range slices.Sorted(maps.Keys(e)) {
		where := slices.Compact(slices.Sorted(slices.Values(e[reason])))
		t.Logf("exception: %s: %s", reason, strings.Join(where, ", "))
	}
}

// TestGoldenDecode reads every object that the original wrote, and compares field by
// field with what the original read. Where the original reads what it wrote wrongly,
// the value must be the one that it was told to write.
func TestGoldenDecode(t *testing.T) {
	compared, known := 0, exceptions{}
	for _, g := range readGolden(t) {
		db := g.open(t)
		for key, theirs := range g.got {
			if _, there := g.objects["resource="+key[0]+"/data/id="+key[1]]; !there {
				continue // not in the sample
			}
			rec, err := db.Resource(key[0]).Get(t.Context(), key[1])
			where := fmt.Sprintf("%s %s %s/%s", g.name, g.pass, key[0], key[1])
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			ours, told := asJSON(t, rec), g.told[key]
			for _, field := range fieldsOf(ours, theirs) {
				_, has := ours[field]
				_, had := theirs[field]
				if has == had && gocmp.Equal(ours[field], theirs[field]) {
					continue
				}
				reason := g.misread(db, key[0], field, ours, theirs, told)
				if reason == "" {
					t.Errorf("%s: %s is %v here, %v there; it was told %v", where, field, ours[field], theirs[field], told[field])
					continue
				}
				known[reason] = append(known[reason], where)
			}
			compared++
		}
	}
	known.print(t)
	t.Logf("%d records compared", compared)
	if compared < 150 {
		t.Errorf("only %d records were compared", compared)
	}
}

// fieldsOf gives the fields of a record that are the user's.
func fieldsOf(recs ...map[string]any) []string {
	all := map[string]bool{}
	for _, rec := range recs {
		for name := range rec {
			if name != "" && name[0] != '_' && name[0] != '$' && name != "metadata" && name != "metadata_updatedat" {
				all[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// misread names the fault by which the original read something else, "" if there is
// none that would explain it.
func (g golden) misread(db *store.DB, resource, field string, ours, theirs, told map[string]any) string {
	def, err := db.Resource(resource).Definition()
	if err != nil {
		return ""
	}
	definition := g.definition(db, resource, field)
	right := gocmp.Equal(ours[field], told[field])
	text, isText := theirs[field].(string)
	clash := false
	for name := range def.Attributes {
		path, _ := store.PathOf(db, resource, name)
		clash = clash || path != "" && path != name
	}
	switch {
	case strings.HasPrefix(definition, "ip4") && right:
		return "[BUG] section 8: an address is decoded twice"
	case strings.HasPrefix(definition, "timeonly") && right && strings.Contains(text, "NaN"):
		return "[BUG] section 6: a time of day is decoded twice"
	case definition == "number" && right && text == "" && isText:
		return "[BUG] section 6: an exponent without a point is stored as nothing"
	case definition == "number" && told[field] != nil && text == "" && isText:
		return "[BUG] section 6: an exponent without a point is stored as nothing"
	case strings.HasPrefix(definition, "string") && !isText && gocmp.Equal(parsedText(ours[field]), theirs[field]):
		return "[READ] section 6: text that looks like JSON is parsed"
	case clash && (right || theirs[field] != nil):
		return "[BUG] section 4: an attribute is called like a short key"
	case def.Behavior == "body-overflow" && def.Timestamps && (right || def.Attributes[field] == nil):
		return "[BUG] section 8: what overflowed beside a datetime stays under its short key"
	case strings.Contains(definition, "type:") && fmt.Sprint(ours[field]) == text:
		return "[READ] section 4: a number that is declared as an object is read as text"
	case len(field) <= 2 && def.Attributes[field] == nil && ours[field] == nil:
		return "[READ] section 4: a removed attribute is read under its short key"
	}
	return ""
}

func parsedText(v any) any {
	text, _ := v.(string)
	var parsed any
	if json.Unmarshal([]byte(text), &parsed) != nil {
		return v
	}
	return parsed
}

// definition gives what an attribute is declared as, without what makes no difference
// to its values.
func (g golden) definition(db *store.DB, resource, field string) string {
	def, err := db.Resource(resource).Definition()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprint(def.Attributes[field]), "|required")
}

// TestGoldenEncode writes back every record that the original wrote, and compares the
// objects and the references. Headers are compared decoded, as how they are encoded is
// free; what the original leaks of its own is not written, and no body that every
// reader ignores.
func TestGoldenEncode(t *testing.T) {
	compared, known := 0, exceptions{}
	for _, g := range readGolden(t) {
		db := g.open(t)
		for key, theirs := range g.objects {
			resource, id, ok := recordOf(key)
			if !ok || theirs.Type == "foreign-put" {
				continue
			}
			where := fmt.Sprintf("%s %s %s/%s", g.name, g.pass, resource, id)
			headers, body, references, err := store.Rewritten(t.Context(), db, resource, id)
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			delete(theirs.Metadata, "x-amz-meta-_truncated") // of what is left nothing is cut
			g.compare(t, where, db, resource, theirs, headers, body, known)
			var want []string
			for other := range g.objects {
				if strings.HasPrefix(other, "resource="+resource+"/partition=") && strings.HasSuffix(other, "/id="+id) {
					want = append(want, other)
				}
			}
			slices.Sort(want)
			slices.Sort(references)
			if diff := gocmp.Diff(want, references); diff != "" {
				t.Errorf("%s: references -original +ours\n%s", where, diff)
			}
			compared++
		}
	}
	known.print(t)
	t.Logf("%d objects compared", compared)
	if compared < 150 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// compare compares an object of the original with one of ours.
func (g golden) compare(t *testing.T, where string, db *store.DB, resource string, theirs line, headers map[string]string, body []byte, known exceptions) {
	t.Helper()
	behavior := ""
	if def, err := db.Resource(resource).Definition(); err == nil {
		behavior = def.Behavior
	}
	want, wantBody := theirs.headers(), jsonObject(theirs.BodyBase64)
	got, gotBody := headers, jsonObject(body)
	attributes := func(headers map[string]string) map[string]any {
		out := map[string]any{}
		for name, wire := range headers {
			switch v, present := store.DecodeHeader(wire); {
			case name == "_overflow" || name == "_truncated":
				out[name] = v
			case name == "_map":
				out[name] = jsonObject([]byte(v.(string)))
			case present && name[0] != '_' && name != "id" && name != "metadata_updatedat":
				out[name] = v
			}
		}
		return out
	}
	a, b := attributes(want), attributes(got)
	if behavior == "" && len(a) > 0 || behavior == "enforce-limits" || behavior == "truncate-data" {
		wantBody = map[string]any{} // a copy that an update left
	}
	for name := range wantBody {
		if name[0] == '_' && name != "_v" || name == "metadata.updatedAt" {
			delete(wantBody, name)
		}
	}
	for _, fields := range []map[string]any{a, b, wantBody, gotBody} {
		g.unify(db, resource, fields)
	}
	size := 0
	for name, wire := range want {
		size += len(name) + len(wire)
	}
	if size > 2048 {
		reason := "[BUG] section 8: sized before it was encoded, more than S3 takes"
		known[reason] = append(known[reason], where)
		return
	}
	if reason := g.miswritten(db, resource, a, b); reason != "" {
		known[reason] = append(known[reason], where)
		return
	}
	if diff := gocmp.Diff(a, b); diff != "" {
		t.Errorf("%s: headers -original +ours\n%s", where, diff)
	}
	if diff := gocmp.Diff(wantBody, gotBody); diff != "" {
		t.Errorf("%s: body -original +ours\n%s", where, diff)
	}
}

// unify takes from stored fields what may differ: salts, and the order in a JSON text.
func (g golden) unify(db *store.DB, resource string, fields map[string]any) {
	for name, v := range fields {
		text, isText := v.(string)
		_, definition := store.PathOf(db, resource, name)
		switch typ, _, _ := strings.Cut(definition, "|"); {
		case !isText:
		case typ == "secret":
			plain, err := store.Opened(db, text)
			fields[name] = "secret:" + plain
			if err != nil || plain == "undefined" {
				delete(fields, name) // the original encrypts the word for nothing
			}
		case typ == "json" || typ == "object" || typ == "array":
			var parsed any
			if json.Unmarshal([]byte(text), &parsed) == nil {
				fields[name] = parsed
			}
		}
	}
}

// miswritten names the fault by which the original wrote something else.
func (g golden) miswritten(db *store.DB, resource string, theirs, ours map[string]any) string {
	theirsAndOurs := maps.Clone(theirs)
	maps.Copy(theirsAndOurs, ours)
	for _, name := range slices.Sorted(maps.Keys(theirsAndOurs)) {
		v := theirs[name]
		_, definition := store.PathOf(db, resource, name)
		switch {
		case gocmp.Equal(v, ours[name]):
		case v == nil && ours[name] == "null" || strings.HasPrefix(definition, "string") && ours[name] == "undefined":
			return "[BUG] section 6: the words null and undefined are stored as null and as nothing"
		case v == "{}" && ours[name] == "[object Object]":
			return "[READ] section 6: a text that looks like an object of JavaScript is stored as one"
		case definition == "number" && len(fmt.Sprint(v)) > 14:
			return "section 6: beyond 2^53 the original's digits are inexact; here the number is written exactly"
		case definition == "number" && v == "":
			return "[BUG] section 6: an exponent without a point is stored as nothing"
		case name == "1" && g.name == "19-schema-evolution" || definition == "" && len(name) <= 2:
			return "[READ] section 4: the value of a removed attribute is kept by the original, and dropped here"
		}
	}
	return ""
}

func jsonObject(text []byte) map[string]any {
	out := map[string]any{}
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &out) != nil {
		return map[string]any{}
	}
	return out
}

// TestGoldenInsert inserts what the original was told to, as a caller does, and
// compares the objects and the references. Times are ours, and so are not compared.
func TestGoldenInsert(t *testing.T) {
	compared, known := 0, exceptions{}
	for _, g := range readGolden(t) {
		db := g.openEmpty(t)
		for key, fields := range g.inserted {
			where := fmt.Sprintf("%s %s/%s", g.name, key[0], key[1])
			path := "resource=" + key[0] + "/data/id=" + key[1]
			theirs, ok := g.objects[path]
			if !ok || theirs.Pass != "insert" && theirs.Pass != g.pass {
				continue
			}
			for name, v := range fields {
				text, isText := v.(string)
				if _, stayed := g.got[key][name].(string); isText && !stayed && g.definition(db, key[0], name) == "json" && json.Valid([]byte(text)) {
					fields[name] = g.got[key][name] // for the original the text is what it says
				}
			}
			rec := asRecord(t, fields)
			_, err := db.Resource(key[0]).Insert(t.Context(), rec)
			if v, ok := asFault(err); ok {
				// Values that the original takes apart, and stores beside the record.
				for _, f := range v.Faults {
					name, _, _ := strings.Cut(f.Attribute, ".")
					delete(rec, name)
					reason := "not inserted here: " + f.Reason
					known[reason] = append(known[reason], where+" "+f.Attribute)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			headers, body, err := store.GetRaw(t.Context(), db, path)
			if err != nil {
				t.Fatal(err)
			}
			def, err := db.Resource(key[0]).Definition()
			if err != nil {
				t.Fatal(err)
			}
			if !def.Timestamps {
				g.compare(t, where, db, key[0], theirs, headers, body, known)
			}
			compared++
		}
	}
	known.print(t)
	t.Logf("%d objects compared", compared)
	if compared < 100 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// TestGoldenDefinitionHashes takes every definition that the original hashed.
func TestGoldenDefinitionHashes(t *testing.T) {
	data, err := os.ReadFile("testdata/hashes.jsonl")
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

func asFault(err error) (*store.ValidationError, bool) {
	return errors.AsType[*store.ValidationError](err)
}
