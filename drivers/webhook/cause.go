package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// isTimeout tells a destination that took the call and was too slow, where the next
// attempt may do, from one that could not be reached at all.
func isTimeout(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// cause gives why there was no answer after that time, in words that were made on this side. The
// text of err itself is never shown: net/http puts the URL in front of it, which may
// hold a credential, and quotes what it can't read of an answer, which may be an
// echo of the request.
func cause(err error, took time.Duration) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return op // addresses and the answer of the system
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return alert // a number, with a text of package tls
	}
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificateCause(unverified)
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Errorf("no answer within %v", took.Round(10*time.Millisecond))
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the server does not speak TLS")
	case errors.Is(err, io.EOF):
		return errors.New("the connection ended before an answer")
	}
	return fmt.Errorf("the answer can't be read as HTTP, or broke off (%T)", innermost(err))
}

// certificateCause leaves out the names in the certificate.
func certificateCause(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("the certificate is signed by an unknown authority")
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return errors.New("the certificate is for another host")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return errors.New("the certificate has expired or is not valid yet")
	}
	return errors.New("the certificate can't be verified")
}

// innermost gives the error at the end of the chain, whose type tells most.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
