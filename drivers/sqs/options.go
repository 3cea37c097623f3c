package sqs

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/s3db-go/replicator/cdc"
)

// Options say which queues there are and what is sent to them. A queue for all targets
// (QueueURL or QueueName), or Queues, is required.
type Options struct {
	// QueueURL is the queue of every target that Queues does not name, as a URL. It is
	// used as it is, so it may be of another account or region.
	QueueURL string
	// QueueName is the same by name, in the region and account of the credentials.
	QueueName string
	// Queues are the queues of single targets (see Route.To of the replicator). A
	// resource goes to several queues by several routes.
	Queues map[string]Queue
	// CreateQueues creates queues that are given by name and are missing, with
	// QueueAttributes and QueueTags. One whose name ends in ".fifo" becomes a FIFO queue.
	// Default false: a missing queue is an error of Open.
	CreateQueues bool
	// QueueAttributes, such as MessageRetentionPeriod, and QueueTags are for queues that
	// are created. Those that exist are left as they are.
	QueueAttributes map[string]string
	QueueTags       map[string]string

	// Region is that of queues given by name, and of URLs that don't show theirs. Default
	// that of the environment and the shared configuration, as with AWS's own tools, else
	// that of a queue's URL.
	Region string
	// Endpoint replaces the service's own, and the host of QueueURL: an emulator, a VPC
	// endpoint. Default none.
	Endpoint string
	// Credentials default to AWS's chain: environment, shared configuration, web identity,
	// container, instance.
	Credentials aws.CredentialsProvider
	// Client is used as it is instead of one of the driver's own, and not closed. Region,
	// Endpoint, Credentials and retries are its business then; let it not retry, since
	// the replicator does.
	Client *sqs.Client

	// Body is the shape of a message's body. Default [Envelope].
	Body Body
	// Marshal gives a change the shape of your own, instead of Body. An error or a panic
	// is that record's failure. The error is shown as it is, so it must not quote the
	// record. It runs at the same time for several changes.
	Marshal func(d cdc.Delivery) ([]byte, error)
	// Source is what bodies name as their source. Default "replicator".
	Source string
	// Attributes are added to a message's own, which are id, resource, operation and
	// version, or replace them; an empty value leaves one out. SQS takes ten in all.
	Attributes func(d cdc.Delivery) map[string]string
	// Group names the message group. Default nil: in a FIFO queue what the change is
	// ordered with, see [cdc.Delivery]; in a standard queue none. A constant makes
	// consumers take one message at a time. A record whose changes go to several groups
	// loses their order. "" is the record's id in a FIFO queue, else none. What a group's
	// id can't hold (see AWS's documentation) is replaced by its SHA-256.
	Group func(d cdc.Delivery) string
	// Concurrency is the number of requests at a time. Default 8.
	Concurrency int
}

// Queue is one queue. Either URL or Name is required.
type Queue struct {
	// URL and Name are as QueueURL and QueueName of [Options].
	URL  string
	Name string
	// Attributes and Tags are added to QueueAttributes and QueueTags of [Options], and
	// win over them, if the queue is created.
	Attributes map[string]string
	Tags       map[string]string
}

// Body is the shape of a message's body.
type Body uint8

// The shapes of a body.
const (
	// Envelope is the record with what happened to it: resource, action, timestamp,
	// source, data, before, id, recordId, operation, version.
	Envelope Body = iota
	// Bare is the record itself; for a delete its last state. The message's attributes
	// say which it is.
	Bare
	// CloudEvents is an event of CloudEvents 1.0 in its structured JSON form: type is the
	// target's name, "." and inserted, updated or deleted, subject the record's id, data
	// has the states before and after.
	CloudEvents
)

func (o Options) withDefaults() Options {
	o.Source = cmp.Or(o.Source, "replicator")
	o.Concurrency = cmp.Or(o.Concurrency, cdc.DefaultConcurrency)
	o.Queues = maps.Clone(o.Queues)
	return o
}

// queues gives all queues by their targets, the one for all others under "".
func (o Options) queues() iter.Seq2[string, Queue] {
	return func(yield func(string, Queue) bool) {
		if o.QueueURL+o.QueueName != "" && !yield("", o.complete(Queue{URL: o.QueueURL, Name: o.QueueName})) {
			return
		}
		for _, target := range slices.Sorted(maps.Keys(o.Queues)) {
			if !yield(target, o.complete(o.Queues[target])) {
				return
			}
		}
	}
}

// complete gives the queue with the attributes and tags of all.
func (o Options) complete(q Queue) Queue {
	merge := func(all, own map[string]string) map[string]string {
		out := maps.Clone(all)
		if out == nil {
			out = map[string]string{}
		}
		maps.Copy(out, own)
		return out
	}
	q.Attributes, q.Tags = merge(o.QueueAttributes, q.Attributes), merge(o.QueueTags, q.Tags)
	return q
}

func (o Options) validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sqs: "+format, args...)) }
	if o.QueueURL+o.QueueName == "" && len(o.Queues) == 0 {
		fault("QueueURL, QueueName and Queues are all empty; is an environment variable not set?")
	}
	if o.QueueURL+o.QueueName != "" {
		if reason := (Queue{URL: o.QueueURL, Name: o.QueueName}).fault(); reason != "" {
			fault("QueueURL and QueueName: %s", reason)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(o.Queues)) {
		q := o.Queues[target]
		if target == "" {
			fault("Queues has a queue without a target; QueueURL and QueueName are for all others")
		}
		if reason := q.fault(); reason != "" {
			fault("Queues[%q]: %s", target, reason)
		}
		if len(q.Attributes)+len(q.Tags) > 0 && (!o.CreateQueues || q.URL != "") {
			fault("Queues[%q]: Attributes and Tags are for queues given by name that CreateQueues creates", target)
		}
	}
	if len(o.QueueAttributes)+len(o.QueueTags) > 0 && !o.CreateQueues {
		fault("QueueAttributes and QueueTags are for queues that CreateQueues creates, and it is false")
	}
	if o.Client != nil && (o.Region != "" || o.Endpoint != "" || o.Credentials != nil) {
		fault("Client is used as it is, so Region, Endpoint and Credentials would have no effect; they are for the driver's own")
	}
	if o.Endpoint != "" && !httpURL(o.Endpoint) {
		fault("Endpoint must be http://host or https://host")
	}
	if o.Body > CloudEvents {
		fault("Body is %d, must be Envelope, Bare or CloudEvents", o.Body)
	}
	if o.Marshal != nil && o.Body != Envelope {
		fault("Marshal and Body are both set; only one can shape the body")
	}
	if _, err := url.Parse(o.Source); err != nil && o.Body == CloudEvents {
		fault("Source is not a URI reference, which CloudEvents want")
	}
	if o.Concurrency < 0 {
		fault("Concurrency is %d, must not be negative", o.Concurrency)
	}
	return errors.Join(errs...)
}

// fault says what is wrong with how a queue is given, "" if nothing is. It quotes no
// URL, which may hold a credential by mistake.
func (q Queue) fault() string {
	switch {
	case q.URL == "" && q.Name == "":
		return "neither a URL nor a name; is an environment variable not set?"
	case q.URL != "" && q.Name != "":
		return "both a URL and a name; one says it all"
	case q.URL != "" && (!httpURL(q.URL) || !queueName(nameOf(q.URL))):
		return "the URL must be https://host/account/name"
	case q.Name != "" && !queueName(q.Name):
		return fmt.Sprintf("%q is not the name of a queue: up to 80 letters, digits, - and _, with .fifo at the end for a FIFO queue", q.Name)
	}
	return ""
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// nameOf gives the name of the queue with that URL, its last part.
func nameOf(queueURL string) string {
	u, err := url.Parse(queueURL)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

func queueName(s string) bool {
	return len(s) <= 80 && s != "" && !strings.ContainsFunc(strings.TrimSuffix(s, ".fifo"), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
