package testbed

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server and does what networks do to
// connections. Safe for concurrent use.
type Proxy struct {
	listener      net.Listener
	network, addr string
	work          sync.WaitGroup

	mu    sync.Mutex // guards what follows
	links map[*link]struct{}
	deaf  bool
	cut   bool
	away  bool
	held  chan struct{} // closed when bytes flow again; nil while they do
	first func()        // tells that bytes arrived while they are held
	over  bool
}

// link is one client's connection and the server's.
type link struct {
	client, server net.Conn
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// NewProxy listens on a free port for clients of the server at addr.
func NewProxy(t testing.TB, network, addr string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, network: network, addr: addr, links: map[*link]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr gives the host and port that clients dial.
func (p *Proxy) Addr() *net.TCPAddr { return p.listener.Addr().(*net.TCPAddr) }

// Reset breaks all connections off.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if tcp, ok := l.client.(*net.TCPConn); ok {
			tcp.SetLinger(0) // a reset, and not an orderly end
		}
		l.close()
	}
}

// Refuse closes every new connection, until restore is called.
func (p *Proxy) Refuse() (restore func()) { return p.set(&p.away) }

// set sets one of the proxy's faults, until restore is called.
func (p *Proxy) set(fault *bool) (restore func()) {
	to := func(on bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		*fault = on
	}
	to(true)
	return func() { to(false) }
}

// LoseAnswers lets the server hear, and breaks each connection off at its first answer
// from now on, until restore is called.
func (p *Proxy) LoseAnswers() (restore func()) { return p.set(&p.deaf) }

// CutRequests lets the server hear half of what a client sends next, and breaks the
// connection off, until restore is called.
func (p *Proxy) CutRequests() (restore func()) { return p.set(&p.cut) }

// Hold keeps all bytes back, in both directions, until release is called: then they
// arrive, also at a server whose client has given up. arrived is closed when the first
// came.
func (p *Proxy) Hold() (arrived <-chan struct{}, release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, first := make(chan struct{}), make(chan struct{})
	p.held, p.first = held, sync.OnceFunc(func() { close(first) })
	return first, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held == held {
			p.held = nil
			close(held)
		}
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout(p.network, p.addr, 5*time.Second)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{client, server}
		p.mu.Lock()
		if p.over || p.away {
			p.mu.Unlock()
			l.close()
			continue
		}
		p.links[l] = struct{}{}
		p.mu.Unlock()
		p.work.Go(func() {
			p.carry(l, server, client, false)
			server.Close() // after what was on its way has arrived
		})
		p.work.Go(func() {
			p.carry(l, client, server, true)
			l.close()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

// carry copies bytes until either side ends.
func (p *Proxy) carry(l *link, to io.Writer, from io.Reader, answers bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		held, first, deaf, cut := p.held, p.first, p.deaf, p.cut
		p.mu.Unlock()
		if held != nil {
			first()
			<-held
		}
		if n > 0 && (answers && deaf || !answers && cut) {
			if !answers {
				to.Write(buf[:n/2])
			}
			l.close()
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.over = true
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.work.Wait()
}
