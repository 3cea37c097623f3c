package cdc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
)

func TestWhichMarkCounts(t *testing.T) {
	cause := errors.New("cause")
	permanent, unavailable, later := cdc.Permanent(cause), cdc.Unavailable(cause), cdc.RetryAfter(cause, time.Second)
	for _, c := range []struct {
		name  string
		err   error
		fault cdc.Fault
		after time.Duration
	}{
		{"nil", nil, cdc.Transient, 0},
		{"without a mark", cause, cdc.Transient, 0},
		{"permanent", permanent, cdc.RecordFault, 0},
		{"unavailable", unavailable, cdc.DestinationFault, 0},
		{"retry after", later, cdc.Transient, time.Second},
		{"wrapped", fmt.Errorf("postgres: %w", permanent), cdc.RecordFault, 0},
		{"in a delivery error", &cdc.DeliveryError{Err: unavailable}, cdc.DestinationFault, 0},
		{"text alone", fmt.Errorf("postgres: %v", permanent), cdc.Transient, 0},

		{"permanent around unavailable", cdc.Permanent(unavailable), cdc.RecordFault, 0},
		{"unavailable around permanent", cdc.Unavailable(fmt.Errorf("x: %w", permanent)), cdc.DestinationFault, 0},
		{"retry after around permanent", cdc.RetryAfter(permanent, time.Minute), cdc.Transient, time.Minute},
		{"permanent around retry after", cdc.Permanent(later), cdc.RecordFault, 0},

		{"joined with a clean-up", errors.Join(permanent, io.ErrClosedPipe), cdc.RecordFault, 0},
		{"joined behind a clean-up", errors.Join(io.ErrClosedPipe, permanent), cdc.RecordFault, 0},
		{"permanent and unavailable", errors.Join(permanent, unavailable), cdc.DestinationFault, 0},
		{"unavailable and permanent", errors.Join(unavailable, permanent), cdc.DestinationFault, 0},
		{"permanent and retry after", errors.Join(permanent, later), cdc.Transient, time.Second},
		{"retry after and unavailable", errors.Join(later, unavailable), cdc.DestinationFault, 0},
		{"two that ask for a pause", errors.Join(later, cdc.RetryAfter(cause, time.Minute), later), cdc.Transient, time.Minute},
		{"two in one text", fmt.Errorf("%w; %w", permanent, unavailable), cdc.DestinationFault, 0},
		{"a mark around a join", cdc.Permanent(errors.Join(unavailable, later)), cdc.RecordFault, 0},
		{"deep in a join", errors.Join(cause, fmt.Errorf("x: %w", errors.Join(cause, unavailable))), cdc.DestinationFault, 0},
		{"a join without marks", errors.Join(cause, cause), cdc.Transient, 0},
	} {
		if got := cdc.FaultOf(c.err); got != c.fault {
			t.Errorf("%s: fault is %s, want %s", c.name, got, c.fault)
		}
		if got := cdc.AfterOf(c.err); got != c.after {
			t.Errorf("%s: pause is %v, want %v", c.name, got, c.after)
		}
	}
}

func TestMarksKeepTheError(t *testing.T) {
	for name, err := range map[string]error{
		"permanent": cdc.Permanent(io.EOF), "unavailable": cdc.Unavailable(io.EOF), "retry after": cdc.RetryAfter(io.EOF, 1),
	} {
		if err.Error() != io.EOF.Error() || !errors.Is(err, io.EOF) {
			t.Errorf("%s: became %v", name, err)
		}
	}
	if cdc.Permanent(nil) != nil || cdc.Unavailable(nil) != nil || cdc.RetryAfter(nil, time.Second) != nil {
		t.Error("marking no error makes one")
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		-time.Second: 0, 0: 0, time.Second: time.Second, 5 * time.Minute: 5 * time.Minute, 24 * time.Hour: 5 * time.Minute,
	} {
		if got := cdc.AfterOf(cdc.RetryAfter(io.EOF, asked)); got != want {
			t.Errorf("asked for %v, gives %v, want %v", asked, got, want)
		}
	}
}

func TestFaultAsText(t *testing.T) {
	for f, want := range map[cdc.Fault]string{
		cdc.Transient: "transient", cdc.RecordFault: "permanent", cdc.DestinationFault: "unavailable", 9: "Fault(9)",
	} {
		if f.String() != want {
			t.Errorf("prints %q, want %q", f, want)
		}
	}
}

func TestBatchErrorText(t *testing.T) {
	for _, c := range []struct {
		errs []error
		want string
	}{
		{nil, "none of 0 deliveries failed"},
		{[]error{nil, nil}, "none of 2 deliveries failed"},
		{[]error{nil, io.EOF, io.ErrClosedPipe}, "2 of 3 deliveries failed, the first: EOF"},
	} {
		if got := (&cdc.BatchError{Errs: c.errs}).Error(); got != c.want {
			t.Errorf("prints %q, want %q", got, c.want)
		}
	}
}

func TestBatchErrorIsFoundInAWrappedAnswer(t *testing.T) {
	err := fmt.Errorf("sqs: %w", &cdc.BatchError{Errs: []error{nil, cdc.Permanent(io.EOF)}})
	b, ok := errors.AsType[*cdc.BatchError](err)
	if !ok || cdc.FaultOf(b.Errs[0]) != cdc.Transient || cdc.FaultOf(b.Errs[1]) != cdc.RecordFault {
		t.Errorf("found %v, %v", b, ok)
	}
	// An item's mark says nothing about the batch.
	if f := cdc.FaultOf(err); f != cdc.Transient {
		t.Errorf("the batch's fault is %s", f)
	}
}

func TestDeliveryErrorText(t *testing.T) {
	err := cdc.DeliveryError{Destination: "backup", Resource: "users", RecordID: "u1", Err: io.EOF}
	for target, want := range map[string]string{
		"": "backup: users u1: EOF", "users": "backup: users u1: EOF", "people": "backup: users → people u1: EOF",
	} {
		err.Target = target
		if err.Error() != want {
			t.Errorf("prints %q, want %q", err.Error(), want)
		}
	}
	if !errors.Is(&err, io.EOF) {
		t.Error("the cause is not found")
	}
}

func TestGoneIsAnUnavailabilityThatLasts(t *testing.T) {
	gone := fmt.Errorf("webhook: %w", cdc.Gone(errors.New("410")))
	away := cdc.Unavailable(errors.New("503"))
	for _, c := range []struct {
		name  string
		err   error
		fault cdc.Fault
		gone  bool
	}{
		{"gone", gone, cdc.DestinationFault, true},
		{"away", away, cdc.DestinationFault, false},
		{"joined after away", errors.Join(away, gone), cdc.DestinationFault, true},
		{"joined before away", errors.Join(gone, away), cdc.DestinationFault, true},
		{"marked anew", cdc.Permanent(gone), cdc.RecordFault, false},
		{"no mark", errors.New("x"), cdc.Transient, false},
	} {
		if cdc.FaultOf(c.err) != c.fault || cdc.IsGone(c.err) != c.gone {
			t.Errorf("%s: %v, gone %v", c.name, cdc.FaultOf(c.err), cdc.IsGone(c.err))
		}
	}
	if cdc.Gone(nil) != nil {
		t.Error("Gone(nil) is an error")
	}
}
