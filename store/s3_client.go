package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

const (
	// attemptsPerRequest ride out a hiccup: with their pauses, of up to firstPause and
	// twice as much each time, they take some 0.7 s. What lasts longer is for the
	// caller to wait for, who knows what it holds up.
	attemptsPerRequest = 4
	firstPause         = 200 * time.Millisecond
)

// client sends requests to one bucket. The SDK says where that is and who asks, and signs.
// The requests are made here, since all else that the SDK's own client does for one takes
// more of the processors than making, signing and sending it. Safe for concurrent use.
type client struct {
	web         *http.Client
	bucket      url.URL // without a / at its end
	region      string  // that requests are signed for
	credentials aws.CredentialsProvider
	signer      *v4.Signer

	// sums says that the server knows checksums: it is told those of objects, and asked
	// for them.
	sums bool
	// ahead is how far the server's clock is before the one here, in nanoseconds, as far
	// as it has refused a request for that.
	ahead atomic.Int64
}

// call is a request, as often as it is sent.
type call struct {
	op     string // as the protocol calls it: PutObject
	method string
	key    string // "" is the bucket itself
	query  url.Values
	header http.Header
	body   []byte
}

// answer is what a server said.
type answer struct {
	header http.Header
	body   []byte
}

// do sends a request until it is answered for good. Its error is a [*serverError].
func (c *client) do(ctx context.Context, q call) (answer, error) {
	doubtful := false
	for attempt := 0; ; attempt++ {
		a, err := c.try(ctx, q)
		if err == nil {
			return a, nil
		}
		doubtful = doubtful || err.doubtful
		err.doubtful = doubtful
		if attempt+1 == attemptsPerRequest || !err.passes || ctx.Err() != nil {
			return a, err
		}
		select {
		case <-time.After(rand.N(firstPause << attempt)):
		case <-ctx.Done():
			err.status, err.kind, err.cause = 0, ErrUnavailable, ctx.Err()
			return a, err
		}
	}
}

// try is one attempt.
func (c *client) try(ctx context.Context, q call) (answer, *serverError) {
	req, err := c.request(ctx, q)
	if err != nil {
		return answer{}, &serverError{op: q.op, cause: err, kind: ErrUnavailable} // of the credentials, which have tried themselves
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return answer{}, unanswered(q.op, err)
	}
	body, err := readAnswer(resp)
	_ = resp.Body.Close() // there is nothing left to lose
	a := answer{resp.Header, body}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return a, c.refused(q.op, resp.StatusCode, a)
	}
	if err == nil && c.sums {
		err = a.intact()
	}
	if err != nil && q.method == http.MethodGet { // else the status says all
		return a, unanswered(q.op, err)
	}
	return a, nil
}

// request makes and signs a request.
func (c *client) request(ctx context.Context, q call) (*http.Request, error) {
	who, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if len(q.body) > 0 {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "", body)
	if err != nil {
		return nil, err
	}
	at := c.bucket
	if q.key != "" {
		at.Path, at.RawPath = at.Path+"/"+q.key, at.EscapedPath()+"/"+httpbinding.EscapePath(q.key, false)
	}
	at.RawQuery = q.query.Encode()
	req.URL, req.Host = &at, at.Host
	maps.Copy(req.Header, q.header)
	switch {
	case !c.sums:
	case q.method == http.MethodPut:
		req.Header.Set("X-Amz-Checksum-Crc32", checksum(q.body)) // which a bucket that locks its objects insists on
	case q.method == http.MethodGet:
		req.Header.Set("X-Amz-Checksum-Mode", "ENABLED")
	}
	sum := sha256.Sum256(q.body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	now := time.Now().Add(time.Duration(c.ahead.Load()))
	if err := c.signer.SignHTTP(ctx, who, req, hash, "s3", c.region, now); err != nil {
		return nil, err
	}
	// An object is wanted as it is stored. It is not signed, since some servers see another.
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// readAnswer reads an answer to its end, in one piece if its length is told.
func readAnswer(resp *http.Response) ([]byte, error) {
	if resp.Request.Method == http.MethodHead {
		return nil, nil // its length is that of what is not there
	}
	if n := resp.ContentLength; n < 0 || n > maxRecord {
		return io.ReadAll(resp.Body)
	}
	body := make([]byte, resp.ContentLength)
	n, err := io.ReadFull(resp.Body, body)
	return body[:n], err
}

// refused gives the error of an answer that is one.
func (c *client) refused(op string, status int, a answer) *serverError {
	var told struct{ Code string }
	_ = xml.Unmarshal(a.body, &told) // something in between may answer in another form
	if len(a.body) == 0 {
		told.Code = strings.ReplaceAll(http.StatusText(status), " ", "")
	}
	e := &serverError{op: op, status: status, code: told.Code, kind: meaningOf(status, told.Code)}
	e.passes = e.kind == ErrUnavailable && status != http.StatusNotImplemented
	e.doubtful = status >= 500 && status != http.StatusNotImplemented && e.code != "SlowDown"
	if e.code == "RequestTimeTooSkewed" {
		there, err := http.ParseTime(a.header.Get("Date"))
		e.passes = err == nil
		if err == nil {
			c.ahead.Store(int64(time.Until(there)))
		}
	}
	return e
}

// intact holds an object against the checksum that came with it, if that is of the kind
// that is sent here.
func (a answer) intact() error {
	want := a.header.Get("X-Amz-Checksum-Crc32")
	if want != "" && !strings.Contains(want, "-") && want != checksum(a.body) { // a - is that of an object of several parts
		return errors.New("what was read does not have its checksum")
	}
	return nil
}

func checksum(body []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
}
