// Package awsbody mends how the AWS SDK's request bodies end. The SDK closes the body of
// a request as soon as an answer begins, and a closed body's WriteTo gives io.EOF, which
// net/http takes for a failure to send (aws/smithy-go v1.28.8). If it had not quite done
// with the body, it then breaks the connection off in the middle of the answer, and what
// the server took would be sent again.
package awsbody

import (
	"io"
	"net/http"
)

// Doer makes requests: the SDK's HTTPClient, or an *http.Client.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Client makes requests whose bodies show no WriteTo: the Read of a closed body says
// what net/http expects.
type Client struct{ Doer }

// Do makes a request.
func (c Client) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return c.Doer.Do(req)
}
