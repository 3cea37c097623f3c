package webhook

import (
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// dialTime bounds a connection attempt; a host that does not answer a SYN in this
	// time is not there.
	dialTime = 10 * time.Second
	// maxHeaders bounds the headers of an answer, in bytes. Common servers send no more
	// than 8 KiB.
	maxHeaders = 64 << 10
)

// newTransport keeps as many connections as there are requests at a time: the default
// of two would open one for nearly every request. endpoint is nil if the URL is faulty.
func newTransport(o Options, endpoint *url.URL) *http.Transport {
	guard := guard{publicOnly: o.PublicOnly && !proxied(endpoint)}
	dialer := &net.Dialer{Timeout: dialTime, Control: guard.control}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.TLS.Clone(),
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        90 * time.Second, // as net/http's own
		TLSHandshakeTimeout:    dialTime,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// proxied reports whether connections for the endpoint go to a proxy instead.
func proxied(endpoint *url.URL) bool {
	if endpoint == nil {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: endpoint})
	return err == nil && proxy != nil
}
