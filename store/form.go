package store

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// form is a kind of text that has one spelling for each value, and mostly a shorter
// one in storage.
type form struct {
	name string
	want string // what a valid one is like, for errors

	// canonical gives the one spelling of what a caller writes.
	canonical func(text string) (string, bool)
	// pack gives what is stored for a canonical text.
	pack func(text string) string
	// unpack gives the canonical text of what is stored. What it can't read may be a
	// text that somebody stored as it is.
	unpack func(stored string) (string, bool)
}

// forms are all that there are.
var forms = []form{
	{"uuid", "a UUID like 550e8400-e29b-41d4-a716-446655440000", canonicalUUID, packUUID, unpackUUID},
	{"ip4", "an address like 192.0.2.1", canonicalIP4, packIP, unpackIP(4)},
	{"ip6", "an address like 2001:db8::1", canonicalIP6, packIP, unpackIP(16)},
	{"mac", "an address like 00:00:5e:00:53:01", canonicalMAC, packMAC, unpackMAC},
	{"cidr", "a network like 192.0.2.0/24", canonicalCIDR, packCIDR, unpackCIDR},
	{"semver", "a version like 1.2.3, whose last two numbers are below 1000", canonicalSemver, packSemver, unpackSemver},
	{"phone", "a number like +5511999999999", canonicalPhone, packPhone, unpackPhone},
	{"color", "a color like #ff5733", canonicalColor, packColor, unpackColor},
	{"ean", "8, 12, 13 or 14 digits", canonicalEAN, packEAN, unpackEAN},
	{"duration", "a duration like PT1H30M or 1h30m", canonicalDuration, packDuration, unpackDuration},
	{"timeonly", "a time of day like 15:04:05", canonicalClock, packClock, unpackClock},
	{"cron", "five fields like */5 * * * *", canonicalCron, asItIs, unpackNone},
	{"locale", "a locale like pt-BR", canonicalLocale, asItIs, unpackNone},
	{"currency", "a currency like EUR", letters(3), asItIs, unpackNone},
	{"country", "a country like BR", letters(2), asItIs, unpackNone},
}

// formNamed gives nil for a type that is no form.
func formNamed(name string) *form {
	for i := range forms {
		if forms[i].name == name {
			return &forms[i]
		}
	}
	return nil
}

// accept gives the canonical text, or says why there is none.
func (f *form) accept(v any) (any, string) {
	text, ok := v.(string)
	if ok {
		text, ok = f.canonical(text)
	}
	if !ok {
		return nil, "must be " + f.want
	}
	return text, ""
}

// decode reads what is stored.
func (f *form) decode(stored string) (any, bool) {
	if text, ok := f.unpack(stored); ok {
		return text, true
	}
	return f.canonical(stored)
}

func asItIs(text string) string        { return text }
func unpackNone(string) (string, bool) { return "", false }

// pad fills a number to the base of 62 up to a fixed length.
func pad(n uint64, length int) string {
	text := encodeInt(int64(n))
	return strings.Repeat("0", max(0, length-len(text))) + text
}

// unpad reads a number to the base of 62 that is at most limit.
func unpad(text string, limit uint64) (uint64, bool) {
	v, ok := decodeInt(text)
	n, fits := v.(int64)
	return uint64(n), ok && fits && n >= 0 && uint64(n) <= limit
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func canonicalUUID(text string) (string, bool) {
	text = strings.ToLower(text)
	return text, uuidForm.MatchString(text)
}

func packUUID(text string) string {
	digits, packed := strings.ReplaceAll(text, "-", ""), ""
	for i := 0; i < len(digits); i += 8 {
		n, _ := strconv.ParseUint(digits[i:i+8], 16, 32)
		packed += pad(n, 6)
	}
	return packed
}

func unpackUUID(stored string) (string, bool) {
	if len(stored) != 24 {
		return "", false
	}
	var words [4]uint64
	for i := range words {
		n, ok := unpad(stored[6*i:6*i+6], 1<<32-1)
		if !ok {
			return "", false
		}
		words[i] = n
	}
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1]>>16, words[1]&0xffff, words[2]>>16, words[2]&0xffff, words[3]), true
}
