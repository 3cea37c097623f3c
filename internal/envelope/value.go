package envelope

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
)

// microseconds is the resolution of times in records.
const microseconds = "2006-01-02T15:04:05.000000Z"

// appendRecord writes a record, null if it is nil.
func appendRecord(b []byte, r cdc.Record) ([]byte, error) {
	if r == nil {
		return append(b, "null"...), nil
	}
	return appendObject(b, r)
}

func appendObject(b []byte, object map[string]any) (_ []byte, err error) {
	var room [16]string // few objects have more fields
	names := room[:0]
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		if b, err = appendValue(b, object[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return append(b, '}'), nil
}

func appendArray(b []byte, array []any) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range array {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is not a number in JSON", v)
		}
		return strconv.AppendFloat(b, v, 'g', -1, 64), nil
	case cdc.Decimal:
		return append(b, v.String()...), nil
	case string:
		return appendText(b, v), nil
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"'), nil
	case time.Time:
		return append(v.UTC().AppendFormat(append(b, '"'), microseconds), '"'), nil
	case []any:
		return appendArray(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("a %T has no form in JSON", v)
}

const hexDigits = "0123456789abcdef"

// appendText writes a string with only those escapes that JSON demands, and those of
// the two characters that XML, and so SQS, can't hold. What is not valid UTF-8 becomes
// U+FFFD, as encoding/json has it.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == 0xfffe || r == 0xffff {
				b = append(b, `\uff`...)
				b = append(b, hexDigits[r>>4&0xf], hexDigits[r&0xf])
			} else {
				b = utf8.AppendRune(b, r)
			}
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
