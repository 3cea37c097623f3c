package store

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// idSize is the length of the ids that the store makes: 132 random bits.
	idSize = 22
	// minIDSize is the shortest that may be asked for: of ids of 48 random bits two in
	// a million records are the same once in five hundred times.
	minIDSize = 8
)

// idAlphabet holds 64 characters, so that six random bits choose one.
const idAlphabet = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"

// maxName bounds ids and resource names in bytes, so that with what the format and
// the durable write put around it a name stays within the 255 of a file name.
const maxName = 200

// idRule says which ids records get that come without one.
type idRule struct {
	size      int
	generator string // "" is random
}

func (d Definition) idRule() idRule {
	rule := idRule{d.IDSize, d.IDGenerator}
	if rule.size == 0 {
		rule.size = idSize
	}
	return rule
}

// stored gives the rule as a catalogue has it.
func (r idRule) stored() (size int, generator json.RawMessage) {
	switch {
	case r.generator != "":
		return r.size, json.RawMessage(strconv.Quote(r.generator))
	case r.size != idSize:
		return r.size, json.RawMessage(strconv.Itoa(r.size)) // the original reads only this
	}
	return r.size, json.RawMessage(`"default"`)
}

// idRule reads what stored wrote, or the original: that keeps of a generator of its
// own, or of how numbers begin, only that there is one.
func (v version) idRule() idRule {
	rule := idRule{size: v.IDSize}
	if n, err := strconv.Atoi(string(v.IDGenerator)); err == nil {
		rule.size = n
	}
	if rule.size <= 0 || rule.size > maxName {
		rule.size = idSize
	}
	var generator string
	_ = json.Unmarshal(v.IDGenerator, &generator) // what is no text is the size, or nothing
	if isIncremental(generator) {
		rule.generator = generator
	}
	return rule
}

func isIncremental(generator string) bool {
	return generator == incremental || strings.HasPrefix(generator, incremental+":")
}

// unfitIDs says why ids can't be made as the definition asks, "" if they can.
func (d Definition) unfitIDs() string {
	switch {
	case d.IDSize != 0 && (d.IDSize < minIDSize || d.IDSize > maxName):
		return fmt.Sprintf("IDSize must be from %d to %d", minIDSize, maxName)
	case d.IDGenerator == "":
		return ""
	}
	if _, ok := parseSequence(d.IDGenerator); !ok {
		return fmt.Sprintf("IDGenerator %q is not known; want %s, %s:1000 or %s:ORD-0001", d.IDGenerator, incremental, incremental, incremental)
	}
	return ""
}

// incremental begins the name of a generator of consecutive numbers.
const incremental = "incremental"

// numbering is how a generator of consecutive numbers writes them.
type numbering struct {
	start  int64
	prefix string
	width  int
}

var numberingForm = regexp.MustCompile(`^(?:fast:)?([A-Za-z]{1,19}-?)?(\d{1,15})$`)

func parseSequence(generator string) (numbering, bool) {
	_, suffix, more := strings.Cut(generator, ":")
	if !isIncremental(generator) {
		return numbering{}, false
	}
	if !more || suffix == "fast" {
		return numbering{start: 1}, true
	}
	m := numberingForm.FindStringSubmatch(suffix)
	if m == nil {
		return numbering{start: 1}, false
	}
	n := numbering{start: int64(decimalDigits(m[2])), prefix: m[1]}
	if n.prefix != "" {
		n.width = len(m[2])
	}
	return n, true
}

func (n numbering) id(value int64) string { return fmt.Sprintf("%s%0*d", n.prefix, n.width, value) }

func newID(size int) string {
	b := make([]byte, size)
	rand.Read(b)
	for i := range b {
		b[i] = idAlphabet[b[i]%64]
	}
	return string(b)
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
		switch {
		case r == '/', r == '\\', r == '=', r == '%', unicode.IsControl(r):
			return fmt.Sprintf("can't hold %q", r)
		}
	}
	return ""
}

// recordKey is the key of a record's object.
func recordKey(resource, id string) string { return "resource=" + resource + dataPart + id }

// recordPrefix begins the keys of all of a resource's records.
func recordPrefix(resource string) string { return "resource=" + resource + dataPart }

const dataPart = "/data/id="
