package bigquery

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// What the vendor states for names and schemas: cloud.google.com/bigquery/docs/schemas,
// /docs/datasets, /docs/tables and /docs/clustered-tables.
const (
	maxName       = 1024 // of datasets and tables
	maxColumn     = 300
	maxClustering = 4
	maxKey        = 16 // columns of a primary key
)

// The columns that the driver writes beside the record's, in the modes that keep every
// change. Their names are those of s3db.js.
const (
	operationColumn = "_operation_type"
	timeColumn      = "_operation_timestamp"
	deletedColumn   = "_is_deleted"
	versionColumn   = "_version"
	changeColumn    = "_change_id"
)

// The columns that say what a row does, instead of holding a value.
const (
	changeTypeColumn = "_CHANGE_TYPE"
	sequenceColumn   = "_CHANGE_SEQUENCE_NUMBER"
)

// tableName is a table's name, and that of the view beside it.
type tableName struct{ project, dataset, table, view string }

// parseName reads a target: "orders", or "analytics.orders".
func parseName(target string, o Options) (tableName, error) {
	n := tableName{project: o.ProjectID, dataset: o.Dataset, table: target}
	if dataset, table, ok := strings.Cut(target, "."); ok {
		n.dataset, n.table = dataset, table
		if err := checkDataset(dataset); err != nil {
			return n, err
		}
	}
	if err := checkTable(n.table); err != nil {
		return n, err
	}
	if n.view = o.Tables[target].View; n.view == "" {
		n.view = n.table + "_changes"
	}
	return n, nil
}

// String gives the name in backticks, as SQL has it.
func (n tableName) String() string { return quote(n.project + "." + n.dataset + "." + n.table) }

// stream gives the name by which the Storage Write API knows the table.
func (n tableName) stream() string {
	return fmt.Sprintf("projects/%s/datasets/%s/tables/%s", n.project, n.dataset, n.table)
}

// quote puts a name in backticks. No name that the checks let through has one.
func quote(name string) string { return "`" + name + "`" }

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = quote(name)
	}
	return strings.Join(out, ", ")
}

var (
	datasetForm = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	columnForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func checkDataset(name string) error {
	if len(name) > maxName || !datasetForm.MatchString(name) {
		return fmt.Errorf("%.40q is not the name of a dataset, which has letters, digits and underscores", name)
	}
	return nil
}

// checkTable says why a name can't be that of a table. The vendor takes letters, marks,
// digits, connectors, dashes and spaces.
func checkTable(name string) error {
	switch {
	case name == "":
		return errors.New("the table's name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the table's name is longer than %d bytes", maxName)
	}
	for _, r := range name {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Pc, unicode.Pd, unicode.Zs) {
			return fmt.Errorf("the table's name holds %q; a target is table or dataset.table", r)
		}
	}
	return nil
}

// checkColumn says why a name can't be that of a column. BigQuery itself takes more in
// some places; these are the names that every part of it takes.
func checkColumn(name string) error {
	if len(name) > maxColumn || !columnForm.MatchString(name) {
		return fmt.Errorf("%.40q is not the name of a column, which begins with a letter or an underscore, goes on with these and digits, and has up to %d of them", name, maxColumn)
	}
	upper := strings.ToUpper(name)
	for _, prefix := range []string{"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"} {
		if strings.HasPrefix(upper, prefix) {
			return fmt.Errorf("%q is not the name of a column: those that begin with %s are BigQuery's own", name, prefix)
		}
	}
	return nil
}
