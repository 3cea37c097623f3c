package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/s3db-go/replicator/cdc"
)

// TestFaults says of codes of every class that a server answers with whose fault they
// are, and whether the rows of a batch are to be tried in parts.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		code  string // of https://www.postgresql.org/docs/current/errcodes-appendix.html
		fault cdc.Fault
		parts bool
	}{
		{"08006", cdc.DestinationFault, false}, // connection_failure
		{"0A000", cdc.DestinationFault, false}, // feature_not_supported
		{"09000", cdc.Transient, true},         // triggered_action_exception
		{"21000", cdc.RecordFault, true},       // cardinality_violation
		{"22001", cdc.RecordFault, true},       // string_data_right_truncation
		{"22P02", cdc.RecordFault, true},       // invalid_text_representation
		{"23502", cdc.RecordFault, true},       // not_null_violation
		{"23503", cdc.Transient, true},         // foreign_key_violation
		{"23505", cdc.Transient, true},         // unique_violation
		{"23514", cdc.RecordFault, true},       // check_violation
		{"23P01", cdc.Transient, true},         // exclusion_violation
		{"25006", cdc.DestinationFault, false}, // read_only_sql_transaction
		{"26000", cdc.DestinationFault, false}, // invalid_sql_statement_name
		{"28P01", cdc.DestinationFault, false}, // invalid_password
		{"2F004", cdc.Transient, true},         // reading_sql_data_not_permitted
		{"38000", cdc.Transient, true},         // external_routine_exception
		{"39000", cdc.Transient, true},         // external_routine_invocation_exception
		{"3D000", cdc.DestinationFault, false}, // invalid_catalog_name
		{"3F000", cdc.DestinationFault, false}, // invalid_schema_name
		{"40001", cdc.Transient, false},        // serialization_failure
		{"40P01", cdc.Transient, false},        // deadlock_detected
		{"42501", cdc.DestinationFault, false}, // insufficient_privilege
		{"42P01", cdc.DestinationFault, false}, // undefined_table
		{"42703", cdc.DestinationFault, false}, // undefined_column
		{"44000", cdc.RecordFault, true},       // with_check_option_violation
		{"53100", cdc.DestinationFault, false}, // disk_full
		{"54000", cdc.RecordFault, true},       // program_limit_exceeded
		{"55P03", cdc.Transient, false},        // lock_not_available
		{"57014", cdc.Transient, false},        // query_canceled
		{"57P01", cdc.DestinationFault, false}, // admin_shutdown
		{"58030", cdc.DestinationFault, false}, // io_error
		{"F0001", cdc.DestinationFault, false}, // lock_file_exists
		{"HV000", cdc.Transient, true},         // fdw_error
		{"P0001", cdc.Transient, true},         // raise_exception
		{"XX000", cdc.Transient, true},         // internal_error
		{"ZZ042", cdc.Transient, true},         // what somebody's own trigger raises
		{"", cdc.Transient, true},
	} {
		err := &pgconn.PgError{Code: test.code, Message: "Alice owes 129.5"}
		if fault := cdc.FaultOf(judge(t.Context(), err)); fault != test.fault {
			t.Errorf("%s is %v, not %v", test.code, fault, test.fault)
		}
		if parts := divisible(err); parts != test.parts {
			t.Errorf("%s in parts: %t", test.code, parts)
		}
	}
}

// A connection that the other side ended tells that the destination is away, also when the
// time was over before anybody noticed. What took too long tells nothing.
func TestTheFaultOfWhatIsLate(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for err, fault := range map[error]cdc.Fault{
		&net.OpError{Op: "read", Err: syscall.ECONNRESET}:                cdc.DestinationFault,
		fmt.Errorf("failed to receive message: %w", io.ErrUnexpectedEOF): cdc.DestinationFault,
		&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}:            cdc.Transient,
		fmt.Errorf("timeout: %w", context.DeadlineExceeded):              cdc.Transient,
	} {
		if got := cdc.FaultOf(judge(over, err)); got != fault {
			t.Errorf("%v is %v, not %v", err, got, fault)
		}
	}
}
