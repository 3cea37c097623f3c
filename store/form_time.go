package store

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	durationISO   = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)
	durationParts = regexp.MustCompile(`^(?:(\d+(?:\.\d+)?)d)?\s*(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m)?\s*(?:(\d+(?:\.\d+)?)s)?\s*(?:(\d+)ms)?$`)
)

// canonicalDuration reads a duration of the form of ISO 8601, or of parts like
// 1d 2h 3m 4s 5ms.
func canonicalDuration(text string) (string, bool) {
	ms, ok := durationMillis(text)
	return durationText(ms), ok
}

func durationMillis(text string) (uint64, bool) {
	m := durationISO.FindStringSubmatch(text)
	if m == nil {
		m = durationParts.FindStringSubmatch(strings.ToLower(text))
	}
	if m == nil || strings.Join(m[1:], "") == "" {
		return 0, false
	}
	var total float64
	for i, unit := range []float64{86_400_000, 3_600_000, 60_000, 1000, 1}[:len(m)-1] {
		n, _ := strconv.ParseFloat("0"+m[i+1], 64)
		total += n * unit
	}
	total = jsRound(total)
	return uint64(total), total <= maxWhole
}

func durationText(ms uint64) string {
	text := "P"
	if days := ms / 86_400_000; days > 0 {
		text += strconv.FormatUint(days, 10) + "D"
	}
	clock := ""
	if hours := ms / 3_600_000 % 24; hours > 0 {
		clock += strconv.FormatUint(hours, 10) + "H"
	}
	if minutes := ms / 60_000 % 60; minutes > 0 {
		clock += strconv.FormatUint(minutes, 10) + "M"
	}
	switch seconds, millis := ms/1000%60, ms%1000; {
	case millis > 0:
		clock += fmt.Sprintf("%d.%03dS", seconds, millis)
	case seconds > 0:
		clock += strconv.FormatUint(seconds, 10) + "S"
	}
	switch {
	case clock != "":
		return text + "T" + clock
	case text == "P":
		return "PT0S"
	}
	return text
}

func packDuration(text string) string {
	ms, _ := durationMillis(text)
	return encodeInt(int64(ms))
}

func unpackDuration(stored string) (string, bool) {
	if strings.HasPrefix(stored, "P") {
		return "", false
	}
	ms, ok := unpad(stored, maxWhole)
	return durationText(ms), ok
}

var clockForm = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,3}))?)?$`)

func canonicalClock(text string) (string, bool) {
	m := clockForm.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	millis := decimalDigits((m[4] + "000")[:3])
	return fmt.Sprintf("%s:%s:%02d.%03d", m[1], m[2], decimalDigits(m[3]), millis), true
}

func packClock(text string) string {
	m := clockForm.FindStringSubmatch(text)
	seconds := (decimalDigits(m[1])*60+decimalDigits(m[2]))*60 + decimalDigits(m[3])
	return encodeInt(int64(seconds*1000 + decimalDigits(m[4])))
}

func unpackClock(stored string) (string, bool) {
	ms, ok := unpad(stored, 86_400_000-1)
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000), ok
}

var cronPart = regexp.MustCompile(`^(\*|(\d+(-\d+)?(/\d+)?)(,(\d+(-\d+)?(/\d+)?))*|\*/\d+)$`)

func canonicalCron(text string) (string, bool) {
	parts := strings.Fields(text)
	for _, part := range parts {
		if !cronPart.MatchString(part) {
			return "", false
		}
	}
	return strings.Join(parts, " "), len(parts) == 5
}

// jsRound rounds as JavaScript does: halves go up.
func jsRound(f float64) float64 {
	whole := math.Floor(f)
	if f-whole >= 0.5 {
		whole++
	}
	return whole
}
