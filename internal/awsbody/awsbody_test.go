package awsbody_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/s3db-go/replicator/internal/awsbody"
)

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(req *http.Request) (*http.Response, error) { return f(req) }

func TestBodiesShowNoWriteTo(t *testing.T) {
	body := io.NopCloser(bytes.NewReader([]byte("body")))
	if _, ok := body.(io.WriterTo); !ok {
		t.Fatal("the body has no WriteTo, so there is nothing to hide")
	}
	called := 0
	client := awsbody.Client{Doer: doer(func(req *http.Request) (*http.Response, error) {
		called++
		if _, ok := req.Body.(io.WriterTo); ok {
			t.Error("WriteTo shows")
		}
		if b, err := io.ReadAll(req.Body); string(b) != "body" || err != nil {
			t.Errorf("the body is %q, %v", b, err)
		}
		return nil, nil
	})}
	client.Do(&http.Request{Body: body})
	if called != 1 {
		t.Errorf("the request was made %d times", called)
	}
}

func TestNoBodyStaysNone(t *testing.T) {
	// net/http knows http.NoBody by its identity, and sends no length with it.
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		client := awsbody.Client{Doer: doer(func(req *http.Request) (*http.Response, error) {
			if req.Body != body {
				t.Errorf("the body is %v, not %v", req.Body, body)
			}
			return nil, nil
		})}
		client.Do(&http.Request{Body: body})
	}
}
