package webhook_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// TestURLsOfRefusedHosts: what can be told from the URL is told by Validate, and never
// dialled either.
func TestURLsOfRefusedHosts(t *testing.T) {
	const linkLocal, metadata, private, number = "link-local addresses", "addresses of metadata services", "not public", "must be an address in its usual form"
	for _, test := range []struct {
		host string
		want string // always
		more string // with PublicOnly, if more is refused
	}{
		{"169.254.169.254", linkLocal, ""},
		{"169.254.0.0", linkLocal, ""},
		{"[fe80::1]", linkLocal, ""},
		{"[fe80::1%25eth0]", linkLocal, ""},
		{"[febf::1]", linkLocal, ""},
		{"[ff02::1]", linkLocal, ""},
		{"224.0.0.251", linkLocal, ""},
		// IPv4 within IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
		{"[::ffff:169.254.169.254]", linkLocal, ""},
		{"[::ffff:a9fe:a9fe]", linkLocal, ""},
		{"[::ffff:169.254.169.254%25eth0]", linkLocal, ""},
		{"[0:0:0:0:0:ffff:a9fe:a9fe]", linkLocal, ""},
		{"[::169.254.169.254]", linkLocal, ""},
		{"[::ffff:0:169.254.169.254]", linkLocal, ""},
		{"[64:ff9b::169.254.169.254]", linkLocal, ""},
		{"[64:ff9b::a9fe:a9fe%251]", linkLocal, ""},
		{"[64:ff9b:1::a9fe:a9fe]", linkLocal, ""},
		{"[2002:a9fe:a9fe::1]", linkLocal, ""},
		{"[2001:0:1::5601:5601]", linkLocal, ""},
		{"[2001:0:a9fe:a9fe::1]", linkLocal, ""},
		{"[2001:db8::200:5efe:169.254.169.254]", linkLocal, ""},
		{"[fd00:ec2::254]", metadata, ""},
		{"[fd20:ce::254%25x]", metadata, ""},
		{"100.100.100.200", metadata, ""},
		{"192.0.0.192", metadata, ""},
		{"168.63.129.16", metadata, ""},
		{"[::ffff:100.100.100.200]", metadata, ""},
		// What some resolvers take for an address: decimal, octal, hexadecimal, short.
		{"2852039166", number, ""},
		{"0251.0376.0251.0376", number, ""},
		{"0xa9fea9fe", number, ""},
		{"0xa9.0xfe.0xa9.0xfe", number, ""},
		{"0XA9.254.43518", number, ""},
		{"169.254.43518", number, ""},
		{"127.1", number, ""},
		{"127.0.0.1.", number, ""},
		{"%31%36%39.254.169.254", "can't be parsed", ""},
		{"169.254.169.0376", number, ""},
		// Not public.
		{"127.0.0.1", "", private},
		{"0.0.0.0", "", private},
		{"10.1.2.3", "", private},
		{"172.31.255.255", "", private},
		{"192.168.0.1", "", private},
		{"100.64.0.1", "", private},
		{"192.0.2.1", "", private},
		{"198.19.0.1", "", private},
		{"239.1.1.1", "", private},
		{"255.255.255.255", "", private},
		{"[::1]", "", private},
		{"[::]", "", private},
		{"[fc00::1]", "", private},
		{"[fdff::1%25eth0]", "", private},
		{"[fec0::1]", "", private},
		{"[::ffff:10.0.0.1]", "", private},
		{"[::127.0.0.1]", "", private},
		{"[64:ff9b::10.0.0.1]", "", private},
		{"[2002:a00:1::1]", "", private},
		{"[2001::1]", "", private},
		{"[2001:db8::1]", "", private},
		{"[3fff::1]", "", private},
		{"[100::1]", "", private},
		{"[ff0e::1]", "", private},
		{"１２７.0.0.1", number, ""}, // its last label is still one
		{"127.0.0.１", "", "ASCII form"},
		// Public.
		{"8.8.8.8", "", ""},
		{"172.32.0.1", "", ""},
		{"100.128.0.1", "", ""},
		{"[2606:4700::1111]", "", ""},
		{"[64:ff9b::8.8.8.8]", "", ""},
		{"[::ffff:8.8.8.8]", "", ""},
		{"example.com", "", ""},
		{"1.example.com", "", ""},
		{"0x.example", "", ""},
		{"xn--e1afmkfd.example.", "", ""},
	} {
		for _, publicOnly := range []bool{false, true} {
			want := test.want
			if publicOnly && want == "" {
				want = test.more
			}
			for _, d := range []*webhook.Driver{
				webhook.New(webhook.Options{URL: "http://" + test.host + "/x", PublicOnly: publicOnly}),
				webhook.New(webhook.Options{URL: "http://" + test.host + ":8080", PublicOnly: publicOnly}),
			} {
				err := d.Validate()
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s, PublicOnly %v: %v, want %q", test.host, publicOnly, err, want)
				}
			}
		}
	}
}

// resolver answers questions for addresses from a function, and is what the whole
// process resolves with until the test ends. It speaks real DNS.
func resolver(t *testing.T, answer func(name string) netip.Addr) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for b := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			conn.WriteTo(reply(b[:n], answer), from)
		}
	})
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = was
		conn.Close()
		serving.Wait()
	})
}

// reply makes the answer to a question, with one address if it is of the asked kind.
func reply(question []byte, answer func(string) netip.Addr) []byte {
	name, at := "", 12
	for question[at] != 0 {
		label := question[at+1 : at+1+int(question[at])]
		name += string(label) + "."
		at += 1 + len(label)
	}
	kind := binary.BigEndian.Uint16(question[at+1:])
	out := append([]byte(nil), question[:at+5]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // an answer, without error
	binary.BigEndian.PutUint16(out[10:], 0)     // nothing additional
	if kind == 1 || kind == 28 {
		if ip := answer(name); ip.Is4() == (kind == 1) {
			binary.BigEndian.PutUint16(out[6:], 1)
			out = append(out, 0xc0, 12) // the name as in the question
			out = append(out, question[at+1:at+5]...)
			out = append(out, 0, 0, 0, 0, 0, byte(len(ip.AsSlice()))) // not to be kept
			out = append(out, ip.AsSlice()...)
		}
	}
	return out
}

// TestNamesAreJudgedWhenDialled: a name that leads to a refused address, at once or
// after it led to a good one, gets nothing.
func TestNamesAreJudgedWhenDialled(t *testing.T) {
	var requests atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Connection", "close") // the next request dials, and resolves, anew
	}))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(srv.URL, "http://"))

	var leads atomic.Value
	resolver(t, func(string) netip.Addr { return netip.MustParseAddr(leads.Load().(string)) })

	for _, test := range []struct {
		leads      string
		publicOnly bool
		want       string
	}{
		{"169.254.169.254", false, "link-local addresses are refused"},
		{"::ffff:169.254.169.254", false, "link-local addresses are refused"},
		{"64:ff9b::a9fe:a9fe", false, "link-local addresses are refused"},
		{"fe80::1", false, "link-local addresses are refused"},
		{"fd00:ec2::254", false, "addresses of metadata services are refused"},
		{"127.0.0.1", true, "not public are refused by PublicOnly"},
		{"10.0.0.1", true, "not public are refused by PublicOnly"},
		{"::1", true, "not public are refused by PublicOnly"},
	} {
		leads.Store(test.leads)
		d := webhook.New(webhook.Options{URL: "http://rebind.example:" + port, PublicOnly: test.publicOnly})
		if err := apply(t.Context(), d); cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), test.want) {
			t.Errorf("a name that leads to %s gives a %s error: %v", test.leads, cdc.FaultOf(err), err)
		}
		d.Close()
	}
	if n := requests.Load(); n > 0 {
		t.Fatalf("%d requests came through", n)
	}

	leads.Store("127.0.0.1")
	d := webhook.New(webhook.Options{URL: "http://rebind.example:" + port})
	defer d.Close()
	if err := apply(t.Context(), d); err != nil || requests.Load() != 1 {
		t.Fatalf("a name that leads to a private address: %v", err)
	}
	leads.Store("169.254.169.254")
	if err := apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), "link-local addresses are refused") {
		t.Errorf("a name that leads elsewhere the second time gives %v", err)
	}
}

// TestRedirectsAreNotFollowed, neither to a refused address nor to an allowed one: not
// even asked is where they lead.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer other.Close()
	for _, location := range []string{other.URL, "http://169.254.169.254/latest/meta-data", "//127.0.0.1", "http://2852039166/", "/elsewhere"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					followed.Store(true)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			}))
			d := webhook.New(webhook.Options{URL: srv.URL})
			if err := apply(t.Context(), d); cdc.FaultOf(err) != cdc.DestinationFault {
				t.Errorf("%d to %s gives a %s error: %v", status, location, cdc.FaultOf(err), err)
			}
			d.Close()
			srv.Close()
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

// TestBehindAProxy runs itself again, since a process reads the proxy's address once.
// The proxy is at a private address, and gets names to resolve.
func TestBehindAProxy(t *testing.T) {
	const asked = "WEBHOOK_TEST_BEHIND_PROXY"
	if os.Getenv(asked) != "" {
		for _, publicOnly := range []bool{false, true} {
			d := webhook.New(webhook.Options{URL: "http://hooks.example/in", PublicOnly: publicOnly})
			if err := apply(t.Context(), d); err != nil {
				t.Errorf("through the proxy, PublicOnly %v: %v", publicOnly, err)
			}
			d.Close()
		}
		// An address in the URL is judged although the proxy would connect.
		for host, publicOnly := range map[string]bool{"169.254.169.254": false, "[64:ff9b::a9fe:a9fe]": false, "0xa9fea9fe": false, "10.0.0.1": true} {
			d := webhook.New(webhook.Options{URL: "http://" + host, PublicOnly: publicOnly})
			if d.Validate() == nil || apply(t.Context(), d) == nil {
				t.Errorf("%s is allowed through the proxy", host)
			}
		}
		return
	}
	var hosts []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		hosts = append(hosts, r.URL.Host)
	}))
	defer proxy.Close()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBehindAProxy$", "-test.v")
	again.Env = append(os.Environ(), asked+"=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "http_proxy=", "no_proxy=")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if len(hosts) != 2 || hosts[0] != "hooks.example" || hosts[1] != "hooks.example" {
		t.Errorf("the proxy was asked for %v", hosts)
	}
	if u, _ := url.Parse(proxy.URL); u.Hostname() != "127.0.0.1" {
		t.Errorf("the proxy is at %s, which shows nothing", u.Host)
	}
}
