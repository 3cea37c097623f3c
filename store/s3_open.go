package store

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
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
	c, err := at.client(ctx, cfg, web)
	if err == nil && at.region == "" {
		if cfg.Region, err = c.askRegion(ctx); err == nil {
			c, err = at.client(ctx, cfg, web)
		}
	}
	if err != nil {
		web.CloseIdleConnections()
		return nil, err
	}
	return &bucket{client: c, prefix: at.prefix}, nil
}

// client makes a client for the bucket in the region of a configuration. Where that is,
// the SDK knows.
func (at *server) client(ctx context.Context, cfg aws.Config, web *http.Client) (*client, error) {
	o := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if at.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &at.endpoint, true
		}
	}).Options()
	there, err := o.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket: &at.bucket, Region: &o.Region, Endpoint: o.BaseEndpoint, ForcePathStyle: &o.UsePathStyle,
		UseFIPS:      new(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: new(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBucket, err)
	}
	c := &client{web: web, bucket: there.URI, region: o.Region, credentials: o.Credentials}
	c.bucket.Path = strings.TrimSuffix(c.bucket.Path, "/")
	c.signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // it is escaped as it is sent
	// Not every server knows what Amazon's checks by default.
	c.sums = at.endpoint == "" && o.ResponseChecksumValidation == aws.ResponseChecksumValidationWhenSupported
	options, _ := auth.GetAuthOptions(&there.Properties)
	for _, option := range options {
		if region, ok := smithyhttp.GetSigV4SigningRegion(&option.SignerProperties); ok {
			c.region = region // a name like aws-global is none that can be signed for
		}
	}
	return c, nil
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
func (c *client) askRegion(ctx context.Context) (string, error) {
	a, err := c.do(ctx, call{op: "HeadBucket", method: http.MethodHead})
	region, status := a.header.Get("X-Amz-Bucket-Region"), statusOf(err)
	if region != "" || err == nil || 400 <= status && status < 500 {
		return cmp.Or(region, defaultRegion), nil
	}
	return "", err
}
