package postgres

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// epoch is where PostgreSQL counts from.
const epoch = 946_684_800 // 2000-01-01 in Unix seconds

// sub2000 gives the microseconds since PostgreSQL's epoch.
func sub2000(t time.Time) int64 { return t.UnixMicro() - epoch*1e6 }

// instant reads a time, or a text that is one in RFC 3339 or a date.
func instant(v any) (t time.Time, reason string) {
	switch v := v.(type) {
	case time.Time:
		t = v
	case string:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v); err != nil {
			if t, err = time.Parse(time.DateOnly, v); err != nil {
				return t, "takes times, as text in RFC 3339, and this text is none"
			}
		}
	default:
		return t, "takes times, not " + nameOf(v)
	}
	// What the microseconds of an int64 hold is less than a time.Time, and PostgreSQL
	// begins at 4714 BC.
	if y := t.Year(); y < -4712 || y > 294_275 {
		return t, "is out of range"
	}
	return t, ""
}

// units are the nanoseconds of the last digit, by how many digits of a second are kept.
var units = [microseconds + 1]int{1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3}

// finer gives the reason against a time that has more digits than the column keeps.
func (c *column) finer(is bool) (reason string) {
	if is {
		return fmt.Sprintf("keeps %d digits of a second, and would drop the others", c.scale)
	}
	return ""
}

func (c *column) appendTimestamp(dst []byte, v any) ([]byte, string) {
	t, reason := instant(v)
	if reason == "" {
		reason = c.finer(t.Nanosecond()%units[c.scale] != 0)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(sub2000(t))), reason
}

func appendDate(dst []byte, v any) ([]byte, string) {
	t, reason := instant(v)
	if reason != "" {
		return dst, "takes dates, YYYY-MM-DD"
	}
	if u := t.UTC(); !u.Equal(u.Truncate(24 * time.Hour)) {
		return dst, "takes dates, and would drop the time of day"
	}
	return binary.BigEndian.AppendUint32(dst, uint32(int32((t.Unix()-epoch)/(24*60*60)))), ""
}

// appendTimeOfDay writes a time of day as it is given.
func (c *column) appendTimeOfDay(dst []byte, v any) ([]byte, string) {
	s, ok := v.(string)
	if !ok || !isTimeOfDay(s) {
		return dst, "takes a time of day as text, 15:04:05"
	}
	_, fraction, _ := strings.Cut(s, ".")
	return append(dst, s...), c.finer(len(strings.TrimRight(fraction, "0")) > c.scale)
}

func isTimeOfDay(s string) bool {
	for _, layout := range []string{time.TimeOnly, "15:04"} { // a fraction of a second is read too
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}
