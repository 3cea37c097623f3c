package s3db

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/s3db-go/replicator/cdc"
)

// recordID makes the id of a record at the destination from its key.
//
// The key column "id" is the id as it is, so that a copy has its source's ids. Any
// other key becomes text in which different keys are different:
//
//   - the values of the columns, in the order of their names, joined by "~.";
//   - text as it is, with "~" and what an id can't hold written as "~" and two hex
//     digits per byte: "a/b" is "a~2Fb";
//   - numbers by their value as "~n42" (4.20 is 4.2), booleans as "~b1", times as
//     "~t2026-02-28T12:00:00Z", which text never begins with.
//
// So a key of one column of plain text is just that text.
func recordID(key cdc.Record) (string, error) {
	if len(key) == 0 {
		return "", errors.New("the key is empty")
	}
	if id, ok := key["id"].(string); ok && len(key) == 1 {
		return id, nil
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

// escaped writes text in characters that an id can hold.
func escaped(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "~2E") // these name directories
	}
	var out strings.Builder
	for _, r := range text {
		if !strings.ContainsRune(`~/\=%`, r) && !unicode.IsControl(r) {
			out.WriteRune(r)
			continue
		}
		for _, b := range utf8.AppendRune(nil, r) {
			fmt.Fprintf(&out, "~%02X", b)
		}
	}
	return out.String()
}
