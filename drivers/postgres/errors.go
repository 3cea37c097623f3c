package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/s3db-go/replicator/cdc"
)

// errLate is the answer of a fence.
var errLate = errors.New("the request arrived after its time, or the clocks differ")

// judge says whose fault an error is. Its text has the server's code and the names of
// what is concerned; the server's message is left out, since it quotes rows.
func judge(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil && !broken(err) {
		return err
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return cdc.Unavailable(unconnected(connect))
	}
	switch {
	case errors.Is(err, errLate):
		return err
	case !ok:
		return cdc.Unavailable(fmt.Errorf("the connection is lost: %w", err))
	}
	text := errors.New(describe(pg))
	switch pg.Code {
	case "42501":
		text = fmt.Errorf("%w: the role needs GRANT SELECT, INSERT, UPDATE, DELETE on the table", text)
	case "23502":
		text = fmt.Errorf("%w: the record has no value for it; let a Transform give one, or give the column a default", text)
	}
	switch faultOf(pg.Code) {
	case cdc.RecordFault:
		return cdc.Permanent(text)
	case cdc.DestinationFault:
		return cdc.Unavailable(text)
	}
	return text
}

// broken reports whether the other side ended the connection, which is no matter of the
// time that there was for an answer.
func broken(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// faultOf says whose fault an error with that code is. A code that is not listed may be
// a record's own, as what a trigger raises: as the destination's, one record would hold
// up all the others for ever.
func faultOf(code string) cdc.Fault {
	switch code {
	case "57014": // somebody cancelled the statement
		return cdc.Transient
	case "23502", "23514":
		return cdc.RecordFault
	}
	switch class(code) {
	case "21", "22", "44", "54":
		return cdc.RecordFault
	case "08", "0A", "25", "26", "28", "3D", "3F", "42", "53", "57", "58", "F0":
		return cdc.DestinationFault
	}
	return cdc.Transient
}

// class gives the part of a code that tells what kind of error it is.
func class(code string) string { return code[:min(len(code), 2)] }

// divisible reports whether an error may be that of single rows, so that the others may
// go without them.
func divisible(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || faultOf(pg.Code) == cdc.DestinationFault {
		return false
	}
	switch class(pg.Code) {
	case "40", "55", "57": // of the moment, and of whoever else was there
		return false
	}
	return true
}

// isDuplicate reports whether there is a row already that has a unique value of one that
// was to be added.
func isDuplicate(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505"
}

// stale reports whether an error means that something is not what it was: there is no
// such table, column or constraint, or a column is of another type.
func stale(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch pg.Code {
	case "42P01", "42703", "42P10", "42804", "42883", "42846", "3F000",
		"26000": // a statement that was prepared is forgotten
		return true
	}
	return false
}

// describe gives the text of an error.
func describe(pg *pgconn.PgError) string {
	text := pg.Code
	if name := condition(pg.Code); name != "" {
		text += " " + name
	}
	for _, part := range []struct{ what, name string }{
		{"constraint", pg.ConstraintName}, {"column", pg.ColumnName}, {"type", pg.DataTypeName}, {"table", pg.TableName},
	} {
		if part.name != "" {
			return fmt.Sprintf("%s on %s %q", text, part.what, part.name)
		}
	}
	return text
}

// condition gives PostgreSQL's name for the codes that a reader is likely to meet.
func condition(code string) string {
	switch code {
	case "22001":
		return "string_data_right_truncation"
	case "22003":
		return "numeric_value_out_of_range"
	case "22007", "22008":
		return "invalid_datetime"
	case "22P02":
		return "invalid_text_representation"
	case "22P05", "22021":
		return "untranslatable_character"
	case "23502":
		return "not_null_violation"
	case "23503":
		return "foreign_key_violation"
	case "23505":
		return "unique_violation"
	case "23514":
		return "check_violation"
	case "23P01":
		return "exclusion_violation"
	case "25006":
		return "read_only_sql_transaction"
	case "28000":
		return "invalid_authorization_specification"
	case "28P01":
		return "invalid_password"
	case "3D000":
		return "invalid_catalog_name"
	case "3F000":
		return "invalid_schema_name"
	case "40001":
		return "serialization_failure"
	case "40P01":
		return "deadlock_detected"
	case "42501":
		return "insufficient_privilege"
	case "42P01":
		return "undefined_table"
	case "42703":
		return "undefined_column"
	case "42804":
		return "datatype_mismatch"
	case "53100":
		return "disk_full"
	case "53300":
		return "too_many_connections"
	case "54000":
		return "program_limit_exceeded"
	case "55P03":
		return "lock_not_available"
	case "57014":
		return "query_canceled"
	case "57P01", "57P02":
		return "shutdown"
	case "57P03":
		return "cannot_connect_now"
	case "P0001":
		return "raise_exception"
	}
	return ""
}

// unconnected gives why there is no connection, each cause once and in one line. pgx says
// it of each address and each way to encrypt, with the cause last.
func unconnected(err *pgconn.ConnectError) error {
	user, database := err.Config.User, err.Config.Database
	var causes []string
	for _, cause := range leaves(err.Unwrap()) {
		var text string
		pg, answered := errors.AsType[*pgconn.PgError](cause)
		system, failed := errors.AsType[*net.OpError](cause)
		switch {
		case answered && pg.Code == "28P01":
			text = fmt.Sprintf("the server refused the password of user %q (28P01); see the connection string", user)
		case answered && pg.Code == "28000":
			text = fmt.Sprintf("the server does not let user %q in (28000): %s", user, pg.Message) // about the connection, not a row
		case answered && pg.Code == "3D000":
			text = fmt.Sprintf("the server has no database %q (3D000); see the connection string", database)
		case answered:
			text = "the server refused the connection: " + describe(pg)
		case failed:
			text = system.Error()
		default:
			text = strings.Join(strings.Fields(cause.Error()), " ")
		}
		if !slices.Contains(causes, text) {
			causes = append(causes, text)
		}
	}
	// Where encryption is only preferred, a server without it is asked once more in plain,
	// and what came of that is the cause.
	if plain := slices.DeleteFunc(slices.Clone(causes), refusedTLS); len(plain) > 0 {
		causes = plain
	}
	return errors.New(strings.Join(causes, "; "))
}

func refusedTLS(text string) bool { return strings.HasSuffix(text, "server refused TLS connection") }

// leaves gives the errors that an error joins, itself if it joins none.
func leaves(err error) (out []error) {
	for at := err; at != nil; at = errors.Unwrap(at) {
		if joined, ok := at.(interface{ Unwrap() []error }); ok {
			for _, each := range joined.Unwrap() {
				out = append(out, leaves(each)...)
			}
			return out
		}
	}
	return []error{err}
}

// certain reports whether an error of connecting means that what the user configured is
// wrong: the password, the user, the database.
func certain(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(pg.Code, "28") || pg.Code == "3D000")
}
