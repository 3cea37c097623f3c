package store

import (
	"fmt"
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
