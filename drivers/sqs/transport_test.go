package sqs

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

type httpClient func(*http.Request) (*http.Response, error)

func (f httpClient) Do(req *http.Request) (*http.Response, error) { return f(req) }

// TestTransportHidesWriteTo: net/http asks a body for it, and the SDK's gives the wrong
// answer; see transport.
func TestTransportHidesWriteTo(t *testing.T) {
	body := io.NopCloser(bytes.NewReader([]byte("body")))
	if _, ok := body.(io.WriterTo); !ok {
		t.Fatal("the body has no WriteTo, so there is nothing to hide")
	}
	called := false
	tr := transport{httpClient(func(req *http.Request) (*http.Response, error) {
		called = true
		if _, ok := req.Body.(io.WriterTo); ok {
			t.Error("WriteTo shows")
		}
		if b, err := io.ReadAll(req.Body); string(b) != "body" || err != nil {
			t.Errorf("the body is %q, %v", b, err)
		}
		return nil, nil
	})}
	tr.Do(&http.Request{Body: body})
	if !called {
		t.Error("the request was not made")
	}
}
