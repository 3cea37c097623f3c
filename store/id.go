package store

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// idSize is the length of the ids that the store makes: 132 random bits.
const idSize = 22

// idAlphabet holds 64 characters, so that six random bits choose one.
const idAlphabet = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"

// maxName bounds ids and resource names in bytes, so that with what the format and
// the durable write put around it a name stays within the 255 of a file name.
const maxName = 200

func newID() string {
	var b [idSize]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = idAlphabet[b[i]%64]
	}
	return string(b[:])
}

// unfitID says why text can't be a record's id or a resource's name, "" if it can.
// The answer is the same for every backend, so that a record can move to any.
func unfitID(text string) string {
	switch {
	case text == "":
		return "is empty"
	case len(text) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	case text == "." || text == "..":
		return "names a directory"
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case strings.HasSuffix(text, metaSuffix):
		return "ends like the file beside a record's"
	}
	for _, r := range text {
		if strings.ContainsRune(`/\=%`, r) || unicode.IsControl(r) {
			return fmt.Sprintf("can't hold %q", r)
		}
	}
	return ""
}

// recordKey is the key of a record's object.
func recordKey(resource, id string) string { return recordPrefix(resource) + id }

// recordPrefix begins the keys of all of a resource's records.
func recordPrefix(resource string) string { return "resource=" + resource + "/data/id=" }
