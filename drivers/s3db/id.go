package s3db

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
)

// recordID makes the id of a record at the destination from its key, as the package's
// documentation says. own is the record's id at the source: a key that is this id as a
// number gives the id as it is too.
func recordID(key cdc.Record, own string) (string, error) {
	if len(key) == 0 {
		return "", errors.New("the key is empty")
	}
	if id, ok := key["id"].(string); ok && len(key) == 1 {
		return keptID(id), nil
	}
	if id, ok := key["id"].(int64); ok && len(key) == 1 && strconv.FormatInt(id, 10) == own {
		return own, nil
	}
	var parts []string
	for _, column := range slices.Sorted(maps.Keys(key)) {
		part, err := keyPart(key[column])
		if err != nil {
			return "", fmt.Errorf("key column %s %w", column, err)
		}
		parts = append(parts, part)
	}
	if len(parts) == 1 && parts[0] == "" {
		return "~", nil // no text gives it, and an id can't be empty
	}
	return strings.Join(parts, "~."), nil
}

// keptID gives an id as it is, or escaped if it can't be one in the store or could be
// taken for what recordID makes of another key. An id that is kept has no escape in it
// and one that is escaped has, so that the two never meet.
func keptID(id string) string {
	safe := escaped(id)
	if strings.ReplaceAll(safe, "~7E", "~") == id && !readsAsMade(id) {
		return id // nothing but tildes would be escaped
	}
	return safe
}

// readsAsMade reports whether an id begins like a value that is no text, or has an
// escape in it.
func readsAsMade(id string) bool { return madeForm.MatchString(id) }

var madeForm = regexp.MustCompile(`^~[nbt]|~[0-9A-F]{2}`)

func keyPart(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return escaped(v), nil
	case bool:
		if v {
			return "~b1", nil
		}
		return "~b0", nil
	case int64, float64, cdc.Decimal:
		d, err := cdc.ParseDecimal(fmt.Sprint(v))
		if err != nil {
			return "", errors.New("is not a finite number")
		}
		text := d.String()
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return "~n" + text, nil
	case time.Time:
		return "~t" + v.UTC().Format(time.RFC3339Nano), nil
	case nil:
		return "", errors.New("is null")
	}
	return "", errors.New("is neither text, number, boolean nor time")
}

// fileSuffix is the one ending that no id can have: the store's files have it.
const fileSuffix = ".meta.json"

// escaped writes text in characters that an id can hold.
func escaped(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "~2E") // these name directories
	}
	var out strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		invalid := r == utf8.RuneError && size == 1
		if !invalid && !strings.ContainsRune(`~/\=%`, r) && !unicode.IsControl(r) && text[i:] != fileSuffix {
			out.WriteRune(r)
			continue
		}
		for _, b := range []byte(text[i : i+size]) {
			fmt.Fprintf(&out, "~%02X", b)
		}
	}
	return out.String()
}
