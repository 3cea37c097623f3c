package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
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

	passes   bool // it may, by itself, and soon
	doubtful bool // the request may have been carried out, at this attempt or before
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

// unanswered gives the error of an attempt whose answer did not come, or not whole.
func unanswered(op string, err error) *serverError {
	e := &serverError{op: op, cause: err, kind: ErrUnavailable, passes: true}
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.cause = u.Err
	}
	for _, over := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, over) {
			e.cause = over
		}
	}
	sent, ok := errors.AsType[*net.OpError](err)
	e.doubtful = !ok || sent.Op != "dial"
	return e
}

// readError gives the error of a request that changes nothing; nil stays nil.
func readError(err error) error {
	if isMissing(err) {
		return errAbsent
	}
	return err
}

// writeError is readError for a write, which may have been applied all the same.
func writeError(err error) error {
	if isDoubtful(err) {
		return &uncertain{readError(err)}
	}
	return readError(err)
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
	e, ok := errors.AsType[*serverError](err)
	return ok && e.status == http.StatusNotFound && (e.code == "NoSuchKey" || e.code == "NotFound")
}

// isDoubtful reports whether the request may have been carried out all the same, if not at
// its last attempt.
func isDoubtful(err error) bool {
	e, ok := errors.AsType[*serverError](err)
	return ok && e.doubtful
}

// statusOf gives the status of the answer, 0 if there was none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*serverError](err); ok {
		return e.status
	}
	return 0
}
