package sqs

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// transport is the SDK's own HTTP client without a fault of it: the SDK closes the body
// of a request as soon as an answer begins, and a closed body's WriteTo gives io.EOF,
// which net/http takes for a failure to send. If it had not quite done with the body,
// it then breaks the connection off in the middle of the answer, and a message that SQS
// took would be sent again.
type transport struct{ aws.HTTPClient }

// Do hides WriteTo; the Read of a closed body says what net/http expects.
func (t transport) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
	return t.HTTPClient.Do(req)
}

// newHTTPClient keeps as many connections as there are requests at a time: fewer, and
// requests would open some.
func newHTTPClient(concurrency int) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = concurrency
	})
}
