package sqs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/envelope"
	"github.com/s3db-go/replicator/internal/panics"
)

const (
	// maxAttributes is what SQS takes on one message.
	maxAttributes = 10
	// maxGroup is the length of a message group's id.
	maxGroup = 128
)

// forms are the bodies in the words of package envelope.
var forms = [...]envelope.Form{Envelope: envelope.Message, Bare: envelope.Bare, CloudEvents: envelope.CloudEvent}

// request is one SendMessageBatch. The id of an entry is its place in the batch that
// the driver was given.
type request struct {
	queue   *queue
	entries []types.SendMessageBatchRequestEntry
	places  []int
	bytes   int
}

func (r *request) takes(q *queue, bytes int) bool {
	return r.queue == q && len(r.entries) < maxItems && r.bytes+bytes <= maxBytes
}

// placeOf gives the place that an id in an answer names, if it is one of the request's.
func (r request) placeOf(id *string) (int, bool) {
	if id == nil {
		return 0, false
	}
	i, err := strconv.Atoi(*id)
	return i, err == nil && slices.Contains(r.places, i)
}

func (r request) halves() [2]request {
	first, second, n := r, r, len(r.entries)/2
	first.entries, first.places = r.entries[:n], r.places[:n]
	second.entries, second.places = r.entries[n:], r.places[n:]
	return [2]request{first, second}
}

// requests cuts a batch into requests. What can't be sent gets its error.
func (s *session) requests(batch []cdc.Delivery, errs []error) []request {
	var out []request
	var room []byte // for one body after the other
	for i, d := range batch {
		q := cmp.Or(s.queues[d.Target], s.queues[""])
		if q == nil {
			errs[i] = cdc.Unavailable(fmt.Errorf("sqs: there is no queue for %q, and no QueueURL or QueueName for all others", d.Target))
			continue
		}
		entry, bytes, err := s.entry(q, d, &room)
		if err != nil {
			errs[i] = cdc.Permanent(fmt.Errorf("sqs: %s: %w", q.name, err))
			continue
		}
		entry.Id = new(strconv.Itoa(i))
		if len(out) == 0 || !out[len(out)-1].takes(q, bytes) {
			most := min(len(batch)-i, maxItems)
			out = append(out, request{queue: q, entries: make([]types.SendMessageBatchRequestEntry, 0, most), places: make([]int, 0, most)})
		}
		r := &out[len(out)-1]
		r.entries, r.places, r.bytes = append(r.entries, entry), append(r.places, i), r.bytes+bytes
	}
	return out
}

// entry gives the message of a delivery, and its size as SQS counts it. room is what its
// body is made in.
func (s *session) entry(q *queue, d cdc.Delivery, room *[]byte) (e types.SendMessageBatchRequestEntry, bytes int, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panics.Error("a function of the options", v)
		}
	}()
	body, err := s.opts.body(d, room)
	if err != nil {
		return e, 0, err
	}
	attributes, err := s.opts.attributes(d)
	if err != nil {
		return e, 0, err
	}
	bytes = len(body)
	e.MessageBody = new(string(body))
	e.MessageAttributes = make(map[string]types.MessageAttributeValue, len(attributes))
	kind := new("String")
	for i := range attributes {
		a := &attributes[i]
		e.MessageAttributes[a.name] = types.MessageAttributeValue{DataType: kind, StringValue: &a.value}
		bytes += len(a.name) + len(*kind) + len(a.value)
	}
	if bytes > maxBytes {
		return e, 0, fmt.Errorf("the message has %d bytes, the limit of SQS is %d", bytes, maxBytes)
	}
	group, grouped := s.opts.group(q, d)
	if grouped {
		e.MessageGroupId = new(group)
	}
	if q.fifo {
		e.MessageDeduplicationId = new(d.ChangeID.String())
	}
	return e, bytes, nil
}

func (o *Options) body(d cdc.Delivery, room *[]byte) (body []byte, err error) {
	if o.Marshal == nil {
		if body, err = forms[o.Body].Append((*room)[:0], d, o.Source); err == nil {
			*room = body
		}
		return body, err
	}
	if body, err = o.Marshal(d); err != nil {
		return nil, fmt.Errorf("option Marshal: %w", err)
	}
	if len(body) == 0 {
		return nil, errors.New("option Marshal gave an empty body, which SQS does not take")
	}
	return body, nil
}

// attribute is one of a message.
type attribute struct{ name, value string }

// attributes gives the driver's own and the user's, which may take their place. Those that
// SQS would refuse are found here, since for one of them it refuses the whole request.
func (o *Options) attributes(d cdc.Delivery) ([]attribute, error) {
	all := []attribute{
		{"id", d.ChangeID.String()}, {"resource", d.Target}, {"operation", d.Op.String()}, {"version", strconv.FormatUint(d.Version, 10)},
	}
	if o.Attributes != nil {
		own := o.Attributes(d)
		all = slices.DeleteFunc(all, func(a attribute) bool { _, replaced := own[a.name]; return replaced })
		for _, name := range slices.Sorted(maps.Keys(own)) {
			if own[name] != "" && !attributeName(name) {
				return nil, fmt.Errorf("option Attributes: %q is not the name of one", name)
			}
			all = append(all, attribute{name, own[name]})
		}
	}
	all = slices.DeleteFunc(all, func(a attribute) bool { return a.value == "" })
	if len(all) > maxAttributes {
		return nil, fmt.Errorf("option Attributes: %d in all, SQS takes %d", len(all), maxAttributes)
	}
	for _, a := range all {
		if strings.ContainsFunc(a.value, notInMessages) {
			return nil, fmt.Errorf("option Attributes: the value of %q has a character that SQS does not take", a.name)
		}
	}
	return all, nil
}

// attributeName says what AWS documents of names.
func attributeName(s string) bool {
	lower := strings.ToLower(s)
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) && !strings.HasPrefix(lower, "aws.") && !strings.HasPrefix(lower, "amazon.") &&
		!strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") && !strings.Contains(s, "..")
}

// notInMessages: SQS takes the characters that XML 1.0 can hold.
func notInMessages(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

// group gives the message group, if there is one. A FIFO queue needs one for every
// message; in a standard queue it says whose share of the consumers a message takes.
func (o *Options) group(q *queue, d cdc.Delivery) (string, bool) {
	var group string
	switch {
	case o.Group != nil:
		group = o.Group(d)
	case q.fifo:
		group = d.OrderKey
	}
	if group == "" && !q.fifo {
		return "", false
	}
	group = cmp.Or(group, d.RecordID)
	if len(group) > maxGroup || strings.ContainsFunc(group, func(r rune) bool { return r <= ' ' || r > '~' }) {
		// What a group's id can't hold is named by its hash: equal stays equal.
		sum := sha256.Sum256([]byte(group))
		group = hex.EncodeToString(sum[:])
	}
	return group, true
}
