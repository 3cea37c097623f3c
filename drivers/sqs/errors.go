package sqs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/s3db-go/replicator/cdc"
)

// codeOf gives the code of an answer's error, without the name of the service that some
// codes begin with; "" if err is not an answer of the service.
func codeOf(err error) string {
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return short(answer.ErrorCode())
	}
	return ""
}

func short(code string) string { return code[strings.LastIndexByte(code, '.')+1:] }

func isMissing(err error) bool {
	return slices.Contains([]string{"QueueDoesNotExist", "NonExistentQueue"}, codeOf(err))
}

func isDenied(err error) bool { return strings.HasPrefix(codeOf(err), "AccessDenied") }

// isCertain reports whether an error of looking up a queue will stay: what is wrong is
// in the options or at the account.
func isCertain(err error) bool {
	return isDenied(err) || slices.Contains([]string{
		"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
		"InvalidAddress", "InvalidAttributeName", "InvalidAttributeValue", "InvalidParameterValue", "QueueNameExists",
	}, codeOf(err))
}

// judge says whose fault the error of a whole request is, in words that hold neither a
// credential nor a record: those of the service may quote what it was sent.
func judge(err error) error {
	code, status := codeOf(err), 0
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = answer.HTTPStatusCode()
	}
	switch {
	case code == "" && status == 0:
		return judgeNetwork(err)
	case code == "BatchRequestTooLong" || code == "InvalidMessageContents":
		return cdc.Permanent(told(err, code, status))
	case isUnavailable(code) || status >= 500 || slices.Contains([]int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests,
	}, status):
		return cdc.Unavailable(told(err, code, status))
	}
	return told(err, code, status)
}

// isUnavailable lists what is wrong with a queue, an account or the service.
func isUnavailable(code string) bool {
	return slices.Contains([]string{
		"QueueDoesNotExist", "NonExistentQueue", "QueueDeletedRecently", "InvalidAddress", "InvalidSecurity", "OverLimit",
		"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
		"IncompleteSignature", "MissingAuthenticationToken", "ExpiredToken", "ExpiredTokenException", "RequestExpired",
		"OptInRequired", "UnsupportedOperation", "ServiceUnavailable",
	}, code) || strings.Contains(code, "Throttl") || strings.HasPrefix(code, "AccessDenied") || strings.HasPrefix(code, "Kms")
}

// told gives the answer by its code. Only of a refused permission is the message shown: it
// names who lacks which, and was made before anything was read.
func told(err error, code string, status int) error {
	if code == "" {
		return fmt.Errorf("%d %s", status, http.StatusText(status))
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok && isDenied(err) {
		return fmt.Errorf("%s (%d): %.300s", code, status, answer.ErrorMessage())
	}
	return fmt.Errorf("%s (%d)", code, status)
}

// judgeNetwork tells a service that took the call and was too slow from one that could
// not be reached.
func judgeNetwork(err error) error {
	op, dial := errors.AsType[*net.OpError](err)
	dial = dial && op.Op == "dial"
	timeout, timed := errors.AsType[net.Error](err)
	switch call, failed := errors.AsType[*os.SyscallError](err); {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), timed && timeout.Timeout() && !dial:
		return errors.New("no answer in time")
	case dial:
		return cdc.Unavailable(op)
	case failed:
		return cdc.Unavailable(call)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cdc.Unavailable(errors.New("the connection ended before the answer did"))
	}
	return cdc.Unavailable(errors.New("the request can't be made, or its answer not be read"))
}

// judgeEntry says whose fault it is that one message was not taken.
func judgeEntry(failed types.BatchResultErrorEntry) error {
	code := "no code"
	if failed.Code != nil {
		code = short(*failed.Code)
	}
	switch {
	case isUnavailable(code): // the sender's, by SQS's word, but not the record's
		return cdc.Unavailable(errors.New(code))
	case failed.SenderFault:
		return cdc.Permanent(fmt.Errorf("%s, the sender's fault", code))
	}
	return errors.New(code)
}
