package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/s3db-go/replicator/internal/awsbody"
)

const (
	// attemptsPerRequest ride out a hiccup: with their pauses, of up to firstPause and
	// twice as much each time, they take some 0.7 s. What lasts longer is for the
	// caller to wait for, who knows what it holds up.
	attemptsPerRequest = 4
	firstPause         = 200 * time.Millisecond
	// attemptTimeout bounds an attempt, also for calls that can't be called off: time
	// for the largest record at 1 MiB a second.
	attemptTimeout = 32 * time.Second
	// idleConnections are kept open: more requests at a time than this are rare, and
	// opening a connection for each costs more than the request.
	idleConnections = 128
	// defaultRegion is where a bucket is asked for its region, and what servers other
	// than Amazon's are content with.
	defaultRegion = "us-east-1"
)

// server says where a bucket is, and as whom to go there.
type server struct {
	endpoint                           string // "" is Amazon's
	bucket                             string
	prefix                             string // "" or ends in /
	accessKey, secretKey, sessionToken string // "" is what the environment says
	region                             string // "" is what the bucket says
}

// openBucket makes a client for the server. Unless the region is given it asks the
// bucket for it.
func openBucket(ctx context.Context, at *server) (*bucket, error) {
	load := []func(*config.LoadOptions) error{config.WithRegion(cmp.Or(at.region, defaultRegion))}
	if at.accessKey != "" {
		load = append(load, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(at.accessKey, at.secretKey, at.sessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("configuration of the environment: %w", err)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: no credentials, neither in the connection string nor in the environment: %w", ErrDenied, err)
	}
	web := httpClient(cfg)
	b := &bucket{http: web, name: at.bucket, prefix: at.prefix}
	options := func(o *s3.Options) {
		o.HTTPClient = awsbody.Client{Doer: web}
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = attemptsPerRequest
			r.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return rand.N(firstPause << max(attempt-1, 0)), nil
			})
		})
		o.APIOptions = append(o.APIOptions, reportAttempts)
		o.DisableLogOutputChecksumValidationSkipped = true // a library writes no log of its own
		if at.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &at.endpoint, true
			// Not every server knows what Amazon's checks by default.
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	}
	b.client = s3.NewFromConfig(cfg, options)
	if at.region == "" {
		region, err := b.askRegion(ctx)
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.client = s3.NewFromConfig(cfg, options, func(o *s3.Options) { o.Region = region })
	}
	return b, nil
}

// httpClient gives a client of our own, made like that of the configuration, so that
// its connections can be closed.
func httpClient(cfg aws.Config) *http.Client {
	transport := awshttp.NewBuildableClient().GetTransport()
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = c.GetTransport() // with the certificates that the environment names
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, idleConnections
	return &http.Client{
		Transport: transport,
		Timeout:   attemptTimeout,
		// A redirection is an answer: the request was signed for this host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// askRegion asks a bucket where it is. Its servers say it anywhere, with any answer; a
// server that does not say it is taken to be content with the default. Whether the
// bucket can be used is for the first request to find out: this one needs a right that
// no other does.
func (b *bucket) askRegion(ctx context.Context) (string, error) {
	out, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	if err == nil {
		return cmp.Or(orNone(out.BucketRegion), defaultRegion), nil
	}
	status := statusOf(err)
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && status != 0 {
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return region, nil
		}
	}
	if 400 <= status && status < 500 {
		return defaultRegion, nil
	}
	return "", readError("HeadBucket", err)
}
