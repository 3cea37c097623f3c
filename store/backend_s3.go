package store

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// bucket is a backend on a server that speaks the S3 protocol. Requests that fail for
// no lasting reason are sent again, see [client].
type bucket struct {
	client *client
	prefix string // "" or ends in /

	// unconditional says that the server answered a condition with "not implemented":
	// then what others do at the same moment is not noticed.
	unconditional atomic.Bool
}

// readsAtATime is how many objects are read from a server at a time: at the 20 ms of an
// answer from S3 some 3,000 a second.
const readsAtATime = 64

// metaHeader begins the name of every header that is an object's own.
const metaHeader = "X-Amz-Meta-"

func (b *bucket) get(ctx context.Context, key string) (object, error) {
	o, err := b.getRaw(ctx, key)
	if isStamp(o.body) {
		o.body, o.contentType = nil, ""
	}
	return o, err
}

// getRaw is get with the stamp, if the object has one.
func (b *bucket) getRaw(ctx context.Context, key string) (object, error) {
	a, err := b.client.do(ctx, call{op: "GetObject", method: http.MethodGet, key: b.prefix + key})
	if err != nil {
		return object{}, readError(err)
	}
	var packed packer
	for name, values := range a.header {
		if len(name) > len(metaHeader) && strings.EqualFold(name[:len(metaHeader)], metaHeader) {
			packed.add(strings.ToLower(name[len(metaHeader):]), values[0])
		}
	}
	return object{headers: packed.headers(), body: a.body, contentType: a.header.Get("Content-Type"), tag: a.header.Get("Etag")}, nil
}

// put leaves an empty body empty: references to records and other objects are never
// swapped.
func (b *bucket) put(ctx context.Context, key string, o object) error {
	return writeError(b.send(ctx, key, o, nil))
}

func (b *bucket) remove(ctx context.Context, key string) error {
	return writeError(b.delete(ctx, key, nil))
}

func (b *bucket) swap(ctx context.Context, key string, to *object, tag string) error {
	if to == nil {
		return b.swapOut(ctx, key, tag)
	}
	o := *to
	condition := http.Header{"If-Match": {tag}}
	switch tag {
	case anyTag:
		condition = nil
	case noTag:
		condition = http.Header{"If-None-Match": {"*"}}
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
	err := b.send(ctx, key, o, condition)
	switch status := statusOf(err); {
	case status == http.StatusNotImplemented && tag != anyTag:
		b.unconditional.Store(true)
		return b.swap(ctx, key, to, tag)
	case status == http.StatusPreconditionFailed || status == http.StatusConflict || status == http.StatusNotFound && isMissing(err):
		// An attempt whose answer got lost may have been the one that changed it.
		if isDoubtful(err) {
			now, err := b.getRaw(ctx, key)
			switch {
			case err != nil && !errors.Is(err, errAbsent):
				return &uncertain{err}
			case err == nil && bytes.Equal(now.body, o.body) && maps.Equal(now.headers.unpacked(), o.headers.unpacked()):
				return nil
			}
		}
		return errChanged
	}
	return writeError(err)
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
	err := b.delete(ctx, key, http.Header{"If-Match": {tag}})
	switch status := statusOf(err); {
	case status == http.StatusNotImplemented:
		b.unconditional.Store(true)
		return b.swapOut(ctx, key, tag)
	case status == http.StatusNotFound && isMissing(err):
		return absentIf(!isDoubtful(err)) // in doubt, the removal was this one
	case status == http.StatusPreconditionFailed || status == http.StatusConflict:
		there, missing := b.exists(ctx, key)
		if missing != nil || !there {
			return errors.Join(missing, absentIf(!there && missing == nil && !isDoubtful(err)))
		}
		return errChanged
	}
	return writeError(err)
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
	_, err := b.client.do(ctx, call{op: "HeadObject", method: http.MethodHead, key: b.prefix + key})
	if isMissing(err) {
		return false, nil
	}
	return err == nil, err
}

// send puts an object under a condition, or under none.
func (b *bucket) send(ctx context.Context, key string, o object, condition http.Header) error {
	header := make(http.Header, 16) // few records have more fields
	for name, value := range o.headers.all() {
		header.Set(metaHeader+name, value)
	}
	if o.contentType != "" {
		header.Set("Content-Type", o.contentType)
	}
	maps.Copy(header, condition)
	_, err := b.client.do(ctx, call{op: "PutObject", method: http.MethodPut, key: b.prefix + key, header: header, body: o.body})
	return err
}

func (b *bucket) delete(ctx context.Context, key string, condition http.Header) error {
	_, err := b.client.do(ctx, call{op: "DeleteObject", method: http.MethodDelete, key: b.prefix + key, header: condition})
	return err
}

// names is a page of them.
type names struct {
	Contents              []struct{ Key string }
	IsTruncated           bool
	NextContinuationToken string
}

// names gives the first names that begin with prefix and come after the name after, or
// those that follow the page with the token.
func (b *bucket) names(ctx context.Context, prefix, after, token string) (page names, err error) {
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "start-after": {after}}
	if token != "" {
		query.Set("continuation-token", token)
	}
	a, err := b.client.do(ctx, call{op: "ListObjectsV2", method: http.MethodGet, query: query})
	if err != nil {
		return page, err
	}
	if err := xml.Unmarshal(a.body, &page); err != nil {
		return page, unanswered("ListObjectsV2", errors.New("the answer is not a list"))
	}
	return page, nil
}

// list asks for the next names when half of the present ones are taken: reading what they
// name goes on meanwhile, and who takes only a few pays for no more.
func (b *bucket) list(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var asking sync.WaitGroup
		defer asking.Wait()
		defer cancel()
		type listed struct {
			page names
			err  error
		}
		pages := make(chan listed, 1)
		ask := func(token string) {
			asking.Go(func() {
				page, err := b.names(ctx, b.prefix+prefix, b.prefix+after, token)
				pages <- listed{page, err}
			})
		}
		ask("")
		for more := true; more; {
			l := <-pages
			if l.err != nil {
				yield("", l.err)
				return
			}
			keys, next := l.page.Contents, l.page.NextContinuationToken
			more = l.page.IsTruncated && next != ""
			if more && len(keys) == 0 {
				ask(next)
			}
			for i, o := range keys {
				if more && i == len(keys)/2 {
					ask(next)
				}
				// The server was asked for no others; not all of them listen.
				if key := strings.TrimPrefix(o.Key, b.prefix); key > after && !yield(key, nil) {
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
	b.client.web.CloseIdleConnections()
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
