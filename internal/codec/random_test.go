package codec_test

import (
	"bytes"
	"encoding/hex"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
)

// values draws any value of the closed list, nested up to depth.
func values(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Int64().AsAny(),
		rapid.Float64().AsAny(),
		rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Just[any]([]byte(nil)),
		rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(rapid.Int64().Draw(t, "sec"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000).UTC()
		}).AsAny(),
		rapid.Custom(func(t *rapid.T) cdc.Decimal {
			d, err := cdc.ParseDecimal(rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,10})?`).Draw(t, "decimal"))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}).AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Just[any]([]any(nil)),
			rapid.SliceOfN(values(depth-1), 0, 4).AsAny(),
			rapid.Just[any](map[string]any(nil)),
			rapid.MapOfN(rapid.String(), values(depth-1), 0, 4).AsAny(),
		)
	}
	return rapid.OneOf(kinds...)
}

func records() *rapid.Generator[cdc.Record] {
	return rapid.Custom(func(t *rapid.T) cdc.Record {
		if rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return rapid.MapOfN(rapid.String(), values(3), 0, 8).Draw(t, "fields")
	})
}

func changes() *rapid.Generator[cdc.Change] {
	return rapid.Custom(func(t *rapid.T) cdc.Change {
		return cdc.Change{
			ChangeID:      cdc.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Seq:           rapid.Uint64().Draw(t, "seq"),
			Version:       rapid.Uint64().Draw(t, "version"),
			Op:            rapid.SampledFrom([]cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted}).Draw(t, "op"),
			Resource:      rapid.String().Draw(t, "resource"),
			RecordID:      rapid.String().Draw(t, "record id"),
			Data:          records().Draw(t, "data"),
			Before:        records().Draw(t, "before"),
			Time:          time.Unix(rapid.Int64().Draw(t, "sec"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000).UTC(),
			Origin:        cdc.Origin(rapid.IntRange(0, int(cdc.Replayed)).Draw(t, "origin")),
			SchemaVersion: int(rapid.Int32().Draw(t, "schema version")),
			Trace:         rapid.String().Draw(t, "trace"),
		}
	})
}

func TestAnyChangeComesBackExactly(t *testing.T) {
	in := codec.NewInterner()
	rapid.Check(t, func(t *rapid.T) {
		want := changes().Draw(t, "change")
		b, err := codec.AppendChange(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != codec.SizeChange(&want) {
			t.Fatalf("%d bytes, SizeChange said %d", len(b), codec.SizeChange(&want))
		}
		got, err := codec.DecodeChange(b, in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, exactly); diff != "" {
			t.Fatal(diff)
		}
	})
}

// hostile are inputs that claim more than they hold.
func hostile() [][]byte {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			panic(err)
		}
		return b
	}
	padding := bytes.Repeat([]byte{0}, 1<<16)
	// A hundred arrays, one in the other, each of which claims to fill the input.
	claims := unhex("21 02 01 61")
	for range cdc.MaxDepth {
		claims = append(claims, unhex("09 ffff03")...)
	}
	// The same with maps.
	maps := unhex("21 ffff01")
	for range cdc.MaxDepth {
		maps = append(maps, unhex("01 61 0a ffff01")...)
	}
	return [][]byte{
		append(claims, padding...),
		append(maps, padding...),
		append(unhex("21 8080808010"), padding...),         // 2^32 fields
		unhex("21 02 01 61 05 08 31 65 31 33 31 30 37 32"), // the decimal 1e131072
		unhex("21 02 01 61 05 07 31 65 31 33 31 30 37"),
	}
}

func TestInputCannotAskForMemoryItDoesNotHold(t *testing.T) {
	for i, b := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := codec.DecodeRecord(b, nil); err == nil {
			t.Errorf("input %d was accepted", i)
		}
		runtime.ReadMemStats(&after)
		// A Go map needs up to 40 bytes per place and twice the places.
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(100*len(b)+1<<14); used > most {
			t.Errorf("input %d: %d bytes allocated for %d bytes of input", i, used, len(b))
		}
	}
}

// FuzzDecode: whatever the bytes, decoding gives an error or a change that is
// encoded and read back as the same.
func FuzzDecode(f *testing.F) {
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated, cdc.Deleted} {
		c := order(op)
		c.Data["nested"] = []any{map[string]any{"a": []byte("b"), "d": cdc.Decimal{}}, nil, true}
		b, err := codec.AppendChange(nil, &c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		r, err := codec.AppendRecord(nil, c.Data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r)
	}
	for _, b := range hostile() {
		if len(b) < 1<<12 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		input := slices.Clone(b)
		c, err := codec.DecodeChange(b, codec.NewInterner())
		if err == nil {
			again, err := codec.AppendChange(nil, &c)
			if err != nil {
				t.Fatalf("a decoded change can't be encoded: %v", err)
			}
			d, err := codec.DecodeChange(again, nil)
			if diff := cmp.Diff(c, d, exactly); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
		}
		r, err := codec.DecodeRecord(b, nil)
		if err == nil {
			again, err := codec.AppendRecord(nil, r)
			if err != nil {
				t.Fatalf("a decoded record can't be encoded: %v", err)
			}
			s, err := codec.DecodeRecord(again, nil)
			if diff := cmp.Diff(r, s, exactly); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
		}
		if !bytes.Equal(input, b) {
			t.Fatal("decoding changed its input")
		}
	})
}

func BenchmarkAppendChange(b *testing.B) {
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated} {
		c := order(op)
		b.Run(op.String(), func(b *testing.B) {
			buf := make([]byte, 0, codec.SizeChange(&c))
			b.SetBytes(int64(cap(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.AppendChange(buf, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeChange(b *testing.B) {
	for _, op := range []cdc.Op{cdc.Inserted, cdc.Updated} {
		c := order(op)
		b.Run(op.String(), func(b *testing.B) {
			encoded := mustAppend(b, &c)
			in := codec.NewInterner()
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.DecodeChange(encoded, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
