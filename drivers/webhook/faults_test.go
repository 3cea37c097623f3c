package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
)

// rawServer answers every connection by the function, below the level of HTTP. The
// request is what has come when the first byte of its body has.
func rawServer(t *testing.T, answer func(conn net.Conn, request string)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn, readRequest(conn))
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

func readRequest(conn net.Conn) string {
	var request []byte
	for b := make([]byte, 64<<10); ; {
		n, err := conn.Read(b)
		request = append(request, b[:n]...)
		if _, body, ok := bytes.Cut(request, []byte("\r\n\r\n")); (ok && len(body) > 0) || err != nil {
			return string(request)
		}
	}
}

func TestAnswersThatBreakOff(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   cdc.Fault
		ok     bool
	}{
		"nothing":             {"", cdc.DestinationFault, false},
		"in the status":       {"HTTP/1.1 2", cdc.DestinationFault, false},
		"in the headers":      {"HTTP/1.1 200 OK\r\nContent-", cdc.DestinationFault, false},
		"not HTTP":            {"SSH-2.0-OpenSSH_9\r\n", cdc.DestinationFault, false},
		"in a success's body": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", 0, true},
		"in an error's body":  {"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\nabc", cdc.RecordFault, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := webhook.New(webhook.Options{URL: rawServer(t, func(c net.Conn, _ string) { io.WriteString(c, test.answer) })})
			defer d.Close()
			err := apply(t.Context(), d)
			if (err == nil) != test.ok || (err != nil && cdc.FaultOf(err) != test.want) {
				t.Errorf("gives a %s error, want %s: %v", cdc.FaultOf(err), test.want, err)
			}
		})
	}
}

// TestSlowAnswers holds the connection open for ever: before the status the context
// is the bound, after it the driver's own patience.
func TestSlowAnswers(t *testing.T) {
	quit := make(chan struct{})
	t.Cleanup(func() { close(quit) })
	silent := webhook.New(webhook.Options{URL: rawServer(t, func(net.Conn, string) { <-quit })})
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := apply(ctx, silent); err == nil || cdc.FaultOf(err) != cdc.Transient {
		t.Errorf("no answer gives a %s error: %v", cdc.FaultOf(err), err)
	}
	for status, ok := range map[string]bool{"200 OK": true, "500 No": false} {
		trickle := webhook.New(webhook.Options{URL: rawServer(t, func(c net.Conn, _ string) {
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 1000000\r\n\r\n")
			<-quit
		})})
		defer trickle.Close()
		start := time.Now()
		if err := apply(t.Context(), trickle); (err == nil) != ok {
			t.Errorf("%s with a slow body gives %v", status, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s with a slow body took %v", status, took)
		}
	}
}

// TestSlowLoris: an answer that comes a byte at a time, and never ends, is bounded by the
// driver's own Timeout where the caller has none.
func TestSlowLoris(t *testing.T) {
	for name, begin := range map[string]string{"status": "HTTP/1.1 ", "headers": "HTTP/1.1 200 OK\r\nX-Slow: "} {
		d := webhook.New(webhook.Options{Timeout: 200 * time.Millisecond, URL: rawServer(t, func(c net.Conn, _ string) {
			drip := time.NewTicker(5 * time.Millisecond)
			defer drip.Stop()
			for _, err := io.WriteString(c, begin); err == nil; _, err = io.WriteString(c, "2") {
				<-drip.C
			}
		})})
		start := time.Now()
		err := apply(t.Context(), d)
		if err == nil || cdc.FaultOf(err) != cdc.Transient || !strings.Contains(err.Error(), "no answer within 2") {
			t.Errorf("slow %s give a %s error: %v", name, cdc.FaultOf(err), err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("slow %s took %v", name, took)
		}
		d.Close()
	}
}

// TestOversizedHeaders: an answer with a megabyte of headers is none, whatever its status.
func TestOversizedHeaders(t *testing.T) {
	d := webhook.New(webhook.Options{URL: rawServer(t, func(c net.Conn, _ string) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+strings.Repeat("X-Long: "+strings.Repeat("long", 1000)+"\r\n", 250)+"\r\n")
	})})
	defer d.Close()
	if err := apply(t.Context(), d); err == nil || cdc.FaultOf(err) != cdc.DestinationFault || strings.Contains(err.Error(), "longlong") {
		t.Errorf("a megabyte of headers gives a %s error: %v", cdc.FaultOf(err), err)
	}
}

func TestOversizedAnswer(t *testing.T) {
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		block := []byte(strings.Repeat("long ", 2000))
		for {
			n, err := w.Write(block)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL})
	defer d.Close()
	err := apply(t.Context(), d)
	if err == nil || len(err.Error()) > 400 || !strings.Contains(err.Error(), "long long") {
		t.Errorf("an endless answer gives %.500v", err)
	}
	srv.Close() // waits for the handler
	// What the sockets buffered on the way was sent too, but not read.
	if sent.Load() > 64<<20 {
		t.Errorf("%d bytes of the answer were taken", sent.Load())
	}
}

// TestConnectionsAreReused counts connections under answers with bodies.
func TestConnectionsAreReused(t *testing.T) {
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 10_000))
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL})
	defer d.Close()
	for range 50 {
		if err := apply(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("50 requests took %d connections, want 1", n)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL})
	defer d.Close()
	if err := apply(t.Context(), d); cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error is %s: %v", cdc.FaultOf(err), err)
	}
}

// TestURLIsNotShown: paths and queries of webhooks hold credentials as well.
func TestURLIsNotShown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close() // nobody listens there now
	d := webhook.New(webhook.Options{URL: "http://ann:passw0rd@" + host + "/s3cr3tpath?key=s3cr3tquery"})
	defer d.Close()
	err = apply(t.Context(), d)
	if err == nil || !strings.HasPrefix(err.Error(), "webhook: POST "+host+": dial tcp") {
		t.Errorf("error is %v", err)
	}
	for _, secret := range []string{"ann", "passw0rd", "s3cr3tpath", "s3cr3tquery"} {
		if strings.Contains(fmt.Sprint(err, d), secret) {
			t.Errorf("%s shows in: %v, %v", secret, err, d)
		}
	}
}

func TestLinkLocalIsRefused(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fe80::1%25lo]"} {
		d := webhook.New(webhook.Options{URL: "http://" + host + "/latest/meta-data"})
		err := apply(t.Context(), d)
		if cdc.FaultOf(err) != cdc.DestinationFault || !strings.Contains(err.Error(), "link-local addresses are refused") {
			t.Errorf("%s: error is %s: %v", host, cdc.FaultOf(err), err)
		}
		d.Close()
	}
}

// TestQuotedAnswer: an error says what the endpoint said, without a word of the row
// or of a credential in it, however it was echoed.
func TestQuotedAnswer(t *testing.T) {
	var kind, answer string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, answer)
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL + "/s3cr3tpath", Auth: webhook.APIKey("X-Key", "hunter2-and-more"), Headers: map[string]string{"X-Other": "othersecret"}})
	defer d.Close()
	echo, _ := json.Marshal(insert.Record)
	for _, test := range []struct{ kind, answer, want string }{
		{"text/plain", "email is not allowed", `: "email is not allowed"`},
		{"text/plain; charset=utf-8", "email\n  ann@example.com taken", `: "email …@….… taken"`},
		{"text/plain", "no such user: ann@exampl", `: "no such user: …@…"`},
		{"text/plain", "key hunter2 or HUNTER2-AND-MORE at /s3cr3tpath, othersecret", `: "key … or …-…-… at /…, …"`},
		{"text/plain", "id dTE5ZGY4YTdzZGY5OGE3c2RmOTg3YXNkZg bad", `: "id … bad"`},
		{"application/json", `{"error":{"message":"email is taken","code":"E_DUP"},"data":{"email":"x"}}`, `: "E_DUP; email is taken"`},
		{"application/problem+json", `{"title":"Gr\u00f6\u00dfe refused","detail":` + string(echo) + `}`, `: "… refused"`},
		{"application/json", `{"errors":[{"field":"email","message":"must be unique"}]}`, `: "email; must be unique"`},
		{"application/json", `not JSON: ann`, ``},
		{"text/html", "<h1>ann</h1>", ``},
		{"", "\xff\xfe", ``},
	} {
		kind, answer = test.kind, test.answer
		err := apply(t.Context(), d)
		want := fmt.Sprintf("webhook: POST %s: 422 Unprocessable Entity%s", strings.TrimPrefix(srv.URL, "http://"), test.want)
		if err == nil || err.Error() != want {
			t.Errorf("answer %q gives\n\t%v, want\n\t%s", answer, err, want)
		}
	}
}

// TestShortValuesAndIDsMayStandInAnAnswer: an answer stays readable where the record's id
// or a value of it is a word of any sentence. A credential stays hidden, also as an id.
func TestShortValuesAndIDsMayStandInAnAnswer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "no signature of ticket-a is of a known secret: 123, 42, tok, private")
	}))
	defer srv.Close()
	d := webhook.New(webhook.Options{URL: srv.URL, Auth: webhook.Bearer("tok")})
	defer d.Close()
	delivery := insert
	delivery.RecordID, delivery.Key = "ticket-a", cdc.Record{"id": "ticket-a"}
	delivery.Record = cdc.Record{"id": "ticket-a", "state": "no", "of": "tok", "cvv": "123", "age": int64(42), "note": "private"}
	err := d.Apply(t.Context(), []cdc.Delivery{delivery})
	if err == nil || !strings.Contains(err.Error(), "no signature of ticket-a is of a known secret: …, …, …, …") {
		t.Errorf("says %v", err)
	}
	delivery.RecordID = "tok"
	if err := d.Apply(t.Context(), []cdc.Delivery{delivery}); err == nil || strings.Contains(err.Error(), "tok") {
		t.Errorf("says %v", err)
	}
}

// canaries stand in everything that no error may show: the row, the path and the query
// of the URL, and every credential.
var canaries = []string{
	"canaryrow", "canarynested", "canaryline", "2345678", "canarypath", "canaryumlautä", "canaryquery", "canaryuser", "canarypassword",
	"canarytoken", "canaryheader",
}

// canaryDrivers are drivers that know all canaries, and the delivery that has them.
func canaryDrivers(url string) ([]*webhook.Driver, cdc.Delivery) {
	host := strings.TrimPrefix(url, "http://")
	headers := map[string]string{"X-Tenant": "canaryheader", "X-Token": "canarytoken"}
	const path = "/a/canarypath/canaryumlaut%C3%A4"
	drivers := []*webhook.Driver{
		webhook.New(webhook.Options{URL: "http://canaryuser:canarypassword@" + host + path + "?key=canary%71uery", Headers: headers}),
		webhook.New(webhook.Options{URL: "http://" + host + path + "?key=canaryquery", Headers: headers, Auth: webhook.Basic("canaryuser", "canarypassword"), Body: webhook.Bare}),
	}
	d := insert
	d.Record = cdc.Record{"id": "u1", "name": "canaryrow", "at": time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), "tiny": 0.000012345678,
		"more": map[string]any{"canarynested": []any{"one\ncanaryline", "canaryrow <b>"}}}
	return drivers, d
}

// mustNotShow fails if the error, or one that it wraps, shows a canary.
func mustNotShow(t *testing.T, what string, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, canary := range canaries {
			if strings.Contains(strings.ToLower(err.Error()), canary) {
				t.Errorf("%s: %s shows in: %v", what, canary, err)
			}
		}
	}
}

// TestNoEchoIsShown answers with what was sent, at every place of an answer that
// net/http or the driver may quote.
func TestNoEchoIsShown(t *testing.T) {
	var form string
	url := rawServer(t, func(c net.Conn, request string) {
		_, data, _ := strings.Cut(request, `"data":`)
		io.WriteString(c, strings.NewReplacer("ECHO", request, "DATA", data).Replace(form))
	})
	drivers, delivery := canaryDrivers(url)
	for _, d := range drivers {
		defer d.Close()
	}
	for _, form = range []string{
		"ECHO",
		"HTTP/1.1 ECHO",
		"HTTP/1.1 200ECHO\r\n\r\n",
		"HTTP/9.ECHO",
		"HTTP/1.1 200 OK\r\nECHO\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: ECHO",
		"HTTP/1.1 200 OK\r\nContent-Length: ECHO\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: ECHO\r\n\r\n",
		"HTTP/1.1 500 ECHO\r\n\r\n",
		"HTTP/1.1 500 No\r\nRetry-After: ECHO\r\n\r\n",
		"HTTP/1.1 500 No\r\nContent-Type: ECHO\r\n\r\nECHO",
		"HTTP/1.1 302 No\r\nLocation: ECHO\r\n\r\n",
		"HTTP/1.1 101 ECHO\r\nUpgrade: ECHO\r\n\r\nECHO",
		"HTTP/1.1 422 No\r\nContent-Type: text/plain\r\n\r\nECHO",
		"HTTP/1.1 422 No\r\nContent-Type: text/plain\r\n\r\na canaryumlaut\u00e4, canaryquery, canaryuser",
		"HTTP/1.1 422 No\r\nContent-Type: text/plain\r\n\r\nDATA",
		"HTTP/1.1 422 No\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nECHO",
	} {
		for _, d := range drivers {
			err := d.Apply(t.Context(), []cdc.Delivery{delivery})
			if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
				err = answer.Errs[0]
			}
			if err == nil && !strings.HasPrefix(form, "HTTP/1.1 200 OK") {
				t.Errorf("%q gives no error", form)
			}
			mustNotShow(t, form, err)
		}
	}
}

// FuzzEcho makes answers of any bytes around what was sent.
func FuzzEcho(f *testing.F) {
	f.Add("HTTP/1.1 2", "00 OK\r\n\r\n")
	f.Add("HTTP/1.1 422 No\r\nContent-Type: application/json\r\n\r\n{\"error\":\"", "\"}")
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: ", "\r\n\r\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		url := rawServer(t, func(c net.Conn, request string) { io.WriteString(c, before+request+after) })
		drivers, delivery := canaryDrivers(url)
		for _, d := range drivers {
			defer d.Close()
			err := d.Apply(t.Context(), []cdc.Delivery{delivery})
			if answer, ok := errors.AsType[*cdc.BatchError](err); ok {
				err = answer.Errs[0]
			}
			mustNotShow(t, "answer", err)
		}
	})
}

// TestCausesAreNamed: what an operator needs is still told.
func TestCausesAreNamed(t *testing.T) {
	broken := rawServer(t, func(c net.Conn, _ string) { io.WriteString(c, "HTTP/1.1 2") })
	reset := rawServer(t, func(c net.Conn, _ string) { c.(*net.TCPConn).SetLinger(0) })
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	trusted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer trusted.Close()
	elsewhere := trusted.Client()
	elsewhere.Transport.(*http.Transport).TLSClientConfig.ServerName = "elsewhere.invalid"
	silent := rawServer(t, func(net.Conn, string) { <-t.Context().Done() })
	for _, test := range []struct {
		opts webhook.Options
		want string
	}{
		{webhook.Options{URL: broken}, "the answer can't be read as HTTP, or broke off"},
		{webhook.Options{URL: rawServer(t, func(net.Conn, string) {})}, "the connection ended before an answer"},
		{webhook.Options{URL: reset}, "connection reset by peer"},
		{webhook.Options{URL: "http://host.invalid"}, "dial tcp: lookup host.invalid"},
		{webhook.Options{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, "the server does not speak TLS"},
		{webhook.Options{URL: trusted.URL}, "the certificate is signed by an unknown authority"},
		{webhook.Options{URL: trusted.URL, Client: elsewhere}, "the certificate is for another host"},
		{webhook.Options{URL: silent, Client: &http.Client{Timeout: 20 * time.Millisecond}}, "no answer within "},
	} {
		d := webhook.New(test.opts)
		if err := apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %q", err, test.want)
		}
		d.Close()
	}
}
