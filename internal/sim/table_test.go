package sim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// tableHead is the beginning of the table of mistakes in docs/reliability.md.
	tableHead = "| mistake | what it does | found |\n|---|---|---|\n"
	unfound   = "by none of a thousand seeds"
)

// TestTable compares the table of the page with the list of mistakes, so that they can't part.
func TestTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := cutTable(t, string(text))
	for i, m := range mutations {
		switch at := slices.IndexFunc(rows, m.isIn); {
		case at < 0:
			t.Errorf("the table lacks %q (go test -run Mutations -args -mutations -mutation %q -table docs/reliability.md)", m.name, m.name)
		case at != i:
			t.Errorf("%q is row %d of the table and %d of the list", m.name, at+1, i+1)
		case !strings.HasPrefix(rows[at], m.row("")[:len(m.row(""))-len(" |")]):
			t.Errorf("the table says something else of %q than %q", m.name, m.does)
		}
	}
	for _, row := range rows {
		if !slices.ContainsFunc(mutations, func(m mutation) bool { return m.isIn(row) }) {
			t.Errorf("the table has a mistake that nobody makes: %s", row)
		}
	}
}

// cutTable gives the rows of the page's table, and what stands before and behind them.
func cutTable(t *testing.T, text string) (before string, rows []string, behind string) {
	before, rest, found := strings.Cut(text, tableHead)
	if !found {
		t.Fatalf("the page has no table that begins with\n%s", tableHead)
	}
	table, behind, _ := strings.Cut(rest, "\n\n")
	return before + tableHead, strings.Split(table, "\n"), "\n\n" + behind
}

// row is what the table says of a mistake.
func (m *mutation) row(found string) string {
	return fmt.Sprintf("| %s | %s | %s |", m.name, m.does, found)
}

func (m mutation) isIn(row string) bool { return strings.HasPrefix(row, "| "+m.name+" | ") }

// note puts into the page what was found. The rows stand as in the list; those of mistakes
// that nobody makes any more go.
func (m *mutation) note(t *testing.T, path, found string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, old, behind := cutTable(t, string(text))
	var rows []string
	for _, each := range mutations {
		at := slices.IndexFunc(old, each.isIn)
		switch {
		case each.name == m.name:
			rows = append(rows, m.row(found))
		case at >= 0:
			rows = append(rows, old[at])
		}
	}
	if err := os.WriteFile(path, []byte(before+strings.Join(rows, "\n")+behind), 0o644); err != nil {
		t.Fatal(err)
	}
}
