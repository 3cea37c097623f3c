package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// serverError is what a server answered, or why it did not. It is told in the words of
// the protocol alone: a server's text may quote a key or a credential, and the URL
// quotes the record's id in a form of its own.
type serverError struct {
	op     string // as the protocol calls it: PutObject
	status int    // 0 if there was no answer
	code   string // the protocol's word for what is wrong
	cause  error  // without an answer: what went wrong
	kind   error  // the exported error that it is, nil if none fits
}

func (e *serverError) Error() string {
	if e.status != 0 {
		text := fmt.Sprintf("%s: %d %s", e.op, e.status, e.code)
		if e.kind == ErrNoBucket && e.code != "NoSuchBucket" {
			text += " (it is in another region; name it with ?region=)"
		}
		return text
	}
	return e.op + ": " + e.cause.Error()
}

func (e *serverError) Unwrap() []error { return []error{e.kind, e.cause} }

// readError makes an error of the client one of ours; nil stays nil.
func readError(op string, err error) error {
	if err == nil {
		return nil
	}
	if isMissing(err) {
		return errAbsent
	}
	e := &serverError{op: op, status: statusOf(err), code: codeOf(err)}
	if e.status != 0 {
		e.kind = meaningOf(e.status, e.code)
		return e
	}
	e.kind, e.cause = ErrUnavailable, err
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.cause = u.Err
	}
	for _, over := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, over) {
			e.cause = over
		}
	}
	return e
}

// writeError is readError for a write that may have been applied all the same.
func writeError(op string, err error, doubtful bool) error {
	if err = readError(op, err); err != nil && doubtful {
		return &uncertain{err}
	}
	return err
}

// meaningOf tells what an answer means to the caller.
func meaningOf(status int, code string) error {
	switch {
	case code == "NoSuchBucket", status == http.StatusMovedPermanently, code == "AuthorizationHeaderMalformed":
		return ErrNoBucket
	case code == "RequestTimeTooSkewed":
		return ErrUnavailable // until the clock is right again
	case status == http.StatusUnauthorized, status == http.StatusForbidden, slices.Contains(deniedCodes, code):
		return ErrDenied
	case status == http.StatusRequestEntityTooLarge, status == http.StatusRequestURITooLong,
		status == http.StatusRequestHeaderFieldsTooLarge, slices.Contains(refusedCodes, code):
		return ErrRefused
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, code == "RequestTimeout":
		return ErrUnavailable
	}
	return nil
}

var (
	// deniedCodes stand for a refused credential without the status of one; the last is
	// versitygw's for a key that it does not know.
	deniedCodes = []string{"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "XAdminUserNotFound"}
	// refusedCodes blame the object, not the request.
	refusedCodes = []string{"MetadataTooLarge", "KeyTooLongError", "EntityTooLarge", "InvalidURI", "MaxMessageLengthExceeded"}
)

// isMissing reports whether the answer is that there is no such object: the answer to a
// HEAD has no body that could tell it from a missing bucket.
func isMissing(err error) bool {
	code := codeOf(err)
	return statusOf(err) == http.StatusNotFound && (code == "NoSuchKey" || code == "NotFound")
}

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// statusOf gives the status of the answer, 0 if there was none or if it was a good one
// that could not be understood.
func statusOf(err error) int {
	e, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || e.HTTPStatusCode() < http.StatusMultipleChoices {
		return 0
	}
	return e.HTTPStatusCode()
}

// attempts is what became of the attempts of one request.
type attempts struct{ doubtful bool }

type attemptsKey struct{}

// watchAttempts gives a context under which a request reports on its attempts.
func watchAttempts(ctx context.Context) (*attempts, context.Context) {
	a := new(attempts)
	return a, context.WithValue(ctx, attemptsKey{}, a)
}

// reportAttempts lets requests report. The client tells of the last attempt alone, and
// "denied" after a timeout does not mean that nothing was written.
func reportAttempts(stack *middleware.Stack) error {
	report := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
		middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && mayBeApplied(err) {
			a.doubtful = true
		}
		return out, metadata, err
	}
	// The first of this step is around each attempt, outside of what reads the answer.
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ReportAttempts", report), middleware.Before)
}

// mayBeApplied reports whether an attempt that failed may have done its work: no answer
// came, or one of a server that does not know itself.
func mayBeApplied(err error) bool {
	if err == nil {
		return false
	}
	status := statusOf(err)
	if status == 0 {
		op, ok := errors.AsType[*net.OpError](err)
		return !ok || op.Op != "dial" // never sent
	}
	return status >= 500 && status != http.StatusNotImplemented && codeOf(err) != "SlowDown"
}
