package bigquery

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/api/option"

	"github.com/s3db-go/replicator/internal/schema"
)

// Options say which project is written to, and how. ProjectID and Dataset are required.
type Options struct {
	// ProjectID is the project that holds the datasets, and that is charged.
	ProjectID string
	// Dataset is where targets are that name none of their own. It is created if it is
	// not there, unless SchemaSync.Strategy is ValidateOnly.
	Dataset string
	// Location is where datasets are created: "EU", "europe-west3". Defaults to what the
	// project has, which is "US" unless somebody set it. Those that are there stay where
	// they are.
	Location string

	// Credentials is the key of a service account, as JSON. It is never shown in errors.
	// Defaults to the environment's own (Application Default Credentials).
	Credentials string
	// ClientOptions are given to both clients that are made, that of the REST API and
	// that of the Storage Write API: other credentials, a user agent, a quota project.
	ClientOptions []option.ClientOption
	// Endpoint and WriteEndpoint are of a server in Google's place: the URL of its REST
	// API, and host:port of its Storage Write API. It is spoken to without TLS and
	// credentials. Both or none are set.
	Endpoint, WriteEndpoint string

	// Mutability says what a row of a table stands for, unless Tables says otherwise.
	// Defaults to Mutable.
	Mutability Mutability
	// Tables holds what is particular to single targets, by the name of the target.
	Tables map[string]Table
	// SchemaSync says what may be done to tables that don't fit.
	SchemaSync SchemaSync

	// Logger gets a warning when a table does not fit and SchemaSync.OnMismatch is Warn,
	// and a line for everything that is made or changed. nil is silence.
	Logger *slog.Logger
}

// Table is what is particular to one target.
type Table struct {
	// Mutability says what a row stands for. Defaults to Options.Mutability.
	Mutability Mutability
	// TimePartitioning divides the table when it is created. nil is one partition.
	TimePartitioning *TimePartitioning
	// Clustering holds up to four columns by which rows are sorted when the table is
	// created. For a Mutable table its vendor recommends those of the key.
	Clustering []string
	// View is the name of the view that is made beside a table that is not Mutable.
	// Defaults to the table's name and "_changes".
	View string
}

// TimePartitioning divides a table by time.
type TimePartitioning struct {
	// Type is "HOUR", "DAY", "MONTH" or "YEAR". Defaults to "DAY".
	Type string
	// Field is a column of type DATE, TIMESTAMP or DATETIME, which is created with the
	// table. Defaults to the time at which the row arrived.
	Field string
}

// Mutability says what a row of a table stands for. The zero value leaves the choice to
// [Options], whose own zero value is Mutable.
type Mutability uint8

// The modes.
const (
	// Mutable: a record, as it is now. Deleting it deletes the row.
	Mutable Mutability = iota + 1
	// AppendOnly: a change. The row holds the record after it, or as it was before a
	// delete, and the columns _operation_type (insert, update, delete),
	// _operation_timestamp and _change_id.
	AppendOnly
	// Immutable: a version of a record. The row is as in AppendOnly, and has the columns
	// _is_deleted and _version, which grows with each change of the record.
	Immutable
)

// SchemaSync says what may be done to tables that don't fit. The zero value creates
// tables, adds columns, and lets what does not fit otherwise be an error.
type SchemaSync struct {
	Strategy   Strategy
	OnMismatch OnMismatch
	// DropRows lets DropCreate drop a table with rows in it. Default false: such a table
	// is a mismatch.
	DropRows bool
}

// Strategy says what may be done to a table.
type Strategy uint8

// The strategies.
const (
	// Alter creates datasets and tables, and adds columns.
	Alter Strategy = iota
	// DropCreate creates tables, and creates anew the ones that don't fit.
	DropCreate
	// ValidateOnly changes nothing.
	ValidateOnly
)

// OnMismatch says what becomes of a table that does not fit after the strategy did what
// it may.
type OnMismatch uint8

// The ways to take a mismatch.
const (
	// Error: nothing is written to it. At Start that is an error; later the deliveries
	// wait until somebody mends the table.
	Error OnMismatch = iota
	// Warn: records are written as far as they fit, fields without a column are left
	// out, and a warning says so.
	Warn
	// Ignore is Warn without the warning.
	Ignore
)

// validate reports all faults, without I/O.
func (o Options) validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf("bigquery: "+format, args...)) }
	switch {
	case o.ProjectID == "":
		add("ProjectID is empty (is an environment variable not set?)")
	case strings.ContainsAny(o.ProjectID, "/` \t\n"):
		add("ProjectID is not the id of a project")
	}
	if o.Dataset == "" {
		add("Dataset is empty (is an environment variable not set?)")
	} else if err := checkDataset(o.Dataset); err != nil {
		add("Dataset: %w", err)
	}
	if o.Credentials != "" {
		if reason := misreadCredentials(o.Credentials); reason != "" {
			add("Credentials %s", reason)
		}
	}
	if (o.Endpoint == "") != (o.WriteEndpoint == "") {
		add("Endpoint and WriteEndpoint are of one server: both are set, or none is")
	}
	if o.Endpoint != "" && o.Credentials != "" {
		add("Credentials would be sent in the clear to Endpoint, which takes none")
	}
	if o.Mutability > Immutable {
		add("Mutability is %d; there are Mutable, AppendOnly and Immutable", o.Mutability)
	}
	for _, target := range slices.Sorted(maps.Keys(o.Tables)) {
		for _, err := range o.Tables[target].faults(target, o) {
			add("Tables[%q]%w", target, err)
		}
	}
	s := o.SchemaSync
	if s.Strategy > ValidateOnly {
		add("SchemaSync.Strategy is %d; there are Alter, DropCreate and ValidateOnly", s.Strategy)
	}
	if s.OnMismatch > Ignore {
		add("SchemaSync.OnMismatch is %d; there are Error, Warn and Ignore", s.OnMismatch)
	}
	if s.DropRows && s.Strategy != DropCreate {
		add("SchemaSync.DropRows has no effect unless Strategy is DropCreate")
	}
	return errors.Join(errs...)
}

// faults gives what is wrong with the choices for a target; each text goes on after its
// name.
func (t Table) faults(target string, o Options) (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, err := parseName(target, o); err != nil {
		add(": %w", err)
	}
	if t.Mutability > Immutable {
		add(".Mutability is %d; there are Mutable, AppendOnly and Immutable", t.Mutability)
	}
	if p := t.TimePartitioning; p != nil {
		if !slices.Contains([]string{"", "HOUR", "DAY", "MONTH", "YEAR"}, p.Type) {
			add(".TimePartitioning.Type is %q; there are HOUR, DAY, MONTH and YEAR", p.Type)
		}
		if p.Field != "" {
			if err := checkColumn(p.Field); err != nil {
				add(".TimePartitioning.Field: %w", err)
			}
		}
	}
	if len(t.Clustering) > maxClustering {
		add(".Clustering has %d columns; BigQuery takes up to %d", len(t.Clustering), maxClustering)
	}
	for _, column := range t.Clustering {
		if err := checkColumn(column); err != nil {
			add(".Clustering: %w", err)
		}
	}
	if t.View == "" {
		return errs
	}
	if err := checkTable(t.View); err != nil {
		add(".View: %w", err)
	}
	if t.mutability(o) == Mutable {
		add(".View has no effect on a table that is Mutable")
	}
	return errs
}

// mutability gives the mode of a table.
func (t Table) mutability(o Options) Mutability {
	switch {
	case t.Mutability != 0:
		return t.Mutability
	case o.Mutability != 0:
		return o.Mutability
	}
	return Mutable
}

// misreadCredentials says why a text is not the key of a service account, without
// quoting any of it.
func misreadCredentials(text string) string {
	var key struct {
		Type        string
		ClientEmail string `json:"client_email"`
		PrivateKey  string `json:"private_key"`
	}
	switch err := json.Unmarshal([]byte(text), &key); {
	case err != nil:
		return "is not JSON: want the key of a service account, as the console gives it, and not the name of its file"
	case key.Type != "service_account":
		return "is not of a service account; give other credentials with ClientOptions"
	case !strings.Contains(key.ClientEmail, "@"):
		return "has no client_email"
	case !strings.Contains(key.PrivateKey, "PRIVATE KEY-----"):
		return "has no private_key in PEM form"
	}
	return ""
}

// rules gives the choice as the plan takes it.
func (s SchemaSync) rules() schema.Rules {
	return schema.Rules{
		Strategy: schema.Strategy(s.Strategy), OnMismatch: schema.OnMismatch(s.OnMismatch), DropRows: s.DropRows, Fits: fits,
	}
}
