package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// maxName is the longest identifier that PostgreSQL keeps, in bytes. Of a longer one
// it drops the end, so that two could become one.
const maxName = 63

// tableName is a table's name, in a schema or, if that is "", in the first of the
// search path that has it.
type tableName struct{ schema, table string }

// parseName reads a target: "orders", "analytics.orders", or with a part in double
// quotes that holds a point, `"my.orders"`.
func parseName(target string) (tableName, error) {
	var parts []string
	for rest := target; ; {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := closing(rest)
			if end < 0 {
				return tableName{}, errors.New("the name has a quote that does not end")
			}
			part, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), rest[end+1:]
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
		}
		if err := checkName(part); err != nil {
			return tableName{}, err
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return tableName{}, errors.New("the name goes on after a quote")
		}
		rest = rest[1:]
	}
	switch len(parts) {
	case 1:
		return tableName{table: parts[0]}, nil
	case 2:
		return tableName{parts[0], parts[1]}, nil
	}
	return tableName{}, errors.New(`the name has more parts than a schema and a table; a part that holds a point stands in double quotes`)
}

// closing gives the place of the quote that ends what begins with one, -1 if none does.
func closing(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			i++
			continue
		}
		return i
	}
	return -1
}

// checkName says why a name can't be an identifier.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return errors.New("the name is longer than 63 bytes, of which PostgreSQL would drop the end")
	case strings.ContainsRune(name, 0):
		return errors.New("the name holds a NUL, which PostgreSQL can't")
	}
	return nil
}

// String gives the name quoted.
func (n tableName) String() string {
	if n.schema == "" {
		return quote(n.table)
	}
	return quote(n.schema) + "." + quote(n.table)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteAll(names []string, prefix string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + quote(name)
	}
	return strings.Join(out, ", ")
}
