package sqs

import "github.com/aws/aws-sdk-go-v2/aws"

// Transport is the driver's own HTTP client, for the clients of tests.
func Transport() aws.HTTPClient { return transport{newHTTPClient(1)} }
