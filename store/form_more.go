package store

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// maxWhole is the largest number of which the original knows each whole one.
const maxWhole = 1<<53 - 1

var semverForm = regexp.MustCompile(`^v?(\d{1,10})\.(\d{1,3})\.(\d{1,3})$`)

// semverPart is what each number is worth to the next: three digits are all that
// the format has room for.
const semverPart = 1000

func canonicalSemver(text string) (string, bool) {
	m := semverForm.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	n := decimalDigits(m[1])*semverPart*semverPart + decimalDigits(m[2])*semverPart + decimalDigits(m[3])
	return semverText(n), n <= maxWhole
}

func semverText(n uint64) string {
	return fmt.Sprintf("%d.%d.%d", n/semverPart/semverPart, n/semverPart%semverPart, n%semverPart)
}

// decimalDigits reads what a pattern has found to be digits, and few enough.
func decimalDigits(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func packSemver(text string) string {
	m := semverForm.FindStringSubmatch(text)
	return encodeInt(int64(decimalDigits(m[1])*semverPart*semverPart + decimalDigits(m[2])*semverPart + decimalDigits(m[3])))
}

func unpackSemver(stored string) (string, bool) {
	n, ok := unpad(stored, maxWhole)
	return semverText(n), ok
}

// A number has no leading zeros, since no country's code has.
var phoneForm = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

func canonicalPhone(text string) (string, bool) {
	text = "+" + strings.TrimPrefix(strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(text), "+")
	return text, phoneForm.MatchString(text)
}

func packPhone(text string) string { return encodeInt(int64(decimalDigits(text[1:]))) }

func unpackPhone(stored string) (string, bool) {
	if strings.HasPrefix(stored, "+") {
		return "", false
	}
	n, ok := unpad(stored, maxWhole)
	return "+" + strconv.FormatUint(n, 10), ok
}

var colorForm = regexp.MustCompile(`^#?([0-9a-f]{3}|[0-9a-f]{6})$`)

func canonicalColor(text string) (string, bool) {
	text = strings.ToLower(text)
	if !colorForm.MatchString(text) {
		return "", false
	}
	digits := strings.TrimPrefix(text, "#")
	if len(digits) == 3 {
		r, g, b := digits[:1], digits[1:2], digits[2:]
		digits = r + r + g + g + b + b
	}
	return "#" + digits, true
}

func packColor(text string) string {
	n, _ := strconv.ParseUint(text[1:], 16, 24)
	return pad(n, 5)
}

func unpackColor(stored string) (string, bool) {
	n, ok := unpad(stored, 1<<24-1)
	return fmt.Sprintf("#%06x", n), ok && len(stored) == 5
}

// eanMarks tell in storage how many digits a code has.
var eanMarks = map[byte]int{'0': 8, '1': 13, '2': 12, '3': 14}

var (
	eanForm    = regexp.MustCompile(`^(\d{8}|\d{12,14})$`)
	eanLiteral = regexp.MustCompile(`^\d{8,14}$`)
)

func canonicalEAN(text string) (string, bool) { return text, eanForm.MatchString(text) }

func packEAN(text string) string {
	for mark, length := range eanMarks {
		packed := string(mark) + encodeInt(int64(decimalDigits(text)))
		// By chance it may have digits alone, and be taken for a code.
		if length == len(text) && !eanLiteral.MatchString(packed) {
			return packed
		}
	}
	return text
}

func unpackEAN(stored string) (string, bool) {
	if stored == "" || eanLiteral.MatchString(stored) {
		return stored, eanForm.MatchString(stored)
	}
	length, known := eanMarks[stored[0]]
	n, ok := unpad(stored[1:], maxWhole)
	text := fmt.Sprintf("%0*d", length, n)
	return text, known && ok && len(text) == length
}

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

var localeForm = regexp.MustCompile(`^([a-zA-Z]{2})(?:[-_]([a-zA-Z]{2}))?$`)

func canonicalLocale(text string) (string, bool) {
	m := localeForm.FindStringSubmatch(text)
	switch {
	case m == nil:
		return "", false
	case m[2] == "":
		return strings.ToLower(m[1]), true
	}
	return strings.ToLower(m[1]) + "-" + strings.ToUpper(m[2]), true
}

func letters(n int) func(string) (string, bool) {
	fits := regexp.MustCompile(fmt.Sprintf(`^[a-zA-Z]{%d}$`, n))
	return func(text string) (string, bool) { return strings.ToUpper(text), fits.MatchString(text) }
}

// jsRound rounds as JavaScript does: halves go up.
func jsRound(f float64) float64 {
	whole := math.Floor(f)
	if f-whole >= 0.5 {
		whole++
	}
	return whole
}
