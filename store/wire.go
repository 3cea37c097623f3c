package store

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A header's value is text, nil or absent, in printable ASCII. The original picks
// among five encodings by what it finds; a reader must know all of them, while a
// writer gets by with three.

// encodeHeader gives the wire form of a text: itself if it is plain, else the shorter
// of percent encoding and base 64.
func encodeHeader(text string) string {
	if plainHeader(text) {
		return text
	}
	escaped := 0
	for i := range len(text) {
		if !unescaped(text[i]) {
			escaped++
		}
	}
	if len(text)+2*escaped < base64.StdEncoding.EncodedLen(len(text)) {
		return "u:" + escape(text)
	}
	return "b:" + base64.StdEncoding.EncodeToString([]byte(text))
}

// unescaped reports whether percent encoding leaves a byte as it is.
func unescaped(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0
}

func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; unescaped(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// plainHeader reports whether a text can stand in a header as it is: ASCII without
// control characters, without blanks at the ends, which HTTP strips, and not to
// be taken for one of the encodings.
func plainHeader(text string) bool {
	if text == "null" || text == "undefined" || strings.HasPrefix(text, " ") || strings.HasSuffix(text, " ") {
		return false
	}
	if mark := strings.IndexByte(text[:min(len(text), 4)], ':'); mark >= 0 {
		switch text[:mark] {
		case "d", "u", "b", "z", "z85": // z and z85 are compressed text for newer versions of the original
			return false
		}
	}
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}

// decodeHeader reads a wire value. nil is the format's null, false its undefined.
func decodeHeader(wire string) (value any, present bool) {
	switch wire {
	case "null":
		return nil, true
	case "undefined":
		return nil, false
	}
	return headerText(wire), true
}

// headerText reads a wire value that is text.
func headerText(wire string) string {
	mark, rest, marked := strings.Cut(wire, ":")
	if !marked || rest == "" {
		return validText(wire)
	}
	switch mark {
	case "d":
		if text, ok := decodeDictionary(rest); ok {
			return text
		}
	case "u":
		if text, err := url.PathUnescape(rest); err == nil && utf8.ValidString(text) {
			return text
		}
	case "b":
		if text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "=")); err == nil {
			return validText(string(text))
		}
	}
	return validText(wire)
}

// validText replaces what is not UTF-8, as the original does on reading.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// dictionary is the format's: one character stands for a whole text, @ and a
// character for how one begins. The original's table has f twice, for font/woff2
// and for failed; it reads it as the latter.
const dictionary = `
	j=application/json X=application/xml J=application/ld+json H=text/html T=text/plain C=text/css
	V=text/javascript v=text/csv P=image/png I=image/jpeg G=image/gif S=image/svg+xml W=image/webp
	Q=application/pdf z=application/zip o=application/octet-stream u=application/x-www-form-urlencoded
	F=multipart/form-data w=font/woff
	p=processing c=completed s=succeeded f=failed x=cancelled t=timeout r=retrying a=authorized K=captured
	R=refunded d=declined h=shipped D=delivered e=returned i=in_transit n=initialized m=terminated
	@1=/api/v1/ @2=/api/v2/ @3=/api/v3/ @a=/api/ @v=/v1/ @u=/users/ @p=/products/
	@A=https://api.example.com/ @H=https://api. @W=https://www. @s=https://s3.amazonaws.com/ @S=https://s3-
	@L=http://localhost: @l=http://localhost @h=https:// @t=http://`

// decodeDictionary reads what follows "d:".
func decodeDictionary(payload string) (string, bool) {
	code, rest := payload, ""
	if payload[0] == '@' && len(payload) > 1 {
		code, rest = payload[:2], payload[2:]
	}
	for entry := range strings.FieldsSeq(dictionary) {
		if text, ok := strings.CutPrefix(entry, code+"="); ok {
			return text + rest, true
		}
	}
	return "", false
}
