package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// bucket is a backend on a server that speaks the S3 protocol. Requests that fail for
// no lasting reason are sent again, see [openBucket].
type bucket struct {
	client *s3.Client
	http   *http.Client
	name   string
	prefix string // "" or ends in /

	// unconditional says that the server answered a condition with "not implemented":
	// then what others do at the same moment is not noticed.
	unconditional atomic.Bool
}

// readsAtATime is how many objects are read from a server at a time: at the 20 ms of an
// answer from S3 some 3,000 a second.
const readsAtATime = 64

// readTries bounds how often an answer is read that ends in the middle, which the
// client does not send again by itself.
const readTries = 3

func (b *bucket) get(ctx context.Context, key string) (object, error) {
	o, err := b.getRaw(ctx, key)
	if isStamp(o.body) {
		o.body, o.contentType = nil, ""
	}
	return o, err
}

// getRaw is get with the stamp, if the object has one.
func (b *bucket) getRaw(ctx context.Context, key string) (object, error) {
	for try := 1; ; try++ {
		out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: new(b.prefix + key)})
		if err != nil {
			return object{}, readError("GetObject", err)
		}
		body, err := readBody(out)
		_ = out.Body.Close() // there is nothing left to lose
		if err == nil {
			return object{headers: out.Metadata, body: body, contentType: orNone(out.ContentType), tag: orNone(out.ETag)}, nil
		}
		if try == readTries || ctx.Err() != nil {
			return object{}, readError("GetObject", err)
		}
	}
}

// readBody reads an answer to its end, in one piece if its length is told.
func readBody(out *s3.GetObjectOutput) ([]byte, error) {
	if out.ContentLength == nil || *out.ContentLength < 0 || *out.ContentLength > maxRecord {
		return io.ReadAll(out.Body)
	}
	body := make([]byte, *out.ContentLength)
	if _, err := io.ReadFull(out.Body, body); err != nil {
		return nil, err
	}
	// Its end is where the client holds what it read against the checksum.
	if _, err := io.Copy(io.Discard, out.Body); err != nil {
		return nil, err
	}
	return body, nil
}

func orNone(s *string) string { return *cmp.Or(s, new("")) }

// put leaves an empty body empty: references to records and other objects are never
// swapped.
func (b *bucket) put(ctx context.Context, key string, o object) error {
	doubtful, err := b.send(ctx, key, o, "", "")
	return writeError("PutObject", err, doubtful)
}

func (b *bucket) remove(ctx context.Context, key string) error {
	doubtful, err := b.delete(ctx, key, "")
	return writeError("DeleteObject", err, doubtful)
}

func (b *bucket) swap(ctx context.Context, key string, to *object, tag string) error {
	if to == nil {
		return b.swapOut(ctx, key, tag)
	}
	o := *to
	ifMatch, ifNoneMatch := tag, ""
	switch tag {
	case anyTag:
		ifMatch = ""
	case noTag:
		ifNoneMatch = "*"
	}
	if tag != noTag {
		o = stamped(o)
	}
	if b.unconditional.Load() {
		if tag == noTag {
			if there, err := b.exists(ctx, key); there || err != nil {
				return errors.Join(err, changedIf(there))
			}
		}
		return b.put(ctx, key, o)
	}
	doubtful, err := b.send(ctx, key, o, ifMatch, ifNoneMatch)
	switch status := statusOf(err); {
	case status == http.StatusNotImplemented && tag != anyTag:
		b.unconditional.Store(true)
		return b.swap(ctx, key, to, tag)
	case status == http.StatusPreconditionFailed || status == http.StatusConflict || status == http.StatusNotFound && isMissing(err):
		// An attempt whose answer got lost may have been the one that changed it.
		if doubtful {
			now, err := b.getRaw(ctx, key)
			switch {
			case err != nil && !errors.Is(err, errAbsent):
				return &uncertain{err}
			case err == nil && bytes.Equal(now.body, o.body) && maps.Equal(now.headers, o.headers):
				return nil
			}
		}
		return errChanged
	}
	return writeError("PutObject", err, doubtful)
}

// swapOut removes what swap was told to.
func (b *bucket) swapOut(ctx context.Context, key, tag string) error {
	if tag == noTag {
		return errAbsent
	}
	if tag == anyTag || b.unconditional.Load() {
		// The protocol's answer to a removal is the same whether there was something.
		if there, err := b.exists(ctx, key); err != nil || !there {
			return errors.Join(err, absentIf(!there && err == nil))
		}
		return b.remove(ctx, key)
	}
	doubtful, err := b.delete(ctx, key, tag)
	switch status := statusOf(err); {
	case status == http.StatusNotImplemented:
		b.unconditional.Store(true)
		return b.swapOut(ctx, key, tag)
	case status == http.StatusNotFound && isMissing(err):
		return absentIf(!doubtful) // in doubt, the removal was this one
	case status == http.StatusPreconditionFailed || status == http.StatusConflict:
		if there, err := b.exists(ctx, key); err != nil || !there {
			return errors.Join(err, absentIf(!there && err == nil && !doubtful))
		}
		return errChanged
	}
	return writeError("DeleteObject", err, doubtful)
}

func changedIf(yes bool) error {
	if yes {
		return errChanged
	}
	return nil
}

func absentIf(yes bool) error {
	if yes {
		return errAbsent
	}
	return nil
}

func (b *bucket) exists(ctx context.Context, key string) (bool, error) {
	_, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: new(b.prefix + key)})
	if err = readError("HeadObject", err); errors.Is(err, errAbsent) {
		return false, nil
	}
	return err == nil, err
}

// send puts an object under the conditions that are given, and tells whether an attempt
// before the last may have been applied, or the last if it failed.
func (b *bucket) send(ctx context.Context, key string, o object, ifMatch, ifNoneMatch string) (doubtful bool, err error) {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: new(b.prefix + key), Metadata: o.headers, Body: bytes.NewReader(o.body)}
	if o.contentType != "" {
		in.ContentType = &o.contentType
	}
	if ifMatch != "" {
		in.IfMatch = &ifMatch
	}
	if ifNoneMatch != "" {
		in.IfNoneMatch = &ifNoneMatch
	}
	seen, ctx := watchAttempts(ctx)
	_, err = b.client.PutObject(ctx, in)
	return seen.doubtful, err
}

func (b *bucket) delete(ctx context.Context, key, ifMatch string) (doubtful bool, err error) {
	in := &s3.DeleteObjectInput{Bucket: &b.name, Key: new(b.prefix + key)}
	if ifMatch != "" {
		in.IfMatch = &ifMatch
	}
	seen, ctx := watchAttempts(ctx)
	_, err = b.client.DeleteObject(ctx, in)
	return seen.doubtful, err
}

// list asks for the next names when half of the present ones are taken: reading what they
// name goes on meanwhile, and who takes only a few pays for no more.
func (b *bucket) list(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var asking sync.WaitGroup
		defer asking.Wait()
		defer cancel()
		type answer struct {
			page *s3.ListObjectsV2Output
			err  error
		}
		answers := make(chan answer, 1)
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
			Bucket: &b.name, Prefix: new(b.prefix + prefix), StartAfter: new(b.prefix + after),
		})
		ask := func() {
			asking.Go(func() {
				page, err := pages.NextPage(ctx)
				answers <- answer{page, err}
			})
		}
		ask()
		for more := true; more; {
			a := <-answers
			if a.err != nil {
				yield("", readError("ListObjectsV2", a.err))
				return
			}
			names := a.page.Contents
			more = pages.HasMorePages()
			if more && len(names) == 0 {
				ask()
			}
			for i, o := range names {
				if more && i == len(names)/2 {
					ask()
				}
				// The server was asked for no others; not all of them listen.
				if key := strings.TrimPrefix(orNone(o.Key), b.prefix); key > after && !yield(key, nil) {
					return
				}
			}
		}
	}
}

// flush: what a server has answered, it has.
func (b *bucket) flush(context.Context, string) error { return nil }
func (b *bucket) refuses(string) string               { return "" }
func (b *bucket) remote() bool                        { return true }
func (b *bucket) parallel() int                       { return readsAtATime }

func (b *bucket) close() error {
	b.http.CloseIdleConnections()
	return nil
}

// The tag of an object is a digest of its body, while most records are headers alone:
// all of them would have the same tag, and no condition would tell an old state from
// a new one. So where the body would be empty it becomes a JSON object without any
// field, whose blanks and tabs are a random number. To every reader of the format it
// holds nothing. An object that is new needs none: whoever changes it first gives it
// another tag.

const stampBits = 64

func stamped(o object) object {
	if len(o.body) > 0 {
		return o
	}
	random := rand.Uint64()
	body := make([]byte, 0, stampBits+2)
	body = append(body, '{')
	for bit := range stampBits {
		body = append(body, " \t"[random>>bit&1])
	}
	o.body, o.contentType = append(body, '}'), jsonContent
	return o
}

func isStamp(body []byte) bool {
	return len(body) == stampBits+2 && body[0] == '{' && body[stampBits+1] == '}' && len(bytes.TrimSpace(body[1:stampBits+1])) == 0
}
