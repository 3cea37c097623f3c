package testbed

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// WebFault is what befalls a request on its way.
type WebFault struct {
	// Status answers with it in place of the server, and with Body.
	Status int
	Body   string
	// Reset breaks the connection off without an answer: before the server heard of
	// the request, or after it has carried it out.
	Reset, ResetAfter bool
	// Half breaks off in the middle of the answer's body.
	Half bool
	// Delay passes before the request goes on.
	Delay time.Duration
	// Hold keeps the request back until it is closed, or the client has gone.
	Hold <-chan struct{}
	// Header is added to the answer.
	Header http.Header
}

// WebProxy stands between clients and a server of HTTP. Requests keep the Host that
// they were signed for. Safe for concurrent use.
type WebProxy struct {
	server *httptest.Server

	mu    sync.Mutex // guards what follows
	judge func(*http.Request) WebFault
	seen  []string
}

// NewWebProxy listens on a free port for clients of the server at addr.
func NewWebProxy(t testing.TB, addr string) *WebProxy {
	t.Helper()
	p := &WebProxy{judge: func(*http.Request) WebFault { return WebFault{} }}
	upstream := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(answer *http.Response) error {
			fault, _ := answer.Request.Context().Value(faultKey{}).(WebFault)
			maps.Copy(answer.Header, fault.Header)
			if fault.ResetAfter {
				return http.ErrAbortHandler
			}
			if fault.Half {
				answer.Body = &halfBody{answer.Body, answer.ContentLength / 2}
			}
			return nil
		},
		// A request that got no answer gives none.
		ErrorLog:     log.New(io.Discard, "", 0), // the faults are no news
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, upstream) }))
	p.server.Start()
	t.Cleanup(p.server.Close)
	return p
}

type faultKey struct{}

// Addr gives the host and port that clients dial.
func (p *WebProxy) Addr() string { return p.server.Listener.Addr().String() }

// Judge sets what befalls each request from now on; it is asked under a lock, one
// request at a time.
func (p *WebProxy) Judge(judge func(*http.Request) WebFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

// Requests gives "METHOD /path" of every request so far.
func (p *WebProxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...)
}

func (p *WebProxy) serve(w http.ResponseWriter, r *http.Request, upstream http.Handler) {
	p.mu.Lock()
	fault := p.judge(r)
	p.seen = append(p.seen, r.Method+" "+r.URL.Path)
	p.mu.Unlock()
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
		}
	}
	if fault.Hold != nil {
		select {
		case <-fault.Hold:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case fault.Reset:
		panic(http.ErrAbortHandler)
	case fault.Status != 0:
		_, _ = io.Copy(io.Discard, r.Body) // a client that still sends would see a reset
		maps.Copy(w.Header(), fault.Header)
		w.WriteHeader(fault.Status)
		if r.Method != http.MethodHead {
			fmt.Fprint(w, fault.Body)
		}
	default:
		upstream.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, fault)))
	}
}

// halfBody ends in an error after so many bytes.
type halfBody struct {
	io.ReadCloser
	left int64
}

func (b *halfBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// S3Error gives the fault of an S3 server that answers with an error.
func S3Error(status int, code string) WebFault {
	body := fmt.Sprintf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no row and no credential</Message></Error>", code)
	return WebFault{Status: status, Body: body}
}
