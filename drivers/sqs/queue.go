package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/awsbody"
)

// queue is a queue that was found.
type queue struct {
	url     string
	name    string
	fifo    bool
	options []func(*sqs.Options) // for calls that concern it
}

// client gives the caller's, or one of the driver's own.
func (d *Driver) client(ctx context.Context) (*sqs.Client, error) {
	if d.opts.Client != nil {
		return d.opts.Client, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(d.opts.Region),
		config.WithCredentialsProvider(d.opts.Credentials),
		config.WithHTTPClient(newHTTPClient(d.opts.Concurrency)))
	if err != nil {
		return nil, cdc.Permanent(fmt.Errorf("the configuration for AWS can't be loaded: %w", err))
	}
	if cfg.Region == "" {
		cfg.Region = d.opts.shownRegion()
	}
	if cfg.Region == "" {
		return nil, cdc.Permanent(errors.New("no region: neither the option Region nor the environment (AWS_REGION) names one, and no queue's URL shows it"))
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, cdc.Unavailable(fmt.Errorf("there are no credentials: %w", err))
	}
	return sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		o.HTTPClient = awsbody.Client{Doer: o.HTTPClient}
		o.Retryer = aws.NopRetryer{} // the replicator retries
		// A digest of every message would be held against the answer's. What SQS took is what
		// was sent: it refuses a request whose content does not fit the signature.
		o.DisableMessageChecksumValidation = true
		if d.opts.Endpoint != "" {
			o.BaseEndpoint = &d.opts.Endpoint
		}
	}), nil
}

// shownRegion gives the first region that a queue's URL shows, "" if none does.
func (o Options) shownRegion() string {
	for _, q := range o.queues() {
		if _, region := addressOf(q.URL); region != "" {
			return region
		}
	}
	return ""
}

// find looks the queue up, and creates it if it may.
func (s *session) find(ctx context.Context, wanted Queue) (*queue, error) {
	q := &queue{url: wanted.URL, name: wanted.Name}
	if q.url != "" {
		q.name = nameOf(q.url)
	}
	q.fifo = strings.HasSuffix(q.name, ".fifo")
	if q.url == "" {
		return q, s.resolve(ctx, q, wanted)
	}
	if s.opts.Client == nil {
		endpoint, region := addressOf(q.url)
		q.options = append(q.options, func(o *sqs.Options) {
			if s.opts.Endpoint == "" && endpoint != "" {
				o.BaseEndpoint = &endpoint
			}
			if region != "" {
				o.Region = region
			}
		})
	}
	_, err := s.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	}, q.options...)
	if isDenied(err) {
		return q, nil // it may be allowed to send and no more
	}
	return q, s.opened(q, err)
}

// resolve finds the URL of a queue given by name.
func (s *session) resolve(ctx context.Context, q *queue, wanted Queue) error {
	found, err := s.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &q.name})
	if err == nil {
		q.url = aws.ToString(found.QueueUrl)
		return nil
	}
	if !isMissing(err) || !s.opts.CreateQueues {
		return s.opened(q, err)
	}
	if q.fifo {
		wanted.Attributes["FifoQueue"] = "true"
	}
	created, err := s.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.name, Attributes: wanted.Attributes, Tags: wanted.Tags})
	if err != nil {
		return s.opened(q, fmt.Errorf("create: %w", err))
	}
	q.url = aws.ToString(created.QueueUrl)
	return nil
}

// opened gives the error of looking a queue up, permanent if trying again is no use.
func (s *session) opened(q *queue, err error) error {
	switch {
	case err == nil:
		return nil
	case isMissing(err):
		hint := "; create it, or set CreateQueues"
		if q.url != "" {
			hint = ""
		}
		return cdc.Permanent(fmt.Errorf("%s: the queue does not exist%s", q.name, hint))
	case isCertain(err):
		return cdc.Permanent(fmt.Errorf("%s: %w", q.name, judge(err)))
	}
	return fmt.Errorf("%s: %w", q.name, judge(err))
}

// addressOf gives what a queue's URL says about where it is: the endpoint, and the
// region if the host shows one. Hosts of the old form, which begins with the region or
// with "queue", don't speak today's protocol; their region leads to one that does.
func addressOf(queueURL string) (endpoint, region string) {
	u, err := url.Parse(queueURL)
	if err != nil || queueURL == "" {
		return "", ""
	}
	labels := strings.Split(u.Hostname(), ".")
	amazon := slices.Contains(labels, "amazonaws") || slices.Contains(labels, "aws")
	if i := slices.Index(labels, "queue"); amazon && i >= 0 {
		if i == 0 {
			return "", "us-east-1"
		}
		return "", labels[i-1]
	}
	endpoint = u.Scheme + "://" + u.Host
	if i := slices.IndexFunc(labels, func(l string) bool { return l == "sqs" || l == "sqs-fips" }); amazon && i >= 0 && i+1 < len(labels) {
		region = labels[i+1]
	}
	return endpoint, region
}
