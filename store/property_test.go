package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
	"github.com/s3db-go/replicator/store"
)

var awkwardTexts = []string{"", " ", "null", "undefined", "d:j", "d:@h", "u:%41", "b:QQ==", "z:AA", "z85:x", "|", `\`, `a\|b`, `\\|`, "{}", "[1]",
	"[object Object]", "é", "日本", "🚀", "\x00", "\x7f", "  padded ", "true", "12", "^[1]"}

// text gives strings that the format could stumble over.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringN(0, 40, -1),
		rapid.StringN(600, 1200, -1),
		rapid.SampledFrom(awkwardTexts),
	)
}

func number() *rapid.Generator[float64] {
	return rapid.Custom(func(t *rapid.T) float64 {
		f := rapid.OneOf(
			rapid.Float64(),
			rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) }),
			rapid.Map(rapid.IntRange(-1e9, 1e9), func(n int) float64 { return float64(n) / 100 }),
			rapid.SampledFrom([]float64{0, 1e-7, 1e21, 1e22, 5e-324, math.MaxFloat64, -math.MaxFloat64, 1 << 53, 1<<53 + 2, 0.1, -0.5, 1e-6}),
		).Draw(t, "number")
		return f + 0 // the format has one zero
	})
}

func moment() *rapid.Generator[time.Time] {
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli()
	return rapid.Map(rapid.Int64Range(first, last), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
}

// jsonValue gives what a json attribute gives back as it was.
func jsonValue(depth int) *rapid.Generator[any] {
	options := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), number().AsAny(), rapid.String().AsAny(),
		rapid.Just[any](mustDecimal("18446744073709551616")), rapid.Just[any](mustDecimal("0.1000000000000000000001")),
	}
	if depth > 0 {
		options = append(options,
			rapid.Map(rapid.SliceOfN(jsonValue(depth-1), 0, 3), func(items []any) any { return items }),
			rapid.Map(rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 3), func(m map[string]any) any { return m }))
	}
	return rapid.OneOf(options...)
}

func mustDecimal(text string) cdc.Decimal {
	d, err := cdc.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

func items[T any](item *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.Map(rapid.SliceOfN(item, 0, 4), func(list []T) any {
		out := make([]any, len(list))
		for i, v := range list {
			out[i] = v
		}
		return out
	})
}

// types holds every type that can be written, and values of it.
func types() map[string]*rapid.Generator[any] {
	embedded := rapid.Map(rapid.IntRange(-5e6, 5e6), func(n int) float64 { return float64(n) / 1e6 })
	secret := text().Filter(func(s string) bool { return s != "null" && s != "undefined" })
	object := rapid.Map(rapid.MapOfN(rapid.String(), jsonValue(2), 0, 3), func(m map[string]any) any { return m })
	return map[string]*rapid.Generator[any]{
		"string":                     text().AsAny(),
		"email":                      rapid.Just[any]("a@example.com"),
		"url":                        rapid.Just[any]("https://example.com/é"),
		"secret":                     secret.AsAny(),
		"number":                     number().AsAny(),
		"number|integer":             rapid.Int64().AsAny(),
		"boolean":                    rapid.Bool().AsAny(),
		"datetime":                   moment().AsAny(),
		"dateonly":                   rapid.Map(moment(), func(t time.Time) any { return t.Format(time.DateOnly) }),
		"json":                       jsonValue(3),
		"object":                     object,
		"array":                      items(jsonValue(2)),
		"array|items:json":           items(jsonValue(2)),
		"array|items:string":         items(text()),
		"array|items:number":         items(number()),
		"embedding":                  items(embedded),
		"embedding:3":                rapid.Map(rapid.SliceOfN(embedded, 3, 3), func(l []float64) any { return []any{l[0], l[1], l[2]} }),
		"array|items:number|integer": items(rapid.Int64()),
		"any":                        text().AsAny(),
		"password":                   rapid.Just[any]("$c$QMfwHIXLamb7mCi0LYYGSOdpLnSJtl.HC1B619YgfJo.QEr/hePvW"),
		"money":                      fixed(0, 1<<40, 2),
		"money:0":                    fixed(0, 1<<40, 0),
		"crypto":                     fixed(0, math.MaxInt64, 8),
		"decimal:4":                  fixed(math.MinInt64, math.MaxInt64, 4),
		"geo:lat":                    geo(90, 1e6).AsAny(),
		"geo:lon:2":                  geo(180, 100).AsAny(),
		"geo:point": rapid.Custom(func(t *rapid.T) any {
			return map[string]any{"latitude": geo(90, 1e6).Draw(t, "lat"), "longitude": geo(180, 1e6).Draw(t, "lon")}
		}),
		"buffer":   rapid.SliceOf(rapid.Byte()).AsAny(),
		"bits:12":  rapid.SliceOfN(rapid.Byte(), 2, 2).AsAny(),
		"uuid":     rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).AsAny(),
		"ip4":      rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(b []byte) any { return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3]) }),
		"ip6":      rapid.SampledFrom([]any{"::", "::1", "2001:db8::1", "::ffff:c000:201", "1:2:3:4:5:6:7:8"}),
		"mac":      rapid.StringMatching(`[0-9a-f]{2}(:[0-9a-f]{2}){5}`).AsAny(),
		"cidr":     rapid.SampledFrom([]any{"0.0.0.0/0", "10.1.2.3/8", "255.255.255.255/32"}),
		"semver":   rapid.StringMatching(`[1-9][0-9]{0,8}(\.(0|[1-9][0-9]{0,2})){2}`).AsAny(),
		"phone":    rapid.StringMatching(`\+[1-9][0-9]{6,14}`).AsAny(),
		"color":    rapid.StringMatching(`#[0-9a-f]{6}`).AsAny(),
		"ean":      rapid.StringMatching(`[0-9]{8}|[0-9]{12,14}`).AsAny(),
		"duration": rapid.SampledFrom([]any{"PT0S", "PT0.001S", "P1D", "P3DT1H2M3.004S", "PT59M"}),
		"timeonly": rapid.Map(moment(), func(t time.Time) any { return t.Format("15:04:05.000") }),
		"cron":     rapid.Just[any]("*/5 0 1,2 * 1-5"),
		"locale":   rapid.SampledFrom([]any{"pt-BR", "en"}),
		"currency": rapid.Just[any]("EUR"),
		"country":  rapid.Just[any]("BR"),
	}
}

// fixed gives numbers of so many steps, with all their decimals.
func fixed(least, most int64, digits int) *rapid.Generator[any] {
	return rapid.Map(rapid.Int64Range(least, most), func(n int64) any {
		text := strconv.FormatInt(n, 10)
		sign := ""
		if n < 0 {
			sign, text = "-", text[1:]
		}
		text = strings.Repeat("0", max(0, digits+1-len(text))) + text
		return mustDecimal(sign + text[:len(text)-digits] + "." + text[len(text)-digits:])
	})
}

// geo gives degrees as the format has them: counted from the end of the scale.
func geo(reach, steps float64) *rapid.Generator[float64] {
	return rapid.Map(rapid.IntRange(0, int(2*reach*steps)), func(n int) float64 { return float64(n)/steps - reach })
}

// shape draws attributes, and a function that draws a valid record of them.
func shape(t *rapid.T, depth int) (store.Attributes, func(*rapid.T) map[string]any) {
	all := types()
	attributes := make(store.Attributes)
	values := make(map[string]func(*rapid.T) any)
	for i := range rapid.IntRange(0, 5).Draw(t, "attributes") {
		name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "Name", "é", "0", "x-y ", "_"}).Draw(t, "name"), i)
		if name[0] == '_' {
			name = "n" + name
		}
		if depth > 0 && rapid.IntRange(0, 4).Draw(t, "nested") == 0 {
			inner, record := shape(t, depth-1)
			attributes[name] = inner
			values[name] = func(t *rapid.T) any { return record(t) }
			continue
		}
		definition := rapid.SampledFrom(keys(all)).Draw(t, "definition")
		attributes[name] = definition
		values[name] = func(t *rapid.T) any { return all[definition].Draw(t, name) }
	}
	return attributes, func(t *rapid.T) map[string]any {
		rec := make(map[string]any)
		for _, name := range keys(values) {
			switch rapid.IntRange(0, 5).Draw(t, "presence") {
			case 0: // absent
			case 1:
				rec[name] = nil
			default:
				rec[name] = values[name](t)
			}
		}
		return rec
	}
}

// keys are sorted, since rapid needs the same order in every run.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// TestRecordsSurvive: any valid record of any schema is read back as it was
// written, and what was returned and announced is exactly what is read. That makes
// it possible to tell, after a crash, whether an announced write was applied.
func TestRecordsSurvive(t *testing.T) {
	for name, open := range map[string]func() (*store.DB, error){
		"memory": func() (*store.DB, error) {
			return store.Open(t.Context(), "memory://x", store.WithPassphrase("a passphrase"))
		},
		"file": func() (*store.DB, error) {
			return store.OpenFS(t.Context(), faultfs.New(), false, "a passphrase")
		},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				db, err := open()
				if err != nil {
					t.Fatal(err)
				}
				recorder := &keeper{}
				release, err := db.Capture(recorder)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				attributes, record := shape(t, 2)
				def := store.Definition{Name: "r", Attributes: attributes, Timestamps: rapid.Bool().Draw(t, "timestamps"),
					Behavior: rapid.SampledFrom([]string{"", "body-overflow", "body-only", "enforce-limits", "truncate-data"}).Draw(t, "behavior")}
				r, err := db.CreateResource(t.Context(), def)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // once new, once over what is there
					rec := store.Record(record(t))
					rec["id"] = "x"
					err := r.Put(t.Context(), rec)
					if headers, _, rawErr := store.GetRaw(t.Context(), db, "resource=r/data/id=x"); err == nil && def.Behavior == "truncate-data" && headers["_truncated"] == "true" {
						wantTruncated(t, r, rec)
						continue
					} else if _, refused := errors.AsType[*store.ValidationError](err); refused && (def.Behavior == "enforce-limits" || def.Behavior == "truncate-data") {
						wantOverLimit(t, err)
						continue
					} else if err != nil || rawErr != nil {
						t.Fatalf("%v: Put(%v): %v (%v)", attributes, rec, err, rawErr)
					}
					wantWithinS3(t, db)
					got, err := r.Get(t.Context(), "x")
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(rec, got, cmp.Comparer(func(a, b cdc.Decimal) bool { return a.Cmp(b) == 0 })); diff != "" {
						t.Fatalf("%v: -written +read\n%s", attributes, diff)
					}
					if announced := recorder.changes[len(recorder.changes)-1]; !announced.Data.Equal(got) {
						t.Fatalf("announced %v, read %v", announced.Data, got)
					}
				}
			})
		})
	}
}

// wantWithinS3 checks that S3 would take a record's headers.
func wantWithinS3(t *rapid.T, db *store.DB) {
	headers, _, err := store.GetRaw(context.Background(), db, "resource=r/data/id=x")
	size := 0
	for name, wire := range headers {
		size += len(name) + len(wire)
		if strings.TrimSpace(wire) != wire || strings.ContainsFunc(wire, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q can't be a header", wire)
		}
	}
	if err != nil || size > 2048 {
		t.Fatalf("%d bytes of metadata (%v)", size, err)
	}
}

// wantOverLimit checks that a record was refused for what a behavior can't hold.
func wantOverLimit(t *rapid.T, err error) {
	if text := err.Error(); !strings.HasPrefix(text, "store: r x: ") || !strings.Contains(text, "bytes of metadata") && !strings.Contains(text, "only a body can tell apart") {
		t.Fatalf("refused for another reason: %v", err)
	}
}

// wantTruncated checks that a truncated record holds nothing else than it was given, but
// for one value that became empty.
func wantTruncated(t *rapid.T, r *store.Resource, rec store.Record) {
	got, err := r.Get(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	leaves := func(m map[string]any) map[string]any {
		out := map[string]any{}
		var walk func(prefix string, m map[string]any)
		walk = func(prefix string, m map[string]any) {
			for name, v := range m {
				out[prefix+name] = v
				if inner, ok := v.(map[string]any); ok {
					walk(prefix+name+".", inner)
				}
			}
		}
		walk("", m)
		return out
	}
	had, empty := leaves(rec), 0
	for path, v := range leaves(got) {
		if _, isMap := v.(map[string]any); isMap || cdc.Equal(had[path], v) {
			continue
		}
		if list, isList := v.([]any); v != "" && v != false && !(isList && len(list) == 0) {
			t.Fatalf("%s is %v, and was %v", path, v, had[path])
		}
		empty++
	}
	if empty > 1 {
		t.Fatalf("%d values became empty", empty)
	}
}

// TestForeignValuesSurviveUpdate: whatever stands in an object, reading it does no
// harm, and an update of something else keeps what was read.
func TestForeignValuesSurviveUpdate(t *testing.T) {
	db := open(t, "memory://x", store.WithPassphrase("p"))
	attributes := store.Attributes{"nested": store.Attributes{"in": "string", "deep": store.Attributes{"n": "number"}}}
	for i, definition := range keys(types()) {
		if definition != "secret" { // one that can't be decrypted is an error
			attributes[fmt.Sprintf("a%d", i)] = definition
		}
	}
	r := create(t, db, "r", attributes)
	headerKeys := store.ShortKeys(db, "r", keys(attributes))
	slices.Sort(headerKeys)
	value := rapid.OneOf(text(), rapid.SampledFrom([]string{"1", "-1", "zz.5", "1.5e400", "-0", "7M85y0N8lZa", "ZZZZZZZZZZZZZZZZZZ", "^[1,,2]", "^[ZZZZZZZZZZZZ]",
		"^1|^2", "1|x", "1|2", "{\"a\":1e400}", "{\"k\":1}", "[1,[2]]", "12", "2024-01-01", "2024-01-01T00:00:00Z", "yes", "-ZZZZZZZZ", "1e5", "null"}))
	rapid.Check(t, func(t *rapid.T) {
		headers, body := map[string]string{"_v": "v1"}, map[string]any{}
		for _, key := range headerKeys {
			switch rapid.IntRange(0, 3).Draw(t, key) {
			case 0:
				headers[key] = value.Draw(t, "header")
			case 1:
				body[key] = rapid.OneOf(value.AsAny(), jsonValue(2)).Draw(t, "body")
			}
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "body only") {
			headers = nil
		}
		if err := store.PutRaw(t.Context(), db, "resource=r/data/id=x", headers, string(text), ""); err != nil {
			t.Fatal(err)
		}
		before, err := r.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cdc.Normalize(before); err != nil {
			t.Fatalf("read what does not travel: %v", err)
		}
		after, err := r.Update(t.Context(), "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b cdc.Decimal) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Fatalf("-before +after\n%s", diff)
		}
	})
}
