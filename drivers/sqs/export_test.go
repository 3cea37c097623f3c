package sqs

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/s3db-go/replicator/internal/awsbody"
)

// Transport is the driver's own HTTP client, for the clients of tests.
func Transport() aws.HTTPClient { return awsbody.Client{Doer: newHTTPClient(1)} }
