package codec

import (
	"math/bits"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// SizeChange gives the number of bytes that [AppendChange] appends, exactly,
// without writing them. For a change that AppendChange refuses it gives a number
// without meaning.
func SizeChange(c *cdc.Change) int {
	return 3 + len(c.ChangeID) +
		sizeUvarint(c.Seq) + sizeUvarint(c.Version) +
		sizeTime(c.Time) + sizeVarint(int64(c.SchemaVersion)) +
		sizeText(c.Resource) + sizeText(c.RecordID) + sizeText(c.Trace) +
		sizeFields(c.Data, 0) + sizeFields(c.Before, 0)
}

func sizeFields(m map[string]any, depth int) int {
	n := sizeCount(len(m), m == nil)
	for name, v := range m {
		n += sizeText(name) + sizeValue(v, depth)
	}
	return n
}

func sizeValue(v any, depth int) int {
	if depth > cdc.MaxDepth {
		// Refused when written; it may be a value that contains itself.
		return 0
	}
	const tag = 1
	switch v := v.(type) {
	case int64:
		return tag + sizeVarint(v)
	case float64:
		return tag + 8
	case cdc.Decimal:
		return tag + sizeText(v.String())
	case string:
		return tag + sizeText(v)
	case []byte:
		return tag + sizeCount(len(v), v == nil) + len(v)
	case time.Time:
		return tag + sizeTime(v)
	case []any:
		n := tag + sizeCount(len(v), v == nil)
		for _, e := range v {
			n += sizeValue(e, depth+1)
		}
		return n
	case map[string]any:
		return tag + sizeFields(v, depth+1)
	}
	return tag // nil, false, true
}

func sizeTime(t time.Time) int {
	return sizeVarint(t.Unix()) + sizeUvarint(uint64(t.Nanosecond()/1000))
}

func sizeText(s string) int { return sizeUvarint(uint64(len(s))) + len(s) }

func sizeCount(n int, isNil bool) int {
	if isNil {
		return 1
	}
	return sizeUvarint(uint64(n) + 1)
}

func sizeVarint(x int64) int { return sizeUvarint(uint64(x<<1) ^ uint64(x>>63)) }

// sizeUvarint counts groups of seven bits, at least one.
func sizeUvarint(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }
