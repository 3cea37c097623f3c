//go:build unix

package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/webhook"
	"github.com/s3db-go/replicator/internal/envelope"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

//go:embed testdata/original.mjs
var original string

const sinkEnv = "WEBHOOK_TEST_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(sinkEnv) != "" {
		serveSink()
		return
	}
	os.Exit(m.Run())
}

// serveSink is the other process of the benchmarks: it takes in whatever is posted
// elsewhere, after POST /hold only from POST /go on; /count waits until as many were
// taken since the last call as it is asked for.
func serveSink() {
	var mu sync.Mutex
	come := sync.NewCond(&mu)
	taken, held := 0, false
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { // the original's client adds a slash to the path
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		for held {
			come.Wait()
		}
		taken++
		come.Broadcast()
	})
	mux.HandleFunc("/hold", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		held = true
	})
	mux.HandleFunc("/go", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		held = false
		come.Broadcast()
	})
	mux.HandleFunc("/count", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		mu.Lock()
		defer mu.Unlock()
		for taken < n {
			come.Wait()
		}
		taken = 0
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	fmt.Println("http://" + listener.Addr().String())
	go http.Serve(listener, mux)
	io.Copy(io.Discard, os.Stdin) // ends with its parent
}

type sink struct {
	b   *testing.B
	url string
}

func newSink(b *testing.B) sink {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), sinkEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return sink{b, strings.TrimSpace(url)}
}

func (s sink) call(path string) {
	res, err := http.Post(s.url+path, "", nil)
	if err != nil {
		s.b.Fatal(err)
	}
	res.Body.Close()
}

// until waits until n more requests were taken in.
func (s sink) until(n int) { s.call(fmt.Sprint("/count?n=", n)) }

const (
	benchChanges     = 10_000
	benchConcurrency = 8
	benchWriters     = 64
)

func benchRecord(i int) store.Record {
	return store.Record{
		"id": fmt.Sprintf("order-%06d", i), "customer": "customer-0042", "status": "open", "currency": "EUR", "total": 249.99,
		"lines": int64(3), "paid": true, "city": "Zürich", "note": "leave it with the neighbours", "placed": "2026-01-31T12:00:00Z",
	}
}

// bare posts the same bodies, marshalled and signed, with as many requests at a time
// and nothing else.
func (s sink) bare(key []byte) cost {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConcurrency}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	start := now()
	var posting sync.WaitGroup
	for range benchConcurrency {
		posting.Go(func() {
			for i := next.Add(1); i <= benchChanges; i = next.Add(1) {
				body, err := envelope.Message.Append(nil, cdc.Delivery{
					Change: cdc.Change{ChangeID: cdc.ID{15: byte(i)}, Version: 1 << 57, Op: cdc.Inserted, RecordID: "order", Time: start.at},
					Target: "orders", Record: benchRecord(int(i)),
				}, "replicator")
				if err != nil {
					s.b.Error(err)
					return
				}
				req, _ := http.NewRequest("POST", s.url+"/in", bytes.NewReader(body))
				stamp := strconv.FormatInt(time.Now().Unix(), 10)
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte("id." + stamp + "."))
				mac.Write(body)
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("webhook-id", "id")
				req.Header.Set("webhook-timestamp", stamp)
				req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
				res, err := client.Do(req)
				if err != nil {
					s.b.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	posting.Wait()
	s.until(benchChanges)
	return start.since()
}

// replicated writes the records to a store, from which they are carried. With drain all
// are written before the sink takes the first in, and the time is that of the rest.
func (s sink) replicated(secret string, drain bool) cost {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://bench")
	if err != nil {
		s.b.Fatal(err)
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{Name: "orders", Attributes: store.Attributes{
		"customer": "string", "status": "string", "currency": "string", "total": "number", "lines": "number|integer",
		"paid": "boolean", "city": "string", "note": "string", "placed": "string",
	}})
	if err != nil {
		s.b.Fatal(err)
	}
	r, err := replicator.New(db, replicator.Options{Dir: s.b.TempDir(), Destinations: []replicator.Destination{{
		Driver: webhook.New(webhook.Options{URL: s.url + "/in", SigningSecrets: []string{secret}, Concurrency: benchConcurrency}),
		Routes: replicator.Routes("orders"),
	}}})
	if err != nil {
		s.b.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		s.b.Fatal(err)
	}
	defer r.Stop(ctx)
	if drain {
		s.call("/hold")
	}
	start := now()
	var next atomic.Int64
	var writing sync.WaitGroup
	for range benchWriters {
		writing.Go(func() {
			for i := next.Add(1); i <= benchChanges; i = next.Add(1) {
				if _, err := orders.Insert(ctx, benchRecord(int(i))); err != nil {
					s.b.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	if drain {
		start = now()
		s.call("/go")
	}
	s.until(benchChanges)
	return start.since()
}

// cost is what a run took: time, and the time of processors in this process, which says
// more where others use the machine too.
type cost struct{ wall, cpu time.Duration }

func (c cost) plus(d cost) cost { return cost{c.wall + d.wall, c.cpu + d.cpu} }

type moment struct {
	at  time.Time
	cpu time.Duration
}

func now() moment {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return moment{time.Now(), time.Duration(used.Utime.Nano() + used.Stime.Nano())}
}

func (m moment) since() cost {
	n := now()
	return cost{n.at.Sub(m.at), n.cpu - m.cpu}
}

// BenchmarkBesideABareLoop gives the driver's rate through the whole replicator as a part
// of what the loop does, in turns: of a backlog, and from the write to the
// endpoint. The endpoint is another process, and counts. of-bare compares time, cpu-of-bare
// processor time; bare/bare is how far two runs of the same loop are apart.
func BenchmarkBesideABareLoop(b *testing.B) {
	const secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	key, _ := base64.StdEncoding.DecodeString(secret)
	for _, mode := range []string{"drain", "end-to-end"} {
		b.Run(mode, func(b *testing.B) {
			s := newSink(b)
			var bare, again, ours cost
			for b.Loop() {
				bare = bare.plus(s.bare(key))
				ours = ours.plus(s.replicated("whsec_"+secret, mode == "drain"))
				again = again.plus(s.bare(key))
			}
			changes, both := float64(benchChanges*b.N), bare.plus(again)
			b.ReportMetric(changes/ours.wall.Seconds(), "changes/s")
			b.ReportMetric(2*changes/both.wall.Seconds(), "bare/s")
			b.ReportMetric(both.wall.Seconds()/2/ours.wall.Seconds(), "of-bare")
			b.ReportMetric(both.cpu.Seconds()/2/ours.cpu.Seconds(), "cpu-of-bare")
			b.ReportMetric(bare.wall.Seconds()/again.wall.Seconds(), "bare/bare")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBesideTheOriginal gives how many times as fast as s3db.js's own plugin the
// replicator carries writes to an endpoint, from the write to the endpoint.
func BenchmarkBesideTheOriginal(b *testing.B) {
	const fewer = 1000 // it holds what waits in memory, and slows down under more
	s := newSink(b)
	var theirs, ours time.Duration
	for b.Loop() {
		program := testbed.Node(b, original, s.url+"/in", strconv.Itoa(fewer))
		if _, err := bufio.NewReader(program.Out).ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		fmt.Fprintln(program.In)
		s.until(fewer)
		theirs += time.Since(start)
		program.In.Close()
		ours += s.replicated("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false).wall
	}
	mine, other := float64(benchChanges*b.N)/ours.Seconds(), float64(fewer*b.N)/theirs.Seconds()
	b.ReportMetric(mine, "changes/s")
	b.ReportMetric(other, "original/s")
	b.ReportMetric(mine/other, "times")
	b.ReportMetric(0, "ns/op")
}
