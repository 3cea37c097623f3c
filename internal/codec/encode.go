package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

// AppendChange appends the change's bytes to dst and returns the extended slice. A
// nil dst becomes one of exactly the size; another grows as by append: to measure
// first would cost a third of the time, and who writes often has the room.
//
// An error means that the change holds what does not travel (a value that was not
// normalized, an Op that is not exactly one operation) and names where; dst is
// then returned with the length it had.
func AppendChange(dst []byte, c *cdc.Change) ([]byte, error) {
	out := dst
	if out == nil {
		out = make([]byte, 0, SizeChange(c))
	}
	out, err := appendChange(out, c)
	if err != nil {
		return dst, fmt.Errorf("codec: %s/%s: %w", c.Resource, c.RecordID, err)
	}
	return out, nil
}

func appendChange(dst []byte, c *cdc.Change) (_ []byte, err error) {
	if !c.Op.Single() {
		return nil, fmt.Errorf("operation %s is not exactly one", c.Op)
	}
	if c.Origin > cdc.Replayed {
		return nil, fmt.Errorf("unknown origin %s", c.Origin)
	}
	dst = append(dst, changeV1, byte(c.Op), byte(c.Origin))
	dst = append(dst, c.ChangeID[:]...)
	dst = binary.AppendUvarint(dst, c.Seq)
	dst = binary.AppendUvarint(dst, c.Version)
	if dst, err = appendTime(dst, c.Time); err != nil {
		return nil, err
	}
	dst = binary.AppendVarint(dst, int64(c.SchemaVersion))
	dst = appendText(dst, c.Resource)
	dst = appendText(dst, c.RecordID)
	dst = appendText(dst, c.Trace)
	if dst, err = appendFields(dst, c.Data, 0); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if dst, err = appendFields(dst, c.Before, 0); err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	return dst, nil
}

// appendFields takes the depth of the values in m, which is 0 for those of a
// record.
func appendFields(dst []byte, m map[string]any, depth int) (_ []byte, err error) {
	dst = appendCount(dst, len(m), m == nil)
	for name, v := range m {
		dst = appendText(dst, name)
		if dst, err = appendValue(dst, v, depth); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return dst, nil
}

func appendValue(dst []byte, v any, depth int) (_ []byte, err error) {
	if depth > cdc.MaxDepth {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case nil:
		return append(dst, tagNil), nil
	case bool:
		if v {
			return append(dst, tagTrue), nil
		}
		return append(dst, tagFalse), nil
	case int64:
		return binary.AppendVarint(append(dst, tagInt), v), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), math.Float64bits(v)), nil
	case cdc.Decimal:
		return appendText(append(dst, tagDecimal), v.String()), nil
	case string:
		return appendText(append(dst, tagString), v), nil
	case []byte:
		dst = appendCount(append(dst, tagBytes), len(v), v == nil)
		return append(dst, v...), nil
	case time.Time:
		return appendTime(append(dst, tagTime), v)
	case []any:
		dst = appendCount(append(dst, tagArray), len(v), v == nil)
		for i, e := range v {
			if dst, err = appendValue(dst, e, depth+1); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return dst, nil
	case map[string]any:
		return appendFields(append(dst, tagMap), v, depth+1)
	}
	return nil, fmt.Errorf("a %T does not travel; see cdc.Normalize", v)
}

var (
	errTooDeep = fmt.Errorf("nested deeper than %d", cdc.MaxDepth)
	errTime    = errors.New("time is not UTC in whole microseconds; see cdc.Normalize")
)

// appendTime refuses what would come back as another time.
func appendTime(dst []byte, t time.Time) ([]byte, error) {
	if t.Location() != time.UTC || t.Nanosecond()%1000 != 0 {
		return nil, errTime
	}
	dst = binary.AppendVarint(dst, t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond()/1000)), nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendCount keeps nil apart from empty.
func appendCount(dst []byte, n int, isNil bool) []byte {
	if isNil {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(n)+1)
}
