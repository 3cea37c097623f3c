package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// dialTime bounds a connection attempt; a host that does not answer a SYN in this
// time is not there.
const dialTime = 10 * time.Second

// newClient keeps as many connections as there are requests at a time: the default
// of two would open one for nearly every request.
func newClient(concurrency int) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, Control: refuseLinkLocal}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: concurrency,
		IdleConnTimeout:     90 * time.Second, // as net/http's own
		TLSHandshakeTimeout: dialTime,
	}
	return &http.Client{
		Transport: transport,
		// A redirect would take credentials and data to a place that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refuseLinkLocal judges the address that is really dialled, after name resolution.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if linkLocal(at.Addr()) {
		return errLinkLocal
	}
	return nil
}

var errLinkLocal = errors.New("link-local addresses are refused")

func linkLocal(ip netip.Addr) bool { return ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() }
