package bigquery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/bigquery/storage/apiv1/storagepb"
	"google.golang.org/api/googleapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/s3db-go/replicator/cdc"
)

// judge says whose fault an error of either API is. The table, if it is known, is the
// one that rows were written to: what the server says of them is left out, since it may
// quote them.
func judge(ctx context.Context, err error, of *table) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if answer, ok := errors.AsType[*googleapi.Error](err); ok {
		text := errors.New(describeREST(answer))
		if answer.Code == http.StatusBadRequest || answer.Code == http.StatusConflict || answer.Code == http.StatusPreconditionFailed {
			return text
		}
		return cdc.Unavailable(text)
	}
	s := statusOf(err)
	if s == nil {
		if errors.Is(err, io.EOF) {
			return cdc.Unavailable(errors.New("the stream is closed"))
		}
		return cdc.Unavailable(fmt.Errorf("the connection is lost: %w", err))
	}
	text := errors.New(describe(s, of))
	switch s.Code() {
	case codes.Unavailable, codes.ResourceExhausted, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Aborted,
		codes.Canceled, codes.DeadlineExceeded, codes.FailedPrecondition:
		return cdc.Unavailable(waiting(s, text))
	}
	if storageCode(s) == storagepb.StorageError_SCHEMA_MISMATCH_EXTRA_FIELDS {
		// A column that was added is not seen everywhere at once.
		return cdc.Unavailable(text)
	}
	return text
}

// waiting notes how long the server asks to wait, if it does.
func waiting(s *status.Status, err error) error {
	for _, detail := range s.Details() {
		if d, ok := detail.(interface{ GetRetryDelay() *durationpb.Duration }); ok {
			return cdc.RetryAfter(err, d.GetRetryDelay().AsDuration())
		}
	}
	return err
}

// statusOf gives what the Storage Write API answered, nil if it did not.
func statusOf(err error) *status.Status {
	if once, ok := errors.AsType[*onceError](err); ok {
		return once.status
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	return nil
}

// storageCode gives the code by which the vendor tells its errors apart.
func storageCode(s *status.Status) storagepb.StorageError_StorageErrorCode {
	for _, detail := range s.Details() {
		if e, ok := detail.(*storagepb.StorageError); ok {
			return e.GetCode()
		}
	}
	return storagepb.StorageError_STORAGE_ERROR_CODE_UNSPECIFIED
}

// describe gives the text of an error of the Storage Write API.
func describe(s *status.Status, of *table) string {
	text := s.Code().String()
	if code := storageCode(s); code != storagepb.StorageError_STORAGE_ERROR_CODE_UNSPECIFIED {
		text += " " + code.String()
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.OutOfRange, codes.Internal, codes.Unknown, codes.AlreadyExists:
		return text + mentioned(s.Message(), of)
	}
	return text + ": " + oneLine(s.Message())
}

// describeREST gives the text of an error of the REST API, which gets no rows.
func describeREST(e *googleapi.Error) string {
	return fmt.Sprintf("%d %s: %s", e.Code, reasonOf(e), oneLine(e.Message))
}

func reasonOf(e *googleapi.Error) string {
	if len(e.Errors) == 0 {
		return http.StatusText(e.Code)
	}
	return e.Errors[0].Reason
}

// mentioned gives the columns that a message names, of which no more can be told.
func mentioned(message string, of *table) string {
	if of == nil {
		return ""
	}
	words := strings.FieldsFunc(message, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	var names []string
	for _, word := range words {
		if c := of.fields.column(word); c != nil && !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " on column " + strings.Join(names, ", ")
}

// oneLine cuts a message to what fits into a log.
func oneLine(message string) string {
	const most = 300
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

// renews reports whether an error may be gone with a new look at the table and a new
// stream: there is no such table any more, or its columns are others, or the server
// closed a stream that nobody used for a while.
func renews(err error) bool {
	if s := statusOf(err); s != nil {
		return s.Code() == codes.NotFound || s.Code() == codes.InvalidArgument
	}
	return errors.Is(err, io.EOF)
}

// certain reports whether an error of the REST API will be the same as long as nobody
// changes the options, or the permissions.
func certain(err error) bool {
	if token, ok := errors.AsType[*auth.Error](err); ok && token.Response != nil {
		return token.Response.StatusCode/100 == 4 && token.Response.StatusCode != http.StatusTooManyRequests
	}
	answer, ok := errors.AsType[*googleapi.Error](err)
	return ok && (answer.Code == http.StatusUnauthorized || answer.Code == http.StatusBadRequest || denied(answer))
}

// denied reports whether somebody may not, as opposed to not so often.
func denied(answer *googleapi.Error) bool {
	return answer.Code == http.StatusForbidden && !slices.Contains([]string{"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "billingNotEnabled"}, reasonOf(answer))
}

// answered reports whether the REST API answered with a code.
func answered(err error, code int) bool {
	answer, ok := errors.AsType[*googleapi.Error](err)
	return ok && answer.Code == code
}
